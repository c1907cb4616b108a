//! `pg_sequence` and the view `pg_sequences`. All sequences count from 1 by 1.

use kestrel_planner::catalog::SequenceDef;

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
    types,
};

pub(in super::super) fn pg_sequence(context: &SystemViewContext) -> Rows {
    let mut rows =
        Rows::new("seqrelid, seqtypid, seqstart, seqincrement, seqmax, seqmin, seqcache");
    for sequence in context.catalog.sequences.values() {
        rows.push(row![sequence.id, type_oid(sequence), 1, 1, sequence.max_value, 1, 1]);
    }
    rows
}

/// `last_value` is NULL, as for a role that may not see it: it is not part of a catalog version.
pub(in super::super) fn pg_sequences(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "schemaname, sequencename, sequenceowner, data_type, start_value, min_value, \
         max_value, increment_by, cycle, cache_size",
    );
    for sequence in context.catalog.sequences.values() {
        rows.push(row![
            &sequence.schema_name,
            &sequence.name,
            context.owner_name(sequence.id),
            types::format(type_oid(sequence), None),
            1,
            1,
            sequence.max_value,
            1,
            false,
            1,
        ]);
    }
    rows
}

/// The type whose largest value ends the sequence.
pub(in super::super) fn type_oid(sequence: &SequenceDef) -> i64 {
    if sequence.max_value <= i16::MAX.into() {
        21
    } else if sequence.max_value <= i32::MAX.into() {
        23
    } else {
        20
    }
}
