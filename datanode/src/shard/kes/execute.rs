//! Statements that the coordinator sends as they are.

use kestrel_proto::{ErrorReport, Result, ShardResults, ShardRows, ShardStatements, SqlState};

use super::{
    session::{StatementResult, TransactionStatus},
    store::StoreState,
};

/// Runs statements in a shard transaction, up to the first that fails.
///
/// # Errors
/// Those of the database; 55P03 with what to do about it. 40001: the transaction is to go on, and is
/// not there.
pub(super) async fn execute(store: &StoreState, order: ShardStatements) -> Result<ShardResults> {
    let (transaction, epoch) = (order.transaction, order.coordinator_epoch);
    let session = store.transaction(transaction, epoch, order.continues, order.isolation).await?;
    let mut turn = session.turn().await?;
    let session = turn.session()?;
    let mut affected_rows = Vec::with_capacity(order.statements.len());
    for statement in &order.statements {
        let answer = session.query(statement).await.map_err(with_lock_hint)?;
        if session.transaction_status() == Some(TransactionStatus::Idle) {
            let message = "a statement has ended its transaction in the shard's database";
            return Err(ErrorReport::internal(message).detail(format!("{statement}.")));
        }
        affected_rows.push(changed_rows(&answer));
    }
    Ok(ShardResults { affected_rows, notices: session.take_notices() })
}

/// Runs a statement outside of any transaction.
///
/// # Errors
/// Those of the database.
pub(super) async fn query(store: &StoreState, sql: &str) -> Result<ShardRows> {
    let answer = store.pool.get().await?.rolling_back().query(sql).await.map_err(with_lock_hint)?;
    let columns = answer.columns.into_iter().map(|column| column.name).collect();
    Ok(ShardRows { columns, rows: answer.rows })
}

/// Of a statement that changes rows; 0 of others.
fn changed_rows(answer: &StatementResult) -> u64 {
    let verb = answer.tag.split(' ').next().unwrap_or_default();
    match verb {
        "INSERT" | "UPDATE" | "DELETE" | "MERGE" => answer.affected_rows().unwrap_or_default(),
        _ => 0,
    }
}

/// Says whom a statement has waited for in vain.
pub(super) fn with_lock_hint(report: ErrorReport) -> ErrorReport {
    if report.sqlstate != SqlState::LOCK_NOT_AVAILABLE || report.hint.is_some() {
        return report;
    }
    report.hint(
        "Another transaction holds the lock, perhaps one that a client has begun in the shard's \
         database itself: see pg_locks there. Run the statement again when it has ended.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_count() {
        for (tag, rows) in [
            ("INSERT 0 3", 3),
            ("UPDATE 12", 12),
            ("DELETE 0", 0),
            ("SELECT 7", 0),
            ("CREATE TABLE", 0),
            ("", 0),
        ] {
            let answer = StatementResult { tag: tag.into(), ..StatementResult::default() };
            assert_eq!(changed_rows(&answer), rows, "{tag}");
        }
    }
}
