//! Statements whose answers are small: rows as text, a command tag, how many rows it touched.

use std::ops::Range;

use fallible_iterator::FallibleIterator;
use kestrel_proto::{ErrorReport, Result, SqlState};
use postgres_protocol::message::{
    backend::{DataRowBody, RowDescriptionBody},
    frontend,
};

use super::session::{Answer, Phase, Session};

/// What counts for a value besides its bytes.
const VALUE_BYTES: usize = size_of::<Option<String>>();

/// A row: each value as text, `None` for NULL.
pub type Row = Vec<Option<String>>;

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type's OID: on every server the same for a built-in type, unlike the type's name.
    pub type_oid: u32,
    /// Its type's modifier, -1: none.
    pub type_modifier: i32,
}

/// The answer to one statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatementResult {
    /// The columns; none for a statement that gives no rows.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Row>,
    /// The command tag, such as `INSERT 0 3`; empty for an empty statement.
    pub tag: String,
}

impl StatementResult {
    /// How many rows the statement gave, took or touched, as its tag says.
    pub fn affected_rows(&self) -> Option<u64> {
        affected_rows(&self.tag)
    }

    /// The value of an answer that has one row of one column.
    pub fn single_value(&self) -> Option<&str> {
        match self.rows.as_slice() {
            [row] => row.first()?.as_deref(),
            _ => None,
        }
    }
}

/// The number at the end of a command tag.
pub(super) fn affected_rows(tag: &str) -> Option<u64> {
    tag.rsplit(' ').next()?.parse().ok()
}

impl Session {
    /// Runs one or more statements, separated by semicolons, and gives the answer to each. Several
    /// are one transaction, unless they say otherwise.
    ///
    /// # Errors
    /// The first error; 54000 when the answers are larger than the settings allow. 0A000 for COPY,
    /// which has methods of its own.
    pub async fn query_all(&mut self, sql: &str) -> Result<Vec<StatementResult>> {
        self.send(sql).await?;
        let mut collected = Collected::new(self.connector.settings().result_bytes_max);
        loop {
            match self.answer().await? {
                Answer::Ready => return collected.finish(),
                Answer::CopyIn => {
                    collected.fail(misplaced_copy());
                    self.send_copy_fail("COPY is not expected here").await?;
                }
                answer => {
                    if let Err(malformed) = collected.take(answer) {
                        self.phase = Phase::Closed;
                        return Err(self.malformed(malformed));
                    }
                    // The rest is not read for nothing: whoever uses the session next cancels.
                    if collected.is_too_large() {
                        return Err(collected.too_large());
                    }
                }
            }
        }
    }

    /// Runs a statement, or several of which the last one's answer is wanted.
    ///
    /// # Errors
    /// As [`Self::query_all`].
    pub async fn query(&mut self, sql: &str) -> Result<StatementResult> {
        Ok(self.query_all(sql).await?.pop().unwrap_or_default())
    }

    /// Runs a statement for its effect, and gives how many rows it touched; 0 for one that does not
    /// touch rows.
    ///
    /// # Errors
    /// As [`Self::query_all`].
    pub async fn execute(&mut self, sql: &str) -> Result<u64> {
        Ok(self.query(sql).await?.affected_rows().unwrap_or_default())
    }

    /// Ends the server's wait for COPY data.
    pub(super) async fn send_copy_fail(&mut self, why: &str) -> Result<()> {
        self.queue_copy_fail(why);
        self.flush().await
    }

    /// See [`Self::send_copy_fail`].
    pub(super) fn queue_copy_fail(&mut self, why: &str) {
        let why = why.replace('\0', " ");
        // Fails for a byte 0 only.
        let _ = frontend::copy_fail(&why, self.wire.outgoing());
        self.phase = Phase::Busy { wants_copy_data: false };
    }
}

/// COPY where rows or nothing was expected.
pub(super) fn misplaced_copy() -> ErrorReport {
    ErrorReport::unsupported("COPY among statements for a shard's database")
}

/// The answers so far.
struct Collected {
    results: Vec<StatementResult>,
    current: StatementResult,
    error: Option<ErrorReport>,
    bytes: usize,
    bytes_max: usize,
}

impl Collected {
    fn new(bytes_max: usize) -> Self {
        let current = StatementResult::default();
        Self { results: vec![], current, error: None, bytes: 0, bytes_max }
    }

    /// Takes what is not `Ready` or `CopyIn`. `Err`: a message that makes no sense.
    fn take(&mut self, answer: Answer) -> Result<(), String> {
        match answer {
            Answer::Columns(body) => self.current.columns = columns(&body)?,
            Answer::Row(body) => {
                let (row, bytes) = row(&body)?;
                self.bytes += bytes;
                match row {
                    // After an error they are of no use.
                    Ok(row) if self.error.is_none() => self.current.rows.push(row),
                    Ok(_) => {}
                    Err(report) => self.fail(report),
                }
            }
            Answer::Complete(tag) => {
                self.bytes += size_of::<StatementResult>() + tag.len();
                self.current.tag = tag;
                self.results.push(std::mem::take(&mut self.current));
            }
            Answer::Failed(report) => self.fail(report),
            Answer::CopyOut => self.fail(misplaced_copy()),
            Answer::CopyData(_) | Answer::CopyDone | Answer::CopyIn | Answer::Ready => {}
        }
        Ok(())
    }

    /// The first error counts.
    fn fail(&mut self, report: ErrorReport) {
        self.error.get_or_insert(report);
    }

    fn is_too_large(&self) -> bool {
        self.bytes > self.bytes_max
    }

    fn too_large(&self) -> ErrorReport {
        let message = "the answer of a shard's database is too large";
        ErrorReport::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
            .detail(format!("It has more than {} bytes.", self.bytes_max))
    }

    fn finish(self) -> Result<Vec<StatementResult>> {
        self.error.map_or(Ok(self.results), Err)
    }
}

fn columns(body: &RowDescriptionBody) -> Result<Vec<Column>, String> {
    let columns = body.fields().map(|field| {
        let (name, type_oid) = (field.name().to_string(), field.type_oid());
        Ok(Column { name, type_oid, type_modifier: field.type_modifier() })
    });
    columns.collect().map_err(|error| error.to_string())
}

/// A row, and the bytes that it takes. Text that is not UTF-8 is an error of the statement.
fn row(body: &DataRowBody) -> Result<(Result<Row>, usize), String> {
    let ranges: Vec<_> = body.ranges().collect().map_err(|error| error.to_string())?;
    let bytes = body.buffer().len() + size_of::<Row>() + ranges.len() * VALUE_BYTES;
    let value = |range: Option<Range<usize>>| -> Result<Option<String>> {
        let Some(range) = range else { return Ok(None) };
        let value = body.buffer().get(range).unwrap_or_default();
        let text = std::str::from_utf8(value).map_err(|_| {
            let message = "a value of the shard's database is not valid UTF-8";
            ErrorReport::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message)
        })?;
        Ok(Some(text.to_string()))
    };
    Ok((ranges.into_iter().map(value).collect(), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_end_with_the_rows() {
        for (tag, rows) in [
            ("INSERT 0 3", Some(3)),
            ("SELECT 0", Some(0)),
            ("COPY 18446744073709551615", Some(u64::MAX)),
            ("UPDATE 12", Some(12)),
            ("CREATE TABLE", None),
            ("BEGIN", None),
            ("", None),
            ("PREPARE TRANSACTION", None),
        ] {
            assert_eq!(affected_rows(tag), rows, "{tag}");
        }
    }
}
