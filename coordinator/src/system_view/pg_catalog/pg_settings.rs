//! `pg_settings`: the session's settings.

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "name, setting, unit, category, short_desc, context, vartype, source, boot_val, reset_val, \
         pending_restart",
    );
    // Those that name roles are no settings to look through.
    let hidden = ["role", "session_authorization"];
    let shown = |name: &str| !hidden.contains(&name);
    for setting in context.session.settings.iter().filter(|s| shown(&s.name)) {
        let category = match setting.name.split_once('.') {
            Some(_) => "Kestrel",
            None => "Client Connection Defaults",
        };
        let is_default = setting.setting == setting.boot_value;
        rows.push(row![
            &setting.name,
            &setting.setting,
            setting.unit,
            category,
            &setting.description,
            "user",
            "string",
            if is_default { "default" } else { "session" },
            &setting.boot_value,
            &setting.reset_value,
            false,
        ]);
    }
    rows
}
