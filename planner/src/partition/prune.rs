//! Which partitions can have rows that pass a scan's filters: DataFusion's pruning predicate over what
//! bounds say of the partition key.
//!
//! A *piece* is a part of the key's values that belongs to one partition: a range; one value of a list;
//! NULL; and what lies between ranges, which is the default partition's. A partition is read if one of
//! its pieces may have rows.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{ArrayRef, BooleanArray, UInt64Array},
    datatypes::DataType,
};
use datafusion::{
    common::{Column, ScalarValue, pruning::PruningStatistics},
    physical_expr::{PhysicalExpr, conjunction},
    physical_optimizer::pruning::PruningPredicateBuilder,
};
use kestrel_proto::Result;

use super::{LevelRouter, neighbour};
use crate::{
    catalog::{
        ColumnDef, PartitionBound, PartitionStrategy, PartitionTree, PartitionedBy, RangeEnd,
        TableDef,
    },
    equality::equalities,
};

/// For each of a table's leaves, in their order, whether it must be read. The filters are conjuncts over
/// the columns of the tree's table.
pub(crate) fn pruned(tree: &PartitionTree, filters: &[Arc<dyn PhysicalExpr>]) -> Result<Vec<bool>> {
    let mut kept = Vec::new();
    note_leaves(&tree.table, tree, filters, true, &mut kept)?;
    Ok(kept)
}

fn note_leaves(
    table: &TableDef,
    tree: &PartitionTree,
    filters: &[Arc<dyn PhysicalExpr>],
    is_read: bool,
    kept: &mut Vec<bool>,
) -> Result<()> {
    let Some(by) = &tree.table.partitioned_by else {
        kept.push(is_read);
        return Ok(());
    };
    let are_read = match is_read {
        true => pruned_level(table, by, tree, filters)?,
        false => vec![false; tree.partitions.len()],
    };
    for (below, is_read) in tree.partitions.iter().zip(are_read) {
        note_leaves(table, below, filters, is_read, kept)?;
    }
    Ok(())
}

/// For each partition one level below whether it must be read. `table`: whose columns the filters have.
fn pruned_level(
    table: &TableDef,
    by: &PartitionedBy,
    tree: &PartitionTree,
    filters: &[Arc<dyn PhysicalExpr>],
) -> Result<Vec<bool>> {
    let partitions = &tree.next_level();
    let all = vec![true; partitions.len()];
    if filters.is_empty() {
        return Ok(all);
    }
    // A view may know the table without a column of the key.
    let key: Option<Vec<_>> = by.columns.iter().map(|id| table.column_by_id(*id)).collect();
    let Some(key) = key else { return Ok(all) };
    let router = LevelRouter::new(&tree.table, partitions)?;
    if let Some(values) = key_values(table, &key, filters) {
        let partition = router.route_key(&values)?.first().copied().flatten();
        return Ok((0..partitions.len()).map(|at| Some(at) == partition).collect());
    }
    let predicate = PruningPredicateBuilder::new()
        .with_file_schema(table.arrow_schema())
        .try_build(conjunction(filters.to_vec()));
    // What it cannot look at, it leaves to the scan.
    let Ok(predicate) = predicate else { return Ok(all) };
    if predicate.always_true() {
        return Ok(all);
    }
    let statistics = Statistics {
        key: key.iter().map(|c| (c.name.clone(), c.sql_type.arrow())).collect(),
        pieces: pieces(by.strategy, by.columns.len(), partitions)?,
        router,
    };
    let Ok(may_have) = predicate.prune(&statistics) else { return Ok(all) };
    let mut kept = vec![false; partitions.len()];
    for (piece, may_have) in statistics.pieces.iter().zip(may_have) {
        kept[piece.partition] |= may_have;
    }
    Ok(kept)
}

/// The values that filters give all columns of the key, in the types of these; `None`: not to all.
fn key_values(
    table: &TableDef,
    key: &[&ColumnDef],
    filters: &[Arc<dyn PhysicalExpr>],
) -> Option<Vec<ArrayRef>> {
    let equal = equalities(filters);
    let value = |column: &&ColumnDef| {
        let position = table.column_index(column.id)?;
        let (_, value) = equal.iter().find(|(at, _)| *at == position)?;
        let is_such = value.data_type() == column.sql_type.arrow() && !value.is_null();
        is_such.then(|| value.to_array().ok()).flatten()
    };
    key.iter().map(value).collect()
}

/// Some of a partition's values.
#[derive(Debug)]
struct Piece {
    partition: usize,
    /// One per column of the key.
    columns: Vec<Known>,
}

/// What is known of a column of the key.
#[derive(Clone, Debug, Default)]
struct Known {
    min: Option<ScalarValue>,
    /// Inclusive.
    max: Option<ScalarValue>,
    nulls: Option<Nulls>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nulls {
    None,
    All,
}

impl Known {
    fn null() -> Self {
        Self { nulls: Some(Nulls::All), ..Self::default() }
    }

    fn value(value: ScalarValue) -> Self {
        Self { min: Some(value.clone()), max: Some(value), nulls: Some(Nulls::None) }
    }

    /// From one end to the other, which is exclusive if the types can say so.
    fn range(from: &RangeEnd, to: &RangeEnd, is_exclusive: bool) -> Result<Self> {
        let max = match value_of(to)? {
            Some(max) if is_exclusive => Some(neighbour(&max, -1).unwrap_or(max)),
            max => max,
        };
        Ok(Self { min: value_of(from)?, max, nulls: Some(Nulls::None) })
    }
}

fn value_of(end: &RangeEnd) -> Result<Option<ScalarValue>> {
    match end {
        RangeEnd::Value(value) => value.decoded().map(Some),
        RangeEnd::MinValue | RangeEnd::MaxValue => Ok(None),
    }
}

fn pieces(
    strategy: PartitionStrategy,
    width: usize,
    partitions: &[Arc<TableDef>],
) -> Result<Vec<Piece>> {
    let mut pieces = Vec::with_capacity(partitions.len());
    let mut default = None;
    for (partition, table) in partitions.iter().enumerate() {
        match table.partition_of.as_ref().map(|of| &of.bound) {
            Some(PartitionBound::Range { from, to }) => {
                pieces.push(Piece { partition, columns: range_columns(from, to)? });
            }
            Some(PartitionBound::List(values)) => {
                for value in values {
                    let known = match value {
                        Some(value) => Known::value(value.decoded()?),
                        None => Known::null(),
                    };
                    pieces.push(Piece { partition, columns: vec![known] });
                }
            }
            // Of a hash nothing is known but what the router knows.
            Some(PartitionBound::Hash { .. }) => {
                pieces.push(Piece { partition, columns: vec![Known::default(); width] });
            }
            Some(PartitionBound::Default) | None => default = Some(partition),
        }
    }
    let Some(partition) = default else { return Ok(pieces) };
    let columns = match (strategy, width) {
        (PartitionStrategy::Range, 1) => gaps(&pieces),
        (PartitionStrategy::Range, _) | (PartitionStrategy::Hash, _) => vec![Known::default()],
        (PartitionStrategy::List, _) => {
            let is_null =
                |piece: &Piece| piece.columns.iter().any(|known| known.nulls == Some(Nulls::All));
            let nulls = pieces.iter().any(is_null).then_some(Nulls::None);
            vec![Known { nulls, ..Known::default() }]
        }
    };
    for known in columns {
        let mut columns = vec![known];
        columns.resize_with(width, Known::default);
        pieces.push(Piece { partition, columns });
    }
    Ok(pieces)
}

/// What is known of a range's columns: of the first one, and of each that follows columns with one
/// value only.
fn range_columns(from: &[RangeEnd], to: &[RangeEnd]) -> Result<Vec<Known>> {
    let mut columns = Vec::with_capacity(from.len());
    let mut is_bounded = true;
    for (at, (low, high)) in from.iter().zip(to).enumerate() {
        if !is_bounded {
            columns.push(Known { nulls: Some(Nulls::None), ..Known::default() });
            continue;
        }
        let is_exclusive = to[at + 1..].iter().all(|end| *end == RangeEnd::MinValue);
        columns.push(Known::range(low, high, is_exclusive)?);
        is_bounded = matches!((low, high), (RangeEnd::Value(low), RangeEnd::Value(high))
            if low.value == high.value);
    }
    Ok(columns)
}

/// What ranges of one column leave: NULL, and what is before, between and after them.
fn gaps(ranges: &[Piece]) -> Vec<Known> {
    let mut known: Vec<&Known> = ranges.iter().filter_map(|piece| piece.columns.first()).collect();
    known.sort_by(|a, b| match (&a.min, &b.min) {
        (None, None) => std::cmp::Ordering::Equal,
        (None, Some(_)) => std::cmp::Ordering::Less,
        (Some(_), None) => std::cmp::Ordering::Greater,
        (Some(a), Some(b)) => a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal),
    });
    let mut gaps = vec![Known::null()];
    let mut begin: Option<ScalarValue> = None;
    for range in &known {
        if let Some(min) = &range.min
            && begin.as_ref().is_none_or(|begin| begin < min)
        {
            let max = neighbour(min, -1).unwrap_or_else(|| min.clone());
            gaps.push(Known { min: begin, max: Some(max), nulls: Some(Nulls::None) });
        }
        match &range.max {
            // Of types that cannot be counted the range's own end is exclusive.
            Some(max) => begin = Some(neighbour(max, 1).unwrap_or_else(|| max.clone())),
            None => return gaps,
        }
    }
    gaps.push(Known { min: begin, max: None, nulls: Some(Nulls::None) });
    gaps
}

#[derive(Debug)]
struct Statistics {
    /// Names and types.
    key: Vec<(String, DataType)>,
    pieces: Vec<Piece>,
    router: LevelRouter,
}

impl Statistics {
    fn position(&self, column: &Column) -> Option<usize> {
        self.key.iter().position(|(name, _)| *name == column.name)
    }

    fn values(
        &self,
        column: &Column,
        value: impl Fn(&Known) -> Option<&ScalarValue>,
    ) -> Option<ArrayRef> {
        let position = self.position(column)?;
        let null = ScalarValue::try_from(&self.key[position].1).ok()?;
        let values = self.pieces.iter().map(|piece| {
            piece.columns.get(position).and_then(&value).cloned().unwrap_or_else(|| null.clone())
        });
        ScalarValue::iter_to_array(values).ok()
    }

    /// Values of a filter in the type of the only column of the key.
    fn of_key<'v>(
        &self,
        values: impl Iterator<Item = &'v ScalarValue>,
    ) -> Option<Vec<ScalarValue>> {
        let [(_, data_type)] = self.key.as_slice() else { return None };
        let in_type = |value: &ScalarValue| {
            let found = value.data_type();
            let is_text = [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View]
                .contains(&found)
                && *data_type == DataType::Utf8View;
            if found == *data_type || is_text { value.cast_to(data_type).ok() } else { None }
        };
        values.filter(|value| !value.is_null()).map(in_type).collect()
    }
}

impl PruningStatistics for Statistics {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, |known| known.min.as_ref())
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, |known| known.max.as_ref())
    }

    fn num_containers(&self) -> usize {
        self.pieces.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let position = self.position(column)?;
        let counts = self.pieces.iter().map(|piece| match piece.columns.get(position)?.nulls? {
            Nulls::None => Some(0),
            Nulls::All => Some(1),
        });
        Some(Arc::new(counts.collect::<UInt64Array>()))
    }

    /// As if each piece had one row.
    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(UInt64Array::from(vec![1; self.pieces.len()])))
    }

    fn contained(&self, column: &Column, values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        self.position(column)?;
        let values = self.of_key(values.iter())?;
        let partitions = values.iter().map(|value| self.router.partition_of(value).ok());
        let partitions = partitions.collect::<Option<Vec<_>>>()?;
        let partitions: HashSet<usize> = partitions.into_iter().flatten().collect();
        let of_piece = |piece: &Piece| {
            let known = piece.columns.first()?;
            if !partitions.contains(&piece.partition) || known.nulls == Some(Nulls::All) {
                return Some(false);
            }
            match (&known.min, &known.max) {
                (Some(min), Some(max)) if min == max => Some(values.contains(min)),
                _ => None,
            }
        };
        Some(self.pieces.iter().map(of_piece).collect())
    }
}
