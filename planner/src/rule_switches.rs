//! Rules that make queries faster, or able to run at all, and never change their rows, each with a switch: the setting
//! `kestrel.enable_<name>`.
//!
//! A session's switches come to the planner in its context, and to a datanode in the fragment's options,
//! where they lie in DataFusion's configuration, as an extension: a rule there asks [`enabled`].

use std::{
    any::Any,
    collections::{BTreeSet, HashMap},
};

use datafusion::{
    common::Result,
    config::{ConfigEntry, ConfigExtension, ConfigOptions, ExtensionOptions},
};
use kestrel_proto::ErrorReport;

use crate::error::to_datafusion;

/// A rule that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What [`enabled`] is asked for.
    pub name: &'static str,
    /// What its setting does, as `pg_settings` says it.
    pub description: &'static str,
}

/// All of them, by name. Each is on unless its setting is off.
pub const RULES: &[Rule] = &[
    Rule {
        name: "adaptive_filters",
        description: "Enables scans to leave out filters that keep most rows.",
    },
    Rule {
        name: "dense_aggregate",
        description: "Enables aggregation without hashing by integers that lie close together.",
    },
    Rule {
        name: "direct_aggregate",
        description: "Enables aggregation without hashing where there are few groups.",
    },
    Rule {
        name: "eager_aggregation",
        description: "Enables aggregation below a join, before its rows are joined.",
    },
    Rule {
        name: "join_order",
        description: "Enables joins to be made in another order than the written one.",
    },
    Rule {
        name: "local_joins",
        description: "Enables joins that build one hash table for all threads of a datanode.",
    },
    Rule {
        name: "narrow_decimals",
        description: "Enables numeric arithmetic on 64 bits where it cannot overflow.",
    },
    Rule {
        name: "runtime_filters",
        description: "Enables joins to filter the scans below them by the keys they have read.",
    },
    Rule {
        name: "semi_join_reduction",
        description: "Enables aggregates to leave out groups that no join above them wants.",
    },
    Rule {
        name: "spilling_joins",
        description: "Enables hash joins to go on over temporary files when memory is short.",
    },
];

/// What every switch's name begins with.
const PREFIX: &str = "kestrel.enable_";

impl Rule {
    /// The name of its switch.
    pub fn setting(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }
}

/// Whether a rule is on. One that has no switch, or whose switch nobody has touched, is.
pub fn enabled(options: &ConfigOptions, rule: &str) -> bool {
    options.extensions.get::<RuleSwitches>().is_none_or(|switches| switches.is_on(rule))
}

/// The rules that a session has switched off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSwitches {
    off: BTreeSet<&'static str>,
}

impl RuleSwitches {
    /// What these settings say; those of no rule are passed over, since a coordinator may know rules
    /// that this process does not.
    ///
    /// # Errors
    /// XX000: a value that SET would not have taken.
    pub fn from_settings(settings: &HashMap<String, String>) -> Result<Self, ErrorReport> {
        let mut off = BTreeSet::new();
        for rule in RULES {
            let setting = rule.setting();
            match settings.get(&setting).map(String::as_str) {
                None | Some("on") => {}
                Some("off") => {
                    off.insert(rule.name);
                }
                Some(value) => {
                    return Err(ErrorReport::internal(format!(
                        "setting \"{setting}\" cannot be \"{value}\""
                    )));
                }
            }
        }
        Ok(Self { off })
    }

    /// Whether a rule is on.
    pub fn is_on(&self, rule: &str) -> bool {
        !self.off.contains(rule)
    }

    /// Lays them into a configuration, where rules find them.
    pub fn lay_into(self, options: &mut ConfigOptions) {
        options.extensions.insert(self);
    }
}

impl ConfigExtension for RuleSwitches {
    const PREFIX: &'static str = "kestrel_rules";
}

impl ExtensionOptions for RuleSwitches {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, _: &str) -> Result<()> {
        Err(to_datafusion(ErrorReport::internal(format!("{key} is a setting of a session"))))
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_on_unless_their_switch_is_off() {
        let switches = |settings: &[(&str, &str)]| -> Result<ConfigOptions, ErrorReport> {
            let settings = settings.iter().map(|(k, v)| (k.to_string(), v.to_string()));
            let mut options = ConfigOptions::default();
            RuleSwitches::from_settings(&settings.collect())?.lay_into(&mut options);
            Ok(options)
        };
        let off = |settings: &[(&str, &str)]| -> Result<Vec<&str>, ErrorReport> {
            let options = switches(settings)?;
            let off = RULES.iter().filter(|rule| !enabled(&options, rule.name));
            Ok(off.map(|rule| rule.name).collect())
        };
        let all_on = ConfigOptions::default();
        assert!(RULES.iter().all(|rule| enabled(&all_on, rule.name)));
        for (settings, expected) in [
            (&[][..], vec![]),
            (&[("kestrel.enable_runtime_filters", "on")], vec![]),
            (&[("kestrel.enable_runtime_filters", "off")], vec!["runtime_filters"]),
            (
                &[
                    ("kestrel.enable_local_joins", "off"),
                    ("TimeZone", "UTC"),
                    ("kestrel.enable_something_newer", "off"),
                    ("kestrel.enable_direct_aggregate", "off"),
                ],
                vec!["direct_aggregate", "local_joins"],
            ),
        ] {
            assert_eq!(off(settings), Ok(expected), "{settings:?}");
        }
        assert!(off(&[("kestrel.enable_local_joins", "maybe")]).is_err());
        assert!(enabled(&switches(&[]).unwrap(), "something_newer"));
    }

    #[test]
    fn rules_are_sorted_and_have_one_name_each() {
        let names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    }
}
