//! `pg_settings`: the session's settings.

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "name, setting, unit, category, short_desc, context, vartype, source, min_val, max_val, \
         enumvals, boot_val, reset_val, pending_restart",
    );
    for setting in context.settings.iter().filter(|setting| !setting.is_hidden) {
        rows.push(row![
            &setting.name,
            &setting.setting,
            setting.unit,
            setting.category,
            &setting.description,
            setting.context,
            setting.type_name,
            setting.source,
            setting.min.clone(),
            setting.max.clone(),
            setting.words.clone(),
            &setting.boot_value,
            &setting.reset_value,
            false,
        ]);
    }
    rows
}
