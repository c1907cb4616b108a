//! Transaction blocks: BEGIN, SET TRANSACTION, COMMIT and ROLLBACK (PostgreSQL's xact.c).

use kestrel_planner::parse::{IsolationLevel, SetTransaction, StatementKind, TransactionModes};
use kestrel_proto::{ErrorReport, Result, SqlState};
use tokio_util::sync::CancellationToken;

use super::{ClientSession, NoticeSender, Outcome};

impl ClientSession {
    /// BEGIN
    pub(super) fn begin(
        &mut self,
        modes: &TransactionModes,
        notices: &NoticeSender,
    ) -> Result<Outcome> {
        check_modes(modes)?;
        if !self.transaction.begin() {
            let message = "there is already a transaction in progress";
            notices.send(ErrorReport::warning(SqlState::ACTIVE_SQL_TRANSACTION, message));
        }
        self.set_modes(modes)?;
        Ok(Outcome::Done("BEGIN".into()))
    }

    /// SET TRANSACTION
    pub(super) fn set_transaction(
        &mut self,
        set: &SetTransaction,
        notices: &NoticeSender,
    ) -> Result<Outcome> {
        check_modes(&set.modes)?;
        if set.session {
            self.set_default_modes(&set.modes)?;
        } else if self.is_in_block() {
            self.set_modes(&set.modes)?;
        } else {
            let message = "SET TRANSACTION can only be used in transaction blocks";
            notices.send(ErrorReport::warning(SqlState::NO_ACTIVE_SQL_TRANSACTION, message));
        }
        Ok(Outcome::Done("SET".into()))
    }

    /// COMMIT and ROLLBACK. AND CHAIN begins the next transaction with the modes of this one. A
    /// block that has failed is rolled back by both.
    ///
    /// # Errors
    /// 25P01: AND CHAIN outside of a block. Those of the commit, after which no transaction begins.
    pub(super) async fn end_block(
        &mut self,
        kind: &StatementKind,
        notices: &NoticeSender,
        cancel: &CancellationToken,
    ) -> Result<Outcome> {
        let (asked, chains) = match kind {
            StatementKind::Commit { chain } => ("COMMIT", *chain),
            StatementKind::Rollback { chain } => ("ROLLBACK", *chain),
            _ => return Err(ErrorReport::internal("a statement that ends no transaction")),
        };
        if !self.transaction.in_block() {
            let no_block = SqlState::NO_ACTIVE_SQL_TRANSACTION;
            if chains {
                let message = format!("{asked} AND CHAIN can only be used in transaction blocks");
                return Err(ErrorReport::new(no_block, message));
            }
            notices.send(ErrorReport::warning(no_block, "there is no transaction in progress"));
        }
        let modes = chains.then(|| self.settings.transaction_modes());
        let tag = match asked {
            "COMMIT" if !self.transaction.has_failed() => {
                self.commit(cancel).await?;
                "COMMIT"
            }
            _ => {
                self.rollback().await;
                "ROLLBACK"
            }
        };
        if let Some(modes) = modes {
            self.transaction.begin();
            self.settings.set_transaction_modes(modes);
        }
        Ok(Outcome::Done(tag.into()))
    }
}

fn check_modes(modes: &TransactionModes) -> Result<()> {
    if modes.isolation == Some(IsolationLevel::Serializable) {
        return Err(ErrorReport::unsupported("isolation level SERIALIZABLE is not supported")
            .hint("Use REPEATABLE READ, which is snapshot isolation."));
    }
    Ok(())
}
