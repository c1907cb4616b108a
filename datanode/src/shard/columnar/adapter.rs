//! From a table's columns to the columns of one of its files.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::{
    common::{
        ScalarValue,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    error::Result,
    physical_expr::{
        PhysicalExpr,
        expressions::{CastExpr, Column, lit},
    },
    physical_expr_adapter::{PhysicalExprAdapter, PhysicalExprAdapterFactory},
};

use super::{interval::DecodeInterval, layout, missing};
use crate::error::to_datafusion;

/// Makes adapters for the files of one table.
#[derive(Debug)]
pub(super) struct ColumnIdAdapterFactory {
    /// The table's name, for errors.
    pub(super) table: String,
    /// In the order of the table's columns.
    pub(super) column_ids: Vec<u32>,
    /// What files have in columns that they lack, in the same order; `None`: NULL.
    pub(super) missing_values: Vec<Option<ScalarValue>>,
}

impl PhysicalExprAdapterFactory for ColumnIdAdapterFactory {
    fn create(
        &self,
        table_schema: SchemaRef,
        file_schema: SchemaRef,
    ) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let in_file = layout::columns_by_id(&file_schema);
        let positions = self.column_ids.iter().map(|id| in_file.get(id).copied()).collect();
        Ok(Arc::new(ColumnIdAdapter {
            table: self.table.clone(),
            table_schema,
            file_schema,
            positions,
            missing_values: self.missing_values.clone(),
        }))
    }
}

/// Rewrites expressions over the table's columns to the same over a file's columns.
#[derive(Debug)]
struct ColumnIdAdapter {
    table: String,
    table_schema: SchemaRef,
    file_schema: SchemaRef,
    /// Where each of the table's columns is in the file.
    positions: Vec<Option<usize>>,
    missing_values: Vec<Option<ScalarValue>>,
}

impl PhysicalExprAdapter for ColumnIdAdapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        // Upwards: what is put in a column's place is not looked at again. A file's column may have
        // the name that another column of the table has now.
        expr.transform_up(|node| {
            let Some(column) = node.downcast_ref::<Column>() else {
                return Ok(Transformed::no(node));
            };
            let index = self.table_schema.index_of(column.name())?;
            Ok(Transformed::yes(self.in_file(index)?))
        })
        .data()
    }
}

impl ColumnIdAdapter {
    /// The expression over the file that gives column `index` of the table.
    fn in_file(&self, index: usize) -> Result<Arc<dyn PhysicalExpr>> {
        let field = self.table_schema.field(index);
        let Some(position) = self.positions.get(index).copied().flatten() else {
            return self.added_later(index);
        };
        let in_file = self.file_schema.field(position);
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(in_file.name(), position));
        // Names, nullability and metadata may differ: the scan puts the table's own on its batches.
        if in_file.data_type() == field.data_type() {
            return Ok(column);
        }
        if layout::is_interval(field.data_type()) {
            return Ok(Arc::new(DecodeInterval::new(column)));
        }
        Ok(Arc::new(CastExpr::new(column, field.data_type().clone(), None)))
    }

    /// A column that the table did not have when the file was written.
    fn added_later(&self, index: usize) -> Result<Arc<dyn PhysicalExpr>> {
        let field = self.table_schema.field(index);
        let value = self.missing_values.get(index).and_then(Option::as_ref);
        missing::value(&self.table, field, value).map(lit).map_err(to_datafusion)
    }
}
