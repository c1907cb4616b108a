//! Expressions that are evaluated row by row, over the columns that they read.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{Array, AsArray, RecordBatch, RecordBatchOptions},
    buffer::BooleanBuffer,
    datatypes::{Schema, SchemaRef},
};
use datafusion::{
    common::{
        ScalarValue,
        tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion},
    },
    error::{DataFusionError, Result},
    logical_expr::{ColumnarValue, Operator},
    physical_expr::{
        PhysicalExpr,
        expressions::{
            BinaryExpr, CaseExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr, Literal,
            NotExpr,
        },
    },
};

use super::{super::chunk::Chunk, selection::Selection};

/// A condition over some columns of the table.
#[derive(Debug)]
pub(super) struct RowExpr {
    /// As it was written.
    pub(super) over_table: Arc<dyn PhysicalExpr>,
    /// Over the columns that it reads, in the order of `slots`.
    expr: Arc<dyn PhysicalExpr>,
    slots: Vec<usize>,
    /// Of those columns.
    schema: SchemaRef,
}

impl RowExpr {
    /// `slot` says which slot a column of the table has.
    pub(super) fn new(
        expr: &Arc<dyn PhysicalExpr>,
        table: &Schema,
        slot: &mut dyn FnMut(usize) -> usize,
    ) -> Self {
        let mut columns: Vec<usize> = Vec::new();
        let narrowed = Arc::clone(expr)
            .transform_up(|node| {
                let Some(column) = node.downcast_ref::<Column>() else {
                    return Ok(Transformed::no(node));
                };
                let at = columns.iter().position(|other| *other == column.index());
                let at = at.unwrap_or_else(|| {
                    columns.push(column.index());
                    columns.len() - 1
                });
                Ok(Transformed::yes(Arc::new(Column::new(column.name(), at)) as _))
            })
            .data();
        let fields = columns.iter().filter_map(|column| table.fields().get(*column).cloned());
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let slots = columns.iter().map(|column| slot(*column)).collect();
        let over_table = Arc::clone(expr);
        Self { expr: narrowed.unwrap_or_else(|_| Arc::clone(expr)), over_table, slots, schema }
    }

    /// Keeps the rows of `zone` for which it is true; `chunks`: by slot.
    ///
    /// # Errors
    /// The expression's own.
    pub(super) fn keep(
        &self,
        chunks: &[Arc<Chunk>],
        zone: &Range<usize>,
        selection: &mut Selection,
    ) -> Result<()> {
        let positions = selection.positions();
        let rows = positions.map_or(zone.len(), <[u32]>::len);
        let mut columns = Vec::with_capacity(self.slots.len());
        for slot in &self.slots {
            let chunk = chunks.get(*slot).ok_or_else(no_column)?;
            columns.push(match positions {
                Some(positions) => chunk.take(zone.clone(), positions),
                None => chunk.slice(zone.clone()),
            });
        }
        match self.passes(columns, rows)? {
            Passing::All => (),
            Passing::None => selection.clear(),
            Passing::Rows(bits) => selection.keep_bits_aligned(&bits),
        }
        Ok(())
    }

    /// For which rows of these columns it is true.
    ///
    /// # Errors
    /// The expression's own.
    pub(super) fn passes(
        &self,
        columns: Vec<arrow::array::ArrayRef>,
        rows: usize,
    ) -> Result<Passing> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        let array = match self.expr.evaluate(&batch)? {
            ColumnarValue::Scalar(ScalarValue::Boolean(Some(true))) => return Ok(Passing::All),
            ColumnarValue::Scalar(_) => return Ok(Passing::None),
            ColumnarValue::Array(array) => array,
        };
        let booleans = array.as_boolean_opt().filter(|booleans| booleans.len() == rows);
        let booleans = booleans.ok_or_else(|| {
            DataFusionError::Internal(format!("{} is no condition", self.over_table))
        })?;
        Ok(Passing::Rows(match booleans.nulls() {
            Some(nulls) => booleans.values() & nulls.inner(),
            None => booleans.values().clone(),
        }))
    }
}

/// The rows that pass.
#[derive(Debug)]
pub(super) enum Passing {
    All,
    None,
    Rows(BooleanBuffer),
}

fn no_column() -> DataFusionError {
    DataFusionError::Internal("a scan filters on a column that it has not read".into())
}

/// Whether an expression may be an error for some row. What is not known to be none is.
pub(super) fn can_fail(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let mut can_fail = false;
    let walked = expr.apply(|node| {
        let is_safe = match node.downcast_ref::<BinaryExpr>() {
            Some(binary) => is_safe_operator(*binary.op()),
            None => {
                node.is::<Column>()
                    || node.is::<Literal>()
                    || node.is::<NotExpr>()
                    || node.is::<IsNullExpr>()
                    || node.is::<IsNotNullExpr>()
                    || node.is::<InListExpr>()
                    || node.is::<CaseExpr>()
                    || node.downcast_ref::<LikeExpr>().is_some_and(has_constant_pattern)
            }
        };
        can_fail |= !is_safe;
        Ok(if can_fail { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.is_err() || can_fail
}

/// A pattern that ends in its escape character is an error (22025) for the rows that it meets.
fn has_constant_pattern(like: &LikeExpr) -> bool {
    let pattern = like.pattern().downcast_ref::<Literal>();
    let pattern = pattern.and_then(|pattern| pattern.value().try_as_str().flatten());
    pattern.is_some_and(|pattern| !pattern.ends_with('\\'))
}

fn is_safe_operator(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::And
            | Operator::Or
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// Whether a pattern is searched for.
pub(super) fn has_like(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.exists(|node| Ok(node.is::<LikeExpr>())).unwrap_or_default()
}
