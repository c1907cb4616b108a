//! A result's rows on their way to the client.

use bytes::BytesMut;
use futures::StreamExt;
use kestrel_planner::catalog::SqlType;
use kestrel_proto::BatchStream;
use pgwire::messages::data::{FieldDescription, RowDescription};
use tokio_util::sync::CancellationToken;

use super::clients::Running;
use super::connection::{Connection, FLUSH_BYTES};
use super::encode::{EncodableRows, Format, RowEncoder};
use super::failure::Failure;
use crate::session::{OutputField, RowsTag};

/// A result that is being fetched: the stream, and what of its last batch is not sent yet.
pub(super) struct Cursor {
    /// How its command tag is made.
    pub(super) tag: RowsTag,
    /// What stops it.
    pub(super) cancel: CancellationToken,
    rows: BatchStream,
    encoder: RowEncoder,
    batch: Option<(EncodableRows, usize)>,
}

/// What one call of [`Cursor::send`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// How many rows.
    pub(super) rows: u64,
    /// Whether it stopped at its limit; else the rows have ended.
    pub(super) is_suspended: bool,
}

impl Cursor {
    /// Before the first row.
    pub(super) fn new(
        rows: BatchStream,
        encoder: RowEncoder,
        tag: RowsTag,
        cancel: CancellationToken,
    ) -> Self {
        Self { tag, cancel, rows, encoder, batch: None }
    }

    /// Sends rows as they come, at most `limit`. Asks for the next batch only when there is room
    /// for it: a slow client slows the query. At its limit it does not look whether there is a
    /// next row (nor does PostgreSQL).
    pub(super) async fn send(
        &mut self,
        connection: &mut Connection,
        running: &Running,
        limit: Option<u64>,
    ) -> Result<Sent, Failure> {
        let mut rows = 0;
        loop {
            let left = limit.map_or(u64::MAX, |limit| limit.saturating_sub(rows));
            if left == 0 {
                return Ok(Sent { rows, is_suspended: true });
            }
            if let Some((batch, from)) = &mut self.batch {
                if *from < batch.len() {
                    let count = usize::try_from(left).unwrap_or(usize::MAX);
                    let out: &mut BytesMut = connection.output();
                    let encoded = self.encoder.encode(batch, *from, count, out, FLUSH_BYTES)?;
                    *from += encoded;
                    rows += encoded as u64;
                    if connection.is_full() {
                        connection.flush(running).await?;
                    }
                    continue;
                }
                self.batch = None;
            }
            match connection.attend(running, self.rows.next()).await? {
                Some(batch) => self.batch = Some((self.encoder.prepare(&batch?)?, 0)),
                None => return Ok(Sent { rows, is_suspended: false }),
            }
        }
    }
}

/// The command tag of a statement that returned `rows` rows.
pub(super) fn command_tag(tag: &RowsTag, rows: u64) -> String {
    match tag {
        RowsTag::Counted(word) => format!("{word} {rows}"),
        RowsTag::Fixed(tag) => (*tag).to_string(),
    }
}

/// A column's type modifier. Each numeric has a precision and a scale here, and in PostgreSQL only
/// those of columns that were declared with them.
fn type_modifier(field: &OutputField) -> i32 {
    match field.sql_type {
        SqlType::Numeric(..) if field.table_oid == 0 => -1,
        sql_type => sql_type.typmod(),
    }
}

/// What the client is told of a result's columns.
pub(super) fn row_description(fields: &[OutputField], formats: &[Format]) -> RowDescription {
    let fields = fields.iter().zip(formats).map(|(field, format)| {
        FieldDescription::new(
            field.name.clone(),
            // An OID is unsigned; pgwire has the same 32 bits signed.
            field.table_oid as i32,
            field.column_number,
            field.sql_type.oid(),
            field.sql_type.typlen(),
            type_modifier(field),
            format.code(),
        )
    });
    RowDescription::new(fields.collect())
}
