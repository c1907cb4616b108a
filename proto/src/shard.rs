//! What a coordinator asks of the database beside a datanode, which holds the datanode's shard.
//!
//! A *shard transaction* is the transaction that a datanode holds open in its database for one
//! transaction of Kestrel's. It is opened by the first statement or the first rows that are written
//! there, and ends by [`TransactionEnd`]. What was prepared outlives both processes.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    ErrorReport, QueryId, Result, TransactionId,
    message::{self, snapshot_scope::Scope},
};

/// Where the rows of a table are, in every datanode's database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardRelation {
    /// The schema.
    pub schema: String,
    /// The table.
    pub table: String,
    /// The names of its columns, in the order of the table's schema in Kestrel.
    pub columns: Vec<String>,
}

/// Who reads from a snapshot, and how long it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SnapshotScope {
    /// One statement, by the id of its main query, whose [`crate::Datanode::end_query`] closes it.
    Query(QueryId),
    /// All queries of a block; [`crate::Datanode::close_snapshot`] closes it. A shard transaction
    /// that is opened meanwhile reads from it, too.
    Transaction(TransactionId),
}

/// The isolation of a shard transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardIsolation {
    /// Of a statement outside of a block.
    ReadCommitted,
    /// Of a block.
    RepeatableRead,
}

/// Statements for a shard transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardStatements {
    /// Whose shard transaction.
    pub transaction: TransactionId,
    /// The coordinator's epoch.
    pub coordinator_epoch: u64,
    /// Of the shard transaction, if it is to be opened.
    pub isolation: ShardIsolation,
    /// The transaction has written there: if its shard transaction is gone, so is what it wrote.
    pub continues: bool,
    /// SQL texts, one statement each, run in this order up to the first that fails.
    pub statements: Vec<String>,
}

/// What came of [`ShardStatements`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardResults {
    /// Per statement: rows that it inserted, updated or deleted; 0 for others.
    pub affected_rows: Vec<u64>,
    /// Notices and warnings of the database.
    pub notices: Vec<ErrorReport>,
}

/// Rows of a database, as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardRows {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
}

/// How a shard transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransactionEnd {
    /// PREPARE TRANSACTION: it can be committed for sure.
    Prepare,
    /// COMMIT
    Commit,
    /// ROLLBACK
    Rollback,
    /// COMMIT PREPARED
    CommitPrepared,
    /// ROLLBACK PREPARED
    RollbackPrepared,
}

/// A transaction that is prepared in a datanode's database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreparedTransaction {
    /// Kestrel's transaction.
    pub transaction: TransactionId,
    /// The epoch of the coordinator that began it.
    pub epoch: u64,
    /// How long ago it was prepared, by the database's clock.
    pub age: Duration,
}

/// What a datanode's probe has found, by name: `flavor`, `version`, `mode`, and a name per
/// capability.
pub type ShardFacts = BTreeMap<String, String>;

impl ShardRelation {
    /// As messages carry it.
    pub fn to_message(&self) -> message::ShardRelation {
        message::ShardRelation {
            schema: self.schema.clone(),
            table: self.table.clone(),
            columns: self.columns.clone(),
        }
    }

    /// From a message.
    pub fn from_message(relation: message::ShardRelation) -> Self {
        Self { schema: relation.schema, table: relation.table, columns: relation.columns }
    }
}

impl SnapshotScope {
    /// As messages carry it.
    pub fn to_message(self) -> message::SnapshotScope {
        let scope = match self {
            Self::Query(query) => Scope::QueryId(query.to_bytes().to_vec().into()),
            Self::Transaction(transaction) => Scope::TransactionId(transaction.0),
        };
        message::SnapshotScope { scope: Some(scope) }
    }

    /// From a message; `None` if it names nobody.
    pub fn from_message(message: message::SnapshotScope) -> Option<Self> {
        match message.scope? {
            Scope::QueryId(id) => QueryId::from_bytes(&id).map(Self::Query),
            Scope::TransactionId(id) => Some(Self::Transaction(TransactionId(id))),
        }
    }

    /// From a request for a snapshot.
    ///
    /// # Errors
    /// XX000 when it names nobody.
    pub fn of_request(scope: Option<message::SnapshotScope>) -> Result<Self> {
        let scope = scope.and_then(Self::from_message);
        scope.ok_or_else(|| ErrorReport::internal("a snapshot of nobody's"))
    }
}

impl ShardStatements {
    /// As the message.
    pub fn into_message(self) -> message::ExecuteRequest {
        let isolation = match self.isolation {
            ShardIsolation::ReadCommitted => message::ShardIsolation::ReadCommitted,
            ShardIsolation::RepeatableRead => message::ShardIsolation::RepeatableRead,
        };
        message::ExecuteRequest {
            transaction_id: self.transaction.0,
            coordinator_epoch: self.coordinator_epoch,
            isolation: isolation.into(),
            statements: self.statements,
            continues: self.continues,
        }
    }

    /// From the message.
    ///
    /// # Errors
    /// XX000 when it has no isolation that is known here.
    pub fn from_message(request: message::ExecuteRequest) -> Result<Self> {
        let isolation = match request.isolation() {
            message::ShardIsolation::ReadCommitted => ShardIsolation::ReadCommitted,
            message::ShardIsolation::RepeatableRead => ShardIsolation::RepeatableRead,
            message::ShardIsolation::Unspecified => {
                return Err(ErrorReport::internal("statements without an isolation level"));
            }
        };
        Ok(Self {
            transaction: TransactionId(request.transaction_id),
            coordinator_epoch: request.coordinator_epoch,
            isolation,
            continues: request.continues,
            statements: request.statements,
        })
    }
}

impl ShardResults {
    /// As the message.
    pub fn into_message(self) -> message::ExecuteReply {
        let notices = self.notices.iter().map(ErrorReport::to_message).collect();
        message::ExecuteReply { affected_rows: self.affected_rows, notices }
    }

    /// From the message.
    pub fn from_message(reply: message::ExecuteReply) -> Self {
        let notices = reply.notices.into_iter().map(ErrorReport::from_message).collect();
        Self { affected_rows: reply.affected_rows, notices }
    }
}

impl ShardRows {
    /// As the message.
    pub fn into_message(self) -> message::QueryShardReply {
        let value = |text| message::QueryShardValue { text };
        let row = |values: Vec<Option<String>>| message::QueryShardRow {
            values: values.into_iter().map(value).collect(),
        };
        let rows = self.rows.into_iter().map(row).collect();
        message::QueryShardReply { columns: self.columns, rows }
    }

    /// From the message.
    pub fn from_message(reply: message::QueryShardReply) -> Self {
        let row = |row: message::QueryShardRow| row.values.into_iter().map(|v| v.text).collect();
        Self { columns: reply.columns, rows: reply.rows.into_iter().map(row).collect() }
    }
}

impl TransactionEnd {
    /// As the message carries it.
    pub fn to_message(self) -> message::TransactionEnd {
        match self {
            Self::Prepare => message::TransactionEnd::Prepare,
            Self::Commit => message::TransactionEnd::Commit,
            Self::Rollback => message::TransactionEnd::Rollback,
            Self::CommitPrepared => message::TransactionEnd::CommitPrepared,
            Self::RollbackPrepared => message::TransactionEnd::RollbackPrepared,
        }
    }

    /// From the message.
    ///
    /// # Errors
    /// XX000 when it is none that is known here.
    pub fn from_message(end: message::TransactionEnd) -> Result<Self> {
        match end {
            message::TransactionEnd::Prepare => Ok(Self::Prepare),
            message::TransactionEnd::Commit => Ok(Self::Commit),
            message::TransactionEnd::Rollback => Ok(Self::Rollback),
            message::TransactionEnd::CommitPrepared => Ok(Self::CommitPrepared),
            message::TransactionEnd::RollbackPrepared => Ok(Self::RollbackPrepared),
            message::TransactionEnd::Unspecified => {
                Err(ErrorReport::internal("a transaction's end of no kind"))
            }
        }
    }
}

impl PreparedTransaction {
    /// As the message carries it.
    pub fn to_message(self) -> message::PreparedTransaction {
        message::PreparedTransaction {
            transaction_id: self.transaction.0,
            transaction_epoch: self.epoch,
            age_ms: self.age.as_millis() as u64,
        }
    }

    /// From the message.
    pub fn from_message(prepared: message::PreparedTransaction) -> Self {
        Self {
            transaction: TransactionId(prepared.transaction_id),
            epoch: prepared.transaction_epoch,
            age: Duration::from_millis(prepared.age_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_and_answered_survives_the_way() {
        for scope in
            [SnapshotScope::Query(QueryId::random()), SnapshotScope::Transaction(TransactionId(7))]
        {
            assert_eq!(SnapshotScope::of_request(Some(scope.to_message())), Ok(scope));
        }
        assert!(SnapshotScope::of_request(None).is_err());
        for isolation in [ShardIsolation::ReadCommitted, ShardIsolation::RepeatableRead] {
            let order = ShardStatements {
                transaction: TransactionId(5),
                coordinator_epoch: 3,
                isolation,
                continues: isolation == ShardIsolation::ReadCommitted,
                statements: vec!["SELECT 1".into(), String::new()],
            };
            assert_eq!(ShardStatements::from_message(order.clone().into_message()), Ok(order));
        }
        assert!(ShardStatements::from_message(message::ExecuteRequest::default()).is_err());
        for end in [
            TransactionEnd::Prepare,
            TransactionEnd::Commit,
            TransactionEnd::Rollback,
            TransactionEnd::CommitPrepared,
            TransactionEnd::RollbackPrepared,
        ] {
            assert_eq!(TransactionEnd::from_message(end.to_message()), Ok(end));
        }
        let rows = ShardRows {
            columns: vec!["a".into(), "b".into()],
            rows: vec![vec![None, Some(String::new())], vec![Some("x".into()), None]],
        };
        assert_eq!(ShardRows::from_message(rows.clone().into_message()), rows);
        let results = ShardResults {
            affected_rows: vec![0, 12],
            notices: vec![ErrorReport::notice(crate::SqlState::WARNING, "truncated")],
        };
        assert_eq!(ShardResults::from_message(results.clone().into_message()), results);
    }
}
