//! Who the client is: what the rules ask of it, and whether it can do that.

use bytes::Bytes;
use chrono::Utc;
use kestrel_planner::catalog::RoleDef;
use kestrel_proto::{ErrorReport, SqlState};
use pgwire::messages::startup::Authentication;

use super::backend::{Backend, StartupInfo};
use super::connection::Connection;
use super::error_response::fatal;
use super::failure::Failure;
use crate::access::{Gate, LoginAttempt, Method, ScramExchange, ScramKeys, mechanisms};

/// Lets the client show that it is the role it names; the role.
///
/// # Errors
/// FATAL: 28000 when no rule lets it in, or the role is not there or may not log in; 28P01 for a
/// wrong password, also of a role that is not there.
pub(super) async fn authenticate<B: Backend>(
    connection: &mut Connection,
    info: &StartupInfo,
    backend: &B,
    gate: &Gate,
) -> Result<RoleDef, Failure> {
    let member_of = backend.memberships(&info.user);
    let attempt = LoginAttempt {
        peer: info.peer.ip(),
        user: &info.user,
        database: &info.database,
        is_encrypted: connection.is_encrypted(),
        member_of: &member_of,
    };
    let method = gate.rules().method(&attempt).map_err(fatal)?;
    let role = backend.role(&info.user);
    match method {
        Method::Trust => {}
        Method::Scram => prove(connection, &info.user, role.as_ref(), gate).await?,
        Method::Reject => {
            return Err(fatal(ErrorReport::internal("a rule that rejects lets in")).into());
        }
    }
    let refused = |what| {
        let message = format!("role \"{}\" {what}", info.user);
        fatal(ErrorReport::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message))
    };
    match role {
        None => Err(refused("does not exist").into()),
        Some(role) if !role.login => Err(refused("is not permitted to log in").into()),
        Some(role) => Ok(role),
    }
}

/// SCRAM-SHA-256.
async fn prove(
    connection: &mut Connection,
    user: &str,
    role: Option<&RoleDef>,
    gate: &Gate,
) -> Result<(), Failure> {
    let binding = connection.channel_binding().cloned();
    let keys = role.and_then(|role| keys(role, Utc::now().timestamp_micros()));
    connection.put(&Authentication::SASL(mechanisms(binding.as_ref())));
    let mut exchange = ScramExchange::new(user, keys, &gate.mock, binding);
    let answer = connection.read_sasl().await?.sasl_initial_response().map_err(fatal)?;
    let challenge = exchange.begin(&answer.mechanism, &answer.data).map_err(fatal)?;
    connection.put(&Authentication::SASLContinue(Bytes::from(challenge)));
    let proof = connection.read_sasl().await?.body;
    let signature = exchange.finish(&proof).map_err(fatal)?;
    connection.put(&Authentication::SASLFinal(Bytes::from(signature)));
    Ok(())
}

/// What a role's password is checked against; `None`: it has none that is good now.
fn keys(role: &RoleDef, now_us: i64) -> Option<ScramKeys> {
    if role.valid_until_us.is_some_and(|until| until < now_us) {
        tracing::info!(role = role.name, "an expired password was used");
        return None;
    }
    let keys = ScramKeys::parse(role.verifier.as_ref()?.as_str());
    if keys.is_none() {
        tracing::error!(role = role.name, "the role's password verifier is damaged");
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::make_verifier;

    #[test]
    fn a_password_may_be_missing_and_may_expire() {
        let mut role = RoleDef::new(1, "a");
        assert!(keys(&role, 0).is_none());
        role.verifier = Some(make_verifier("x").unwrap());
        assert!(keys(&role, 0).is_some());
        role.valid_until_us = Some(5);
        assert!(keys(&role, 5).is_some());
        assert!(keys(&role, 6).is_none());
    }
}
