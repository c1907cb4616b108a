//! What a database must be and have to hold a shard, and what is said when it does not.

use bytes::Bytes;
use futures::TryStreamExt;
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{Flavor, is_about_now, unless_lacking};
use crate::shard::kes::{prepared::Gid, session::Session, sql::string};

const IDENTITY: &str = "SELECT version(), current_setting('server_version_num', true), \
    current_setting('database_mode', true), current_setting('server_encoding', true), \
    current_setting('TimeZone', true), current_setting('max_prepared_transactions', true), \
    current_setting('block_size', true)";

/// Names of the view of prepared transactions, in this order.
const PREPARED_XACTS: [&str; 2] =
    ["pg_catalog.pg_prepared_xacts", "sys_catalog.sys_prepared_xacts"];

/// One row of one integer, as binary COPY data.
const ONE_ROW: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\
    \0\x01\0\0\0\x04\0\0\0\x2a\xff\xff";

/// What the database says it is.
pub(super) struct Identity {
    pub(super) flavor: Flavor,
    pub(super) version: String,
    pub(super) version_number: String,
    pub(super) mode: Option<String>,
    pub(super) prepared_transactions_max: u64,
    pub(super) block_bytes: u64,
}

/// Asks what it is, and refuses what cannot be right.
///
/// # Errors
/// 0A000: KingbaseES in its SQL Server mode. 55000: another encoding than UTF-8, no prepared
/// transactions, or a time zone that cannot be set.
pub(super) async fn identity(session: &mut Session) -> Result<Identity> {
    let answer = session.query(IDENTITY).await?;
    let mut values = answer.rows.into_iter().flatten();
    let mut next = || values.next().flatten();
    let version = next().unwrap_or_default();
    let version_number = next().unwrap_or_default();
    let mode = next().filter(|mode| !mode.is_empty());
    let (encoding, zone) = (next().unwrap_or_default(), next().unwrap_or_default());
    let prepared_transactions_max = next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let block_bytes = next().and_then(|n| n.parse().ok()).filter(|n| *n > 0).unwrap_or(8192);
    let is_kingbase = version.to_ascii_lowercase().contains("kingbase");
    let flavor = if is_kingbase { Flavor::KingbaseEs } else { Flavor::PostgreSql };
    check_mode(mode.as_deref())?;
    check_settings(&encoding, &zone, prepared_transactions_max)?;
    Ok(Identity { flavor, version, version_number, mode, prepared_transactions_max, block_bytes })
}

fn check_mode(mode: Option<&str>) -> Result<()> {
    if !mode.is_some_and(|mode| mode.eq_ignore_ascii_case("sqlserver")) {
        return Ok(());
    }
    let message = "a KingbaseES database in sqlserver mode cannot hold a shard";
    Err(ErrorReport::unsupported(message)
        .detail(
            "In that mode sums of integers wrap around without an error, \"timestamp\" is a row's \
             version, and BEGIN does not begin a transaction.",
        )
        .hint("Use a database in pg, oracle or mysql mode."))
}

fn check_settings(encoding: &str, zone: &str, prepared_transactions_max: u64) -> Result<()> {
    if !["UTF8", "UTF-8"].iter().any(|utf8| utf8.eq_ignore_ascii_case(encoding)) {
        let message = format!("the shard's database has the encoding \"{encoding}\", not UTF8");
        let hint = "Use a database that was created with ENCODING 'UTF8'.";
        return Err(cannot_hold(message).hint(hint));
    }
    if zone != "UTC" {
        let message = format!("sessions of the shard's database keep the time zone \"{zone}\"");
        let hint = "Let the datanode's user set TimeZone.";
        return Err(cannot_hold(message).hint(hint));
    }
    if prepared_transactions_max == 0 {
        let message = "prepared transactions are disabled in the shard's database";
        return Err(cannot_hold(message)
            .detail("Transactions that write to several shards are committed in two phases.")
            .hint(
                "Set max_prepared_transactions to 100 in postgresql.conf or kingbase.conf, and \
                 restart the database.",
            ));
    }
    Ok(())
}

/// Texts are compared by their bytes only with this collation.
///
/// # Errors
/// 55000: it is not there, or is another.
pub(super) async fn collation(session: &mut Session) -> Result<()> {
    let sql = "SELECT CASE WHEN 'a' COLLATE \"C\" > 'B' THEN 1 ELSE 0 END";
    let answer = unless_lacking(session.query(sql).await)?;
    if answer.as_ref().and_then(|answer| answer.single_value()) == Some("1") {
        return Ok(());
    }
    let message = "the shard's database does not have the collation \"C\"";
    Err(cannot_hold(message).detail("Kestrel compares texts by their bytes."))
}

/// Rows are read and written in COPY's binary format.
///
/// # Errors
/// 55000: what comes is something else.
pub(super) async fn binary_copy(session: &mut Session) -> Result<()> {
    let sql = "COPY (SELECT '42'::pg_catalog.int4) TO STDOUT (FORMAT BINARY)";
    let copied: Result<Vec<Bytes>> = match session.copy_out(sql).await {
        Ok(copy) => copy.try_collect().await,
        Err(report) => Err(report),
    };
    let failed = match copied {
        Ok(pieces) if pieces.concat() == ONE_ROW => return Ok(()),
        Ok(_) => "Its data are of another format.".to_string(),
        Err(report) if is_about_now(&report) => return Err(report),
        Err(report) => said(&report),
    };
    let message = "the shard's database does not send rows in COPY's binary format";
    Err(cannot_hold(message).detail(failed))
}

/// Prepares a transaction, and rolls it back.
///
/// # Errors
/// 55000: it cannot be done.
pub(super) async fn preparing(session: &mut Session, gid: &Gid) -> Result<()> {
    let gid = string(&gid.to_string())?;
    // What a try has left that was interrupted; mostly there is nothing.
    unless_lacking(session.query(&format!("ROLLBACK PREPARED {gid}")).await)?;
    session.query("BEGIN TRANSACTION").await?;
    let prepared = session.query(&format!("PREPARE TRANSACTION {gid}")).await;
    let tried = match prepared {
        Ok(_) => session.query(&format!("ROLLBACK PREPARED {gid}")).await,
        Err(report) => {
            session.query("ROLLBACK").await?;
            Err(report)
        }
    };
    match tried {
        Ok(_) => Ok(()),
        // All that can be prepared are, at this moment.
        Err(report) if report.sqlstate.as_str().starts_with("53") => Ok(()),
        Err(report) if is_about_now(&report) => Err(report),
        Err(report) => {
            let message = "the shard's database cannot prepare transactions";
            let refusal = cannot_hold(message).detail(said(&report));
            Err(match report.sqlstate {
                SqlState::READ_ONLY_SQL_TRANSACTION
                | SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE => {
                    refusal.hint("Point the datanode to the primary, not to a standby.")
                }
                _ => refusal,
            })
        }
    }
}

/// The name of the view of prepared transactions.
///
/// # Errors
/// 55000: there is none that the user may read.
pub(super) async fn prepared_xacts(session: &mut Session) -> Result<&'static str> {
    for name in PREPARED_XACTS {
        let sql = format!("SELECT gid, prepared, database FROM {name} LIMIT 0");
        if unless_lacking(session.query(&sql).await)?.is_some() {
            return Ok(name);
        }
    }
    let message = "the prepared transactions of the shard's database cannot be read";
    let hint = format!("Let the datanode's user read {}.", PREPARED_XACTS.join(" or "));
    Err(cannot_hold(message).hint(hint))
}

/// 55000
fn cannot_hold(message: impl Into<String>) -> ErrorReport {
    ErrorReport::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
}

fn said(report: &ErrorReport) -> String {
    format!("It says: {} (SQLSTATE {}).", report.message, report.sqlstate.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_hold_a_shard_is_told_why() {
        for (encoding, zone, prepared, expected) in [
            ("UTF8", "UTC", 100, None),
            ("utf-8", "UTC", 1, None),
            ("LATIN1", "UTC", 1, Some("encoding \"LATIN1\"")),
            ("UTF8", "Asia/Shanghai", 1, Some("time zone \"Asia/Shanghai\"")),
            ("UTF8", "UTC", 0, Some("prepared transactions are disabled")),
        ] {
            let checked = check_settings(encoding, zone, prepared);
            let message = checked.err().map(|report| report.message);
            assert_eq!(message.is_some(), expected.is_some(), "{message:?}");
            let expected = expected.unwrap_or_default();
            assert!(message.unwrap_or_default().contains(expected), "{expected}");
        }
        for (mode, is_right) in [
            (None, true),
            (Some("pg"), true),
            (Some("oracle"), true),
            (Some("mysql"), true),
            (Some("SQLServer"), false),
        ] {
            assert_eq!(check_mode(mode).is_ok(), is_right, "{mode:?}");
        }
    }
}
