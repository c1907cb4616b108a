//! A result's rows on their way to the client.

use kestrel_planner::catalog::SqlType;
use pgwire::messages::data::{FieldDescription, RowDescription};

use super::clients::Running;
use super::connection::{Connection, FLUSH_BYTES};
use super::encode::{Format, RowEncoder};
use super::failure::Failure;
use crate::session::{OutputField, RowCursor, RowsTag};

/// What one call of [`send`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// How many rows.
    pub(super) rows: u64,
    /// Whether it stopped at its limit; else the rows have ended.
    pub(super) is_suspended: bool,
}

/// Sends rows as they come, at most `limit`. Asks for the next batch only when there is room for
/// it: a slow client slows the query. At its limit it does not look whether there is a next row
/// (nor does PostgreSQL).
pub(super) async fn send(
    connection: &mut Connection,
    running: &Running,
    cursor: &mut RowCursor,
    encoder: &RowEncoder,
    limit: Option<u64>,
) -> Result<Sent, Failure> {
    let mut rows = 0;
    loop {
        let left = limit.map_or(u64::MAX, |limit| limit.saturating_sub(rows));
        if left == 0 {
            return Ok(Sent { rows, is_suspended: true });
        }
        let Some(batch) = connection.attend(running, cursor.forward(left)).await?? else {
            return Ok(Sent { rows, is_suspended: false });
        };
        rows += batch.num_rows() as u64;
        let batch = encoder.prepare(&batch)?;
        let mut from = 0;
        while from < batch.len() {
            let count = batch.len() - from;
            from += encoder.encode(&batch, from, count, connection.output(), FLUSH_BYTES)?;
            if connection.is_full() {
                connection.flush(running).await?;
            }
        }
    }
}

/// The command tag of a statement that returned `rows` rows.
pub(super) fn command_tag(tag: &RowsTag, rows: u64) -> String {
    match tag {
        RowsTag::Counted(word) => format!("{word} {rows}"),
        RowsTag::Fixed(tag) => (*tag).to_string(),
        RowsTag::Changed(tag) => tag.clone(),
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
