//! Functions that do something: to a setting, to another session.

use kestrel_planner::{access::insufficient, catalog::SIGNAL_BACKEND_ID};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    super::{SystemViewContext, rows::Value},
    BOOLEAN, Function, TEXT, effect, int, string,
};

pub(super) const FUNCTIONS: &[Function] = &[
    effect("pg_cancel_backend", (1, 1), BOOLEAN, cancel),
    effect("pg_terminate_backend", (1, 2), BOOLEAN, terminate),
    effect("set_config", (3, 3), TEXT, set_config),
];

fn process_id(arguments: &[Value]) -> Option<i32> {
    int(arguments, 0).map(|id| i32::try_from(id).unwrap_or(0))
}

/// (process id)
fn cancel(context: &SystemViewContext, arguments: &[Value]) -> Result<Value> {
    let Some(id) = process_id(arguments) else { return Ok(Value::Null) };
    check_signal(context, id, ("cancel superuser query", "query is being canceled"))?;
    Ok(context.control.as_ref().is_some_and(|control| control.cancel(id)).into())
}

/// Whether the role may stop what this client does (`pg_signal_backend`,
/// storage/ipc/signalfuncs.c). Of one that is not there nobody is told but that.
///
/// Errors: 42501.
fn check_signal(
    context: &SystemViewContext,
    process_id: i32,
    (of_superuser, of_another): (&str, &str),
) -> Result<()> {
    let target = context.activities.iter().find(|activity| activity.process_id == process_id);
    let (Some(target), actor) = (target, context.actor()) else { return Ok(()) };
    // A role that has another name since is taken for a superuser.
    let role = context.catalog.roles.get(&target.user);
    if role.is_none_or(|role| role.superuser) && !actor.is_superuser() {
        return Err(insufficient(format!("must be a superuser to {of_superuser}")));
    }
    let is_member = role.is_some_and(|role| actor.acts_as(role.id));
    if is_member || actor.acts_as(SIGNAL_BACKEND_ID) {
        return Ok(());
    }
    Err(insufficient(format!(
        "must be a member of the role whose {of_another} or member of pg_signal_backend"
    )))
}

/// (process id, milliseconds to wait for its end): nobody is waited for.
fn terminate(context: &SystemViewContext, arguments: &[Value]) -> Result<Value> {
    if int(arguments, 1).is_some_and(|timeout| timeout < 0) {
        let message = "\"timeout\" must not be negative";
        return Err(ErrorReport::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message));
    }
    let Some(id) = process_id(arguments) else { return Ok(Value::Null) };
    check_signal(context, id, ("terminate superuser process", "process is being terminated"))?;
    Ok(context.control.as_ref().is_some_and(|control| control.terminate(id)).into())
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
