//! `kestrel.advice`: what Kestrel has had to say of late, of tables that the role may read.

use kestrel_planner::{
    access::Actor,
    catalog::{ObjectKind, Privilege},
};

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};
use crate::advice::Remembered;

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "sqlstate, severity, kind, schema_name, object_name, message, detail, hint, count, \
         first_seen_at, last_seen_at",
    );
    let actor = context.actor();
    for advice in context.advice.iter().filter(|advice| may_see(&actor, advice)) {
        let finding = &advice.advice.finding;
        rows.push(row![
            advice.advice.kind.sqlstate.as_str(),
            advice.delivery.word().to_uppercase(),
            advice.advice.kind.name,
            &finding.object.schema,
            &finding.object.name,
            &finding.message,
            &finding.detail,
            finding.hint.clone(),
            advice.count,
            advice.first_seen_at,
            advice.last_seen_at,
        ]);
    }
    rows
}

/// It tells of values: who may not read a table is not told of it. Nobody is of one that is gone.
fn may_see(actor: &Actor<'_>, advice: &Remembered) -> bool {
    advice.advice.finding.object.tables.iter().all(|table| {
        let is_there = actor.catalog.table_by_id(*table).is_some();
        is_there && actor.privileges(*table, ObjectKind::Table).has(Privilege::Select)
    })
}
