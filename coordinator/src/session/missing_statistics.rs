//! A warning that joins are not ordered by cost, because a table was never analyzed.

use kestrel_planner::{parse::quote, plan::Plan};
use kestrel_proto::{ErrorReport, SqlState};

use super::ClientSession;

impl ClientSession {
    /// Warns of the tables of a plan without which its joins could be ordered; of each once in a
    /// session.
    pub(super) fn warn_of_missing_statistics(&mut self, plan: &Plan) {
        let Some(notices) = &self.notices else { return };
        for table in &plan.unknown_tables {
            if self.warned_of.insert(table.clone()) {
                let name = format!("{}.{}", quote(&table.0), quote(&table.1));
                let message = format!("table \"{}\" has not been analyzed", table.1);
                let warning = ErrorReport::warning(SqlState::MISSING_STATISTICS, message)
                    .detail("Joins with it are made in the order in which they are written.")
                    .hint(format!("ANALYZE {name};"));
                notices.send(warning);
            }
        }
    }
}
