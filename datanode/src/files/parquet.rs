//! Rows of Parquet files: row groups are read side by side.

use std::{fs::File, path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::{Field, Schema, TimeUnit},
    error::ArrowError,
};
use datafusion::datasource::physical_plan::parquet::Int96Coercer;
use futures::stream::{BoxStream, StreamExt};
use kestrel_planner::{
    copy::{CopyParser, FilePart, FileScan},
    functions::assign_values,
};
use kestrel_proto::{ErrorReport, Result, SqlState};
use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{
        ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
        ParquetRecordBatchReaderBuilder,
    },
};

use super::{Take, from_thread, open::open, threads};
use crate::error::report;

/// Rows of a batch.
const BATCH_ROWS: usize = 8192;

/// A row group of a file.
struct Group {
    /// The file's part, by its position among those that are read here.
    part: usize,
    metadata: ArrowReaderMetadata,
    index: usize,
}

/// The rows of all parts of a scan.
pub(super) fn read(scan: Arc<FileScan>) -> BoxStream<'static, Result<RecordBatch>> {
    let listing = Arc::clone(&scan);
    let groups = from_thread(move |take| {
        for (at, (_, part)) in listing.parts.iter().enumerate() {
            if !groups(&listing.parser, (at, part), take)? {
                break;
            }
        }
        Ok(())
    });
    let rows = groups.map(move |group| {
        let scan = Arc::clone(&scan);
        from_thread(move |take| read_group(&scan, &group?, take))
    });
    rows.flatten_unordered(threads()).boxed()
}

/// Gives the row groups that begin in a part; `false`: nobody wants more.
fn groups(
    parser: &CopyParser,
    (at, part): (usize, &FilePart),
    take: Take<'_, Group>,
) -> Result<bool> {
    if part.length == 0 {
        return Err(damaged(part, "it is empty"));
    }
    let metadata = load(&open(part)?).map_err(|error| damaged(part, error))?;
    roots(parser, part, metadata.schema())?;
    for (index, group) in metadata.metadata().row_groups().iter().enumerate() {
        let begin = group.columns().iter().map(|column| column.byte_range().0).min();
        if begin.is_some_and(|begin| (part.start..part.end).contains(&begin))
            && !take(Group { part: at, metadata: metadata.clone(), index })
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What the file says of itself. Its INT96 timestamps, which are those of Spark and Hive, are read in
/// microseconds: in nanoseconds, which is what they are in the file, those before 1677 and after 2262
/// would silently become others.
fn load(file: &File) -> parquet::errors::Result<ArrowReaderMetadata> {
    let metadata = ArrowReaderMetadata::load(file, ArrowReaderOptions::default())?;
    let schema = metadata.metadata().file_metadata().schema_descr();
    match Int96Coercer::new(schema, metadata.schema(), &TimeUnit::Microsecond).coerce() {
        Some(schema) => {
            let options = ArrowReaderOptions::default().with_schema(Arc::new(schema));
            ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options)
        }
        None => Ok(metadata),
    }
}

/// Where in the file the columns are that are read.
///
/// Errors: 42703: it has not all of them.
fn roots(parser: &CopyParser, part: &FilePart, schema: &Schema) -> Result<Vec<usize>> {
    let place = |name: &String| {
        schema.index_of(name).map_err(|_| {
            let message = format!("column \"{name}\" is not in file \"{}\"", part.path);
            ErrorReport::new(SqlState::UNDEFINED_COLUMN, message)
                .hint("Name the columns that the file has: COPY table (column, ...) FROM ...")
        })
    };
    parser.layout.columns.iter().map(|column| place(&column.name)).collect()
}

fn read_group(scan: &FileScan, group: &Group, take: Take<'_, RecordBatch>) -> Result<()> {
    let part = &scan.parts[group.part].1;
    for batch in open_group(scan, group)? {
        let batch = batch.map_err(|error| of_reading(part, error))?;
        if !take(rows(&scan.parser, part, &batch)?) {
            break;
        }
    }
    Ok(())
}

fn open_group(scan: &FileScan, group: &Group) -> Result<ParquetRecordBatchReader> {
    let part = &scan.parts[group.part].1;
    let metadata = group.metadata.clone();
    let roots = roots(&scan.parser, part, metadata.schema())?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(open(part)?, metadata);
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    builder
        .with_row_groups(vec![group.index])
        .with_projection(mask)
        .with_batch_size(BATCH_ROWS)
        .build()
        .map_err(|error| damaged(part, error))
}

/// The rows as the table's.
fn rows(parser: &CopyParser, part: &FilePart, batch: &RecordBatch) -> Result<RecordBatch> {
    let layout = &parser.layout;
    let in_column = |error: ErrorReport, name: &str| {
        let place = format!("COPY {}, column {name}, file \"{}\"", layout.table, part.path);
        error.context(place)
    };
    let columns = layout.columns.iter().map(|column| {
        let values = batch
            .column_by_name(&column.name)
            .ok_or_else(|| ErrorReport::internal("a column of a file was not read"))?;
        assign_values(values, column.sql_type, layout.formats)
            .map_err(|error| in_column(error, &column.name))
    });
    let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
    let fields = layout.columns.iter().zip(&columns);
    let fields = fields.map(|(c, values)| Field::new(&c.name, values.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let rows = RecordBatch::try_new(schema, columns).map_err(|error| report(error.into()))?;
    let rows = parser.shape.widen(&rows)?;
    if !parser.is_last {
        return Ok(rows);
    }
    parser.shape.conform(&rows, |_| format!("COPY {}, file \"{}\"", layout.table, part.path))
}

fn of_reading(part: &FilePart, error: ArrowError) -> ErrorReport {
    match error {
        ArrowError::ParquetError(message) => damaged(part, message),
        error => report(error.into()),
    }
}

/// 22P04
fn damaged(part: &FilePart, error: impl std::fmt::Display) -> ErrorReport {
    let name = Path::new(&part.path).display();
    let message = format!("could not read Parquet file \"{name}\": {error}");
    ErrorReport::new(SqlState::BAD_COPY_FILE_FORMAT, message)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use arrow::{
        array::{Int64Array, StringArray, TimestampMicrosecondArray},
        datatypes::DataType,
    };
    use kestrel_planner::{catalog::SqlType, copy::FileKind};
    use parquet::{
        arrow::ArrowWriter,
        data_type::{Int96, Int96Type},
        file::{properties::WriterProperties, writer::SerializedFileWriter},
        schema::parser::parse_message_type,
    };

    use super::{super::test_scan::scan, *};

    async fn count(part: FilePart) -> Result<usize> {
        count_of(scan(part, FileKind::Parquet, SqlType::Integer)).await
    }

    async fn count_of(scan: FileScan) -> Result<usize> {
        let batches: Vec<_> = read(Arc::new(scan)).collect().await;
        let rows = batches.into_iter().map(|batch| batch.map(|batch| batch.num_rows()));
        rows.sum()
    }

    #[tokio::test]
    async fn each_row_group_is_read_once_wherever_the_file_is_cut() {
        let directory = tempfile::tempdir().unwrap();
        let path = fs::canonicalize(directory.path()).unwrap().join("a.parquet");
        let schema = Arc::new(Schema::new(vec![
            Field::new("a", DataType::Utf8, true),
            Field::new("b", DataType::Int64, true),
        ]));
        let values = Int64Array::from_iter_values(0..1000);
        let texts = StringArray::from_iter_values((0..1000).map(|n| n.to_string()));
        let batch =
            RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(texts), Arc::new(values)]);
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(300));
        let file = fs::File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new(file, schema, Some(properties.build())).unwrap();
        writer.write(&batch.unwrap()).unwrap();
        writer.close().unwrap();
        let length = fs::metadata(&path).unwrap().len();
        let part =
            |start, end| FilePart { path: path.to_string_lossy().into_owned(), start, end, length };
        assert_eq!(count(part(0, length)).await, Ok(1000));
        for cut in (0..length).step_by(97) {
            let left = count(part(0, cut)).await.unwrap();
            let right = count(part(cut, length)).await.unwrap();
            assert_eq!(left + right, 1000, "cut at {cut}");
            assert!(left % 300 == 0 || left == 1000, "cut at {cut}");
        }
        let mut other = scan(part(0, length), FileKind::Parquet, SqlType::Integer);
        other.parser.layout.columns[0].name = "c".into();
        let missing = count_of(other).await.map_err(|error| error.sqlstate);
        assert_eq!(missing, Err(SqlState::UNDEFINED_COLUMN));
    }

    #[tokio::test]
    async fn int96_timestamps_may_be_of_any_year() {
        let directory = tempfile::tempdir().unwrap();
        let path = fs::canonicalize(directory.path()).unwrap().join("a.parquet");
        let schema = Arc::new(parse_message_type("message m { REQUIRED INT96 b; }").unwrap());
        let file = fs::File::create(&path).unwrap();
        let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        // Nanoseconds, and the Julian days of 9999-12-31 and 1500-01-01.
        let values = [(5_000, 5_373_484), (0, 2_268_924)].map(|(nanos, day)| {
            let mut value = Int96::new();
            value.set_data(nanos, 0, day);
            value
        });
        column.typed::<Int96Type>().write_batch(&values, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        let length = fs::metadata(&path).unwrap().len();
        let part =
            FilePart { path: path.to_string_lossy().into_owned(), start: 0, end: length, length };
        let batches: Vec<_> =
            read(Arc::new(scan(part, FileKind::Parquet, SqlType::Timestamp))).collect().await;
        let [Ok(batch)] = batches.as_slice() else { panic!("{batches:?}") };
        let expected: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![
            253_402_214_400_000_005,
            -14_831_769_600_000_000,
        ]));
        assert_eq!(batch.column(0), &expected);
    }
}
