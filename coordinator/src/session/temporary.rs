//! A session's temporary relations: their schema comes first on its search path, and goes with the
//! session. They are in the durable catalog, under that schema, so that they commit, roll back, and
//! keep their files, as any others do; the next start drops what a crash has left.

use std::sync::Arc;

use kestrel_planner::catalog::temporary_schema;
use kestrel_proto::{ErrorReport, Result};
use tokio::task::JoinError;

use super::ClientSession;

impl ClientSession {
    /// The schema of the session's temporary relations, which may not be there yet.
    pub(super) fn temporary_schema(&self) -> String {
        temporary_schema(self.startup.process_id)
    }

    /// DISCARD TEMP: drops all temporary relations, whichever of its roles made them, in the
    /// transaction.
    pub(super) async fn discard_temporary(&mut self) -> Result<()> {
        let schema = self.temporary_schema();
        if !self.transaction.view(&self.engine).schemas.contains_key(&schema) {
            return Ok(());
        }
        self.lock_ddl().await?;
        let changes = self.transaction.view(&self.engine).drop_temporary(&schema);
        self.transaction.follow(&self.engine, changes)
    }

    /// The session ends: so do its temporary relations. That goes on when nobody waits for it.
    pub(super) async fn end_temporary(&mut self) {
        let schema = self.temporary_schema();
        if !self.engine.catalog.snapshot().schemas.contains_key(&schema) {
            return;
        }
        let engine = Arc::clone(&self.engine);
        let dropped = tokio::spawn(async move { engine.drop_temporary(&schema).await });
        let lost = |error: JoinError| Err(ErrorReport::internal(format!("{error}")));
        if let Err(error) = dropped.await.unwrap_or_else(lost) {
            tracing::warn!(%error, "temporary tables remain until the next start");
        }
    }
}
