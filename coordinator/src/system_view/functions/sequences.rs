//! Functions of sequences.

use kestrel_planner::catalog::{SequenceDef, is_temporary_schema};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    super::{SystemViewContext, context::SessionControl, relation::RelationKind, rows::Value},
    BIGINT, Function, effect, int, objects,
};

pub(super) const FUNCTIONS: &[Function] = &[
    effect("currval", (1, 1), BIGINT, |c, arguments| {
        let Some(sequence) = sequence(c, arguments)? else { return Ok(Value::Null) };
        Ok(control(c)?.current_value(sequence)?.into())
    }),
    effect("lastval", (0, 0), BIGINT, |c, _| Ok(control(c)?.last_value(&c.catalog)?.into())),
    effect("nextval", (1, 1), BIGINT, |c, arguments| {
        let Some(sequence) = sequence(c, arguments)? else { return Ok(Value::Null) };
        Ok(control(c)?.next_value(sequence)?.into())
    }),
    effect("setval", (2, 3), BIGINT, set_value),
];

fn control(context: &SystemViewContext) -> Result<&dyn SessionControl> {
    let control = context.control.as_deref();
    control.ok_or_else(|| ErrorReport::internal("nobody can give values of sequences"))
}

/// The sequence that the first argument names; `None` for NULL.
fn sequence<'a>(
    context: &'a SystemViewContext,
    arguments: &[Value],
) -> Result<Option<&'a SequenceDef>> {
    if arguments.first() == Some(&Value::Null) {
        return Ok(None);
    }
    let error = |state, message: String| Err(ErrorReport::new(state, message));
    let Some(relation) = objects::relation(context, arguments, 0)? else {
        let message =
            format!("relation with OID {} does not exist", int(arguments, 0).unwrap_or(0));
        return error(SqlState::UNDEFINED_TABLE, message);
    };
    let schema = &relation.schema;
    if is_temporary_schema(schema) && !context.session.search_path.contains(schema) {
        let message = "cannot access temporary sequences of other sessions";
        return error(SqlState::FEATURE_NOT_SUPPORTED, message.into());
    }
    match (&relation.kind, context.catalog.sequence(schema, &relation.name)) {
        (RelationKind::Sequence, Some(sequence)) => Ok(Some(sequence)),
        _ => error(SqlState::WRONG_OBJECT_TYPE, format!("\"{}\" is not a sequence", relation.name)),
    }
}

/// (sequence, value, whether it was given)
fn set_value(context: &SystemViewContext, arguments: &[Value]) -> Result<Value> {
    let is_called = match arguments.get(2) {
        Some(Value::Null) => return Ok(Value::Null),
        Some(is_called) => *is_called == Value::Bool(true),
        None => true,
    };
    let (Some(sequence), Some(value)) = (sequence(context, arguments)?, int(arguments, 1)) else {
        return Ok(Value::Null);
    };
    control(context)?.set_value(sequence, value, is_called)?;
    Ok(value.into())
}
