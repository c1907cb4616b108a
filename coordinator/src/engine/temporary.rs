//! The end of a session's temporary relations.

use chrono::Utc;
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::Engine;

/// How often the commit is tried while others commit before it.
const COMMIT_TRIES: usize = 100;

impl Engine {
    /// Drops all that is in a session's temporary schema, and the files of that. What a crash leaves
    /// is dropped at the next start, when the catalog is opened.
    pub async fn drop_temporary(&self, schema: &str) -> Result<()> {
        let mut last = None;
        for _ in 0..COMMIT_TRIES {
            let before = self.catalog.snapshot();
            let changes = before.drop_temporary(schema);
            if changes.is_empty() {
                return Ok(());
            }
            let version = Some(before.version);
            match self.catalog.commit(version, changes.clone(), Utc::now()).await {
                Ok(after) => {
                    self.garbage.note(&before, &changes, after.version);
                    self.collect_garbage().await;
                    return Ok(());
                }
                Err(error) if error.sqlstate == SqlState::SERIALIZATION_FAILURE => {
                    last = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| ErrorReport::internal("a commit was not tried")))
    }
}
