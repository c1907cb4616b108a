//! What a scan knows of its table.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use kestrel_planner::operators::ShardScan;
use kestrel_proto::{Result, TableId};

use super::{layout, missing};

/// What a scan knows of its table.
#[derive(Clone, Debug)]
pub(crate) struct TableOfScan {
    /// The table.
    pub(crate) id: TableId,
    /// Its name, for errors.
    pub(crate) name: Arc<str>,
    /// All columns, without what they carry of missing values.
    pub(crate) schema: SchemaRef,
    /// In the order of the columns.
    pub(crate) column_ids: Arc<[u32]>,
    /// What files have in columns that they lack; empty: NULL in all.
    pub(crate) missing_values: Vec<Option<ScalarValue>>,
}

impl TableOfScan {
    pub(crate) fn of(scan: &ShardScan) -> Result<Self> {
        let (schema, missing_values) = missing::taken_from(&scan.schema)?;
        // Checks that there is one id per column.
        layout::file_schema(&schema, &scan.column_ids)?;
        Ok(Self {
            id: scan.table_id,
            name: scan.table.as_str().into(),
            schema,
            column_ids: scan.column_ids.as_slice().into(),
            missing_values,
        })
    }
}
