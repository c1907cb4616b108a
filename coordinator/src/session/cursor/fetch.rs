//! FETCH, MOVE and CLOSE.

use std::time::Instant;

use arrow::array::RecordBatch;
use futures::stream;
use kestrel_planner::parse::Fetch;
use kestrel_proto::{BatchStream, Result};
use tokio_util::sync::CancellationToken;

use super::{
    super::{ClientSession, Outcome, OutputField, RowsTag},
    declare::{cannot_be_run, unknown_cursor},
    rows::RowCursor,
    steps::{Last, Step, Steps, steps},
};
use crate::{
    query::{canceled, until},
    server::{PortalState, Session, SharedCursor},
};

impl ClientSession {
    /// FETCH, MOVE.
    ///
    /// # Errors
    /// 34000: there is no such cursor. 55000: it would have to go back and cannot.
    pub(in super::super) async fn fetch(
        &mut self,
        fetch: &Fetch,
        cancel: CancellationToken,
    ) -> Result<Outcome> {
        self.open_portal(&fetch.name).await?;
        let (cursor, fields) = self.fetched_portal(&fetch.name)?;
        let deadline = self.deadline();
        let mut rows = cursor.lock().await;
        let Steps { skipped, last } = steps(fetch, rows.place());
        let skipped = async {
            for step in skipped {
                pass(&mut rows, step).await?;
            }
            match last {
                Last::Go(step) if fetch.only_moves => pass(&mut rows, step).await,
                Last::Go(_) => Ok(0),
                Last::Say(passed) => Ok(passed),
            }
        };
        let passed = self.within(&cancel, skipped).await?;
        drop(rows);
        match last {
            Last::Go(step) if !fetch.only_moves => {
                let rows = Fetched { cursor, step, deadline }.into_stream();
                Ok(Outcome::Rows { fields, rows, tag: RowsTag::Counted("FETCH") })
            }
            _ => Ok(Outcome::Done(format!("MOVE {passed}"))),
        }
    }

    /// CLOSE; `None`: all.
    pub(in super::super) fn close_cursor(&mut self, name: Option<&str>) -> Result<Outcome> {
        let tag = match name {
            None => {
                self.portals.clear();
                "CLOSE CURSOR ALL"
            }
            Some(name) => {
                self.portals.remove(name).ok_or_else(|| unknown_cursor(name))?;
                "CLOSE CURSOR"
            }
        };
        Ok(Outcome::Done(tag.into()))
    }

    /// What a FETCH of this cursor gives; `None`: there is no such cursor.
    pub(in super::super) fn cursor_fields(&self, name: &str) -> Option<Vec<OutputField>> {
        self.portals.get(name)?.fields.clone()
    }

    fn fetched_portal(&self, name: &str) -> Result<(SharedCursor, Vec<OutputField>)> {
        let portal = self.portals.get(name).ok_or_else(|| unknown_cursor(name))?;
        match &portal.state {
            PortalState::Open { rows, .. } => {
                Ok((SharedCursor::clone(rows), portal.fields.clone().unwrap_or_default()))
            }
            PortalState::Bound | PortalState::Finished => Err(cannot_be_run(name)),
        }
    }

    /// Waits for `work`, unless it is cancelled or takes longer than a statement may.
    pub(super) async fn within<T>(
        &self,
        cancel: &CancellationToken,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(canceled("user request")),
            () = until(self.deadline()) => Err(canceled("statement timeout")),
            done = work => done,
        }
    }
}

/// Makes a movement; how many rows it went over.
async fn pass(cursor: &mut RowCursor, step: Step) -> Result<u64> {
    let mut passed = 0;
    while let Some(left) = left_of(step, passed) {
        let batch = match left {
            Step::Rewind => {
                cursor.rewind()?;
                break;
            }
            Step::Forward(left) => cursor.forward(left).await?,
            Step::Backward(left) => cursor.backward(left)?,
        };
        match batch {
            Some(batch) => passed += batch.num_rows() as u64,
            None => break,
        }
    }
    Ok(passed)
}

/// What is left of a movement after so many rows; `None`: nothing. One of no rows at all is tried
/// all the same: going back may be impossible.
fn left_of(step: Step, passed: u64) -> Option<Step> {
    let left = |count: u64| (passed == 0 || count > passed).then(|| count - passed);
    match step {
        Step::Rewind => Some(step),
        Step::Forward(count) => left(count).map(Step::Forward),
        Step::Backward(count) => left(count).map(Step::Backward),
    }
}

/// The rows of a FETCH on their way to the client. The cursor is not locked between them.
struct Fetched {
    cursor: SharedCursor,
    /// What is left to do.
    step: Step,
    deadline: Option<Instant>,
}

impl Fetched {
    fn into_stream(self) -> BatchStream {
        let fetched = (self, 0);
        Box::pin(stream::unfold(fetched, async |(fetched, given)| {
            let batch = fetched.next(given).await.transpose()?;
            let rows = batch.as_ref().map_or(0, RecordBatch::num_rows);
            Some((batch, (fetched, given + rows as u64)))
        }))
    }

    async fn next(&self, given: u64) -> Result<Option<RecordBatch>> {
        let Some(left) = left_of(self.step, given) else { return Ok(None) };
        let mut cursor = self.cursor.lock().await;
        let rows = async {
            match left {
                Step::Rewind => cursor.rewind().map(|()| None),
                Step::Forward(left) => cursor.forward(left).await,
                Step::Backward(left) => cursor.backward(left),
            }
        };
        tokio::select! {
            biased;
            () = until(self.deadline) => Err(canceled("statement timeout")),
            rows = rows => rows,
        }
    }
}
