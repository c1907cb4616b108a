//! A session's settings: SET, SHOW, RESET.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kestrel_proto::{ErrorReport, Result, SqlState};
use parking_lot::Mutex;

use super::Silences;
use crate::{
    server::{IdleLimit, SERVER_VERSION},
    system_view::SettingFacts,
};

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

/// Those that name roles: RESET ALL and SHOW ALL leave them out.
pub(super) const ROLES: [&str; 2] = ["role", "session_authorization"];

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
    setting(
        "idle_in_transaction_session_timeout",
        "0",
        Kind::Milliseconds,
        "Longest idle time in a transaction; 0: none.",
    ),
    setting("idle_session_timeout", "0", Kind::Milliseconds, "Longest idle time; 0: none."),
    setting("in_hot_standby", "off", Kind::ReadOnly, "Whether this is a standby."),
    setting("integer_datetimes", "on", Kind::ReadOnly, "Datetimes are integers."),
    setting("intervalstyle", "postgres", Kind::Fixed, "Format of intervals."),
    setting("is_superuser", "on", Kind::ReadOnly, "Whether the user is a superuser."),
    setting("lc_collate", "C", Kind::ReadOnly, "Order of text."),
    setting("lc_ctype", "C.UTF-8", Kind::ReadOnly, "Classes of characters."),
    setting("lock_timeout", "0", Kind::Milliseconds, "Longest wait for a lock; 0: none."),
    setting("max_connections", "100", Kind::ReadOnly, "Most clients at once."),
    setting("password_encryption", "scram-sha-256", Kind::Fixed, "How passwords are kept."),
    setting("role", "none", Kind::Text, "The role that the session acts as."),
    setting("search_path", "\"$user\", public", Kind::Text, "Where names are looked up."),
    setting("server_encoding", "UTF8", Kind::ReadOnly, "Encoding of the database."),
    setting("server_version", SERVER_VERSION, Kind::ReadOnly, "Version of the server."),
    setting("server_version_num", "150000", Kind::ReadOnly, "Version as a number."),
    setting("session_authorization", "", Kind::Text, "The role that the session is."),
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

/// The values a session has set. Clones are the same settings: `set_config` has one.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    values: Arc<Mutex<Values>>,
}

#[derive(Debug, Default)]
struct Values {
    set: BTreeMap<&'static str, String>,
    /// SET LOCAL: until the transaction ends.
    local: BTreeMap<&'static str, String>,
    /// `set` as it was when the transaction began, if that has changed it.
    before: Option<BTreeMap<&'static str, String>>,
    /// Those that the session cannot change.
    fixed: BTreeMap<&'static str, String>,
    /// What the client asked for when it connected: RESET goes back to these.
    startup: BTreeMap<&'static str, String>,
}

impl Values {
    /// `set`, which is about to change.
    fn changing(&mut self) -> &mut BTreeMap<&'static str, String> {
        self.before.get_or_insert_with(|| self.set.clone());
        &mut self.set
    }
}

impl Settings {
    /// The value of a setting; `None`: there is none of this name.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let setting = find(name)?;
        let values = self.values.lock();
        let levels = [&values.fixed, &values.local, &values.set, &values.startup];
        let set = levels.into_iter().find_map(|level| level.get(setting.name));
        Some(set.map_or(setting.default, String::as_str).to_string())
    }

    /// SHOW.
    pub(super) fn show(&self, name: &str) -> Result<String> {
        let setting = find(name).ok_or_else(|| unknown(name))?;
        Ok(setting.shown(self.get(name).unwrap_or_default()))
    }

    /// SET. Values of a list are joined as PostgreSQL shows them.
    pub(super) fn set(&self, name: &str, values: &[String]) -> Result<()> {
        let (name, value) = checked(name, values)?;
        let mut values = self.values.lock();
        values.changing().insert(name, value);
        values.local.remove(name);
        Ok(())
    }

    /// The server says what the value is.
    pub(super) fn fix(&self, name: &'static str, value: String) {
        self.values.lock().fixed.insert(name, value);
    }

    /// SET LOCAL: until the transaction ends.
    pub(super) fn set_local(&self, name: &str, values: &[String]) -> Result<()> {
        let (name, value) = checked(name, values)?;
        self.values.lock().local.insert(name, value);
        Ok(())
    }

    /// The transaction has committed: what it has set stays.
    pub(super) fn commit(&self) {
        let mut values = self.values.lock();
        values.before = None;
        values.local.clear();
    }

    /// The transaction has been undone, and what it has set with it.
    pub(super) fn rollback(&self) {
        let mut values = self.values.lock();
        if let Some(before) = values.before.take() {
            values.set = before;
        }
        values.local.clear();
    }

    /// RESET.
    pub(super) fn reset(&self, name: &str) -> Result<()> {
        let setting = find(name).ok_or_else(|| unknown(name))?;
        let mut values = self.values.lock();
        values.changing().remove(setting.name);
        values.local.remove(setting.name);
        Ok(())
    }

    /// RESET ALL: all but the roles.
    pub(super) fn reset_all(&self) {
        let mut values = self.values.lock();
        values.changing().retain(|name, _| ROLES.contains(name));
        values.local.retain(|name, _| ROLES.contains(name));
    }

    /// DISCARD ALL: the roles, too.
    pub(super) fn discard(&self) {
        let mut values = self.values.lock();
        values.changing().clear();
        values.local.clear();
    }

    /// What was set up to now is what RESET goes back to.
    pub(super) fn keep_as_defaults(&self) {
        let mut values = self.values.lock();
        let set = std::mem::take(&mut values.set);
        values.startup.extend(set);
        values.before = None;
    }

    /// The schemas of `search_path`; `$user` is `own`, if that is a schema.
    pub(super) fn search_path_with(&self, own: Option<&str>) -> Vec<String> {
        let path = self.get("search_path").unwrap_or_default();
        let names = path.split(',').map(|name| name.trim().trim_matches('"'));
        let names = names.map(|name| if name == "$user" { own.unwrap_or("") } else { name });
        names.filter(|name| !name.is_empty()).map(str::to_string).collect()
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
        self.milliseconds("statement_timeout")
    }

    /// How long the client may stay silent, in a transaction block or outside.
    pub(super) fn idle_limit(&self, in_block: bool) -> Option<IdleLimit> {
        let (setting, sqlstate, what) = match in_block {
            true => (
                "idle_in_transaction_session_timeout",
                SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                "idle-in-transaction",
            ),
            false => ("idle_session_timeout", SqlState::IDLE_SESSION_TIMEOUT, "idle-session"),
        };
        let after = Duration::from_millis(self.milliseconds(setting));
        let message = format!("terminating connection due to {what} timeout");
        let report = ErrorReport::new(sqlstate, message);
        (!after.is_zero()).then_some(IdleLimit { after, report })
    }

    fn milliseconds(&self, name: &str) -> u64 {
        self.get(name).and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// As `pg_settings` and SHOW ALL show them.
    pub(super) fn facts(&self) -> Vec<SettingFacts> {
        let fact = |setting: &Setting| SettingFacts {
            name: setting.name.into(),
            value: setting.shown(self.get(setting.name).unwrap_or_default()),
            setting: self.get(setting.name).unwrap_or_default(),
            unit: (setting.kind == Kind::Milliseconds).then_some("ms"),
            reset_value: self.reset_value(setting),
            boot_value: setting.default.into(),
            description: setting.description.into(),
        };
        SETTINGS.iter().map(fact).collect()
    }

    fn reset_value(&self, setting: &Setting) -> String {
        let values = self.values.lock();
        values.startup.get(setting.name).map_or(setting.default, String::as_str).to_string()
    }
}

impl Setting {
    /// As SHOW shows a value: a time in the largest unit that it is a whole number of.
    fn shown(&self, value: String) -> String {
        const UNITS: &[(u64, &str)] =
            &[(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms")];
        match (self.kind, value.parse::<u64>()) {
            (Kind::Milliseconds, Ok(ms)) if ms > 0 => {
                let unit = UNITS.iter().find(|(factor, _)| ms.is_multiple_of(*factor));
                unit.map_or(value, |(factor, unit)| format!("{}{unit}", ms / factor))
            }
            _ => value,
        }
    }
}

/// The setting of this name, and the value as it is kept.
pub(super) fn checked(name: &str, values: &[String]) -> Result<(&'static str, String)> {
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
    Ok((setting.name, value))
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
