//! The last tables that were analyzed automatically.

use std::{collections::VecDeque, sync::Arc};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

/// How many are remembered.
const REMEMBERED: usize = 1000;

/// A table was analyzed automatically, or could not be.
#[derive(Clone, Debug)]
pub struct AutoAnalysis {
    /// The table's schema.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// When that began.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub duration_ms: i64,
    /// How many rows had changed.
    pub changed_rows: u64,
    /// Why it failed; `None`: it did not.
    pub error: Option<String>,
}

/// The last ones, oldest first. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct AutoAnalyses {
    last: Arc<Mutex<VecDeque<AutoAnalysis>>>,
}

impl AutoAnalyses {
    /// One more.
    pub fn note(&self, analysis: AutoAnalysis) {
        let mut last = self.last.lock();
        if last.len() == REMEMBERED {
            last.pop_front();
        }
        last.push_back(analysis);
    }

    /// Those that are remembered.
    pub fn all(&self) -> Vec<AutoAnalysis> {
        self.last.lock().iter().cloned().collect()
    }
}
