//! Where sequences stand. On disk a sequence is some values ahead of what it has given: so most
//! values cost no write, and a crash skips some (PostgreSQL's `SEQ_LOG_VALS`, commands/sequence.c).

use kestrel_planner::catalog::{SequenceDef, SequenceState};
use kestrel_proto::{ErrorReport, Result, SqlState};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{
    error::sqlite_error,
    store::{CatalogStore, Writer},
};

/// How many values a sequence is ahead on disk, as in PostgreSQL.
const VALUES_AHEAD: u64 = 32;

/// A sequence that is used up as fast as it is written gets ahead further.
const MAX_VALUES_AHEAD: u64 = 8192;

/// What may be given of a sequence without a write.
#[derive(Debug)]
pub(super) struct Lease {
    /// What it was leased of: another way to count is another lease.
    sequence: SequenceDef,
    state: SequenceState,
    /// Values left.
    left: u64,
    /// Values that were asked for ahead.
    ahead: u64,
}

/// Where a sequence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceStanding {
    /// The last value.
    pub state: SequenceState,
    /// How many more may be given without a write: PostgreSQL's `log_cnt`.
    pub leased: u64,
}

impl CatalogStore {
    /// Takes the next `count` values of a sequence, which counts as `sequence` says. They are gone
    /// for good, whatever becomes of the statement that asked.
    ///
    /// Errors: 42P01 when there is no such sequence, 2200H when it has not so many left.
    pub fn next_values(&self, sequence: &SequenceDef, count: u64) -> Result<Vec<i64>> {
        let mut writer = self.writer.lock();
        self.check_is_there(sequence)?;
        let lease = writer.lease(sequence)?;
        let (values, state) = sequence.take(lease.state, count)?;
        if count <= lease.left {
            (lease.state, lease.left) = (state, lease.left - count);
            return Ok(values);
        }
        let ahead = match lease.ahead {
            0 => VALUES_AHEAD,
            before => (before * 2).min(MAX_VALUES_AHEAD),
        };
        let (durable, left) = sequence.ahead(state, ahead);
        writer.write(|transaction| write_state(transaction, sequence.id, durable))?;
        let sequence = sequence.clone();
        writer.leases.insert(sequence.id, Lease { sequence, state, left, ahead });
        Ok(values)
    }

    /// Sets where a sequence stands, for good.
    ///
    /// Errors: 42P01 when there is no such sequence.
    pub fn set_sequence(&self, sequence: &SequenceDef, state: SequenceState) -> Result<()> {
        let mut writer = self.writer.lock();
        self.check_is_there(sequence)?;
        writer.write(|transaction| write_state(transaction, sequence.id, state))?;
        writer.leases.remove(&sequence.id);
        Ok(())
    }

    /// Where a sequence stands.
    pub fn sequence_standing(&self, sequence: &SequenceDef) -> Result<SequenceStanding> {
        let mut writer = self.writer.lock();
        let lease = writer.lease(sequence)?;
        Ok(SequenceStanding { state: lease.state, leased: lease.left })
    }

    fn check_is_there(&self, sequence: &SequenceDef) -> Result<()> {
        if self.snapshot().sequence_by_id(sequence.id).is_some() {
            return Ok(());
        }
        let message = format!("relation \"{}\" does not exist", sequence.name);
        Err(ErrorReport::new(SqlState::UNDEFINED_TABLE, message))
    }
}

impl Writer {
    /// The lease of a sequence; an empty one, if there is none for this way to count.
    fn lease(&mut self, sequence: &SequenceDef) -> Result<&mut Lease> {
        let id = sequence.id;
        let state = match self.leases.get(&id) {
            Some(lease) => lease.state,
            None => read_state(&self.connection, id)?.unwrap_or(sequence.initial_state()),
        };
        let empty = || Lease { sequence: sequence.clone(), state, left: 0, ahead: 0 };
        let lease = self.leases.entry(id).or_insert_with(empty);
        if lease.sequence != *sequence {
            *lease = empty();
        }
        Ok(lease)
    }
}

fn read_state(connection: &Connection, id: u64) -> Result<Option<SequenceState>> {
    connection
        .prepare_cached("SELECT last_value, is_called FROM sequence_values WHERE id = ?1")
        .and_then(|mut statement| {
            let state = |row: &rusqlite::Row<'_>| {
                Ok(SequenceState { last_value: row.get(0)?, is_called: row.get(1)? })
            };
            statement.query_row([id.cast_signed()], state).optional()
        })
        .map_err(|error| sqlite_error("read", error))
}

/// Writes where a sequence stands.
pub(super) fn write_state(
    transaction: &Transaction<'_>,
    id: u64,
    state: SequenceState,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO sequence_values VALUES (?1, ?2, ?3) ON CONFLICT (id) DO UPDATE
             SET last_value = excluded.last_value, is_called = excluded.is_called",
        )?
        .execute(params![id.cast_signed(), state.last_value, state.is_called])
        .map(|_| ())
}

/// A store that is closed gives back what it had leased and not given. A process that dies does not.
impl Drop for CatalogStore {
    fn drop(&mut self) {
        let snapshot = self.snapshot();
        let writer = self.writer.get_mut();
        let mut unused = std::mem::take(&mut writer.leases);
        unused.retain(|id, lease| lease.left > 0 && snapshot.sequence_by_id(*id).is_some());
        let write_back = |transaction: &Transaction<'_>| {
            unused.iter().try_for_each(|(id, lease)| write_state(transaction, *id, lease.state))
        };
        if !unused.is_empty()
            && let Err(error) = writer.write(write_back)
        {
            tracing::warn!(%error, "sequences will skip some values");
        }
    }
}
