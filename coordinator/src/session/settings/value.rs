//! Values of settings: what SET takes, how they are kept, how SHOW prints them, and PostgreSQL's
//! errors for others (guc.c).

use kestrel_planner::{
    functions::{DateStyle, time_zone_setting},
    parse::Encoding,
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    list::{Context, Effect, Kind, Setting},
    unit::Unit,
};

impl Setting {
    /// A value as it is kept, which is as `pg_settings.setting` shows it. `current`: the value that
    /// it replaces.
    ///
    /// # Errors
    /// 22023: no value of this setting. 55P02: nobody can set it. 0A000: only the default works.
    pub(super) fn checked(&self, value: &str, current: &str) -> Result<String> {
        if self.effect == Effect::Shown {
            return Err(self.not_now());
        }
        let value = self.read(value, current)?;
        let is_isolation = self.name.ends_with("transaction_isolation");
        if is_isolation && value == "serializable" {
            return Err(ErrorReport::unsupported("isolation level SERIALIZABLE is not supported")
                .hint("Use REPEATABLE READ, which is snapshot isolation."));
        }
        if self.effect == Effect::Fixed && value != self.default {
            return Err(ErrorReport::unsupported(format!(
                "parameter \"{}\" cannot be \"{value}\" yet",
                self.name
            ))
            .hint(format!("Use \"{}\".", self.default)));
        }
        Ok(value)
    }

    fn not_now(&self) -> ErrorReport {
        let when = match self.context {
            Context::Postmaster => "cannot be changed without restarting the server",
            Context::Sighup => "cannot be changed now",
            Context::Internal | Context::Superuser | Context::User => "cannot be changed",
        };
        let message = format!("parameter \"{}\" {when}", self.name);
        ErrorReport::new(SqlState::CANT_CHANGE_RUNTIME_PARAM, message)
    }

    fn read(&self, value: &str, current: &str) -> Result<String> {
        match &self.kind {
            Kind::Text => Ok(value.to_string()),
            Kind::Bool => boolean(value).map(str::to_string).ok_or_else(|| {
                let message = format!("parameter \"{}\" requires a Boolean value", self.name);
                ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message)
            }),
            Kind::Integer { min, max, unit } => self.integer(value, (*min, *max), *unit),
            Kind::Real { min, max } => self.real(value, (*min, *max)),
            Kind::OneOf(words) => self.word(value, words),
            Kind::Zone => time_zone_setting(value).map_err(|detail| self.detailed(value, detail)),
            Kind::DateStyle => DateStyle::default()
                .changed(current)
                .and_then(|style| style.changed(value))
                .map(|style| style.to_string())
                .map_err(|detail| self.detailed(value, Some(detail))),
            Kind::Encoding => self.encoding(value),
        }
    }

    fn invalid(&self, value: &str) -> ErrorReport {
        // PostgreSQL names a word's setting as SET does, which is in lower case.
        let name = match self.kind {
            Kind::OneOf(_) => self.name.to_ascii_lowercase(),
            _ => self.name.to_string(),
        };
        let message = format!("invalid value for parameter \"{name}\": \"{value}\"");
        ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message)
    }

    fn detailed(&self, value: &str, detail: Option<String>) -> ErrorReport {
        match detail {
            Some(detail) => self.invalid(value).detail(detail),
            None => self.invalid(value),
        }
    }

    fn word(&self, value: &str, words: &[&str]) -> Result<String> {
        // Words that PostgreSQL takes and does not list.
        let value = match (self.name, value.to_ascii_lowercase().as_str()) {
            ("client_min_messages", "info") => "notice",
            ("client_min_messages", "debug") => "debug2",
            _ => value,
        };
        let by_name = words.iter().find(|word| word.eq_ignore_ascii_case(value));
        let by_switch = || boolean(value).and_then(|on| words.iter().find(|word| **word == on));
        match by_name.or_else(by_switch) {
            Some(word) => Ok(word.to_string()),
            None => {
                let hint = format!("Available values: {}.", words.join(", "));
                Err(self.invalid(value).hint(hint))
            }
        }
    }

    fn integer(&self, value: &str, (min, max): (i64, i64), unit: Unit) -> Result<String> {
        let (number, suffix) = split_number(value).ok_or_else(|| self.invalid(value))?;
        let number = unit.convert(number, suffix).ok_or_else(|| match unit.hint() {
            Some(hint) => self.invalid(value).hint(hint),
            None => self.invalid(value),
        })?;
        let number = number.round_ties_even();
        if number.abs() > f64::from(i32::MAX) {
            return Err(self.invalid(value).hint("Value exceeds integer range."));
        }
        let number = number as i64;
        if !(min..=max).contains(&number) {
            let number = match unit.name() {
                Some(unit) => format!("{number} {unit}"),
                None => number.to_string(),
            };
            return Err(self.out_of_range(&number, &min.to_string(), &max.to_string()));
        }
        Ok(number.to_string())
    }

    fn real(&self, value: &str, (min, max): (f64, f64)) -> Result<String> {
        let number = split_number(value).filter(|(_, suffix)| suffix.is_empty());
        let (number, _) = number.ok_or_else(|| self.invalid(value))?;
        if !(min..=max).contains(&number) {
            return Err(self.out_of_range(&number.to_string(), &min.to_string(), &max.to_string()));
        }
        Ok(number.to_string())
    }

    fn out_of_range(&self, number: &str, min: &str, max: &str) -> ErrorReport {
        let name = self.name;
        ErrorReport::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!(
                "{number} is outside the valid range for parameter \"{name}\" ({min} .. {max})"
            ),
        )
    }

    /// Text is UTF-8 on its way to clients, whatever of the two they say that they have.
    fn encoding(&self, value: &str) -> Result<String> {
        match Encoding::of_name(value) {
            Some(Encoding::Utf8) => Ok("UTF8".into()),
            Some(Encoding::SqlAscii) => Ok("SQL_ASCII".into()),
            Some(Encoding::Other) => {
                let message = format!("client encoding \"{value}\" is not supported");
                Err(ErrorReport::unsupported(message).hint("Use UTF8."))
            }
            None => Err(self.invalid(value)),
        }
    }

    /// As SHOW prints a value.
    pub(super) fn shown(&self, value: &str) -> String {
        match (&self.kind, value.parse()) {
            (Kind::Integer { unit, .. }, Ok(number)) => unit.shown(number),
            _ => value.to_string(),
        }
    }
}

/// on or off, of what PostgreSQL takes for them (`parse_bool`).
fn boolean(value: &str) -> Option<&'static str> {
    let value = value.to_ascii_lowercase();
    let begins = |word: &str, least: usize| value.len() >= least && word.starts_with(&value);
    if begins("true", 1) || begins("yes", 1) || value == "on" || value == "1" {
        return Some("on");
    }
    let is_off = begins("false", 1) || begins("no", 1) || begins("off", 2) || value == "0";
    is_off.then_some("off")
}

/// A number and the unit behind it.
fn split_number(value: &str) -> Option<(f64, &str)> {
    let value = value.trim();
    if let Some(digits) = value.strip_prefix("0x") {
        return i64::from_str_radix(digits, 16).ok().map(|number| (number as f64, ""));
    }
    let end = value.find(|c: char| !c.is_ascii_digit() && !"+-.".contains(c));
    let (mut number, mut suffix) = value.split_at(end.unwrap_or(value.len()));
    // An exponent, which no unit begins with.
    if let Some(rest) = suffix.strip_prefix(['e', 'E']) {
        let end = rest.find(|c: char| !c.is_ascii_digit() && !"+-".contains(c));
        let end = number.len() + 1 + end.unwrap_or(rest.len());
        (number, suffix) = value.split_at(end);
    }
    Some((number.parse().ok()?, suffix.trim()))
}
