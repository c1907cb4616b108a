//! `DateStyle`: how dates are written, and in which order their fields are read (`check_datestyle` in
//! PostgreSQL's variable.c).

use std::fmt;

/// The setting's value: `ISO, MDY`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DateStyle {
    /// How dates are written.
    pub format: DateStyleFormat,
    /// Which field of a date of numbers is which.
    pub order: DateOrder,
}

/// The form of dates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateStyleFormat {
    /// `1997-12-17 07:37:16-08`
    #[default]
    Iso,
    /// `12/17/1997 07:37:16.00 PST`
    Sql,
    /// `Wed Dec 17 07:37:16 1997 PST`
    Postgres,
    /// `17.12.1997 07:37:16.00 PST`
    German,
}

/// The order of the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateOrder {
    /// Month, day, year
    #[default]
    Mdy,
    /// Day, month, year
    Dmy,
    /// Year, month, day
    Ymd,
}

impl DateOrder {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mdy, Self::Dmy, Self::Ymd];
}

impl fmt::Display for DateStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = match self.format {
            DateStyleFormat::Iso => "ISO",
            DateStyleFormat::Sql => "SQL",
            DateStyleFormat::Postgres => "Postgres",
            DateStyleFormat::German => "German",
        };
        let order = match self.order {
            DateOrder::Mdy => "MDY",
            DateOrder::Dmy => "DMY",
            DateOrder::Ymd => "YMD",
        };
        write!(f, "{format}, {order}")
    }
}

impl DateStyle {
    /// What SET makes of it: a list of words; what none of them says stays.
    ///
    /// # Errors
    /// The DETAIL of the error.
    pub fn changed(self, value: &str) -> Result<Self, String> {
        let (mut format, mut order) = (None, None);
        let mut conflict = false;
        let words = value.split(',').filter(|_| !value.trim().is_empty());
        for word in words {
            let word = word.trim().trim_matches('"').to_ascii_uppercase();
            // GERMAN implies an order that another word may change.
            if let Some(new) = format_of(&word) {
                conflict |= format.replace(new).is_some_and(|old| old != new);
            } else if let Some(new) = order_of(&word) {
                conflict |= order.replace(new).is_some_and(|old| old != new);
            } else if word == "DEFAULT" {
                format.get_or_insert(DateStyleFormat::default());
                order.get_or_insert(DateOrder::default());
            } else {
                let word = word.to_ascii_lowercase();
                return Err(format!("Unrecognized key word: \"{word}\"."));
            }
        }
        if conflict {
            return Err("Conflicting \"datestyle\" specifications.".into());
        }
        let implied = match format {
            Some(DateStyleFormat::German) => DateOrder::Dmy,
            _ => self.order,
        };
        Ok(Self { format: format.unwrap_or(self.format), order: order.unwrap_or(implied) })
    }
}

fn format_of(word: &str) -> Option<DateStyleFormat> {
    match word {
        "ISO" => Some(DateStyleFormat::Iso),
        "SQL" => Some(DateStyleFormat::Sql),
        "GERMAN" => Some(DateStyleFormat::German),
        _ if word.starts_with("POSTGRES") => Some(DateStyleFormat::Postgres),
        _ => None,
    }
}

fn order_of(word: &str) -> Option<DateOrder> {
    match word {
        "YMD" => Some(DateOrder::Ymd),
        "DMY" => Some(DateOrder::Dmy),
        "MDY" | "US" => Some(DateOrder::Mdy),
        _ if word.starts_with("EURO") => Some(DateOrder::Dmy),
        _ if word.starts_with("NONEURO") => Some(DateOrder::Mdy),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_change_what_they_name() {
        for (before, value, after) in [
            ("ISO, MDY", "sql", "SQL, MDY"),
            ("ISO, MDY", "sql, dmy", "SQL, DMY"),
            ("SQL, DMY", "ymd", "SQL, YMD"),
            ("ISO, MDY", "german", "German, DMY"),
            ("ISO, MDY", "german, mdy", "German, MDY"),
            ("ISO, MDY", "postgresql, european", "Postgres, DMY"),
            ("SQL, YMD", "us", "SQL, MDY"),
            ("SQL, YMD", "default", "ISO, MDY"),
            ("SQL, YMD", "iso, iso", "ISO, YMD"),
            ("SQL, YMD", "", "SQL, YMD"),
        ] {
            let before = DateStyle::default().changed(before).unwrap();
            let changed = before.changed(value).map(|style| style.to_string());
            assert_eq!(changed.as_deref(), Ok(after), "{before}: {value}");
        }
        for (value, detail) in [
            ("iso, sql", "Conflicting \"datestyle\" specifications."),
            ("mdy, dmy", "Conflicting \"datestyle\" specifications."),
            ("ISO, Mayan", "Unrecognized key word: \"mayan\"."),
        ] {
            assert_eq!(DateStyle::default().changed(value), Err(detail.into()), "{value}");
        }
    }
}
