//! Greenplum's functions of the rows that COPY has left out and kept; `kestrel.copy_errors` shows them.

use kestrel_planner::access::insufficient;
use kestrel_proto::Result;

use super::{
    super::{SystemViewContext, relation::RelationKind, rows::Value},
    BOOLEAN, Function, effect, objects,
};

pub(super) const FUNCTIONS: &[Function] =
    &[effect("gp_truncate_error_log", (1, 1), BOOLEAN, truncate)];

/// (table): whether there is such a table.
///
/// Errors: 42501.
fn truncate(context: &SystemViewContext, arguments: &[Value]) -> Result<Value> {
    if arguments.first().is_none_or(|argument| *argument == Value::Null) {
        return Ok(Value::Null);
    }
    let Some(relation) = objects::relation(context, arguments, 0)? else { return Ok(false.into()) };
    let RelationKind::Table(table) = &relation.kind else { return Ok(false.into()) };
    if !context.actor().owns(table.id) {
        return Err(insufficient(format!("must be owner of table {}", table.name)));
    }
    if let Some(control) = &context.control {
        control.forget_copy_errors(table.id);
    }
    Ok(true.into())
}
