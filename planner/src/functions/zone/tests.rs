//! Time zones against what PostgreSQL 15 shows for them.

use super::*;
use crate::functions::cast::parse_timestamp_tz;

#[test]
fn settings_have_postgresqls_names() {
    for (value, expected) in [
        ("america/new_york", "America/New_York"),
        ("utc", "UTC"),
        ("foo5bar", "FOO5BAR"),
        ("PST8PDT", "PST8PDT"),
        ("5.5", "<+05:30>-05:30"),
        ("-7", "<-07>+07"),
        ("+3", "<+03>-03"),
        ("INTERVAL '+05:30'", "<+05:30>-05:30"),
        ("interval '-00:00:30'", "<-00:00:30>+00:00:30"),
        ("<+05>-5", "<+05>-5"),
        ("UTC+3", "UTC+3"),
        ("FOO5BAR,M3.2.0/2,M11.1.0/2", "FOO5BAR,M3.2.0/2,M11.1.0/2"),
    ] {
        assert_eq!(time_zone_setting(value).as_deref(), Ok(expected), "{value}");
        assert!(Zone::named(expected).is_some(), "{expected}");
    }
    for (value, detail) in [
        ("pst", None),
        ("", None),
        ("inf", None),
        ("Nirgends/Wo", None),
        ("FOO5BAR,", None),
        ("FOO5BAR,M3.2.0", None),
        ("INTERVAL '1 mon'", Some("Cannot specify months in time zone interval.")),
        ("INTERVAL '1 day'", Some("Cannot specify days in time zone interval.")),
        ("200", Some("UTC timezone offset is out of range.")),
    ] {
        assert_eq!(time_zone_setting(value), Err(detail.map(String::from)), "{value}");
    }
}

/// A moment in UTC, the zone's offset in hours and its name for the time.
#[test]
fn offsets() {
    for (zone, moment, hours, abbreviation) in [
        ("Europe/Berlin", "2024-01-15 12:00", 1.0, "CET"),
        ("Europe/Berlin", "2024-07-15 12:00", 2.0, "CEST"),
        ("Europe/Berlin", "2150-07-15 12:00", 2.0, "CEST"),
        ("Europe/Berlin", "2150-01-15 12:00", 1.0, "CET"),
        ("America/Sao_Paulo", "2024-01-15 12:00", -3.0, "-03"),
        ("Asia/Kolkata", "2024-01-15 12:00", 5.5, "IST"),
        ("Asia/Kathmandu", "2024-01-15 12:00", 5.75, "+0545"),
        ("FOO5BAR", "2024-03-10 06:59:59", -5.0, "FOO"),
        ("FOO5BAR", "2024-03-10 07:00:00", -4.0, "BAR"),
        ("FOO5BAR", "2024-11-03 05:59:59", -4.0, "BAR"),
        ("FOO5BAR", "2024-11-03 06:00:00", -5.0, "FOO"),
        ("FOO5BAR", "2050-07-01 00:00:00", -4.0, "BAR"),
        ("AEST-10AEDT,M10.1.0,M4.1.0/3", "2024-01-01 00:00", 11.0, "AEDT"),
        ("AEST-10AEDT,M10.1.0,M4.1.0/3", "2024-07-01 00:00", 10.0, "AEST"),
        ("A1B,J60/0,300/0", "2024-03-01 00:59:59", -1.0, "A"),
        ("A1B,J60/0,300/0", "2024-03-01 01:00:00", 0.0, "B"),
        ("<+05:30>-05:30", "2024-01-01 00:00", 5.5, "+05:30"),
    ] {
        let (rules, micros) = (Zone::named(zone).unwrap(), parse_timestamp_tz(moment).unwrap());
        assert_eq!(rules.offset_seconds(micros) as f64 / 3600.0, hours, "{zone} {moment}");
        assert_eq!(rules.abbreviation(micros), abbreviation, "{zone} {moment}");
    }
}

/// A wall-clock time and the instant that it is, where clocks skip or repeat an hour, too.
#[test]
fn wall_clocks() {
    for (zone, local, utc) in [
        ("America/New_York", "2024-03-10 02:30", "2024-03-10 07:30"),
        ("America/New_York", "2024-11-03 01:30", "2024-11-03 06:30"),
        ("EST5EDT,M3.2.0,M11.1.0", "2024-03-10 02:30", "2024-03-10 07:30"),
        ("EST5EDT,M3.2.0,M11.1.0", "2024-11-03 01:30", "2024-11-03 06:30"),
        ("EST5EDT,M3.2.0,M11.1.0", "2024-11-03 00:59", "2024-11-03 04:59"),
        ("America/New_York", "2424-07-01 00:00", "2424-07-01 04:00"),
        ("Europe/Moscow", "2014-10-26 01:30", "2014-10-25 22:30"),
    ] {
        let zone_of = Zone::named(zone).unwrap();
        let micros = |text| parse_timestamp_tz(text).unwrap();
        assert_eq!(zone_of.to_utc(micros(local)), Ok(micros(utc)), "{zone} {local}");
    }
}

#[test]
fn zones_are_listed_with_what_they_are_in_summer() {
    let summer = parse_timestamp_tz("2024-07-01").unwrap();
    let find = |facts: Vec<ZoneFacts>, name: &str| {
        let found = facts.into_iter().find(|facts| facts.name == name).expect(name);
        (found.abbreviation, found.offset_seconds, found.is_daylight)
    };
    for (name, expected) in [
        ("Europe/Berlin", ("CEST", 7200, true)),
        ("Asia/Tokyo", ("JST", 9 * 3600, false)),
        ("UTC", ("UTC", 0, false)),
    ] {
        let (abbreviation, offset, is_daylight) = find(time_zones(summer), name);
        assert_eq!((abbreviation.as_str(), offset, is_daylight), expected, "{name}");
    }
    let abbreviations = || time_zone_abbreviations(summer);
    assert_eq!(find(abbreviations(), "PDT"), ("PDT".into(), -7 * 3600, true));
    assert_eq!(find(abbreviations(), "PST"), ("PST".into(), -8 * 3600, false));
}

#[test]
fn every_abbreviation_is_a_zone() {
    let lines = include_str!("abbreviations.txt").lines();
    for name in lines.filter_map(|line| line.split(' ').next()) {
        assert!(of_abbreviation(name).is_some(), "{name}");
        assert!(of_abbreviation(&name.to_lowercase()).is_some(), "{name}");
    }
    assert_eq!(of_abbreviation("nowhere"), None);
    let pdt = of_abbreviation("PDT").unwrap();
    assert_eq!((pdt.offset_seconds(0), pdt.abbreviation(0)), (-7 * 3600, "PDT".to_string()));
}
