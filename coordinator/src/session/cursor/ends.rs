//! What the end of a transaction does to cursors: most of them end, those WITH HOLD get their rows
//! first (PostgreSQL's `PreCommit_Portals`).

use kestrel_proto::Result;
use tokio_util::sync::CancellationToken;

use super::super::ClientSession;
use crate::server::{PortalState, SharedCursor};

impl ClientSession {
    /// Makes the transaction durable and visible, or undoes it when that fails.
    pub(in super::super) async fn commit(&mut self, cancel: &CancellationToken) -> Result<()> {
        let held = match self.hold_cursors(cancel).await {
            Ok(held) => held,
            Err(error) => {
                self.rollback().await;
                return Err(error);
            }
        };
        self.savepoints.clear();
        let committed = self.commit_work().await;
        for name in &held {
            match &committed {
                Ok(()) => self.mark_held(name),
                Err(_) => drop(self.portals.remove(name)),
            }
        }
        self.portals.end_transaction();
        match &committed {
            Ok(()) => {
                self.settings.commit();
                self.sequences.commit();
            }
            Err(_) => {
                self.settings.rollback();
                self.sequences.rollback();
            }
        }
        self.locks.end_transaction();
        committed
    }

    /// Commits what the transaction did, and what its end does: to temporary tables, and to the
    /// sequences that it has made.
    async fn commit_work(&mut self) -> Result<()> {
        let schema = self.temporary_schema();
        let mut ended = self.transaction.end_temporary(&self.engine, &schema);
        if ended.is_ok() && self.sequences.has_own() {
            let changes = self.sequences.changes(&self.transaction.view(&self.engine));
            ended = self.transaction.follow(&self.engine, changes);
        }
        if ended.is_err() {
            self.transaction.rollback(&self.engine).await;
            return ended;
        }
        self.transaction.commit(&self.engine, &self.locks).await
    }

    /// Undoes the transaction.
    pub(in super::super) async fn rollback(&mut self) {
        self.savepoints.clear();
        self.portals.end_transaction();
        self.settings.rollback();
        self.sequences.rollback();
        self.transaction.rollback(&self.engine).await;
        self.locks.end_transaction();
    }

    /// Reads the rows of the cursors that are to outlive the transaction; their names.
    async fn hold_cursors(&mut self, cancel: &CancellationToken) -> Result<Vec<String>> {
        let holdable = self.portals.iter().filter_map(|(name, portal)| match &portal.state {
            PortalState::Open { rows, .. }
                if portal.traits.is_holdable && !portal.traits.is_held =>
            {
                Some((name.to_string(), SharedCursor::clone(rows)))
            }
            _ => None,
        });
        let holdable: Vec<_> = holdable.collect();
        let mut names = Vec::with_capacity(holdable.len());
        for (name, rows) in holdable {
            let room = self.cursor_room(&name);
            let hold = async { rows.lock().await.hold(room).await };
            self.within(cancel, hold).await?;
            names.push(name);
        }
        Ok(names)
    }

    fn mark_held(&mut self, name: &str) {
        if let Some(portal) = self.portals.get_mut(name) {
            portal.traits.is_held = true;
        }
    }
}
