//! How a shard transaction ends.

use kestrel_proto::{DatanodeId, ErrorReport, Result, SqlState, TransactionEnd, TransactionId};

use super::{
    prepared::{Gid, end_prepared},
    session::StatementResult,
    shared_session::EndFailure,
    sql::string,
    store::StoreState,
    transactions::is_gone,
};

/// Ends the shard transaction of `transaction`, which a coordinator began in `epoch`; whether there
/// was one.
///
/// # Errors
/// 40001: one that is to be prepared or committed is not there, or its session was lost before.
/// 25P02: it has failed before. 08007:
/// the database was lost during COMMIT. Those of the database.
pub(super) async fn end(
    store: &StoreState,
    transaction: TransactionId,
    epoch: u64,
    end: TransactionEnd,
) -> Result<bool> {
    let gid = Gid { cluster: store.cluster, epoch, transaction, datanode: store.datanode };
    match end {
        TransactionEnd::CommitPrepared => return end_prepared(&store.pool, "COMMIT", &gid).await,
        TransactionEnd::RollbackPrepared => {
            return end_prepared(&store.pool, "ROLLBACK", &gid).await;
        }
        TransactionEnd::Prepare | TransactionEnd::Commit | TransactionEnd::Rollback => {}
    }
    let session = store.transactions.take(transaction, epoch);
    let sql = match end {
        TransactionEnd::Prepare => format!("PREPARE TRANSACTION {}", string(&gid.to_string())?),
        TransactionEnd::Commit => "COMMIT".to_string(),
        _ => {
            let Some(session) = session else { return Ok(false) };
            session.roll_back().await;
            return Ok(true);
        }
    };
    let Some(session) = session else { return Err(is_gone(store.datanode)) };
    match session.end(sql).await {
        Ok(answer) => has_ended_well(&answer).map(|()| true),
        Err(EndFailure { is_unknown: true, report }) if end == TransactionEnd::Commit => {
            Err(is_unknown(store.datanode, &report))
        }
        // It was lost before, and has been rolled back.
        Err(EndFailure { is_unknown: false, report })
            if report.sqlstate == SqlState::DATANODE_LOST =>
        {
            Err(is_gone(store.datanode))
        }
        Err(EndFailure { report, .. }) => Err(report),
    }
}

/// A transaction that has failed ends without an error, and is rolled back: only the command tag says
/// so (PostgreSQL's `EndTransactionBlock` and `PrepareTransactionBlock`, xact.c).
fn has_ended_well(answer: &StatementResult) -> Result<()> {
    match answer.tag.as_str() {
        "ROLLBACK" => {
            let message = "current transaction is aborted, commands ignored until end of \
                           transaction block";
            Err(ErrorReport::new(SqlState::IN_FAILED_SQL_TRANSACTION, message)
                .detail("A statement before has failed in the shard's database."))
        }
        _ => Ok(()),
    }
}

fn is_unknown(datanode: DatanodeId, report: &ErrorReport) -> ErrorReport {
    let message = "it is not known whether the transaction was committed";
    ErrorReport::new(SqlState::TRANSACTION_RESOLUTION_UNKNOWN, message)
        .detail(format!("During COMMIT, {}.", report.message))
        .hint("See whether its rows are there before you run it again.")
        .on_datanode(datanode.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_tells_of_a_rollback() {
        for (tag, is_well) in [("COMMIT", true), ("PREPARE TRANSACTION", true), ("ROLLBACK", false)]
        {
            let answer = StatementResult { tag: tag.into(), ..StatementResult::default() };
            assert_eq!(has_ended_well(&answer).is_ok(), is_well, "{tag}");
        }
    }
}
