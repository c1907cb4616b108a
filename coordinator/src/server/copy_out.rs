//! `COPY … TO STDOUT` and `BACKUP`: rows and bytes to the client as COPY data, in either protocol.

use futures::StreamExt;
use kestrel_planner::functions::SessionFormats;
use kestrel_proto::ByteStream;
use pgwire::messages::copy::{CopyData, CopyDone, CopyOutResponse};

use super::clients::Running;
use super::connection::{Connection, FLUSH_BYTES};
use super::encode::CopyEncoder;
use super::failure::Failure;
use crate::copy::CopyForm;
use crate::session::CopyOut;

/// Sends all rows; the command tag. The next batch is asked for only when the one before has been
/// written: a slow client slows the query, and no result is ever held as a whole.
pub(super) async fn copy_out(
    connection: &mut Connection,
    running: &Running,
    copy: CopyOut,
    style: SessionFormats,
) -> Result<String, Failure> {
    let CopyOut { fields, mut rows, form, header } = copy;
    let is_binary = form == CopyForm::Binary;
    let columns = i16::try_from(fields.len()).unwrap_or(i16::MAX);
    let formats = vec![i16::from(is_binary); usize::from(columns.unsigned_abs())];
    connection.put(&CopyOutResponse::new(i8::from(is_binary), columns, formats));
    let mut encoder = CopyEncoder::new(&fields, form, style);
    encoder.begin(header, connection.output());
    let mut sent = 0;
    while let Some(batch) = connection.attend(running, rows.next()).await? {
        let batch = encoder.prepare(&batch?)?;
        let mut from = 0;
        while from < batch.len() {
            from += encoder.encode(&batch, from, connection.output(), FLUSH_BYTES)?;
            if connection.is_full() {
                connection.flush(running).await?;
            }
        }
        sent += batch.len() as u64;
    }
    encoder.end(connection.output());
    connection.put(&CopyDone::new());
    Ok(format!("COPY {sent}"))
}

/// Sends all bytes; the command tag. A slow client slows the reading.
pub(super) async fn bytes_out(
    connection: &mut Connection,
    running: &Running,
    mut bytes: ByteStream,
) -> Result<String, Failure> {
    connection.put(&CopyOutResponse::new(1, 0, Vec::new()));
    while let Some(piece) = connection.attend(running, bytes.next()).await? {
        connection.put(&CopyData::new(piece?));
        if connection.is_full() {
            connection.flush(running).await?;
        }
    }
    connection.put(&CopyDone::new());
    Ok("BACKUP".to_string())
}
