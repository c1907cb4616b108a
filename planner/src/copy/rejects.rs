//! COPY's bad rows that are left out, as far as Greenplum's SEGMENT REJECT LIMIT goes.

use kestrel_proto::{ErrorReport, Result, SqlState};

/// So many rows are read before a part of them can be too many (Greenplum's
/// `gp_reject_percent_threshold`).
const PERCENT_FROM: u64 = 300;

/// So many bytes are kept of a row that was left out, and of what is wrong with it: either may be as long
/// as a record.
const KEPT_BYTES: usize = 8 << 10;

/// How many bad rows end the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectLimit {
    /// In this unit; reaching it ends the load.
    pub count: u32,
    /// Of what.
    pub unit: RejectUnit,
    /// LOG ERRORS: they are kept.
    pub is_logged: bool,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectUnit {
    /// ROWS
    Rows,
    /// PERCENT of the rows that have been read
    Percent,
}

/// A row that was left out: as much as is kept of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its line.
    pub line: u64,
    /// Which record of its block it is, counted from 1.
    pub record: u64,
    /// What is wrong with it.
    pub message: String,
    /// As it came; what is no text is shown as �.
    pub text: String,
}

impl Rejected {
    pub(super) fn new((line, record): (u64, u64), message: &str, text: &str) -> Self {
        let kept = |text: &str| text[..text.floor_char_boundary(KEPT_BYTES)].to_string();
        Self { line, record, message: kept(message), text: kept(text) }
    }

    /// What it takes, in bytes.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.message.len() + self.text.len()
    }
}

/// The rows of one reader, in their order.
#[derive(Clone, Debug)]
pub struct Rejects {
    limit: RejectLimit,
    records: u64,
    rejected: u64,
}

impl Rejects {
    /// Nothing has been read.
    pub fn new(limit: RejectLimit) -> Self {
        Self { limit, records: 0, rejected: 0 }
    }

    /// Takes the next block: how many records it had, and those that were left out.
    ///
    /// # Errors
    /// 22P04: they are too many.
    pub fn note(&mut self, records: u64, rejected: &[Rejected]) -> Result<()> {
        for row in rejected {
            self.rejected += 1;
            if self.are_too_many(self.records + row.record) {
                let message = "segment reject limit reached, aborting operation";
                return Err(ErrorReport::new(SqlState::BAD_COPY_FILE_FORMAT, message)
                    .detail(format!("Last error was: {}", row.message)));
            }
        }
        self.records += records;
        Ok(())
    }

    /// How many were left out.
    pub fn count(&self) -> u64 {
        self.rejected
    }

    fn are_too_many(&self, records: u64) -> bool {
        let count = u64::from(self.limit.count);
        match self.limit.unit {
            RejectUnit::Rows => self.rejected >= count,
            RejectUnit::Percent => records > PERCENT_FROM && self.rejected * 100 / records >= count,
        }
    }
}

/// What the client is told of rows that were left out.
pub fn rejected_notice(rows: u64) -> ErrorReport {
    let message = format!(
        "found {rows} data formatting errors ({rows} or more input rows), rejected related input data"
    );
    ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(records: &[u64]) -> Vec<Rejected> {
        let row = |record: &u64| Rejected::new((1, *record), &format!("row {record}"), "");
        records.iter().map(row).collect()
    }

    #[test]
    fn a_limit_that_is_reached_ends_the_load() {
        let limit = |count, unit| Rejects::new(RejectLimit { count, unit, is_logged: false });
        let mut rows = limit(3, RejectUnit::Rows);
        assert_eq!(rows.note(10, &rejected(&[2, 5])), Ok(()));
        assert_eq!(rows.count(), 2);
        let error = rows.note(10, &rejected(&[7])).unwrap_err();
        assert_eq!(error.message, "segment reject limit reached, aborting operation");
        assert_eq!(error.detail.as_deref(), Some("Last error was: row 7"));
        let mut percent = limit(10, RejectUnit::Percent);
        // Of few rows any part may be bad.
        assert_eq!(percent.note(300, &rejected(&(1..=30).collect::<Vec<_>>())), Ok(()));
        assert_eq!(percent.note(100, &rejected(&[50])), Ok(()));
        assert!(percent.note(100, &rejected(&(1..=20).collect::<Vec<_>>())).is_err());
    }

    #[test]
    fn of_long_rows_the_beginning_is_kept() {
        let long = "xé".repeat(KEPT_BYTES);
        let row = Rejected::new((1, 1), &long, &long);
        // A character that does not fit is left out.
        assert!((KEPT_BYTES - 1..=KEPT_BYTES).contains(&row.text.len()));
        assert!(long.starts_with(&row.text) && row.message == row.text);
        assert!(row.size() >= 2 * row.text.len());
    }
}
