//! Times and amounts of memory, as settings are written and shown (`parse_int` and `ShowGUCOption` of
//! PostgreSQL's `src/backend/utils/misc/guc.c`).

/// Units by how many of the least they are; a number without one is of the least.
pub(super) type Units = &'static [(u64, &'static str)];

/// Kept in milliseconds.
pub(super) const TIME: Units =
    &[(1, "ms"), (1000, "s"), (60_000, "min"), (3_600_000, "h"), (86_400_000, "d")];
/// Kept in kilobytes.
pub(super) const MEMORY: Units = &[(1, "kB"), (1 << 10, "MB"), (1 << 20, "GB"), (1 << 30, "TB")];

/// How many of the least unit; `None`: it is not written so, or too much.
pub(super) fn parse(text: &str, units: Units) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let factor = match unit.trim() {
        "" => 1,
        unit => units.iter().find(|(_, name)| *name == unit)?.0,
    };
    number.checked_mul(factor)
}

/// In the largest unit that it is a whole number of; zero has none.
pub(super) fn shown(number: u64, units: Units) -> String {
    let fits = |(factor, _): &&(u64, &str)| number > 0 && number.is_multiple_of(*factor);
    match units.iter().rev().find(fits) {
        Some((factor, unit)) => format!("{}{unit}", number / factor),
        None => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_and_shown_with_units() {
        for (text, units, expected) in [
            ("0", TIME, Some((0, "0"))),
            ("1500", TIME, Some((1500, "1500ms"))),
            ("90s", TIME, Some((90_000, "90s"))),
            (" 2 min ", TIME, Some((120_000, "2min"))),
            ("48h", TIME, Some((172_800_000, "2d"))),
            ("1 week", TIME, None),
            ("64MB", TIME, None),
            ("", TIME, None),
            ("-1", TIME, None),
            ("4096", MEMORY, Some((4096, "4MB"))),
            ("64MB", MEMORY, Some((65_536, "64MB"))),
            ("1500kB", MEMORY, Some((1500, "1500kB"))),
            ("1024GB", MEMORY, Some((1 << 30, "1TB"))),
            ("64mb", MEMORY, None),
            ("20000000000TB", MEMORY, None),
        ] {
            let found = parse(text, units).map(|number| (number, shown(number, units)));
            assert_eq!(found, expected.map(|(n, s)| (n, s.to_string())), "{text}");
        }
    }
}
