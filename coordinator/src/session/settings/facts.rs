//! Settings as `pg_settings` and SHOW ALL show them.

use std::sync::Arc;

use super::{
    ROLES, Settings, Values,
    list::{Kind, Setting, settings},
};
use crate::system_view::SettingFacts;

/// A session's settings as they were at a moment. To keep them costs nothing; [`Self::facts`] makes
/// the facts of all of them.
#[derive(Clone, Debug)]
pub(in super::super) struct SettingsNow(pub(super) Arc<Values>);

impl SettingsNow {
    /// All of them; users' own, which `pg_settings` and SHOW ALL do not show, at the end.
    pub(in super::super) fn facts(&self) -> Vec<SettingFacts> {
        let values = &self.0;
        let mut facts: Vec<_> = settings().iter().map(|setting| values.fact(setting)).collect();
        facts.extend(values.custom.iter().map(|name| {
            let value = values.get_custom(name).unwrap_or_default();
            let (name, setting) = (name.clone(), value.clone());
            SettingFacts { name, value, setting, is_hidden: true, ..SettingFacts::default() }
        }));
        facts
    }
}

impl Settings {
    /// All of them as they are now: [`SettingsNow::facts`].
    pub(in super::super) fn facts(&self) -> Vec<SettingFacts> {
        self.now().facts()
    }
}

impl Values {
    fn fact(&self, setting: &Setting) -> SettingFacts {
        let (value, source) = self.get(setting);
        let (mut min, mut max, mut unit, mut words) = (None, None, None, None);
        match &setting.kind {
            Kind::Integer { min: from, max: to, unit: of } => {
                (min, max, unit) = (Some(from.to_string()), Some(to.to_string()), of.name());
            }
            Kind::Real { min: from, max: to } => {
                (min, max) = (Some(from.to_string()), Some(format!("{to:e}")));
            }
            Kind::OneOf(all) => words = Some(all.iter().map(|word| word.to_string()).collect()),
            Kind::Text | Kind::Bool | Kind::Zone | Kind::DateStyle | Kind::Encoding => {}
        }
        let reset = self.startup.get(setting.name).map_or(setting.default, String::as_str);
        SettingFacts {
            name: setting.name.into(),
            value: setting.shown(&value),
            setting: value,
            unit,
            reset_value: reset.to_string(),
            boot_value: setting.default.into(),
            description: setting.description.into(),
            category: setting.category,
            context: setting.context.as_str(),
            type_name: setting.kind.type_name(),
            source: source.as_str(),
            min,
            max,
            words,
            is_hidden: ROLES.contains(&setting.name),
        }
    }
}
