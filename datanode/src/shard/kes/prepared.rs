//! Transactions that are prepared in the database: their names, and what ends them.
//!
//! ```text
//!   kst_<cluster, 32 hex digits>_<coordinator's epoch>_<transaction>_<datanode>
//! ```

use std::{fmt, time::Duration};

use kestrel_proto::{
    DatanodeId, ErrorReport, PreparedTransaction, Result, SqlState, TransactionId,
};
use uuid::Uuid;

use super::{
    session::{Pool, StatementResult},
    sql::string,
};

const PREFIX: &str = "kst_";
/// A prepared transaction that somebody ends at this moment is asked for so often,
const BUSY_TRIES: usize = 20;
/// with this between.
const BUSY_WAIT: Duration = Duration::from_millis(100);

/// The name of a prepared transaction. At most 150 characters, of PostgreSQL's 199 (`GIDSIZE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gid {
    pub(super) cluster: Uuid,
    pub(super) epoch: u64,
    pub(super) transaction: TransactionId,
    pub(super) datanode: DatanodeId,
}

impl fmt::Display for Gid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cluster, epoch) = (self.cluster.as_simple(), self.epoch);
        write!(f, "{PREFIX}{cluster}_{epoch}_{}_{}", self.transaction.0, self.datanode.0)
    }
}

impl Gid {
    /// From a name; `None`: it is none of ours.
    fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix(PREFIX)?.split('_');
        let cluster = Uuid::try_parse(parts.next()?).ok()?;
        let mut number = || parts.next()?.parse::<u64>().ok();
        let (epoch, transaction) = (number()?, TransactionId(number()?));
        let datanode = DatanodeId(number()?.try_into().ok()?);
        let gid = Self { cluster, epoch, transaction, datanode };
        // What differs in a zero in front is another transaction.
        (gid.to_string() == name).then_some(gid)
    }
}

/// What is prepared of this cluster for this datanode, oldest first.
///
/// `view`: of the prepared transactions.
///
/// # Errors
/// Those of the database.
pub(super) async fn prepared(
    pool: &Pool,
    view: &str,
    cluster: Uuid,
    datanode: DatanodeId,
) -> Result<Vec<PreparedTransaction>> {
    let age = "EXTRACT(EPOCH FROM (clock_timestamp() - prepared)) * 1000";
    let sql = format!(
        "SELECT gid, CAST({age} AS pg_catalog.int8) FROM {view} \
         WHERE database = current_database() ORDER BY prepared"
    );
    let answer = pool.get_to_end().await?.query(&sql).await?;
    let found = answer.rows.iter().filter_map(|row| match row.as_slice() {
        [Some(gid), Some(age_ms)] => Some((Gid::parse(gid)?, age_ms.parse::<i64>().ok()?)),
        _ => None,
    });
    // Epoch 0 is the probe's.
    let ours = found
        .filter(|(gid, _)| gid.cluster == cluster && gid.datanode == datanode && gid.epoch > 0);
    let prepared = ours.map(|(gid, age_ms)| PreparedTransaction {
        transaction: gid.transaction,
        epoch: gid.epoch,
        age: Duration::from_millis(age_ms.try_into().unwrap_or_default()),
    });
    Ok(prepared.collect())
}

/// Runs COMMIT PREPARED or ROLLBACK PREPARED (`verb`); whether there was such a transaction.
///
/// # Errors
/// Those of the database. 58K01: it may have been done; asking again tells.
pub(super) async fn end_prepared(pool: &Pool, verb: &str, gid: &Gid) -> Result<bool> {
    let sql = format!("{verb} PREPARED {}", string(&gid.to_string())?);
    let mut tries = 0;
    loop {
        tries += 1;
        let ended: Result<StatementResult> = pool.get_to_end().await?.query(&sql).await;
        match ended {
            Ok(_) => return Ok(true),
            Err(report) if report.sqlstate == SqlState::UNDEFINED_OBJECT => return Ok(false),
            Err(report) if is_busy(&report) && tries < BUSY_TRIES => {
                tokio::time::sleep(BUSY_WAIT).await;
            }
            Err(report) => return Err(report),
        }
    }
}

/// Another session ends it now, or has not let go of it yet (`LockGXact`, twophase.c).
fn is_busy(report: &ErrorReport) -> bool {
    report.sqlstate == SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        let cluster = Uuid::from_u128(0x0123_4567_89ab_cdef);
        let gid =
            Gid { cluster, epoch: 3, transaction: TransactionId(17), datanode: DatanodeId(1) };
        let name = "kst_00000000000000000123456789abcdef_3_17_1";
        assert_eq!(gid.to_string(), name);
        assert_eq!(Gid::parse(name), Some(gid));
        let longest = Gid {
            cluster: Uuid::from_u128(u128::MAX),
            epoch: u64::MAX,
            transaction: TransactionId(u64::MAX),
            datanode: DatanodeId(u32::MAX),
        };
        assert_eq!(Gid::parse(&longest.to_string()), Some(longest));
        assert!(longest.to_string().len() < 200);
        for other in [
            "",
            "kst_",
            "citus_0_12_3_4",
            "kst_00000000000000000123456789abcdef_3_17",
            "kst_00000000000000000123456789abcdef_3_17_1_1",
            "kst_00000000000000000123456789abcdef_03_17_1",
            "kst_00000000000000000123456789ABCDEF_3_17_1",
            "kst_00000000000000000123456789abcdef_3_x_1",
            "kst_00000000000000000123456789abcdef_3_17_4294967296",
        ] {
            assert_eq!(Gid::parse(other), None, "{other}");
        }
    }
}
