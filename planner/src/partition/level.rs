//! Which partition of one level takes a row.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType, Float32Type, Float64Type},
    row::{RowConverter, Rows, SortField},
    util::display::{ArrayFormatter, FormatOptions},
};
use datafusion::common::ScalarValue;
use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::{
    catalog::{BoundValue, HashClass, PartitionBound, PartitionStrategy, RangeEnd, TableDef},
    error::report,
    parse::quote,
    placement::hash_column,
};

/// Finds the partitions of rows, among those of one table, whatever these have below them.
#[derive(Debug)]
pub(crate) struct LevelRouter {
    table: String,
    key: Vec<KeyColumn>,
    bounds: Bounds,
    /// The partition that takes what no other does.
    default: Option<usize>,
}

/// A column of the partition key.
#[derive(Debug)]
struct KeyColumn {
    name: String,
    /// Its position in the table.
    position: usize,
    /// How its values are hashed, in a key of hashes.
    hash_class: HashClass,
    /// Makes bytes of its values that compare as they do.
    converter: RowConverter,
}

/// The bounds, with the positions of their partitions.
#[derive(Debug)]
enum Bounds {
    /// In ascending order; they do not overlap.
    Range(Vec<Range>),
    List {
        of_value: HashMap<Vec<u8>, usize>,
        of_null: Option<usize>,
    },
    /// For each modulus, the partitions of its remainders.
    Hash(BTreeMap<u32, HashMap<u32, usize>>),
}

#[derive(Debug)]
struct Range {
    from: Vec<End>,
    to: Vec<End>,
    partition: usize,
}

/// [`RangeEnd`], with a value's bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    MinValue,
    Value(Vec<u8>),
    MaxValue,
}

impl LevelRouter {
    /// For rows of `table`, which is partitioned; partitions are told by their position in
    /// `partitions`.
    ///
    /// # Errors
    /// XX000: a bound is none of this table.
    pub(crate) fn new(table: &TableDef, partitions: &[Arc<TableDef>]) -> Result<Self> {
        let mut key = Vec::new();
        for column in table.partition_columns() {
            let position = table.column_index(column.id).ok_or_else(malformed)?;
            let fields = vec![SortField::new(column.sql_type.arrow())];
            let converter = RowConverter::new(fields).map_err(|e| report(e.into()))?;
            let hash_class = column.sql_type.hash_class().ok_or_else(malformed)?;
            key.push(KeyColumn { name: column.name.clone(), position, hash_class, converter });
        }
        if key.is_empty() {
            return Err(malformed());
        }
        let (mut ranges, mut of_value) = (Vec::new(), HashMap::new());
        let (mut of_null, mut default) = (None, None);
        let mut of_remainder: BTreeMap<u32, HashMap<u32, usize>> = BTreeMap::new();
        for (partition, table) in partitions.iter().enumerate() {
            match table.partition_of.as_ref().map(|of| &of.bound) {
                Some(PartitionBound::Range { from, to }) => {
                    let (from, to) = (ends(&key, from)?, ends(&key, to)?);
                    ranges.push(Range { from, to, partition });
                }
                Some(PartitionBound::List(values)) => {
                    for value in values {
                        match value {
                            Some(value) => {
                                of_value.insert(key[0].bytes_of(value)?, partition);
                            }
                            None => of_null = Some(partition),
                        }
                    }
                }
                Some(PartitionBound::Hash { modulus, remainder }) => {
                    of_remainder.entry(*modulus).or_default().insert(*remainder, partition);
                }
                Some(PartitionBound::Default) => default = Some(partition),
                None => return Err(malformed()),
            }
        }
        ranges.sort_by(|a, b| a.from.cmp(&b.from));
        let strategy = table.partitioned_by.as_ref().map(|by| by.strategy).ok_or_else(malformed)?;
        let bounds = match strategy {
            PartitionStrategy::Range => Bounds::Range(ranges),
            PartitionStrategy::List => Bounds::List { of_value, of_null },
            PartitionStrategy::Hash => Bounds::Hash(of_remainder),
        };
        Ok(Self { table: table.name.clone(), key, bounds, default })
    }

    /// Where the columns of the partition key are in the table.
    pub(super) fn key_positions(&self) -> impl Iterator<Item = usize> {
        self.key.iter().map(|key| key.position)
    }

    /// The columns of the partition key, of all the table's columns.
    pub(super) fn key_of(&self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        let column = |key: &KeyColumn| columns.get(key.position).cloned().ok_or_else(malformed);
        self.key.iter().map(column).collect()
    }

    /// The partition of each row, by the columns of the partition key, in its order; `None`: no
    /// partition takes it.
    ///
    /// # Errors
    /// XX000 for columns of other types.
    pub(crate) fn route_key(&self, columns: &[ArrayRef]) -> Result<Vec<Option<usize>>> {
        if let Bounds::Hash(of_remainder) = &self.bounds {
            return self.route_hashes(of_remainder, columns);
        }
        let keys = self.key.iter().zip(columns).map(|(key, column)| key.rows(column));
        let keys = keys.collect::<Result<Vec<Rows>>>()?;
        let rows = columns.first().map_or(0, |column| column.len());
        let mut values: Vec<&[u8]> = Vec::with_capacity(keys.len());
        let mut routed = Vec::with_capacity(rows);
        for row in 0..rows {
            values.clear();
            values.extend(keys.iter().map(|rows| rows.row(row).data()));
            let has_null = columns.iter().any(|column| column.is_null(row));
            routed.push(self.partition(&values, has_null).or(self.default));
        }
        Ok(routed)
    }

    fn route_hashes(
        &self,
        of_remainder: &BTreeMap<u32, HashMap<u32, usize>>,
        columns: &[ArrayRef],
    ) -> Result<Vec<Option<usize>>> {
        let mut hashes = vec![0; columns.first().map_or(0, |column| column.len())];
        for (key, column) in self.key.iter().zip(columns) {
            hash_column(column, key.hash_class, &mut hashes)?;
        }
        let partition = |hash: u64| {
            of_remainder.iter().find_map(|(modulus, partitions)| {
                // Less than the modulus.
                partitions.get(&((hash % u64::from(*modulus)) as u32)).copied()
            })
        };
        Ok(hashes.into_iter().map(partition).collect())
    }

    /// The partition of a single value in the only column of the key; `None`: no partition takes it.
    pub(super) fn partition_of(&self, value: &ScalarValue) -> Result<Option<usize>> {
        let column = value.to_array().map_err(report)?;
        Ok(self.route_key(&[column])?.first().copied().flatten())
    }

    fn partition(&self, values: &[&[u8]], has_null: bool) -> Option<usize> {
        match &self.bounds {
            Bounds::List { of_null, .. } if has_null => *of_null,
            Bounds::List { of_value, .. } => of_value.get(*values.first()?).copied(),
            Bounds::Range(_) if has_null => None,
            // Told apart by their hashes.
            Bounds::Hash(_) => None,
            Bounds::Range(ranges) => {
                let begun = ranges.partition_point(|range| compare(values, &range.from).is_ge());
                let last = &ranges[begun.checked_sub(1)?];
                compare(values, &last.to).is_lt().then_some(last.partition)
            }
        }
    }

    /// 23514: no partition takes this row of a batch of all the table's columns.
    pub(super) fn not_found(&self, batch: &RecordBatch, row: usize) -> ErrorReport {
        let names: Vec<_> = self.key.iter().map(|key| quote(&key.name)).collect();
        let columns = self.key.iter().map(|key| batch.column(key.position));
        let values: Vec<_> = columns.map(|column| shown(column, row)).collect();
        let message = format!("no partition of relation \"{}\" found for row", self.table);
        ErrorReport::new(SqlState::CHECK_VIOLATION, message).detail(format!(
            "Partition key of the failing row contains ({}) = ({}).",
            names.join(", "),
            values.join(", ")
        ))
    }
}

/// A value as the detail of an error shows it.
pub(super) fn shown(column: &ArrayRef, row: usize) -> String {
    if let (DataType::Boolean, true) = (column.data_type(), column.is_valid(row)) {
        return if column.as_boolean().value(row) { "t".into() } else { "f".into() };
    }
    let options = FormatOptions::new()
        .with_null("null")
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f%#z"));
    ArrayFormatter::try_new(column.as_ref(), &options)
        .map_or_else(|_| "?".into(), |formatter| formatter.value(row).to_string())
}

impl KeyColumn {
    fn rows(&self, column: &ArrayRef) -> Result<Rows> {
        self.converter
            .convert_columns(&[without_negative_zero(column)])
            .map_err(|e| report(e.into()))
    }

    fn bytes_of(&self, value: &BoundValue) -> Result<Vec<u8>> {
        let array = value.decoded()?.to_array().map_err(report)?;
        Ok(self.rows(&array)?.row(0).data().to_vec())
    }
}

/// The bytes of -0 come before those of 0, to which it is equal.
fn without_negative_zero(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float32 => Arc::new(
            column.as_primitive::<Float32Type>().unary::<_, Float32Type>(|value| value + 0.0),
        ),
        DataType::Float64 => Arc::new(
            column.as_primitive::<Float64Type>().unary::<_, Float64Type>(|value| value + 0.0),
        ),
        _ => Arc::clone(column),
    }
}

fn ends(key: &[KeyColumn], ends: &[RangeEnd]) -> Result<Vec<End>> {
    if ends.len() != key.len() {
        return Err(malformed());
    }
    let end = |(column, end): (&KeyColumn, &RangeEnd)| match end {
        RangeEnd::MinValue => Ok(End::MinValue),
        RangeEnd::Value(value) => column.bytes_of(value).map(End::Value),
        RangeEnd::MaxValue => Ok(End::MaxValue),
    };
    key.iter().zip(ends).map(end).collect()
}

/// A row's key, which has no NULL, to an end of a range.
fn compare(values: &[&[u8]], ends: &[End]) -> Ordering {
    for (value, end) in values.iter().zip(ends) {
        let ordering = match end {
            End::MinValue => Ordering::Greater,
            End::Value(bound) => (*value).cmp(bound.as_slice()),
            End::MaxValue => Ordering::Less,
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
    Ordering::Equal
}

pub(super) fn malformed() -> ErrorReport {
    ErrorReport::internal("a partition's bound is none of its table")
}
