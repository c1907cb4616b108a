//! Who may set what: some settings are for superusers, and some values, which take from others.

use kestrel_planner::access::insufficient;
use kestrel_proto::{ErrorReport, Result};

use super::list::{Context, find};

/// Settings by which a role could take from others, and the values that do.
const TAKING: &[(&str, &str)] = &[("kestrel.query_priority", "high")];

/// Whether a role may set this setting at all, or go back to its default.
///
/// # Errors
/// 42501: only superusers may (PostgreSQL's `set_config_option`, guc.c).
pub(in super::super) fn check_may_set(name: &str, is_superuser: bool) -> Result<()> {
    let is_superusers = find(name).is_some_and(|s| s.context == Context::Superuser);
    if is_superusers && !is_superuser { Err(denied(name)) } else { Ok(()) }
}

/// Whether a role may set this setting so.
///
/// # Errors
/// 42501: only superusers may.
pub(in super::super) fn check_rank(name: &str, value: &str, is_superuser: bool) -> Result<()> {
    check_may_set(name, is_superuser)?;
    let takes = |(setting, taking): &&(&str, &str)| {
        setting.eq_ignore_ascii_case(name) && taking.eq_ignore_ascii_case(value)
    };
    match TAKING.iter().find(takes) {
        Some((_, value)) if !is_superuser => {
            Err(denied(name).detail(format!("Only superusers may set it to \"{value}\".")))
        }
        _ => Ok(()),
    }
}

fn denied(name: &str) -> ErrorReport {
    // Under the setting's own name.
    let name = find(name).map_or(name, |setting| setting.name);
    insufficient(format!("permission denied to set parameter \"{name}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_superusers() {
        for (name, value, may) in [
            ("work_mem", "1GB", true),
            ("session_replication_role", "origin", false),
            ("LOG_STATEMENT", "none", false),
            ("kestrel.query_priority", "low", true),
            ("kestrel.query_priority", "normal", true),
            ("Kestrel.Query_Priority", "HIGH", false),
            ("my.own", "high", true),
        ] {
            assert_eq!(check_rank(name, value, false).is_ok(), may, "{name} = {value}");
            assert!(check_rank(name, value, true).is_ok(), "{name} = {value}");
        }
        let error = check_may_set("LOG_STATEMENT", false).unwrap_err();
        assert_eq!(error.message, "permission denied to set parameter \"log_statement\"");
        assert!(check_may_set("kestrel.query_priority", false).is_ok());
    }
}
