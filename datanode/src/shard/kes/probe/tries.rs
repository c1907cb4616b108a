//! What a database may or may not have: each is tried.

use kestrel_proto::Result;

use super::{
    super::{
        session::{Pool, Session, TransactionStatus},
        snapshots::begin_worker,
    },
    unless_lacking,
};

/// Names of what exports a snapshot, in this order.
const EXPORT_SNAPSHOT: [&str; 2] =
    ["pg_catalog.pg_export_snapshot", "sys_catalog.sys_export_snapshot"];
/// Names of what tells a table's size, in this order.
const RELATION_SIZE: [&str; 2] = ["pg_catalog.pg_relation_size", "sys_catalog.sys_relation_size"];

/// Is `''` NULL?
pub(super) async fn empty_string_is_null(session: &mut Session) -> Result<bool> {
    is_one(session, "SELECT CASE WHEN ''::pg_catalog.varchar IS NULL THEN 1 ELSE 0 END").await
}

/// Are texts equal that differ in case?
pub(super) async fn case_insensitive_text(session: &mut Session) -> Result<bool> {
    let sql = "SELECT CASE WHEN 'a'::pg_catalog.varchar = 'A'::pg_catalog.varchar \
               THEN 1 ELSE 0 END";
    is_one(session, sql).await
}

async fn is_one(session: &mut Session, sql: &str) -> Result<bool> {
    Ok(session.query(sql).await?.single_value() == Some("1"))
}

/// Does the planner read a range of blocks, and nothing else of the table, where that is cheaper?
pub(super) async fn tid_range_scan(session: &mut Session) -> Result<bool> {
    let sql = "EXPLAIN (COSTS OFF) SELECT 1 FROM pg_catalog.pg_class \
        WHERE ctid >= '(0,0)'::pg_catalog.tid AND ctid < '(1,0)'::pg_catalog.tid";
    let answer = unless_lacking(session.query(sql).await)?;
    let mut lines = answer.into_iter().flat_map(|answer| answer.rows).flatten().flatten();
    Ok(lines.any(|line| line.contains("Tid Range Scan")))
}

/// What tells the bytes of a table.
pub(super) async fn relation_size(session: &mut Session) -> Result<Option<&'static str>> {
    for name in RELATION_SIZE {
        let sql = format!("SELECT {name}('pg_catalog.pg_class'::pg_catalog.regclass)");
        if unless_lacking(session.query(&sql).await)?.is_some() {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// What exports a snapshot that another session of `pool` can read.
pub(super) async fn export_snapshot(
    session: &mut Session,
    pool: &Pool,
) -> Result<Option<&'static str>> {
    for name in EXPORT_SNAPSHOT {
        let sql =
            format!("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT {name}()");
        let exported = unless_lacking(session.query(&sql).await)?;
        let exported = exported.as_ref().and_then(|answer| answer.single_value());
        let is_read = match exported {
            Some(exported) => is_read_elsewhere(exported, pool).await?,
            None => false,
        };
        end(session).await?;
        if is_read {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

async fn is_read_elsewhere(exported: &str, pool: &Pool) -> Result<bool> {
    let Some(other) = pool.try_get().await? else { return Ok(false) };
    let mut other = other.rolling_back();
    let sql = format!("{}; SELECT 1", begin_worker(exported)?);
    Ok(unless_lacking(other.query(&sql).await)?.is_some())
}

/// Ends the transaction, if one is open.
async fn end(session: &mut Session) -> Result<()> {
    if session.transaction_status() != Some(TransactionStatus::Idle) {
        session.query("ROLLBACK").await?;
    }
    Ok(())
}
