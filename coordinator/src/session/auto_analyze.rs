//! Analyzes tables that have changed much, without being asked: in sessions of its own, one table
//! after the other.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use kestrel_planner::catalog::{Catalog, CatalogChange, INITIAL_ROLE_ID};
use kestrel_proto::Result;
use tokio_util::sync::CancellationToken;

use super::{ClientSession, EngineBackend, statistics::Occasion};
use crate::{
    auto_analyze::{AutoAnalysis, Candidate, Decider, candidates},
    engine::Engine,
    server::{Backend, DATABASE, StartupInfo},
};

/// How often it looks for tables.
const INTERVAL: Duration = Duration::from_secs(60);
/// How long it waits for the lock of a table in databases.
const LOCK_TIMEOUT: &str = "10s";

/// Analyzes tables until `shutdown`.
pub async fn analyze_automatically(engine: Arc<Engine>, shutdown: CancellationToken) {
    let mut decider = Decider::default();
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        while let Some(candidate) = next(&engine, &mut decider) {
            let began = Instant::now();
            let analysis = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                analysis = analyze(&engine, candidate, &shutdown) => analysis,
            };
            let succeeded = analysis.as_ref().is_none_or(|analysis| analysis.error.is_none());
            decider.ended(candidate.table, (began, Instant::now()), succeeded);
            if let Some(analysis) = analysis {
                engine.auto_analyses.note(analysis);
            }
        }
    }
}

fn next(engine: &Engine, decider: &mut Decider) -> Option<Candidate> {
    let candidates = candidates(&engine.catalog.snapshot());
    decider.forget_all_but(&candidates);
    decider.next(&candidates, Instant::now())
}

/// What became of it; `None`: it is switched off, or the table is gone.
async fn analyze(
    engine: &Arc<Engine>,
    candidate: Candidate,
    shutdown: &CancellationToken,
) -> Option<AutoAnalysis> {
    let catalog = engine.catalog.snapshot();
    let table = catalog.table_by_id(candidate.table)?;
    let mut session = session(engine, &catalog).await?;
    if session.settings.get("kestrel.auto_analyze").as_deref() != Some("on") {
        return None;
    }
    let (started_at, started) = (Utc::now(), Instant::now());
    let done = session.analyze_unasked(candidate.table, shutdown.child_token()).await;
    if let Err(error) = &done {
        tracing::warn!(table = %table.name, %error, "a table was not analyzed");
    }
    Some(AutoAnalysis {
        schema: table.schema_name.clone(),
        table: table.name.clone(),
        started_at,
        duration_ms: i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX),
        changed_rows: candidate.changed_rows,
        error: done.err().map(|error| error.message),
    })
}

/// A session of the first role: what that has set holds for it.
async fn session(engine: &Arc<Engine>, catalog: &Catalog) -> Option<ClientSession> {
    let startup = StartupInfo {
        process_id: 0,
        peer: ([127, 0, 0, 1], 0).into(),
        user: catalog.role_by_id(INITIAL_ROLE_ID)?.name.clone(),
        database: DATABASE.into(),
        application_name: "auto-analyze".into(),
        parameters: Vec::new(),
    };
    match EngineBackend::new(Arc::clone(engine)).connect(startup).await {
        Ok(session) => Some(session),
        Err(error) => {
            tracing::warn!(%error, "tables cannot be analyzed automatically");
            None
        }
    }
}

impl ClientSession {
    /// Takes no lock of a table in segments: whoever changes it does not wait, and what is found out of a
    /// table that is emptied or dropped meanwhile is left.
    async fn analyze_unasked(&mut self, table: u64, cancel: CancellationToken) -> Result<()> {
        // It may wait and run for longer than what the role's users ask for.
        for (name, value) in [
            ("kestrel.query_priority", "low"),
            ("kestrel.queue_timeout", "0"),
            ("statement_timeout", "0"),
            // Others would not be analyzed meanwhile.
            ("lock_timeout", LOCK_TIMEOUT),
        ] {
            self.settings.set(name, &[value.to_string()])?;
        }
        self.cancel = cancel;
        let found = self.analyze_and_commit(table).await;
        let engine = Arc::clone(&self.engine);
        self.transaction.rollback(&engine).await;
        self.locks.end_session();
        engine.collect_garbage().await;
        found
    }

    async fn analyze_and_commit(&mut self, id: u64) -> Result<()> {
        let mut changes = self.analyze_where_it_is(id).await?;
        let view = self.transaction.view(&self.engine);
        let Some(table) = view.table_by_id(id).cloned() else { return Ok(()) };
        let statistics = self.statistics_of(&table, &[], &view, Occasion::Automatic).await?;
        let newest = self.engine.catalog.snapshot();
        if was_emptied(id, &view, &newest) || was_analyzed(id, &view, &newest) {
            return Ok(());
        }
        // Whatever is committed from here on: statistics of a table that is gone change nothing.
        changes.push(CatalogChange::SetStatistics(Box::new(statistics)));
        self.engine.catalog.commit(None, changes, Utc::now()).await.map(|_| ())
    }
}

impl ClientSession {
    /// A table in databases is locked as ANALYZE does: they would have whoever alters it wait for its readers,
    /// each database for itself. Then they analyze it; how large it is they think.
    async fn analyze_where_it_is(&mut self, id: u64) -> Result<Vec<CatalogChange>> {
        let view = self.transaction.view(&self.engine);
        let Some(table) = view.table_by_id(id).filter(|table| table.is_on_shards()) else {
            return Ok(Vec::new());
        };
        self.lock_for_maintenance(table).await?;
        // It may have been altered before, and what was counted is among what the databases have.
        self.engine.note_shard_rows().await;
        self.transaction.has_locked(&self.engine);
        let view = self.transaction.view(&self.engine);
        let Some(table) = view.table_by_id(id) else { return Ok(Vec::new()) };
        let sizes = self.analyze_in_databases(table, &[]).await?;
        self.transaction.follow(&self.engine, sizes.clone())?;
        Ok(sizes)
    }
}

/// Has somebody else found out about the table, or about some of its columns, meanwhile?
fn was_analyzed(table: u64, then: &Catalog, now: &Catalog) -> bool {
    match (then.statistics_of(table), now.statistics_of(table)) {
        (Some(then), Some(now)) => !Arc::ptr_eq(then, now),
        (None, None) => false,
        (Some(_), None) | (None, Some(_)) => true,
    }
}

/// Is the table gone, or has it none of the rows that were analyzed?
fn was_emptied(table: u64, then: &Catalog, now: &Catalog) -> bool {
    let Some(table_now) = now.table_by_id(table) else { return true };
    let parts = |catalog: &Catalog| -> HashSet<_> {
        let table = catalog.table_by_id(table);
        let parts = table.map_or_else(Vec::new, |table| catalog.leaves_of(table));
        let segments = parts.iter().flat_map(|part| &part.segments);
        segments.map(|s| (s.datanode, s.id)).collect()
    };
    let (before, after) = (parts(then), parts(now));
    let remain = !before.is_disjoint(&after);
    !before.is_empty() && !remain && now.live_rows(table_now) < then_rows(table, then) / 2
}

fn then_rows(table: u64, then: &Catalog) -> u64 {
    then.table_by_id(table).map_or(0, |table| then.live_rows(table))
}
