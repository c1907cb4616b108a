//! A session's settings: SET, SHOW, RESET. Which there are: `settings.tsv`; `docs/settings.md` lists
//! the same for people.

mod facts;
mod list;
mod right;
mod startup;
#[cfg(test)]
mod tests;
mod unit;
mod value;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use kestrel_planner::{
    functions::{FORMAT_SETTINGS, SessionFormats},
    join_order::{BUDGET, JoinOrderSettings},
    rule_switches::{RULES, Rule, RuleSwitches},
};
use kestrel_proto::{ErrorReport, Result, SqlState};
use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};

pub(super) use self::facts::SettingsNow;
use self::list::{Setting, find};
pub(super) use self::right::{check_may_set, check_rank};
use super::Silences;
use crate::{
    query::Priority,
    server::{IdleLimit, PARAMETERS},
};

/// Settings of the transaction that runs, and those that they have their values from when it begins.
const OF_TRANSACTION: &[(&str, &str)] = &[
    ("transaction_deferrable", "default_transaction_deferrable"),
    ("transaction_isolation", "default_transaction_isolation"),
    ("transaction_read_only", "default_transaction_read_only"),
];
/// Those that name roles: RESET ALL leaves them, and nobody sees them among all settings.
const ROLES: &[&str] = &["role", "session_authorization"];
/// Most memory of a query in each process.
const QUERY_MEMORY: &str = "kestrel.query_memory_limit";
/// A prefix of names that nobody may make settings of.
const RESERVED_PREFIX: &str = "kestrel";

/// The values a session has set. Clones are the same settings: `set_config` has one.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    values: Arc<Mutex<Arc<Values>>>,
}

/// Values by name, each as it is kept.
type Map = BTreeMap<String, String>;

#[derive(Clone, Debug, Default)]
struct Values {
    set: Map,
    /// SET LOCAL: until the transaction ends.
    local: Map,
    /// `set` as it was when the transaction began, if that has changed it.
    before: Option<Map>,
    /// Those that the session cannot change.
    fixed: Map,
    /// What the client asked for when it connected: RESET goes back to these.
    startup: Map,
    /// Names with a point that were set once: users' own settings.
    custom: BTreeSet<String>,
    /// What the server allows at most, as values are kept; 0 is more than any.
    ceilings: BTreeMap<&'static str, u64>,
}

/// What a session had set at a time.
#[derive(Clone, Debug)]
pub(super) struct SetSoFar {
    set: Map,
    local: Map,
}

impl Values {
    /// `set`, which is about to change.
    fn changing(&mut self) -> &mut Map {
        self.before.get_or_insert_with(|| self.set.clone());
        &mut self.set
    }

    /// Whether the transaction has set anything.
    fn has_changed(&self) -> bool {
        self.before.is_some() || !self.local.is_empty()
    }

    fn check_ceiling(&self, name: &str, value: &str) -> Result<()> {
        let Some(ceiling) = self.ceilings.get(name) else { return Ok(()) };
        match value.parse::<u64>() {
            Ok(number) if (1..=*ceiling).contains(&number) => Ok(()),
            _ => Err(ErrorReport::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!(
                    "{value} kB is outside the valid range for parameter \"{name}\" \
                     (1 kB .. {ceiling} kB)"
                ),
            )),
        }
    }

    /// What was set, and where.
    fn found(&self, name: &str) -> Option<(&str, Source)> {
        let levels = [
            (&self.fixed, Source::Fixed),
            (&self.local, Source::Session),
            (&self.set, Source::Session),
            (&self.startup, Source::Client),
        ];
        let found = levels.into_iter().find_map(|(level, source)| Some((level.get(name)?, source)));
        let inherited = || {
            let (_, from) = OF_TRANSACTION.iter().find(|(own, _)| *own == name)?;
            self.found(from)
        };
        found.map(|(value, source)| (value.as_str(), source)).or_else(inherited)
    }

    /// A name with a point, once set, is known.
    fn note_custom(&mut self, name: &str) {
        if find(name).is_none() {
            self.custom.insert(name.to_string());
        }
    }

    fn get(&self, setting: &Setting) -> (String, Source) {
        match self.found(setting.name) {
            Some((value, source)) => (value.to_string(), source),
            None => (setting.default.to_string(), Source::Default),
        }
    }

    fn get_custom(&self, name: &str) -> Option<String> {
        let known = self.custom.get(name)?;
        Some(self.found(known).map_or("", |(value, _)| value).to_string())
    }
}

/// Where a value is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Default,
    Fixed,
    Client,
    Session,
}

impl Source {
    /// `source` of `pg_settings`.
    fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Fixed => "override",
            Self::Client => "client",
            Self::Session => "session",
        }
    }
}

impl Settings {
    /// The value of a setting, as it is kept; `None`: there is none of this name.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let values = self.values.lock();
        match find(name) {
            Some(setting) => Some(values.get(setting).0),
            None => values.get_custom(&name.to_ascii_lowercase()),
        }
    }

    /// SHOW.
    pub(super) fn show(&self, name: &str) -> Result<String> {
        let value = self.get(name).ok_or_else(|| unknown(name))?;
        Ok(find(name).map_or(value.clone(), |setting| setting.shown(&value)))
    }

    /// SET. Values of a list are joined as PostgreSQL shows them.
    pub(super) fn set(&self, name: &str, values: &[String]) -> Result<()> {
        if is_of_transaction(name) {
            return self.set_local(name, values);
        }
        let (name, value) = self.checked(name, values)?;
        let mut values = self.change();
        values.check_ceiling(&name, &value)?;
        values.note_custom(&name);
        values.local.remove(&name);
        values.changing().insert(name, value);
        Ok(())
    }

    /// The server says what the value is.
    pub(super) fn fix(&self, name: &'static str, value: String) {
        // The same for each statement.
        if self.values.lock().fixed.get(name) != Some(&value) {
            self.change().fixed.insert(name.to_string(), value);
        }
    }

    /// SET LOCAL: until the transaction ends.
    pub(super) fn set_local(&self, name: &str, values: &[String]) -> Result<()> {
        let (name, value) = self.checked(name, values)?;
        let mut values = self.change();
        values.check_ceiling(&name, &value)?;
        values.note_custom(&name);
        values.local.insert(name, value);
        Ok(())
    }

    /// The server's value of a query's memory, which a session can only lower; zero: none.
    pub(super) fn limit_query_memory(&self, bytes: u64) {
        let kilobytes = bytes >> 10;
        if kilobytes > 0 {
            let mut values = self.change();
            values.ceilings.insert(QUERY_MEMORY, kilobytes);
            values.startup.insert(QUERY_MEMORY.to_string(), kilobytes.to_string());
        }
    }

    /// The setting's own name, and what another session is to set it to, which can be set.
    pub(super) fn checked_for_others(
        &self,
        name: &str,
        values: &[String],
    ) -> Result<(String, String)> {
        let (name, _) = self.checked(name, values)?;
        Ok((name, values.join(", ")))
    }

    /// The setting's own name, and the value as it is kept.
    fn checked(&self, name: &str, values: &[String]) -> Result<(String, String)> {
        let value = values.join(", ");
        let Some(setting) = find(name) else { return Ok((custom_name(name)?, value)) };
        let current = self.values.lock().get(setting).0;
        Ok((setting.name.to_string(), setting.checked(&value, &current)?))
    }

    /// The transaction has committed: what it has set stays.
    pub(super) fn commit(&self) {
        if self.values.lock().has_changed() {
            let mut values = self.change();
            values.before = None;
            values.local.clear();
        }
    }

    /// The transaction has been undone, and what it has set with it.
    pub(super) fn rollback(&self) {
        if self.values.lock().has_changed() {
            let mut values = self.change();
            if let Some(before) = values.before.take() {
                values.set = before;
            }
            values.local.clear();
        }
    }

    /// What is set now, to go back to.
    pub(super) fn so_far(&self) -> SetSoFar {
        let values = self.values.lock();
        SetSoFar { set: values.set.clone(), local: values.local.clone() }
    }

    /// Goes back to what was set then.
    pub(super) fn go_back(&self, so_far: &SetSoFar) {
        let mut values = self.change();
        if values.set != so_far.set {
            so_far.set.clone_into(values.changing());
        }
        so_far.local.clone_into(&mut values.local);
    }

    /// What the transaction is, by the settings that say so.
    pub(super) fn transaction_modes(&self) -> Vec<(&'static str, String)> {
        let mode = |(name, _): &(&'static str, &str)| Some((*name, self.get(name)?));
        OF_TRANSACTION.iter().filter_map(mode).collect()
    }

    /// The transaction that begins is what another one was.
    pub(super) fn set_transaction_modes(&self, modes: Vec<(&'static str, String)>) {
        let modes = modes.into_iter().map(|(name, value)| (name.to_string(), value));
        self.change().local.extend(modes);
    }

    /// RESET.
    pub(super) fn reset(&self, name: &str) -> Result<()> {
        let mut values = self.change();
        let name = match find(name) {
            Some(setting) => setting.name.to_string(),
            None => {
                let known = values.custom.get(&name.to_ascii_lowercase()).cloned();
                known.ok_or_else(|| unknown(name))?
            }
        };
        values.local.remove(&name);
        values.changing().remove(&name);
        Ok(())
    }

    /// RESET ALL. What the transaction is stays, and who the session is.
    pub(super) fn reset_all(&self) {
        let is_role = |name: &String| ROLES.contains(&name.as_str());
        let mut values = self.change();
        values.changing().retain(|name, _| is_role(name));
        values.local.retain(|name, _| is_role(name) || is_of_transaction(name));
    }

    /// DISCARD ALL: the roles, too.
    pub(super) fn discard(&self) {
        let mut values = self.change();
        values.changing().clear();
        values.local.retain(|name, _| is_of_transaction(name));
    }

    /// What was set up to now is what RESET goes back to.
    fn keep_as_defaults(&self) {
        let mut values = self.change();
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

    /// How the session reads and writes values.
    pub(super) fn formats(&self) -> Result<SessionFormats> {
        SessionFormats::from_settings(&self.format_options())
    }

    /// What fragments carry: the settings that functions follow and the switches of rules, where
    /// they are not the defaults.
    pub(super) fn fragment_options(&self) -> HashMap<String, String> {
        let mut options = self.format_options();
        let switches: Vec<_> = RULES.iter().map(Rule::setting).collect();
        options.extend(self.changed(switches.iter().map(String::as_str)));
        options.extend(self.changed(std::iter::once(BUDGET)));
        options
    }

    /// Which rules are switched off.
    pub(super) fn rules(&self) -> Result<RuleSwitches> {
        RuleSwitches::from_settings(&self.fragment_options())
    }

    /// What orders of joins are tried.
    pub(super) fn join_order(&self) -> Result<JoinOrderSettings> {
        JoinOrderSettings::from_settings(&self.fragment_options())
    }

    /// The same for those of formats only, sorted.
    pub(super) fn format_changes(&self) -> Vec<(String, String)> {
        let mut changes: Vec<_> = self.format_options().into_iter().collect();
        changes.sort();
        changes
    }

    /// The settings that functions follow, where they are not the defaults.
    fn format_options(&self) -> HashMap<String, String> {
        self.changed(FORMAT_SETTINGS.iter().copied())
    }

    /// Those of these settings whose values are not the defaults.
    fn changed<'a>(&self, names: impl Iterator<Item = &'a str>) -> HashMap<String, String> {
        let values = self.values.lock();
        let option = |name: &'a str| {
            let setting = find(name)?;
            let (value, _) = values.found(setting.name)?;
            (value != setting.default).then(|| (setting.name.to_string(), value.to_string()))
        };
        names.filter_map(option).collect()
    }

    /// The settings that clients are told of, whose values differ from what they are told at first.
    pub(super) fn reported(&self) -> Vec<(&'static str, String)> {
        let values = self.values.lock();
        let differing = |(name, told): &(&'static str, &str)| {
            let setting = find(name)?;
            let value = values.found(setting.name).map_or(setting.default, |(value, _)| value);
            (value != *told).then(|| (*name, value.to_string()))
        };
        PARAMETERS.iter().filter_map(differing).collect()
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

    /// The longest wait for a lock.
    pub(super) fn lock_timeout(&self) -> Option<Duration> {
        let timeout = Duration::from_millis(self.milliseconds("lock_timeout"));
        (!timeout.is_zero()).then_some(timeout)
    }

    /// Whether plans of queries are kept, and those that are kept used.
    pub(super) fn keeps_plans(&self) -> bool {
        self.get("kestrel.plan_cache").as_deref() != Some("off")
    }

    /// Whether the client is told where slices run.
    pub(super) fn prints_dispatch(&self) -> bool {
        self.get("kestrel.print_dispatch").as_deref() == Some("on")
    }

    /// Whether the transaction may only read.
    pub(super) fn is_read_only(&self) -> bool {
        self.get("transaction_read_only").as_deref() == Some("on")
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

    /// How long a query waits until it begins; zero: as long as it takes.
    pub(super) fn queue_timeout(&self) -> Duration {
        Duration::from_millis(self.number("kestrel.queue_timeout"))
    }

    /// The most common values and buckets that ANALYZE keeps of a column.
    pub(super) fn statistics_target(&self) -> u64 {
        self.number("default_statistics_target")
    }

    /// The rows that ANALYZE samples; 0: as many as the target asks for.
    pub(super) fn statistics_sample_rows(&self) -> u64 {
        self.number("kestrel.statistics_sample_rows")
    }

    /// Which queries this session's go before.
    pub(super) fn query_priority(&self) -> Priority {
        Priority::of_word(&self.get("kestrel.query_priority").unwrap_or_default())
    }

    /// The directories whose files COPY may read, separated by commas.
    pub(super) fn copy_directories(&self) -> String {
        self.get("kestrel.copy_directories").unwrap_or_default()
    }

    /// Bytes that a query may hold in each process; 0: whatever there is.
    pub(super) fn query_memory_bytes(&self) -> u64 {
        self.number(QUERY_MEMORY).saturating_mul(1 << 10)
    }

    fn milliseconds(&self, name: &str) -> u64 {
        self.number(name)
    }

    fn number(&self, name: &str) -> u64 {
        self.get(name).and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// As they are now, whatever is set afterwards.
    pub(super) fn now(&self) -> SettingsNow {
        SettingsNow(Arc::clone(&self.values.lock()))
    }

    /// Is everything as it was then?
    pub(super) fn is_as(&self, then: &SettingsNow) -> bool {
        Arc::ptr_eq(&self.values.lock(), &then.0)
    }

    /// To be changed; for those who have looked at them before, they stay as they were.
    fn change(&self) -> MappedMutexGuard<'_, Values> {
        MutexGuard::map(self.values.lock(), Arc::make_mut)
    }
}

/// The name that SHOW's column has: PostgreSQL's, whatever the case of the statement's.
pub(super) fn canonical_name(name: &str) -> &str {
    find(name).map_or(name, |setting| setting.name)
}

fn unknown(name: &str) -> ErrorReport {
    ErrorReport::new(
        SqlState::UNDEFINED_OBJECT,
        format!("unrecognized configuration parameter \"{name}\""),
    )
}

fn is_of_transaction(name: &str) -> bool {
    OF_TRANSACTION.iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
}

/// A name for a setting of the user's own: identifiers with points between them.
///
/// # Errors
/// 42704: without a point it is no such name. 42602: its parts are not identifiers, or the prefix is
/// taken.
fn custom_name(name: &str) -> Result<String> {
    let Some((prefix, _)) = name.split_once('.') else { return Err(unknown(name)) };
    let invalid = |detail: String| {
        let message = format!("invalid configuration parameter name \"{name}\"");
        Err(ErrorReport::new(SqlState::INVALID_NAME, message).detail(detail))
    };
    let is_identifier = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$')
    };
    if !name.split('.').all(is_identifier) {
        let detail =
            "Custom parameter names must be two or more simple identifiers separated by dots.";
        return invalid(detail.into());
    }
    if prefix.eq_ignore_ascii_case(RESERVED_PREFIX) {
        return invalid(format!("\"{RESERVED_PREFIX}\" is a reserved prefix."));
    }
    Ok(name.to_ascii_lowercase())
}
