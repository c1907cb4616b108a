//! SAVEPOINT, RELEASE and ROLLBACK TO: places in a transaction block that it can go back to
//! (PostgreSQL's `DefineSavepoint` and its like, xact.c). Databases have them, too, by their places
//! in the list.

use std::collections::BTreeSet;

use kestrel_planner::parse::SavepointCommand;
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{ClientSession, settings::SetSoFar, transaction::Progress};

/// The savepoints of a transaction block, oldest first.
pub(super) type Savepoints = Vec<Savepoint>;

/// A place in a transaction block.
#[derive(Debug)]
pub(super) struct Savepoint {
    name: String,
    progress: Progress,
    settings: SetSoFar,
    /// The sequences that the transaction had made or restarted.
    sequences: BTreeSet<u64>,
    /// How many portals had been opened.
    pub(super) portals: u64,
}

impl ClientSession {
    /// Runs one of the three; its tag.
    ///
    /// # Errors
    /// 25P01 outside of a transaction block, 3B001: there is no savepoint of this name.
    pub(super) async fn savepoint(&mut self, command: &SavepointCommand) -> Result<&'static str> {
        let tag = match command {
            SavepointCommand::Define(_) => "SAVEPOINT",
            SavepointCommand::Release(_) => "RELEASE SAVEPOINT",
            SavepointCommand::RollbackTo(_) => "ROLLBACK TO SAVEPOINT",
        };
        if !self.transaction.in_block() {
            return Err(ErrorReport::new(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                format!("{tag} can only be used in transaction blocks"),
            ));
        }
        match command {
            SavepointCommand::Define(name) => {
                self.savepoint_on_shards("SAVEPOINT", self.savepoints.len()).await?;
                self.savepoints.push(Savepoint {
                    name: name.clone(),
                    progress: self.transaction.progress(),
                    settings: self.settings.so_far(),
                    sequences: self.sequences.own(),
                    portals: self.portals.opened(),
                });
            }
            SavepointCommand::Release(name) => {
                let at = find(&self.savepoints, name)?;
                self.savepoint_on_shards("RELEASE SAVEPOINT", at).await?;
                self.savepoints.truncate(at);
            }
            SavepointCommand::RollbackTo(name) => {
                let at = find(&self.savepoints, name)?;
                self.savepoint_on_shards("ROLLBACK TO SAVEPOINT", at).await?;
                self.savepoints.truncate(at + 1);
                if let Some(savepoint) = self.savepoints.last() {
                    self.portals.end_since(savepoint.portals);
                    self.settings.go_back(&savepoint.settings);
                    self.sequences.go_back(&savepoint.sequences);
                    self.transaction.go_back(&self.engine, &savepoint.progress).await;
                }
            }
        }
        // RELEASE and ROLLBACK are the whole of their tags.
        Ok(tag.split(' ').next().unwrap_or(tag))
    }
}

/// The newest of this name.
fn find(savepoints: &[Savepoint], name: &str) -> Result<usize> {
    savepoints.iter().rposition(|savepoint| savepoint.name == name).ok_or_else(|| {
        ErrorReport::new(
            SqlState::INVALID_SAVEPOINT_SPECIFICATION,
            format!("savepoint \"{name}\" does not exist"),
        )
    })
}
