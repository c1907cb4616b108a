//! Rows of `COPY … TO STDOUT` as CopyData messages, one for each row (PostgreSQL's
//! `src/backend/commands/copyto.c`).

use arrow::array::RecordBatch;
use bytes::{BufMut, BytesMut};
use kestrel_planner::copy::BINARY_SIGNATURE;
use kestrel_proto::Result;

use super::{Column, EncodableRows, Format, RowEncoder, SessionFormats, begin, end};
use crate::copy::CopyForm;
use crate::session::OutputField;

/// Messages with COPY data.
const COPY_DATA: u8 = b'd';

/// Writes the rows of one COPY.
pub struct CopyEncoder {
    rows: RowEncoder,
    form: CopyForm,
    /// The bytes that a value of text or csv does not show as they are.
    special: [bool; 256],
    /// Binary: the header goes into the first message.
    header_is_due: bool,
    /// For a value that is written anew, with escapes.
    plain: Vec<u8>,
}

impl CopyEncoder {
    /// For these columns.
    pub fn new(fields: &[OutputField], form: CopyForm, style: SessionFormats) -> Self {
        let format = match form {
            CopyForm::Binary => Format::Binary,
            CopyForm::Text { .. } | CopyForm::Csv { .. } => Format::Text,
        };
        let mut special = [false; 256];
        let bytes: &[u8] = match &form {
            CopyForm::Text { delimiter, .. } => &[8, 9, 10, 11, 12, 13, b'\\', *delimiter],
            CopyForm::Csv { delimiter, quote, .. } => &[b'\n', b'\r', *delimiter, *quote],
            CopyForm::Binary => &[],
        };
        bytes.iter().for_each(|byte| special[usize::from(*byte)] = true);
        Self {
            rows: RowEncoder::new(fields, &vec![format; fields.len()], style),
            header_is_due: form == CopyForm::Binary,
            form,
            special,
            plain: Vec::new(),
        }
    }

    /// Brings a batch into the form of the columns' types.
    ///
    /// # Errors
    /// As [`RowEncoder::prepare`].
    pub fn prepare(&self, batch: &RecordBatch) -> Result<EncodableRows> {
        self.rows.prepare(batch)
    }

    /// Before the first row: the columns' names, if they are wanted.
    pub fn begin(&mut self, names_are_wanted: bool, out: &mut BytesMut) {
        if !names_are_wanted || self.form == CopyForm::Binary {
            return;
        }
        let message = begin(COPY_DATA, out);
        let columns = self.rows.columns.len();
        for (at, (field, _)) in self.rows.columns.iter().enumerate() {
            put_delimiter(&self.form, at, out);
            let start = out.len();
            out.put_slice(field.name.as_bytes());
            let place = Place { start, is_forced: false, is_alone: columns == 1 };
            self.form.finish_value(&self.special, &mut self.plain, &place, out);
        }
        out.put_u8(b'\n');
        // Names are short: the message is not too long.
        let _ = end(message, out);
    }

    /// Appends rows from row `from` on, and stops when `out` has grown to `until_bytes`. Returns
    /// how many rows it wrote, at least one.
    ///
    /// # Errors
    /// 54000: a row is longer than a message can be.
    pub fn encode(
        &mut self,
        rows: &EncodableRows,
        from: usize,
        out: &mut BytesMut,
        until_bytes: usize,
    ) -> Result<usize> {
        let columns = self.rows.downcast(rows)?;
        let style = self.rows.style;
        for row in from..rows.len() {
            let message = begin(COPY_DATA, out);
            if self.form == CopyForm::Binary {
                if std::mem::take(&mut self.header_is_due) {
                    put_header(out);
                }
                super::put_fields(&columns, row, &style, out);
            } else {
                self.put_line(&columns, row, &style, out);
            }
            end(message, out)?;
            if out.len() >= until_bytes {
                return Ok(row + 1 - from);
            }
        }
        Ok(rows.len() - from)
    }

    /// After the last row: binary data says that it ends.
    pub fn end(&mut self, out: &mut BytesMut) {
        if self.form != CopyForm::Binary {
            return;
        }
        let message = begin(COPY_DATA, out);
        if std::mem::take(&mut self.header_is_due) {
            put_header(out);
        }
        out.put_i16(-1);
        // It has 21 bytes at most.
        let _ = end(message, out);
    }

    fn put_line(
        &mut self,
        columns: &[Column<'_>],
        row: usize,
        style: &SessionFormats,
        out: &mut BytesMut,
    ) {
        let Self { form, special, plain, .. } = self;
        for (at, column) in columns.iter().enumerate() {
            put_delimiter(form, at, out);
            if column.is_null(row) {
                out.put_slice(form.null());
                continue;
            }
            let start = out.len();
            super::text::put(&column.values, row, style, out);
            let place =
                Place { start, is_forced: form.forces_quotes(at), is_alone: columns.len() == 1 };
            form.finish_value(special, plain, &place, out);
        }
        out.put_u8(b'\n');
    }
}

/// Where a value stands that was written as it is.
struct Place {
    start: usize,
    /// It is quoted in any case.
    is_forced: bool,
    /// It is the only one of its line.
    is_alone: bool,
}

impl CopyForm {
    fn null(&self) -> &[u8] {
        match self {
            Self::Text { null, .. } | Self::Csv { null, .. } => null.as_bytes(),
            Self::Binary => &[],
        }
    }

    fn forces_quotes(&self, column: usize) -> bool {
        match self {
            Self::Csv { force_quote, .. } => force_quote.get(column).is_some_and(|forced| *forced),
            Self::Text { .. } | Self::Binary => false,
        }
    }

    /// Adds the escapes and quotes that the value at the end of `out` needs.
    fn finish_value(
        &self,
        special: &[bool; 256],
        plain: &mut Vec<u8>,
        place: &Place,
        out: &mut BytesMut,
    ) {
        let value = &out[place.start..];
        let first = value.iter().position(|byte| special[usize::from(*byte)]);
        match self {
            Self::Text { .. } => {
                let Some(first) = first.map(|at| place.start + at) else { return };
                plain.clear();
                plain.extend_from_slice(&out[first..]);
                out.truncate(first);
                for byte in plain.iter() {
                    if special[usize::from(*byte)] {
                        out.put_u8(b'\\');
                    }
                    out.put_u8(escape_letter(*byte));
                }
            }
            Self::Csv { null, quote, escape, .. } => {
                let is_quoted = place.is_forced
                    || first.is_some()
                    || value == null.as_bytes()
                    // Alone on its line it would be read as the end of the data.
                    || (place.is_alone && value == b"\\.");
                if !is_quoted {
                    return;
                }
                plain.clear();
                plain.extend_from_slice(value);
                out.truncate(place.start);
                out.put_u8(*quote);
                for byte in plain.iter() {
                    if byte == quote || byte == escape {
                        out.put_u8(*escape);
                    }
                    out.put_u8(*byte);
                }
                out.put_u8(*quote);
            }
            Self::Binary => {}
        }
    }
}

fn put_delimiter(form: &CopyForm, column: usize, out: &mut BytesMut) {
    match form {
        CopyForm::Text { delimiter, .. } | CopyForm::Csv { delimiter, .. } if column > 0 => {
            out.put_u8(*delimiter);
        }
        CopyForm::Text { .. } | CopyForm::Csv { .. } | CopyForm::Binary => {}
    }
}

/// What stands behind the backslash.
fn escape_letter(byte: u8) -> u8 {
    match byte {
        8 => b'b',
        9 => b't',
        10 => b'n',
        11 => b'v',
        12 => b'f',
        13 => b'r',
        other => other,
    }
}

/// The signature, no flags, and no bytes of extension.
fn put_header(out: &mut BytesMut) {
    out.put_slice(BINARY_SIGNATURE);
    out.put_i32(0);
    out.put_i32(0);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int32Array, StringViewArray};
    use kestrel_planner::catalog::SqlType;

    use super::*;

    /// A row of texts as COPY data, without its framing.
    fn copy_text(form: CopyForm, header: bool, values: &[Option<&str>]) -> String {
        let field = |_| OutputField {
            name: "a b,c".into(),
            sql_type: SqlType::Text,
            table_oid: 0,
            column_number: 0,
        };
        let fields: Vec<OutputField> = values.iter().map(field).collect();
        let mut encoder = CopyEncoder::new(&fields, form, SessionFormats::default());
        let columns = values.iter().enumerate();
        let columns = columns.map(|(at, value)| {
            (format!("c{at}"), Arc::new(StringViewArray::from(vec![*value])) as ArrayRef)
        });
        let rows = encoder.prepare(&RecordBatch::try_from_iter(columns).unwrap()).unwrap();
        let mut out = BytesMut::new();
        encoder.begin(header, &mut out);
        assert_eq!(encoder.encode(&rows, 0, &mut out, usize::MAX).unwrap(), 1);
        encoder.end(&mut out);
        let mut text = String::new();
        while !out.is_empty() {
            assert_eq!(out[0], b'd');
            let length = i32::from_be_bytes(out[1..5].try_into().unwrap()) as usize;
            text.push_str(std::str::from_utf8(&out[5..=length]).unwrap());
            bytes::Buf::advance(&mut out, length + 1);
        }
        text
    }

    #[test]
    fn copy_as_text_and_csv() {
        // As PostgreSQL 15 writes them.
        let text = |delimiter, null: &str| CopyForm::Text { delimiter, null: null.into() };
        let tabs = text(b'\t', "\\N");
        for (form, values, expected) in [
            (
                &tabs,
                &[Some("a\tb\\c\n\u{8}\u{b}\u{c}\r\u{1}"), None][..],
                "a\\tb\\\\c\\n\\b\\v\\f\\r\u{1}\t\\N\n",
            ),
            (
                &text(b'-', "none"),
                &[Some("2020-01-01"), Some("none"), None],
                "2020\\-01\\-01-none-none\n",
            ),
            (&tabs, &[Some("\\N"), Some("")], "\\\\N\t\n"),
        ] {
            assert_eq!(copy_text(form.clone(), false, values), expected);
        }
        let csv = |delimiter, null: &str, quote, escape, force_quote| CopyForm::Csv {
            delimiter,
            null: null.into(),
            quote,
            escape,
            force_quote,
        };
        let plain = csv(b',', "", b'"', b'"', vec![]);
        let forced = csv(b',', "", b'\'', b'\\', vec![true, true, false]);
        for (form, values, expected) in [
            (
                &plain,
                &[Some(""), None, Some("a,b"), Some("a\"b"), Some("a\nb"), Some("a b")][..],
                "\"\",,\"a,b\",\"a\"\"b\",\"a\nb\",a b\n",
            ),
            (&forced, &[Some("a'b\\"), None, Some("x")], "'a\\'b\\\\',,x\n"),
            (&plain, &[Some("\\.")], "\"\\.\"\n"),
            (&plain, &[Some("\\."), Some("1")], "\\.,1\n"),
            (&csv(b',', "none", b'"', b'"', vec![]), &[Some("none"), None], "\"none\",none\n"),
            (&csv(b'-', "", b'"', b'"', vec![]), &[Some("-1"), Some("2")], "\"-1\"-2\n"),
        ] {
            assert_eq!(copy_text(form.clone(), false, values), expected);
        }
        assert_eq!(copy_text(plain, true, &[Some("x")]), "\"a b,c\"\nx\n");
        assert_eq!(copy_text(tabs, true, &[Some("x")]), "a b,c\nx\n");
    }

    #[test]
    fn copy_as_binary() {
        let fields = [OutputField {
            name: "c".into(),
            sql_type: SqlType::Integer,
            table_oid: 0,
            column_number: 0,
        }];
        let mut encoder = CopyEncoder::new(&fields, CopyForm::Binary, SessionFormats::default());
        let array: ArrayRef = Arc::new(Int32Array::from(vec![Some(7), None]));
        let rows = encoder.prepare(&RecordBatch::try_from_iter([("c", array)]).unwrap()).unwrap();
        let mut out = BytesMut::new();
        encoder.begin(true, &mut out);
        encoder.encode(&rows, 0, &mut out, usize::MAX).unwrap();
        encoder.end(&mut out);
        // The header goes with the first row: clients look for it there.
        let first = b"d\0\0\0\x21PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x04\0\0\0\x07";
        let rest = b"d\0\0\0\x0a\0\x01\xff\xff\xff\xffd\0\0\0\x06\xff\xff";
        assert_eq!(out, [&first[..], &rest[..]].concat());
        // Without rows it goes with the end.
        let mut encoder = CopyEncoder::new(&fields, CopyForm::Binary, SessionFormats::default());
        let mut out = BytesMut::new();
        encoder.end(&mut out);
        assert_eq!(out.len(), 5 + 19 + 2);
    }
}
