//! What goes on beside the transactions: their tables are altered and vacuumed, others come and go.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{CONFLICTS, Round};
use crate::support::Session;

/// Between two changes: who alters a table keeps its writers waiting.
const PAUSE: Duration = Duration::from_millis(40);
/// Added columns that a table has at a time.
const COLUMNS: usize = 6;
/// There is no such statement, or not for such tables.
const UNKNOWN: [&str; 3] = ["0A000", "42601", "42809"];

impl Round {
    /// Until the round is over.
    pub(super) async fn disturb(self: Arc<Self>, session: Session) {
        session.rows("SET lock_timeout = '5s'").await;
        let tables = self.list_table_names();
        let mut added: Vec<(String, String)> = Vec::new();
        let mut has_vacuum = true;
        for step in 0.. {
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            let table = &tables[step / 4 % tables.len()];
            match step % 4 {
                0 => {
                    let column = format!("extra_{step}");
                    let add = format!("ALTER TABLE {table} ADD COLUMN {column} int DEFAULT {step}");
                    if self.change(&session, &add).await {
                        added.push((table.clone(), column));
                    }
                }
                1 if has_vacuum => {
                    let vacuum = format!("VACUUM {table}");
                    let answer = session.run(&vacuum).await;
                    match answer.sqlstate() {
                        Some(state) if UNKNOWN.contains(&state) => has_vacuum = false,
                        Some(state) if CONFLICTS.contains(&state) => {}
                        Some(_) => self.complain(format!("{vacuum}\n{answer}")),
                        None => {
                            self.disturbances.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
                2 => {
                    let (other, accounts) = (self.table("other"), self.table("accounts"));
                    let create = format!(
                        "CREATE TABLE {other} AS SELECT id, balance FROM {accounts} DISTRIBUTED BY (id)"
                    );
                    if self.change(&session, &create).await {
                        while !self.change(&session, &format!("DROP TABLE {other}")).await {}
                    }
                }
                _ if added.len() > COLUMNS => {
                    let (table, column) = added[0].clone();
                    let drop = format!("ALTER TABLE {table} DROP COLUMN {column}");
                    if self.change(&session, &drop).await {
                        added.remove(0);
                    }
                }
                _ => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether nothing was in its way.
    async fn change(&self, session: &Session, statement: &str) -> bool {
        let answer = session.run(statement).await;
        let Some(state) = answer.sqlstate() else {
            self.disturbances.fetch_add(1, Ordering::Relaxed);
            return true;
        };
        if !CONFLICTS.contains(&state) {
            self.complain(format!("{statement}\n{answer}"));
        }
        // What cannot be done at all is not tried for ever.
        !CONFLICTS.contains(&state)
    }
}
