//! A session's settings: SET, SHOW, RESET.

use std::collections::BTreeMap;

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::Silences;
use crate::{server::SERVER_VERSION, system_view::SettingFacts};

/// A setting: one line.
struct Setting {
    name: &'static str,
    default: &'static str,
    description: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Any text.
    Text,
    /// on, off and what PostgreSQL takes for them.
    Bool,
    /// Milliseconds, or a number with a unit.
    Milliseconds,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Only this value: the setting is known, another value is not supported.
    Fixed,
    /// Cannot be set.
    ReadOnly,
}

const fn setting(
    name: &'static str,
    default: &'static str,
    kind: Kind,
    description: &'static str,
) -> Setting {
    Setting { name, default, description, kind }
}

const LEVELS: &[&str] =
    &["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"];

/// All settings, by name.
const SETTINGS: &[Setting] = &[
    setting("application_name", "", Kind::Text, "Name of the client's application."),
    setting("authentication_timeout", "1min", Kind::ReadOnly, "Longest time of a login."),
    setting("bytea_output", "hex", Kind::Fixed, "Output format of bytea."),
    setting("client_encoding", "UTF8", Kind::Fixed, "Encoding of the client."),
    setting("client_min_messages", "notice", Kind::OneOf(LEVELS), "Least severe message sent."),
    setting("datestyle", "ISO, MDY", Kind::Fixed, "Format of dates."),
    setting("default_transaction_isolation", "read committed", Kind::Text, "Isolation level."),
    setting("default_transaction_read_only", "off", Kind::Bool, "Read-only transactions."),
    setting("extra_float_digits", "1", Kind::Text, "Digits of floating-point values."),
    setting("in_hot_standby", "off", Kind::ReadOnly, "Whether this is a standby."),
    setting("integer_datetimes", "on", Kind::ReadOnly, "Datetimes are integers."),
    setting("intervalstyle", "postgres", Kind::Fixed, "Format of intervals."),
    setting("is_superuser", "on", Kind::ReadOnly, "Whether the user is a superuser."),
    setting("lc_collate", "C", Kind::ReadOnly, "Order of text."),
    setting("lc_ctype", "C.UTF-8", Kind::ReadOnly, "Classes of characters."),
    setting("max_connections", "100", Kind::ReadOnly, "Most clients at once."),
    setting("password_encryption", "scram-sha-256", Kind::Fixed, "How passwords are kept."),
    setting("search_path", "\"$user\", public", Kind::Text, "Where names are looked up."),
    setting("server_encoding", "UTF8", Kind::ReadOnly, "Encoding of the database."),
    setting("server_version", SERVER_VERSION, Kind::ReadOnly, "Version of the server."),
    setting("server_version_num", "150000", Kind::ReadOnly, "Version as a number."),
    setting("ssl", "off", Kind::ReadOnly, "Whether clients may encrypt."),
    setting("standard_conforming_strings", "on", Kind::Fixed, "Backslashes are literal."),
    setting("statement_timeout", "0", Kind::Milliseconds, "Longest time of a statement; 0: none."),
    setting(
        "superuser_reserved_connections",
        "3",
        Kind::ReadOnly,
        "Connections kept for superusers.",
    ),
    setting("timezone", "UTC", Kind::Fixed, "Time zone."),
    setting("transaction_isolation", "read committed", Kind::Text, "Isolation level."),
    setting("transaction_read_only", "off", Kind::Bool, "Whether the transaction may write."),
];

/// The values a session has set.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    values: BTreeMap<&'static str, String>,
    /// Those that the session cannot change.
    fixed: BTreeMap<&'static str, String>,
}

impl Settings {
    /// The value of a setting; `None`: there is none of this name.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let setting = find(name)?;
        let value = self.fixed.get(setting.name).or_else(|| self.values.get(setting.name));
        Some(value.map_or(setting.default, String::as_str).to_string())
    }

    /// SHOW.
    pub(super) fn show(&self, name: &str) -> Result<String> {
        self.get(name).ok_or_else(|| unknown(name))
    }

    /// SET. Values of a list are joined as PostgreSQL shows them.
    pub(super) fn set(&mut self, name: &str, values: &[String]) -> Result<()> {
        let setting = find(name).ok_or_else(|| unknown(name))?;
        let value = values.join(", ");
        let invalid = || {
            ErrorReport::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid value for parameter \"{}\": \"{value}\"", setting.name),
            )
        };
        let value = match setting.kind {
            Kind::Text => value,
            Kind::OneOf(words) => {
                let word = words.iter().find(|word| word.eq_ignore_ascii_case(&value));
                let hint = || invalid().hint(format!("Available values: {}.", words.join(", ")));
                word.ok_or_else(hint)?.to_string()
            }
            Kind::Bool => boolean(&value).ok_or_else(invalid)?.to_string(),
            Kind::Milliseconds => milliseconds(&value).ok_or_else(invalid)?.to_string(),
            Kind::Fixed if same(&value, setting.default) => setting.default.to_string(),
            Kind::Fixed => {
                return Err(ErrorReport::unsupported(format!(
                    "parameter \"{}\" cannot be \"{value}\" yet",
                    setting.name
                ))
                .hint(format!("Use \"{}\".", setting.default)));
            }
            Kind::ReadOnly => {
                return Err(ErrorReport::new(
                    SqlState::CANT_CHANGE_RUNTIME_PARAM,
                    format!("parameter \"{}\" cannot be changed", setting.name),
                ));
            }
        };
        self.values.insert(setting.name, value);
        Ok(())
    }

    /// The server says what the value is.
    pub(super) fn fix(&mut self, name: &'static str, value: String) {
        self.fixed.insert(name, value);
    }

    /// RESET.
    pub(super) fn reset(&mut self, name: &str) -> Result<()> {
        let setting = find(name).ok_or_else(|| unknown(name))?;
        self.values.remove(setting.name);
        Ok(())
    }

    /// RESET ALL.
    pub(super) fn reset_all(&mut self) {
        self.values.clear();
    }

    /// The schemas of `search_path`.
    pub(super) fn search_path(&self) -> Vec<String> {
        let path = self.get("search_path").unwrap_or_default();
        let names = path.split(',').map(|name| name.trim().trim_matches('"').to_string());
        names.filter(|name| !name.is_empty() && name != "$user").collect()
    }

    /// What `client_min_messages` keeps from the client.
    pub(super) fn silences(&self) -> Silences {
        match self.get("client_min_messages").as_deref() {
            Some("error") => Silences::Warnings,
            Some("warning") => Silences::Notices,
            _ => Silences::Nothing,
        }
    }

    /// Milliseconds; 0: none.
    pub(super) fn statement_timeout_ms(&self) -> u64 {
        self.get("statement_timeout").and_then(|v| v.parse().ok()).unwrap_or(0)
    }

    /// As `pg_settings` and SHOW ALL show them.
    pub(super) fn facts(&self) -> Vec<SettingFacts> {
        let fact = |setting: &Setting| SettingFacts {
            name: setting.name.into(),
            value: self.get(setting.name).unwrap_or_default(),
            reset_value: setting.default.into(),
            boot_value: setting.default.into(),
            description: setting.description.into(),
        };
        SETTINGS.iter().map(fact).collect()
    }
}

fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name.eq_ignore_ascii_case(name))
}

fn unknown(name: &str) -> ErrorReport {
    ErrorReport::new(
        SqlState::UNDEFINED_OBJECT,
        format!("unrecognized configuration parameter \"{name}\""),
    )
}

fn same(value: &str, default: &str) -> bool {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', ' '], "");
    let value = plain(value);
    plain(default) == value || (value == "iso" && default.starts_with("ISO"))
}

fn boolean(value: &str) -> Option<&'static str> {
    match value.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Some("on"),
        "off" | "false" | "no" | "0" => Some("off"),
        _ => None,
    }
}

fn milliseconds(value: &str) -> Option<u64> {
    let value = value.trim();
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let number: u64 = value[..digits].parse().ok()?;
    let factor = match value[digits..].trim() {
        "" | "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor)
}
