//! Advisory locks (PostgreSQL's lockfuncs.c). A function that waits keeps its thread: the runtime
//! goes on with others.

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    super::{AdvisoryLock, SystemViewContext, rows::Value},
    BOOLEAN, Function, TEXT, effect, int,
};
use crate::engine::{LockMode, LockScope, LockTag};

pub(super) const FUNCTIONS: &[Function] = &[
    effect("pg_advisory_lock", (1, 2), TEXT, |c, a| lock(c, a, EXCLUSIVE, SESSION)),
    effect("pg_advisory_lock_shared", (1, 2), TEXT, |c, a| lock(c, a, SHARED, SESSION)),
    effect("pg_advisory_unlock", (1, 2), BOOLEAN, |c, a| unlock(c, a, EXCLUSIVE)),
    effect("pg_advisory_unlock_all", (0, 0), TEXT, |c, _| {
        if let Some(control) = &c.control {
            control.unlock_all();
        }
        Ok("".into())
    }),
    effect("pg_advisory_unlock_shared", (1, 2), BOOLEAN, |c, a| unlock(c, a, SHARED)),
    effect("pg_advisory_xact_lock", (1, 2), TEXT, |c, a| lock(c, a, EXCLUSIVE, TRANSACTION)),
    effect("pg_advisory_xact_lock_shared", (1, 2), TEXT, |c, a| lock(c, a, SHARED, TRANSACTION)),
    effect("pg_try_advisory_lock", (1, 2), BOOLEAN, |c, a| try_lock(c, a, EXCLUSIVE, SESSION)),
    effect("pg_try_advisory_lock_shared", (1, 2), BOOLEAN, |c, a| try_lock(c, a, SHARED, SESSION)),
    effect("pg_try_advisory_xact_lock", (1, 2), BOOLEAN, |c, a| {
        try_lock(c, a, EXCLUSIVE, TRANSACTION)
    }),
    effect("pg_try_advisory_xact_lock_shared", (1, 2), BOOLEAN, |c, a| {
        try_lock(c, a, SHARED, TRANSACTION)
    }),
];

const EXCLUSIVE: LockMode = LockMode::Exclusive;
const SHARED: LockMode = LockMode::Share;
const SESSION: LockScope = LockScope::Session;
const TRANSACTION: LockScope = LockScope::Transaction;

/// The lock of a bigint, or of two integers; `None`: one of them is NULL.
fn tag(arguments: &[Value]) -> Result<Option<LockTag>> {
    let half = |at: usize| {
        int(arguments, at).map(i32::try_from).transpose().map_err(|_| {
            ErrorReport::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range")
        })
    };
    Ok(match arguments {
        [_] => int(arguments, 0).map(LockTag::Advisory),
        _ => half(0)?.zip(half(1)?).map(|(a, b)| LockTag::AdvisoryPair(a, b)),
    })
}

/// Waits for a lock; void, which is shown as an empty text.
fn lock(
    context: &SystemViewContext,
    arguments: &[Value],
    mode: LockMode,
    scope: LockScope,
) -> Result<Value> {
    let (Some(tag), Some(control)) = (tag(arguments)?, &context.control) else {
        return Ok(Value::Null);
    };
    control.lock(AdvisoryLock { tag, mode, scope })?;
    Ok("".into())
}

fn try_lock(
    context: &SystemViewContext,
    arguments: &[Value],
    mode: LockMode,
    scope: LockScope,
) -> Result<Value> {
    let (Some(tag), Some(control)) = (tag(arguments)?, &context.control) else {
        return Ok(Value::Null);
    };
    Ok(control.try_lock(AdvisoryLock { tag, mode, scope }).into())
}

fn unlock(context: &SystemViewContext, arguments: &[Value], mode: LockMode) -> Result<Value> {
    let (Some(tag), Some(control)) = (tag(arguments)?, &context.control) else {
        return Ok(Value::Null);
    };
    Ok(control.unlock(AdvisoryLock { tag, mode, scope: SESSION }).into())
}
