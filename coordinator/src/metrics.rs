//! What the coordinator counts, as Prometheus reads it. `docs/metrics.md` lists the same for people.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kestrel_planner::{
    catalog::{Catalog, TableDef},
    motion::MotionKind,
};
use kestrel_proto::{
    DatanodeId,
    metrics::{Family, Histogram},
};
use parking_lot::Mutex;

use crate::{
    cluster::MemberState,
    compaction::CompactionCounts,
    engine::{Engine, PlanCacheCounts},
    query::{MotionTotals, QueryState},
};

/// From what only slice 0 sees to what takes half an hour.
const DURATION_BOUNDS_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 1800.0,
];

/// Counts of one coordinator. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug)]
struct Counts {
    running: u64,
    finished: u64,
    failed: u64,
    canceled: u64,
    durations: Histogram,
    returned_rows: u64,
    retries: u64,
    /// What they waited before they began.
    waits: Histogram,
    refused: u64,
    motions: MotionTotals,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            running: 0,
            finished: 0,
            failed: 0,
            canceled: 0,
            durations: Histogram::new(DURATION_BOUNDS_SECONDS),
            returned_rows: 0,
            retries: 0,
            waits: Histogram::new(DURATION_BOUNDS_SECONDS),
            refused: 0,
            motions: MotionTotals::default(),
        }
    }
}

impl Counts {
    fn note_end(&mut self, state: QueryState) {
        match state {
            QueryState::Finished => self.finished += 1,
            QueryState::Canceled => self.canceled += 1,
            QueryState::Queued | QueryState::Running | QueryState::Failed => self.failed += 1,
        }
    }
}

impl Metrics {
    /// A query starts.
    pub(crate) fn query_started(&self) {
        self.counts.lock().running += 1;
    }

    /// A query that has started has ended.
    pub(crate) fn query_ended(
        &self,
        state: QueryState,
        duration: Duration,
        rows: u64,
        motions: &MotionTotals,
    ) {
        let mut counts = self.counts.lock();
        counts.running = counts.running.saturating_sub(1);
        counts.note_end(state);
        counts.durations.observe(duration.as_secs_f64());
        counts.returned_rows += rows;
        counts.motions.add(motions);
    }

    /// A query that runs on datanodes may begin, after so long.
    pub(crate) fn query_admitted(&self, waited: Duration) {
        self.counts.lock().waits.observe(waited.as_secs_f64());
    }

    /// A query has found the queue full.
    pub(crate) fn query_refused(&self) {
        self.counts.lock().refused += 1;
    }

    /// A query waits no longer, and does not begin.
    pub(crate) fn query_not_begun(&self, state: QueryState) {
        self.counts.lock().note_end(state);
    }

    /// A query that has lost a datanode runs once more.
    pub(crate) fn query_retried(&self) {
        self.counts.lock().retries += 1;
    }

    fn families(&self) -> Vec<Family> {
        let counts = self.counts.lock();
        let durations = "Seconds from a query's start to its end.";
        vec![
            Family::counter("kestrel_queries_total", "Queries that have ended.")
                .with(&[("state", QueryState::Finished.as_str())], counts.finished)
                .with(&[("state", QueryState::Failed.as_str())], counts.failed)
                .with(&[("state", QueryState::Canceled.as_str())], counts.canceled),
            Family::gauge("kestrel_queries_running", "Queries that run.").with(&[], counts.running),
            Family::histogram("kestrel_query_duration_seconds", durations, &counts.durations),
            Family::histogram(
                "kestrel_query_queue_seconds",
                "Seconds that queries waited before they began.",
                &counts.waits,
            ),
            Family::counter("kestrel_queries_refused_total", "Queries that found the queue full.")
                .with(&[], counts.refused),
            Family::counter("kestrel_rows_returned_total", "Rows of the results of queries.")
                .with(&[], counts.returned_rows),
            Family::counter("kestrel_query_retries_total", "Queries that ran once more.")
                .with(&[], counts.retries),
            by_motion(
                Family::counter("kestrel_motion_rows_total", "Rows that motions carried."),
                |kind| counts.motions.of(kind).rows,
            ),
            by_motion(
                Family::counter("kestrel_motion_bytes_total", "Bytes that motions carried."),
                |kind| counts.motions.of(kind).bytes,
            ),
        ]
    }
}

/// All that a coordinator shows.
pub(crate) fn families(engine: &Engine) -> Vec<Family> {
    let mut families = engine.metrics.families();
    let errors = Family::counter("kestrel_errors_total", "Errors that clients were sent.");
    let errors = engine
        .clients
        .sent_errors()
        .into_iter()
        .fold(errors, |family, (code, count)| family.with(&[("sqlstate", code)], count));
    let queued = Family::gauge("kestrel_queries_queued", "Queries that wait to begin.");
    families.push(queued.with(&[], engine.admission.waiting() as u64));
    let sessions = Family::gauge("kestrel_sessions", "Clients that are connected.");
    let version = Family::gauge("kestrel_catalog_version", "Version of the catalog.");
    families.push(errors);
    families.push(sessions.with(&[], engine.clients.len() as u64));
    families.push(version.with(&[], engine.catalog.snapshot().version));
    families.extend(of_datanodes(&engine.cluster.datanode_states()));
    families.push(in_doubt(engine));
    families.extend(of_segments(&engine.catalog.snapshot()));
    families.extend(of_vacuum(engine.compaction.counts()));
    families.extend(of_plans(engine.plans.counts()));
    families.push(of_advice(engine));
    families
}

/// How many segments there are, and how many are the most.
fn of_segments(catalog: &Catalog) -> [Family; 2] {
    let most = |table: &Arc<TableDef>| {
        let mut on: BTreeMap<u32, u64> = BTreeMap::new();
        table.segments.iter().for_each(|s| *on.entry(s.datanode).or_default() += 1);
        on.into_values().max().unwrap_or_default()
    };
    let all = Family::gauge("kestrel_segments", "Segments of all tables.");
    let of_table = Family::gauge(
        "kestrel_segments_of_table_max",
        "The most segments that a datanode has of one table or partition.",
    );
    [
        all.with(&[], catalog.segments().count() as u64),
        of_table.with(&[], catalog.tables.values().map(most).max().unwrap_or_default()),
    ]
}

/// What VACUUM has done, and what is done without it.
fn of_vacuum(counts: CompactionCounts) -> [Family; 4] {
    let rounds = Family::counter("kestrel_vacuum_rounds_total", "Rounds of VACUUM.");
    let segments = "Segments that VACUUM has taken away, and written in their place.";
    let segments = Family::counter("kestrel_vacuum_segments_total", segments);
    let bytes = "Bytes of the files that VACUUM has taken away.";
    let rows = "Deleted rows that have gone with them.";
    [
        rounds
            .with(&[("outcome", "finished")], counts.finished)
            .with(&[("outcome", "given_up")], counts.given_up)
            .with(&[("outcome", "failed")], counts.failed),
        segments
            .with(&[("which", "old")], counts.old_segments)
            .with(&[("which", "new")], counts.new_segments),
        Family::counter("kestrel_vacuum_bytes_total", bytes).with(&[], counts.old_bytes),
        Family::counter("kestrel_vacuum_rows_removed_total", rows).with(&[], counts.removed_rows),
    ]
}

/// What of plans is kept, and used again.
fn of_plans(counts: PlanCacheCounts) -> [Family; 2] {
    let lookups = "Queries whose plan was kept, and those that were planned from their text on.";
    [
        Family::gauge("kestrel_plan_cache_plans", "Plans that are kept.").with(&[], counts.plans),
        Family::counter("kestrel_plan_cache_lookups_total", lookups)
            .with(&[("outcome", "hit")], counts.hits)
            .with(&[("outcome", "miss")], counts.misses),
    ]
}

/// What could have been better.
fn of_advice(engine: &Engine) -> Family {
    let family = Family::counter("kestrel_advice_total", "Statements that there was advice on.");
    let counts = engine.advice.log.counts().into_iter();
    counts.fold(family, |family, (kind, count)| family.with(&[("kind", kind)], count))
}

fn in_doubt(engine: &Engine) -> Family {
    let shards = &engine.cluster.shards;
    let limit = shards.settings.doubt_alarm;
    let old = shards.in_doubt().iter().filter(|doubt| doubt.prepared.age > limit).count();
    Family::gauge("kestrel_transactions_in_doubt", "Transactions that stay prepared in databases.")
        .with(&[], old as u64)
}

/// What the coordinator thinks of its datanodes.
fn of_datanodes(states: &[(DatanodeId, MemberState)]) -> [Family; 2] {
    let mut up = Family::gauge("kestrel_datanode_up", "1: queries may run on the datanode.");
    let mut state = Family::gauge("kestrel_datanode_state", "1: the state of the datanode.");
    for (id, current) in states {
        let name = id.name();
        up = up.with(&[("datanode", &name)], current.is_usable().into());
        for any in MemberState::ALL {
            let labels = [("datanode", name.as_str()), ("state", any.as_str())];
            state = state.with(&labels, (any == *current).into());
        }
    }
    [up, state]
}

fn by_motion(family: Family, value: impl Fn(MotionKind) -> u64) -> Family {
    MotionKind::ALL
        .into_iter()
        .fold(family, |family, kind| family.with(&[("motion", kind.as_str())], value(kind)))
}

#[cfg(test)]
mod tests {
    use kestrel_proto::metrics::text;

    use super::*;

    #[track_caller]
    fn check(text: &str, lines: &[&str]) {
        for line in lines {
            assert!(text.lines().any(|l| l == *line), "no line {line} in:\n{text}");
        }
    }

    #[test]
    fn a_query_is_counted_when_it_starts_and_when_it_ends() {
        let metrics = Metrics::default();
        check(
            &text(metrics.families()),
            &[
                "kestrel_queries_total{state=\"failed\"} 0",
                "kestrel_motion_rows_total{motion=\"broadcast\"} 0",
            ],
        );
        for _ in 0..3 {
            metrics.query_started();
        }
        let (ms, motions) = (Duration::from_millis, MotionTotals::default());
        metrics.query_ended(QueryState::Finished, ms(2), 7, &motions);
        metrics.query_ended(QueryState::Failed, ms(700), 1, &motions);
        metrics.query_retried();
        metrics.query_admitted(ms(2));
        metrics.query_refused();
        metrics.query_not_begun(QueryState::Canceled);
        check(
            &text(metrics.families()),
            &[
                "kestrel_queries_running 1",
                "kestrel_queries_total{state=\"finished\"} 1",
                "kestrel_queries_total{state=\"failed\"} 1",
                "kestrel_queries_total{state=\"canceled\"} 1",
                "kestrel_queries_refused_total 1",
                "kestrel_query_queue_seconds_count 1",
                "kestrel_rows_returned_total 8",
                "kestrel_query_retries_total 1",
                "kestrel_query_duration_seconds_bucket{le=\"0.0025\"} 1",
                "kestrel_query_duration_seconds_bucket{le=\"1\"} 2",
                "kestrel_query_duration_seconds_count 2",
            ],
        );
    }

    #[test]
    fn a_datanode_is_in_one_state() {
        let states = [(DatanodeId(0), MemberState::Suspect), (DatanodeId(1), MemberState::Down)];
        check(
            &text(of_datanodes(&states)),
            &[
                "kestrel_datanode_up{datanode=\"dn1\"} 1",
                "kestrel_datanode_up{datanode=\"dn2\"} 0",
                "kestrel_datanode_state{datanode=\"dn1\",state=\"suspect\"} 1",
                "kestrel_datanode_state{datanode=\"dn1\",state=\"down\"} 0",
                "kestrel_datanode_state{datanode=\"dn2\",state=\"down\"} 1",
            ],
        );
    }
}
