//! `pg_timezone_names` and `pg_timezone_abbrevs`: what `TimeZone` and values may name.

use kestrel_planner::functions::{time_zone_abbreviations, time_zones};

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

pub(in super::super) fn names(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("name, abbrev, utc_offset, is_dst");
    for zone in time_zones(context.now.timestamp_micros()) {
        rows.push(row![zone.name, zone.abbreviation, zone.offset_seconds, zone.is_daylight]);
    }
    rows
}

pub(in super::super) fn abbreviations(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("abbrev, utc_offset, is_dst");
    for zone in time_zone_abbreviations(context.now.timestamp_micros()) {
        rows.push(row![zone.abbreviation, zone.offset_seconds, zone.is_daylight]);
    }
    rows
}
