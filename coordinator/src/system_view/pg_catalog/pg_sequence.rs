//! `pg_sequence` and the view `pg_sequences`.

use kestrel_planner::catalog::{ObjectKind, Privilege, SequenceDef};

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

pub(in super::super) fn pg_sequence(context: &SystemViewContext) -> Rows {
    let mut rows =
        Rows::new("seqrelid, seqtypid, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle");
    for sequence in context.catalog.sequences.values() {
        rows.push(row![
            sequence.id,
            i64::from(sequence.data_type.oid()),
            sequence.start,
            sequence.increment,
            sequence.max_value,
            sequence.min_value,
            sequence.cache,
            sequence.cycle,
        ]);
    }
    rows
}

/// `last_value` is NULL before the first one, and where it cannot be read. It is read for the
/// sequences that the session can use, if its role may.
pub(in super::super) fn pg_sequences(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "schemaname, sequencename, sequenceowner, data_type, start_value, min_value, \
         max_value, increment_by, cycle, cache_size, last_value",
    );
    for sequence in visible(context) {
        rows.push(row![
            &sequence.schema_name,
            &sequence.name,
            context.owner_name(sequence.id),
            sequence.data_type.to_string(),
            sequence.start,
            sequence.min_value,
            sequence.max_value,
            sequence.increment,
            sequence.cycle,
            sequence.cache,
            last_value(context, sequence),
        ]);
    }
    rows
}

/// The sequences but for other sessions' temporary ones.
pub(in super::super) fn visible(context: &SystemViewContext) -> impl Iterator<Item = &SequenceDef> {
    context.catalog.sequences.values().filter(move |s| !context.is_of_other_session(&s.schema_name))
}

fn last_value(context: &SystemViewContext, sequence: &SequenceDef) -> Option<i64> {
    let held = context.actor().privileges(sequence.id, ObjectKind::Sequence);
    if !held.has(Privilege::Select) && !held.has(Privilege::Usage) {
        return None;
    }
    let standing = context.control.as_ref()?.standing(sequence).ok()?;
    standing.state.is_called.then_some(standing.state.last_value)
}
