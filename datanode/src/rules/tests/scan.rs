//! A scan over batches in memory, with raw forms, bounds and codebooks.

use std::{collections::HashMap, fmt, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Int16Array,
        Int32Array, Int64Array, RecordBatch, StringViewArray, UInt16Array,
    },
    datatypes::{
        DataType, Date32Type, Decimal128Type, Field, Int16Type, Int32Type, Int64Type, Schema,
        SchemaRef,
    },
};
use datafusion::{
    error::Result,
    execution::TaskContext,
    physical_expr::{EquivalenceProperties, Partitioning},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
        execution_plan::{Boundedness, EmissionType},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::stream;
use parking_lot::Mutex;

use super::Random;
use crate::rules::raw_scan::{Codebook, Raw, RawOutput, RawScan, RowCount};

#[derive(Debug)]
pub(super) struct TestScan {
    partitions: Vec<Vec<RecordBatch>>,
    /// Whether it knows the bounds of its columns.
    bounds: bool,
    properties: Arc<PlanProperties>,
}

/// What a random table is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) seed: u64,
    pub(super) partitions: usize,
    /// Of each partition.
    pub(super) batches: usize,
    /// Of each batch, at most.
    pub(super) rows: u64,
    /// Of ten values so many are NULL.
    pub(super) nulls: u64,
    /// Different values of a key.
    pub(super) keys: u64,
    /// The greatest price, unscaled.
    pub(super) price: i64,
    pub(super) bounds: bool,
}

pub(super) const SHAPE: Shape = Shape {
    seed: 1,
    partitions: 2,
    batches: 3,
    rows: 5000,
    nulls: 1,
    keys: 3,
    price: 10_494_950,
    bounds: true,
};

pub(super) fn schema() -> SchemaRef {
    let decimal = |precision| DataType::Decimal128(precision, 2);
    let fields = [
        ("flag", DataType::Utf8View),
        ("status", DataType::Utf8View),
        ("done", DataType::Boolean),
        ("size", DataType::Int16),
        ("day", DataType::Date32),
        ("qty", decimal(15)),
        ("price", decimal(15)),
        ("disc", decimal(15)),
        ("tax", decimal(15)),
        ("wide", decimal(30)),
        ("n", DataType::Int32),
        ("big", DataType::Int64),
    ];
    Arc::new(Schema::new(fields.map(|(name, t)| Field::new(name, t, true)).to_vec()))
}

/// A random table.
pub(super) fn table(shape: Shape) -> Arc<dyn ExecutionPlan> {
    let mut random = Random::new(shape.seed);
    let mut partition =
        || -> Vec<RecordBatch> { (0..shape.batches).map(|_| batch(&mut random, shape)).collect() };
    let partitions = (0..shape.partitions).map(|_| partition()).collect();
    Arc::new(TestScan::new(schema(), partitions, shape.bounds))
}

fn batch(random: &mut Random, shape: Shape) -> RecordBatch {
    let rows = random.below(shape.rows + 1) as usize;
    let mut integers = |least, greatest| -> Vec<Option<i64>> {
        let mut value =
            || (random.below(10) >= shape.nulls).then(|| random.between(least, greatest));
        (0..rows).map(|_| value()).collect()
    };
    let keys = shape.keys as i64 - 1;
    let mut strings = |prefix: &str| -> ArrayRef {
        let keys = integers(0, keys);
        let text = |key: Option<i64>| key.map(|key| format!("{prefix}{key}"));
        Arc::new(keys.into_iter().map(text).collect::<StringViewArray>())
    };
    let (flag, status) = (strings("a rather long flag "), strings("s"));
    let done: BooleanArray = integers(0, 1).into_iter().map(|v| v.map(|v| v == 1)).collect();
    let size: Int16Array =
        integers(-3, keys - 3).into_iter().map(|v| v.map(|v| v as i16)).collect();
    let day: Date32Array =
        integers(8000, 8000 + keys).into_iter().map(|v| v.map(|v| v as i32)).collect();
    let mut decimals = |precision, least, greatest| -> ArrayRef {
        let values = integers(least, greatest).into_iter().map(|v| v.map(i128::from));
        let array: Decimal128Array = values.collect();
        Arc::new(array.with_data_type(DataType::Decimal128(precision, 2)))
    };
    let qty = decimals(15, 100, 5000);
    let price = decimals(15, -shape.price, shape.price);
    let (disc, tax) = (decimals(15, 0, 10), decimals(15, 0, 8));
    let wide = decimals(30, -1 << 40, 1 << 40);
    let n: Int32Array = integers(i32::MIN.into(), i32::MAX.into())
        .into_iter()
        .map(|v| v.map(|v| v as i32))
        .collect();
    let big: Int64Array = integers(i64::MIN, i64::MAX).into_iter().collect();
    let columns: Vec<ArrayRef> = vec![
        flag,
        status,
        Arc::new(done),
        Arc::new(size),
        Arc::new(day),
        qty,
        price,
        disc,
        tax,
        wide,
        Arc::new(n),
        Arc::new(big),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

impl TestScan {
    pub(super) fn new(schema: SchemaRef, partitions: Vec<Vec<RecordBatch>>, bounds: bool) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(partitions.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { partitions, bounds, properties: Arc::new(properties) }
    }

    fn columns(&self, column: usize) -> impl Iterator<Item = &ArrayRef> {
        self.partitions.iter().flatten().map(move |batch| batch.column(column))
    }
}

/// How rules find it.
pub(super) fn find(plan: &Arc<dyn ExecutionPlan>) -> Option<&dyn RawScan> {
    plan.downcast_ref::<TestScan>().map(|scan| scan as &dyn RawScan)
}

impl RawScan for TestScan {
    fn value_bounds(&self, column: usize) -> Option<(i64, i64)> {
        if !self.bounds {
            return None;
        }
        let all = self.columns(column).map(integers).collect::<Option<Vec<_>>>()?;
        let values = || all.iter().flatten().flatten().copied();
        // Without values any bounds are true.
        Some((values().min().unwrap_or(0), values().max().unwrap_or(0)))
    }

    fn has_few_strings(&self, _: usize) -> bool {
        true
    }

    fn row_count(&self) -> RowCount {
        let rows = self.partitions.iter().flatten().map(|batch| batch.num_rows() as u64).sum();
        RowCount { most: rows, expected: rows }
    }

    fn with_raw(&self, raw: &[Option<Raw>]) -> Result<RawOutput> {
        let books: Vec<Option<Arc<TestBook>>> =
            raw.iter().map(|raw| (*raw == Some(Raw::Codes)).then(Arc::default)).collect();
        let form =
            |column: &ArrayRef, raw: Option<Raw>, book: &Option<Arc<TestBook>>| -> ArrayRef {
                match (raw, book) {
                    (Some(Raw::Integers), _) => Arc::new(with_garbage(integers(column).unwrap())),
                    (Some(Raw::Codes), Some(book)) => book.codes(column),
                    _ => Arc::clone(column),
                }
            };
        let schema = self.schema();
        let fields = schema.fields().iter().zip(raw).map(|(field, raw)| {
            let data_type = match raw {
                None => field.data_type().clone(),
                Some(Raw::Integers) => DataType::Int64,
                Some(Raw::Codes) => DataType::UInt16,
            };
            Field::new(field.name(), data_type, field.is_nullable())
        });
        let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let batch = |batch: &RecordBatch| {
            let columns = batch.columns().iter().zip(raw).zip(&books);
            let columns = columns.map(|((column, raw), book)| form(column, *raw, book)).collect();
            RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()
        };
        let partitions: Vec<Vec<_>> =
            self.partitions.iter().map(|batches| batches.iter().map(batch).collect()).collect();
        let copy = Self::new(Arc::clone(&schema), partitions, self.bounds);
        let books = books.into_iter().map(|book| book.map(|book| book as Arc<dyn Codebook>));
        Ok((Arc::new(copy), books.collect()))
    }
}

/// A column's integers; `None`: it has none.
fn integers(array: &ArrayRef) -> Option<Vec<Option<i64>>> {
    Some(match array.data_type() {
        DataType::Int16 => {
            array.as_primitive::<Int16Type>().iter().map(|v| v.map(i64::from)).collect()
        }
        DataType::Int32 => {
            array.as_primitive::<Int32Type>().iter().map(|v| v.map(i64::from)).collect()
        }
        DataType::Int64 => array.as_primitive::<Int64Type>().iter().collect(),
        DataType::Date32 => {
            array.as_primitive::<Date32Type>().iter().map(|v| v.map(i64::from)).collect()
        }
        DataType::Decimal128(..) => {
            array.as_primitive::<Decimal128Type>().iter().map(|v| v.map(|v| v as i64)).collect()
        }
        _ => return None,
    })
}

/// Under NULL there may be anything.
fn with_garbage(values: Vec<Option<i64>>) -> Int64Array {
    let nulls = values.iter().map(Option::is_some).collect::<Vec<_>>().into();
    let values = values.into_iter().enumerate().map(|(row, value)| {
        value.unwrap_or(if row % 2 == 0 { i64::MIN + row as i64 } else { i64::MAX })
    });
    Int64Array::new(values.collect(), Some(nulls))
}

#[derive(Debug, Default)]
struct TestBook(Mutex<(Vec<String>, HashMap<String, u16>)>);

impl TestBook {
    fn codes(&self, column: &ArrayRef) -> ArrayRef {
        let mut book = self.0.lock();
        let (strings, codes) = &mut *book;
        let mut code = |string: &str| {
            *codes.entry(string.to_string()).or_insert_with(|| {
                strings.push(string.to_string());
                strings.len() as u16 - 1
            })
        };
        let column = column.as_string_view();
        let codes = column.iter().map(|string| string.map_or(u16::MAX, &mut code));
        Arc::new(UInt16Array::new(codes.collect(), column.nulls().cloned()))
    }
}

impl Codebook for TestBook {
    fn strings(&self) -> StringViewArray {
        StringViewArray::from_iter_values(self.0.lock().0.iter())
    }
}

impl DisplayAs for TestScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestScan:")?;
        self.schema().fields().iter().try_for_each(|field| match field.data_type() {
            DataType::Int64 | DataType::UInt16 => {
                write!(f, " {}={}", field.name(), field.data_type())
            }
            _ => write!(f, " {}", field.name()),
        })
    }
}

impl ExecutionPlan for TestScan {
    kestrel_planner::leaf_plan!("TestScan");

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let batches: Vec<_> = self.partitions[partition].iter().cloned().map(Ok).collect();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream::iter(batches))))
    }
}
