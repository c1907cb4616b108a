//! Units of settings: `2s`, `64MB` (PostgreSQL's `convert_to_base_unit` and
//! `convert_int_from_base_unit`, guc.c).

/// What a setting's number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    None,
    Milliseconds,
    Seconds,
    Kilobytes,
    /// Of 8 kB.
    Pages,
}

/// Largest first, in milliseconds.
const TIMES: &[(&str, f64)] = &[
    ("d", 86_400_000.0),
    ("h", 3_600_000.0),
    ("min", 60_000.0),
    ("s", 1000.0),
    ("ms", 1.0),
    ("us", 0.001),
];
/// In kilobytes.
const SIZES: &[(&str, f64)] = &[
    ("TB", 1_073_741_824.0),
    ("GB", 1_048_576.0),
    ("MB", 1024.0),
    ("kB", 1.0),
    ("B", 1.0 / 1024.0),
];

impl Unit {
    /// From PostgreSQL's name of it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "" => Self::None,
            "ms" => Self::Milliseconds,
            "s" => Self::Seconds,
            "kB" => Self::Kilobytes,
            "8kB" => Self::Pages,
            _ => return None,
        })
    }

    /// `unit` of `pg_settings`.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Milliseconds => Some("ms"),
            Self::Seconds => Some("s"),
            Self::Kilobytes => Some("kB"),
            Self::Pages => Some("8kB"),
        }
    }

    /// Names of units that values may have, and how many of this unit each is.
    fn names(self) -> (&'static [(&'static str, f64)], f64) {
        match self {
            Self::None => (&[], 1.0),
            Self::Milliseconds => (TIMES, 1.0),
            Self::Seconds => (TIMES, 1000.0),
            Self::Kilobytes => (SIZES, 1.0),
            Self::Pages => (SIZES, 8.0),
        }
    }

    /// The HINT for a value in another unit.
    pub(super) fn hint(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Milliseconds | Self::Seconds => Some(
                "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".",
            ),
            Self::Kilobytes | Self::Pages => Some(
                "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\".",
            ),
        }
    }

    /// A number in the unit that `suffix` names, in this unit; `None`: there is no such unit.
    pub(super) fn convert(self, number: f64, suffix: &str) -> Option<f64> {
        if suffix.is_empty() {
            return Some(number);
        }
        let (names, base) = self.names();
        let (_, factor) = names.iter().find(|(name, _)| *name == suffix)?;
        Some(number * factor / base)
    }

    /// As SHOW prints a number: in the largest unit that it is a whole number of.
    pub(super) fn shown(self, number: i64) -> String {
        let (names, base) = self.names();
        let whole = names.iter().find_map(|(name, factor)| {
            let per_unit = factor / base;
            let is_whole = per_unit >= 1.0 && per_unit.fract() == 0.0;
            let per_unit = per_unit as i64;
            (is_whole && number % per_unit == 0).then(|| format!("{}{name}", number / per_unit))
        });
        match whole {
            Some(shown) if number > 0 => shown,
            // One page is 8 of the largest unit that it is no whole number of.
            None if number > 0 && self == Self::Pages => format!("{}kB", number * 8),
            _ => number.to_string(),
        }
    }
}
