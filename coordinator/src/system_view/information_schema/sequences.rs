//! `information_schema.sequences`

use kestrel_planner::catalog::ObjectKind;

use super::super::{
    SystemViewContext,
    pg_catalog::pg_sequence::type_oid,
    rows::{Rows, row},
    types,
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "sequence_catalog, sequence_schema, sequence_name, data_type, numeric_precision, \
         numeric_precision_radix, numeric_scale, start_value, minimum_value, maximum_value, \
         increment, cycle_option",
    );
    let actor = context.actor();
    for sequence in context.catalog.sequences.values() {
        if actor.privileges(sequence.id, ObjectKind::Sequence).is_empty()
            && !actor.owns(sequence.id)
        {
            continue;
        }
        let found = types::by_oid(type_oid(sequence));
        rows.push(row![
            &context.session.database,
            &sequence.schema_name,
            &sequence.name,
            types::format(type_oid(sequence), None),
            found.map(|t| t.length * 8),
            2,
            0,
            "1",
            "1",
            sequence.max_value.to_string(),
            "1",
            "NO",
        ]);
    }
    rows
}
