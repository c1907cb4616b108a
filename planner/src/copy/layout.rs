//! Blocks of COPY's text or csv to batches of a table's columns.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::{Field, Schema, SchemaRef},
};
use kestrel_proto::{ErrorReport, Result};

use super::{
    Block, Places, RecordFormat, Rejected,
    place::{at_column, at_line, bad_format},
    records::{Record, Records, text_of},
    values::Values,
};
use crate::{
    catalog::ColumnDef,
    error::report,
    functions::{SessionFormats, read_texts},
};

/// What a column's FORCE options say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forced {
    /// FORCE_NOT_NULL: the null text that is not quoted is a text.
    pub not_null: bool,
    /// FORCE_NULL: the null text that is quoted is NULL.
    pub null: bool,
}

/// What the first line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// A row.
    None,
    /// Not looked at.
    Skip,
    /// The columns' names.
    Match,
}

/// What the data's records are.
#[derive(Clone, Debug)]
pub struct CopyLayout {
    /// The name of the table, for errors.
    pub table: String,
    /// Those of the table's columns that are there, in the data's order.
    pub columns: Vec<ColumnDef>,
    /// For each of them.
    pub forced: Vec<Forced>,
    /// How records are written.
    pub format: RecordFormat,
    /// What the first one is.
    pub header: Header,
    /// How the session reads values.
    pub formats: SessionFormats,
    /// Records that are wrong are left out, and told of; else the first one is the end.
    pub rejects: bool,
}

/// Rows, and where they came from.
#[derive(Debug)]
pub struct CopyBatch {
    /// Of the columns that the data has.
    pub rows: RecordBatch,
    /// For errors in a row.
    pub places: Places,
}

/// What a block says.
#[derive(Debug)]
pub struct ReadBlock {
    /// Its rows, if there are any; with a failure, those before that.
    pub batch: Option<CopyBatch>,
    /// How many records it has.
    pub records: u64,
    /// Those that were left out, in their order.
    pub rejected: Vec<Rejected>,
    /// What comes behind it.
    pub end: BlockEnd,
}

/// What comes behind a block's rows.
#[derive(Debug, PartialEq)]
pub enum BlockEnd {
    /// The next block.
    Open,
    /// Nothing: the end mark has come.
    Ended,
    /// Nothing: the first record or value is wrong, and this is what is wrong with it.
    Failed(ErrorReport),
}

impl CopyLayout {
    /// Reads a block.
    ///
    /// # Errors
    /// XX000: columns are of different lengths.
    pub fn read(&self, block: &Block) -> Result<ReadBlock> {
        let text = text_of(&block.bytes);
        let values = Values::new(&self.format, text);
        let places = Places::of_block(&self.table, block.bytes.clone());
        let mut reading = Reading {
            layout: self,
            values,
            places,
            records: 0,
            rows: Vec::new(),
            rejected: Vec::new(),
            end: BlockEnd::Open,
        };
        match &block.failure {
            Some(failure) => reading.end = BlockEnd::Failed(failure.clone()),
            None => reading.records(block, text),
        }
        reading.finish()
    }

    /// The columns, any of which may be NULL.
    fn schema(&self) -> SchemaRef {
        let fields = self.columns.iter().map(|c| Field::new(&c.name, c.sql_type.arrow(), true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// A block that is being read.
struct Reading<'a> {
    layout: &'a CopyLayout,
    /// As many for each row as there are columns.
    values: Values<'a>,
    places: Places,
    records: u64,
    /// Which records the rows are, where some may be left out.
    rows: Vec<u64>,
    rejected: Vec<Rejected>,
    end: BlockEnd,
}

impl Reading<'_> {
    fn records(&mut self, block: &Block, text: &str) {
        let layout = self.layout;
        let mut records = Records::new(&layout.table, &layout.format, block, text);
        let mut header = if block.is_first { layout.header } else { Header::None };
        loop {
            let known = self.values.len();
            let Some(record) = records.next(&mut self.values) else { break };
            let is_row = std::mem::replace(&mut header, Header::None);
            let Err(error) = self.take(&record, is_row) else { continue };
            self.values.truncate(known);
            if !layout.rejects || is_row != Header::None {
                self.end = BlockEnd::Failed(error);
                return;
            }
            let text = block.bytes.get(record.range).unwrap_or_default();
            let place = (record.line, self.records);
            let text = String::from_utf8_lossy(text);
            self.rejected.push(Rejected::new(place, &error.message, &text));
        }
        if records.have_ended() {
            self.end = BlockEnd::Ended;
        }
    }

    /// Takes a record whose values are the last ones.
    ///
    /// Errors: those of the record; 22P04: too few or too many values.
    fn take(&mut self, record: &Record<'_>, header: Header) -> Result<()> {
        self.records += u64::from(header == Header::None);
        let values = record.values.clone()?;
        let columns = &self.layout.columns;
        let (message, first) = match (header, values.len().cmp(&columns.len())) {
            (Header::None, std::cmp::Ordering::Equal) => {
                self.places.note_text(record.line, &record.range);
                if self.layout.rejects {
                    self.rows.push(self.records);
                }
                return Ok(());
            }
            (Header::None, std::cmp::Ordering::Less) => {
                let missing = &columns[values.len()].name;
                (Some(format!("missing data for column \"{missing}\"")), values.start)
            }
            (Header::None, std::cmp::Ordering::Greater) => {
                (Some("extra data after last expected column".into()), values.start)
            }
            (Header::Skip, _) => (None, values.start),
            (Header::Match, _) => (self.mismatch(values.start), values.start),
        };
        self.values.truncate(first);
        match message {
            Some(message) => {
                let place = at_line(&self.layout.table, record.line, record.text);
                Err(bad_format(message).context(place))
            }
            None => Ok(()),
        }
    }

    /// What is wrong with a header line of these values and those behind them, which must have the
    /// columns' names (HEADER MATCH).
    fn mismatch(&self, first: usize) -> Option<String> {
        let columns = &self.layout.columns;
        let (got, expected) = (self.values.len() - first, columns.len());
        if got != expected {
            return Some(format!(
                "wrong number of fields in header line: got {got}, expected {expected}"
            ));
        }
        columns.iter().enumerate().find_map(|(at, column)| {
            let got = match self.values.get(first + at) {
                Some(name) if name == column.name => return None,
                Some(name) => format!("\"{name}\""),
                None => format!("null value (\"{}\")", self.layout.format.null),
            };
            Some(format!(
                "column name mismatch in header line field {}: got {got}, expected \"{}\"",
                at + 1,
                column.name
            ))
        })
    }

    fn finish(mut self) -> Result<ReadBlock> {
        let arrays = match self.arrays() {
            Ok(arrays) => arrays,
            Err(_) if self.layout.rejects => {
                self.reject_rows();
                self.arrays().map_err(|(_, error)| error)?
            }
            Err((row, error)) => {
                // What is wrong further down is not the first.
                self.places.truncate(row);
                self.end = BlockEnd::Failed(error);
                self.arrays().map_err(|(_, error)| error)?
            }
        };
        let Self { records, rejected, end, .. } = self;
        if self.places.rows() == 0 {
            return Ok(ReadBlock { batch: None, records, rejected, end });
        }
        let rows = RecordBatch::try_new(self.layout.schema(), arrays);
        let rows = rows.map_err(|error| report(error.into()))?;
        let batch = Some(CopyBatch { rows, places: self.places });
        Ok(ReadBlock { batch, records, rejected, end })
    }

    /// Leaves the rows out that have a wrong value.
    fn reject_rows(&mut self) {
        let mut wrong: BTreeMap<usize, String> = BTreeMap::new();
        for (at, column) in self.layout.columns.iter().enumerate() {
            let read = |texts: Vec<Option<&str>>| {
                read_texts(texts.into_iter(), column.sql_type, self.layout.formats)
            };
            let rows = 0..self.places.rows();
            if read(rows.clone().map(|row| self.text(row, at)).collect()).is_ok() {
                continue;
            }
            for row in rows {
                if let Err(error) = read(vec![self.text(row, at)]) {
                    let message = format!("{}, column {}", error.message, column.name);
                    wrong.entry(row).or_insert(message);
                }
            }
        }
        let rejected = wrong.iter().map(|(row, message)| {
            let record = self.rows.get(*row).copied().unwrap_or_default();
            let place = (self.places.line(*row), record);
            Rejected::new(place, message, &self.places.text(*row))
        });
        self.rejected.extend(rejected);
        self.rejected.sort_by_key(|rejected| rejected.record);
        let is_kept = |row: usize| !wrong.contains_key(&row);
        self.values.retain_rows(self.layout.columns.len(), is_kept);
        self.places.retain(is_kept);
    }

    /// The values of all rows, column by column; or the first row with a wrong one, and what is wrong.
    fn arrays(&self) -> Result<Vec<ArrayRef>, (usize, ErrorReport)> {
        let mut arrays = Vec::with_capacity(self.layout.columns.len());
        let mut first: Option<(usize, ErrorReport)> = None;
        for (at, column) in self.layout.columns.iter().enumerate() {
            let rows = first.as_ref().map_or(self.places.rows(), |(row, _)| *row);
            let texts = (0..rows).map(|row| self.text(row, at));
            match read_texts(texts, column.sql_type, self.layout.formats) {
                Ok(array) => arrays.push(array),
                Err(error) => first = Some(self.locate(at, rows, error)),
            }
        }
        first.map_or(Ok(arrays), Err)
    }

    fn text(&self, row: usize, column: usize) -> Option<&str> {
        let layout = self.layout;
        let value = self.values.get(row * layout.columns.len() + column);
        let forced = layout.forced.get(column).copied().unwrap_or_default();
        match value {
            None if forced.not_null => Some(layout.format.null.as_str()),
            Some(value) if forced.null && value == layout.format.null => None,
            value => value,
        }
    }

    /// The first of so many rows whose value in a column cannot be read, with its line, column and
    /// text as the context.
    fn locate(&self, at: usize, rows: usize, error: ErrorReport) -> (usize, ErrorReport) {
        let layout = self.layout;
        let column = &layout.columns[at];
        for row in 0..rows {
            let text = self.text(row, at);
            let read = read_texts([text].into_iter(), column.sql_type, layout.formats);
            if let Err(error) = read {
                let line = self.places.line(row);
                let context = at_column(&layout.table, line, &column.name, text);
                return (row, error.context(context));
            }
        }
        (0, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{catalog::SqlType, copy::Blocks};

    fn read(rejects: bool, data: &str) -> ReadBlock {
        let column = |name: &str, sql_type| ColumnDef {
            id: 1,
            name: name.into(),
            sql_type,
            not_null: false,
            default: None,
            identity: None,
        };
        let layout = CopyLayout {
            table: "t".into(),
            columns: vec![column("a", SqlType::Integer), column("b", SqlType::Date)],
            forced: vec![Forced::default(); 2],
            format: RecordFormat {
                csv: true,
                delimiter: b',',
                null: String::new(),
                quote: b'"',
                escape: b'"',
            },
            header: Header::Skip,
            formats: SessionFormats::default(),
            rejects,
        };
        let mut blocks = Blocks::new("t", &layout.format);
        blocks.push(data.as_bytes());
        layout.read(&blocks.finish()).unwrap()
    }

    const DATA: &str = "a,b\n1,\nx,y\n2\n3,2020-01-01\n4,2020-13-01\n\"5\",\n";

    #[test]
    fn the_first_wrong_value_is_told_wherever_it_is() {
        let ReadBlock { batch, end, .. } = read(false, DATA);
        assert_eq!(batch.map(|batch| batch.rows.num_rows()), Some(1));
        let BlockEnd::Failed(error) = end else { panic!("{end:?}") };
        assert_eq!(error.message, "invalid input syntax for type integer: \"x\"");
        assert_eq!(error.context.as_deref(), Some("COPY t, line 3, column a: \"x\""));
    }

    #[test]
    fn wrong_rows_are_left_out() {
        let ReadBlock { batch, records, rejected, end } = read(true, DATA);
        assert_eq!((end, records), (BlockEnd::Open, 6));
        let rejected: Vec<_> = rejected
            .iter()
            .map(|row| format!("{} {} {} [{}]", row.line, row.record, row.message, row.text))
            .collect();
        let expected = [
            "3 2 invalid input syntax for type integer: \"x\", column a [x,y]",
            "4 3 missing data for column \"b\" [2]",
            "6 5 date/time field value out of range: \"2020-13-01\", column b [4,2020-13-01]",
        ];
        assert_eq!(rejected, expected);
        let batch = batch.unwrap();
        let expected: ArrayRef = Arc::new(arrow::array::Int32Array::from(vec![1, 3, 5]));
        assert_eq!(batch.rows.column(0), &expected);
        assert_eq!(batch.places.context(2), "COPY t, line 7: \"\"5\",\"");
    }
}
