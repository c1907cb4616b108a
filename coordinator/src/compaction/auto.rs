//! What happens by itself: one task looks after all tables, one round after the other.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use kestrel_planner::{
    catalog::{Catalog, TableDef},
    compaction::Effort,
};
use kestrel_proto::ErrorReport;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Commit, Ended, Rewritten, Round, rewrite, rounds};
use crate::engine::{Engine, LockOwner};

/// Who locks, when it is no session; sessions have other numbers: those of clients are greater than 0,
/// that of automatic ANALYZE is 0.
const PROCESS_ID: i32 = -1;
/// After an error a table is left alone for so long.
const WAIT_AFTER_ERROR: Duration = Duration::from_secs(60);
/// Rounds of one table until the next has its turn.
const ROUNDS_MAX: usize = 4;

/// How much is written anew without anybody's asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoVacuum {
    /// Whether anything is.
    pub is_on: bool,
    /// Between two looks at the tables.
    pub interval: Duration,
    /// Bytes of segments that are read in a second, on average, but for the last round.
    pub bytes_per_second: u64,
}

impl Default for AutoVacuum {
    fn default() -> Self {
        Self { is_on: true, interval: Duration::from_secs(1), bytes_per_second: 32 << 20 }
    }
}

impl AutoVacuum {
    /// How long to rest after work on so many bytes: at least as long as it took, so that it never
    /// has more than half of the time.
    fn rest(&self, bytes: u64, took: Duration) -> Duration {
        let paid = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second.max(1) as f64);
        self.interval.max(took).max(paid.saturating_sub(took))
    }
}

/// Folds small segments and writes worn ones anew, until `shutdown`.
pub async fn vacuum_automatically(engine: Arc<Engine>, shutdown: CancellationToken) {
    let settings = engine.compaction.auto;
    if !settings.is_on {
        return;
    }
    let mut worker = Worker {
        locks: engine.locks.owner(PROCESS_ID),
        engine,
        seen: None,
        idle: BTreeMap::new(),
        failed: BTreeMap::new(),
        stop: shutdown.clone(),
    };
    let mut rest = settings.interval;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = sleep(rest) => {}
        }
        let began = Instant::now();
        let bytes = worker.look().await;
        rest = settings.rest(bytes, began.elapsed());
    }
}

struct Worker {
    engine: Arc<Engine>,
    locks: Arc<LockOwner>,
    /// The version in which there was nothing to do.
    seen: Option<Arc<Catalog>>,
    /// Tables in which there was nothing to do, as they were.
    idle: BTreeMap<u64, Arc<TableDef>>,
    /// Tables that are left alone, until then.
    failed: BTreeMap<u64, Instant>,
    stop: CancellationToken,
}

impl Worker {
    /// Looks at all tables once: bytes that were read.
    async fn look(&mut self) -> u64 {
        // What others have kept from going may go now.
        self.engine.collect_garbage().await;
        let catalog = self.engine.catalog.snapshot();
        let is_usable = self.engine.cluster.check_usable(&catalog.datanode_ids()).is_ok();
        if !is_usable || self.seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &catalog)) {
            return 0;
        }
        self.failed.retain(|_, until| *until > Instant::now());
        self.idle.retain(|id, then| {
            let key = (then.schema_name.clone(), then.name.clone());
            catalog.tables.get(&key).is_some_and(|now| now.id == *id && Arc::ptr_eq(now, then))
        });
        let mut tables: Vec<_> = catalog.tables.values().filter(|t| self.is_due(t)).collect();
        tables.sort_by_key(|table| Reverse(table.segments.len()));
        let budget = self.engine.compaction.auto;
        let budget = budget.bytes_per_second as f64 * budget.interval.as_secs_f64();
        let (mut bytes, mut is_idle) = (0, self.failed.is_empty());
        for table in tables {
            if bytes as f64 > budget || self.stop.is_cancelled() {
                return bytes;
            }
            let rounds = rounds(table, Effort::Automatic);
            if rounds.is_empty() {
                self.idle.insert(table.id, Arc::clone(table));
                continue;
            }
            is_idle = false;
            bytes += self.vacuum(table, rounds).await;
        }
        self.seen = is_idle.then_some(catalog);
        bytes
    }

    fn is_due(&self, table: &TableDef) -> bool {
        !table.segments.is_empty()
            && !table.is_temporary()
            && !self.idle.contains_key(&table.id)
            && !self.failed.contains_key(&table.id)
    }

    async fn vacuum(&mut self, table: &TableDef, rounds: Vec<Round>) -> u64 {
        let Some(_claim) = self.engine.compaction.claim(table.id) else { return 0 };
        let mut bytes = 0;
        for round in rounds.into_iter().take(ROUNDS_MAX) {
            let (began, commit) = (Instant::now(), Commit::Locking(Arc::clone(&self.locks)));
            match rewrite(&self.engine, round, commit, self.stop.clone()).await {
                Ok(Ended::Rewritten(rewritten)) => {
                    bytes += rewritten.old_bytes;
                    log(table, &rewritten, began.elapsed());
                }
                Ok(Ended::GivenUp { read_bytes }) => return bytes + read_bytes,
                Err(error) => {
                    self.note_failure(table, &error);
                    return bytes;
                }
            }
        }
        bytes
    }

    fn note_failure(&mut self, table: &TableDef, error: &ErrorReport) {
        if self.stop.is_cancelled() {
            return;
        }
        tracing::warn!(
            target: "kestrel::vacuum",
            schema = table.schema_name,
            table = table.name,
            %error,
            "segments were not written anew; they are left alone for a minute"
        );
        self.failed.insert(table.id, Instant::now() + WAIT_AFTER_ERROR);
    }
}

fn log(table: &TableDef, rewritten: &Rewritten, took: Duration) {
    tracing::info!(
        target: "kestrel::vacuum",
        schema = table.schema_name,
        table = table.name,
        segments = rewritten.old_segments,
        new_segments = rewritten.new_segments,
        bytes = rewritten.old_bytes,
        new_bytes = rewritten.new_bytes,
        removed_rows = rewritten.removed_rows,
        duration_ms = took.as_millis() as u64,
        "vacuumed"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_has_its_share() {
        let settings = AutoVacuum {
            interval: Duration::from_secs(1),
            bytes_per_second: 1000,
            ..AutoVacuum::default()
        };
        for (bytes, took_ms, rest_ms) in [
            (0, 0, 1000),
            (500, 100, 1000),
            // As long as it took, and until the bytes are paid for.
            (500, 3000, 3000),
            (10_000, 3000, 7000),
        ] {
            let rest = settings.rest(bytes, Duration::from_millis(took_ms));
            assert_eq!(rest, Duration::from_millis(rest_ms), "{bytes} {took_ms}");
        }
    }
}
