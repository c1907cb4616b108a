//! Rows that COPY has left out and kept (LOG ERRORS), as long as the coordinator runs.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

/// So many rows are kept of a table; then the oldest go.
const ROWS_MAX: usize = 10_000;
/// And so many bytes of them.
const BYTES_MAX: usize = 16 << 20;

/// By table. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct CopyErrors(Arc<Mutex<BTreeMap<u64, Kept>>>);

/// A table's, the oldest first.
#[derive(Debug, Default)]
struct Kept {
    rows: VecDeque<CopyError>,
    bytes: usize,
}

/// A row that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyError {
    /// The table's.
    pub table_id: u64,
    /// When the statement began.
    pub at: DateTime<Utc>,
    /// The file that it is in; `<stdin>`: the client has sent it.
    pub file: String,
    /// Its line there.
    pub line: u64,
    /// What is wrong with it.
    pub message: String,
    /// As it came.
    pub text: String,
}

impl CopyError {
    fn size(&self) -> usize {
        size_of::<Self>() + self.file.len() + self.message.len() + self.text.len()
    }
}

impl CopyErrors {
    /// Keeps a row.
    pub fn keep(&self, error: CopyError) {
        let mut tables = self.0.lock();
        let Kept { rows, bytes } = tables.entry(error.table_id).or_default();
        *bytes += error.size();
        rows.push_back(error);
        while rows.len() > ROWS_MAX || *bytes > BYTES_MAX {
            let Some(oldest) = rows.pop_front() else { break };
            *bytes = bytes.saturating_sub(oldest.size());
        }
    }

    /// All that are kept, the oldest of each table first.
    pub fn all(&self) -> Vec<CopyError> {
        self.0.lock().values().flat_map(|kept| &kept.rows).cloned().collect()
    }

    /// Forgets a table's.
    pub fn forget(&self, table_id: u64) {
        self.0.lock().remove(&table_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_rows_of_each_table_are_kept() {
        let errors = CopyErrors::default();
        let error = |table_id, line| CopyError {
            table_id,
            at: DateTime::UNIX_EPOCH,
            file: "<stdin>".into(),
            line,
            message: "m".into(),
            text: "t".into(),
        };
        errors.keep(error(2, 1));
        (0..=ROWS_MAX as u64).for_each(|line| errors.keep(error(1, line)));
        let all = errors.all();
        assert_eq!(all.len(), ROWS_MAX + 1);
        assert_eq!((all[0].line, all[ROWS_MAX].table_id), (1, 2));
        errors.forget(1);
        assert_eq!(errors.all(), [error(2, 1)]);
        let long = |line| CopyError { text: "x".repeat(BYTES_MAX / 3), ..error(3, line) };
        (0..5).for_each(|line| errors.keep(long(line)));
        let lines: Vec<_> = errors.all().iter().map(|error| (error.table_id, error.line)).collect();
        assert_eq!(lines, [(2, 1), (3, 3), (3, 4)]);
    }
}
