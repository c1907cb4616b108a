//! Abbreviations of time zones, which dates' texts and `AT TIME ZONE` may use.
//!
//! `abbreviations.txt` is PostgreSQL's set `Default` (`src/timezone/tznames/Default`): the
//! abbreviation, seconds east of Greenwich or a zone of the tz database, and `D` for daylight time.

use super::Zone;

const ABBREVIATIONS: &str = include_str!("abbreviations.txt");

/// The abbreviations, and which of them are fixed offsets of daylight saving time.
pub(super) fn all() -> impl Iterator<Item = (&'static str, bool)> {
    ABBREVIATIONS.lines().filter_map(|line| {
        let (name, means) = line.split_once(' ')?;
        Some((name, means.ends_with(" D")))
    })
}

/// The zone of an abbreviation. What has meant several offsets in the course of time is the zone
/// that it is of now.
pub(crate) fn of_abbreviation(word: &str) -> Option<Zone> {
    let line = ABBREVIATIONS.lines().find(|line| {
        line.split_once(' ').is_some_and(|(name, _)| name.eq_ignore_ascii_case(word))
    })?;
    let mut fields = line.split(' ');
    let (name, means) = (fields.next()?, fields.next()?);
    match means.parse::<i32>() {
        Ok(0) => Some(Zone::default()),
        Ok(offset_seconds) => Zone::fixed(name, offset_seconds),
        Err(_) => Zone::named(means),
    }
}
