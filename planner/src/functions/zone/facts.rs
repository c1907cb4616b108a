//! All time zones and abbreviations, as `pg_timezone_names` and `pg_timezone_abbrevs` list them.

use chrono_tz::TZ_VARIANTS;

use super::{Rules, Zone, abbreviation};

/// A zone or an abbreviation, at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneFacts {
    /// Its name.
    pub name: String,
    /// What it calls its time then.
    pub abbreviation: String,
    /// East of Greenwich.
    pub offset_seconds: i64,
    /// Whether that is daylight saving time.
    pub is_daylight: bool,
}

/// The zones of the tz database, by name, at a moment (microseconds since 1970).
pub fn time_zones(utc_micros: i64) -> Vec<ZoneFacts> {
    let zones = TZ_VARIANTS.iter().map(|tz| {
        let zone = Zone(Rules::Named(*tz));
        ZoneFacts {
            name: tz.name().to_string(),
            abbreviation: zone.abbreviation(utc_micros),
            offset_seconds: zone.offset_seconds(utc_micros),
            is_daylight: zone.is_daylight(utc_micros),
        }
    });
    zones.collect()
}

/// The abbreviations that values may have, by name, at a moment.
pub fn time_zone_abbreviations(utc_micros: i64) -> Vec<ZoneFacts> {
    let facts = abbreviation::all().filter_map(|(name, is_daylight)| {
        let zone = abbreviation::of_abbreviation(name)?;
        Some(ZoneFacts {
            name: name.to_string(),
            abbreviation: name.to_string(),
            offset_seconds: zone.offset_seconds(utc_micros),
            is_daylight: is_daylight || zone.is_daylight(utc_micros),
        })
    });
    facts.collect()
}
