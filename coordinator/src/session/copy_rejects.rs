//! The bad rows that a COPY leaves out (SEGMENT REJECT LIMIT): counted, kept if LOG ERRORS says so,
//! and told of at the end.

use chrono::{DateTime, Utc};
use kestrel_planner::copy::{ReadBlock, RejectLimit, Rejects, rejected_notice};
use kestrel_proto::{Result, message::FragmentReport};

use super::{NoticeSender, copy_write::CopyWriter};
use crate::engine::{CopyError, CopyErrors};

/// The file's name for what the client sends.
const STDIN: &str = "<stdin>";

/// What a COPY has left out.
pub(super) struct LeftOut {
    /// Of the client's rows.
    rejects: Rejects,
    /// By datanodes.
    rejected: u64,
    /// Where they are kept.
    errors: Option<CopyErrors>,
    table_id: u64,
    at: DateTime<Utc>,
    notices: Option<NoticeSender>,
}

impl LeftOut {
    /// Nothing yet; `errors`: where all COPYs keep them.
    pub(super) fn new(
        limit: RejectLimit,
        table_id: u64,
        errors: &CopyErrors,
        notices: Option<NoticeSender>,
    ) -> Self {
        Self {
            rejects: Rejects::new(limit),
            rejected: 0,
            errors: limit.is_logged.then(|| errors.clone()),
            table_id,
            at: Utc::now(),
            notices,
        }
    }

    fn keep(&self, (file, line): (&str, u64), message: &str, text: &str) {
        if let Some(errors) = &self.errors {
            errors.keep(CopyError {
                table_id: self.table_id,
                at: self.at,
                file: file.into(),
                line,
                message: message.into(),
                text: text.into(),
            });
        }
    }
}

impl CopyWriter {
    /// Takes what a block of the client's data has left out.
    ///
    /// # Errors
    /// 22P04: it is too much.
    pub(super) fn note_rejected(&mut self, read: &ReadBlock) -> Result<()> {
        let Some(left_out) = &mut self.left_out else { return Ok(()) };
        for row in &read.rejected {
            left_out.keep((STDIN, row.line), &row.message, &row.text);
        }
        self.load.has_rejected(read.rejected.len() as u64);
        left_out.rejects.note(read.records, &read.rejected)
    }

    /// Takes what a datanode has left out.
    pub(super) fn note_reported(&mut self, report: &FragmentReport) {
        let Some(left_out) = &mut self.left_out else { return };
        left_out.rejected += report.rejected_rows;
        self.load.has_rejected(report.rejected_rows);
        for row in &report.rejected {
            left_out.keep((&row.file, row.line), &row.message, &row.text);
        }
    }

    /// The rows are written: the client is told how many are not among them.
    pub(super) fn tell_of_rejected(&self) {
        let Some(left_out) = &self.left_out else { return };
        let rows = left_out.rejects.count() + left_out.rejected;
        if let Some(notices) = left_out.notices.as_ref().filter(|_| rows > 0) {
            notices.send(rejected_notice(rows));
        }
    }
}
