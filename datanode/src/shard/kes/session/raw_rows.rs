//! Rows as the server sends them, for those who decode them themselves.

use bytes::BytesMut;
use kestrel_proto::{ErrorReport, Result};

use super::{
    query::{Column, columns, misplaced_copy},
    session::{Answer, Phase, Session},
};

/// Rows of one statement.
#[derive(Debug, Default)]
pub struct RawRows {
    /// Their columns.
    pub columns: Vec<Column>,
    /// One row after the other: the number of its fields in 16 bits, and of each field its length in
    /// 32 (-1: NULL) and its bytes. A row of binary COPY data is the same.
    pub data: BytesMut,
    /// How many rows there are.
    pub rows: usize,
}

impl RawRows {
    /// The bytes of the first row's first field; `None`: there is none, or it is NULL.
    pub fn first_value(&self) -> Option<&[u8]> {
        let (length, rest) = self.data.get(2..)?.split_first_chunk()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
        rest.get(..length)
    }
}

impl Session {
    /// Runs statements of which at most one gives rows: those of a `BINARY` cursor, for example. The
    /// statements bound how many bytes come.
    ///
    /// # Errors
    /// The first error; 0A000 for COPY.
    pub async fn query_raw(&mut self, sql: &str) -> Result<RawRows> {
        self.send(sql).await?;
        let (mut found, mut failed) = (RawRows::default(), None::<ErrorReport>);
        loop {
            match self.answer().await? {
                Answer::Ready => return failed.map_or(Ok(found), Err),
                Answer::Columns(body) => match columns(&body) {
                    Ok(columns) => found.columns = columns,
                    Err(malformed) => {
                        self.phase = Phase::Closed;
                        return Err(self.malformed(malformed));
                    }
                },
                // After an error they are of no use.
                Answer::Row(body) if failed.is_none() => {
                    found.data.extend_from_slice(&(found.columns.len() as u16).to_be_bytes());
                    found.data.extend_from_slice(body.buffer());
                    found.rows += 1;
                }
                Answer::Failed(report) => {
                    failed.get_or_insert(report);
                }
                Answer::CopyIn => {
                    failed.get_or_insert_with(misplaced_copy);
                    self.send_copy_fail("COPY is not expected here").await?;
                }
                Answer::CopyOut => {
                    failed.get_or_insert_with(misplaced_copy);
                }
                Answer::Row(_) | Answer::Complete(_) | Answer::CopyData(_) | Answer::CopyDone => {}
            }
        }
    }
}
