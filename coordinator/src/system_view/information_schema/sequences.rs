//! `information_schema.sequences`

use kestrel_planner::catalog::ObjectKind;

use super::super::{
    SystemViewContext,
    pg_catalog::pg_sequence::visible,
    rows::{Rows, row},
    types,
};

/// The sequences of identity columns are not in it.
pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "sequence_catalog, sequence_schema, sequence_name, data_type, numeric_precision, \
         numeric_precision_radix, numeric_scale, start_value, minimum_value, maximum_value, \
         increment, cycle_option",
    );
    let actor = context.actor();
    for sequence in visible(context).filter(|s| context.identity_column(s).is_none()) {
        if actor.privileges(sequence.id, ObjectKind::Sequence).is_empty()
            && !actor.owns(sequence.id)
        {
            continue;
        }
        let found = types::by_oid(sequence.data_type.oid().into());
        rows.push(row![
            &context.session.database,
            &sequence.schema_name,
            &sequence.name,
            sequence.data_type.to_string(),
            found.map(|t| t.length * 8),
            2,
            0,
            sequence.start.to_string(),
            sequence.min_value.to_string(),
            sequence.max_value.to_string(),
            sequence.increment.to_string(),
            if sequence.cycle { "YES" } else { "NO" },
        ]);
    }
    rows
}
