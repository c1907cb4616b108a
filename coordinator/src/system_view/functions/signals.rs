//! Functions that do something: to a setting, to another session.

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    super::{SystemViewContext, rows::Value},
    BOOLEAN, Function, TEXT, effect, int, string,
};

pub(super) const FUNCTIONS: &[Function] = &[
    effect("pg_cancel_backend", (1, 1), BOOLEAN, |c, arguments| {
        Ok(process_id(arguments).map(|id| c.control.as_ref().is_some_and(|c| c.cancel(id))).into())
    }),
    effect("pg_terminate_backend", (1, 2), BOOLEAN, terminate),
    effect("set_config", (3, 3), TEXT, set_config),
];

fn process_id(arguments: &[Value]) -> Option<i32> {
    int(arguments, 0).map(|id| i32::try_from(id).unwrap_or(0))
}

/// (process id, milliseconds to wait for its end): nobody is waited for.
fn terminate(context: &SystemViewContext, arguments: &[Value]) -> Result<Value> {
    if int(arguments, 1).is_some_and(|timeout| timeout < 0) {
        let message = "\"timeout\" must not be negative";
        return Err(ErrorReport::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message));
    }
    let control = context.control.as_ref();
    Ok(process_id(arguments).map(|id| control.is_some_and(|c| c.terminate(id))).into())
}

/// (name, value, whether for this transaction only); a NULL value is the default.
fn set_config(context: &SystemViewContext, arguments: &[Value]) -> Result<Value> {
    let Some(name) = string(arguments, 0) else {
        let message = "SET requires parameter name";
        return Err(ErrorReport::new(SqlState::NULL_VALUE_NOT_ALLOWED, message));
    };
    let Some(control) = &context.control else { return Ok(Value::Null) };
    let value = match string(arguments, 1) {
        Some(value) if arguments.get(2) == Some(&Value::Bool(true)) => {
            control.set_local(name, value)
        }
        Some(value) => control.set(name, value),
        None => control.reset(name),
    };
    Ok(value?.into())
}
