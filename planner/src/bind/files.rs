//! The files of a COPY as a relation.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    datasource::provider_as_source,
    error::Result,
    logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableType},
    physical_expr::expressions::Column,
    physical_plan::{ExecutionPlan, projection::ProjectionExec},
};
use kestrel_proto::ErrorReport;

use crate::{copy::FileScan, error::report, operators::FileScanExec};

/// The relation's name in plans.
const NAME: &str = "files";

/// The query that reads files: their rows have all columns of the table that they are for.
///
/// # Errors
/// XX000: DataFusion cannot scan them.
pub fn file_query(scan: FileScan) -> Result<LogicalPlan, ErrorReport> {
    let files = provider_as_source(Arc::new(Files(Arc::new(scan))));
    LogicalPlanBuilder::scan(NAME, files, None).and_then(LogicalPlanBuilder::build).map_err(report)
}

#[derive(Debug)]
struct Files(Arc<FileScan>);

#[async_trait]
impl TableProvider for Files {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows: Arc<dyn ExecutionPlan> = Arc::new(FileScanExec::new(Arc::clone(&self.0)));
        let schema = rows.schema();
        let Some(projection) = projection else { return Ok(rows) };
        if projection.iter().copied().eq(0..schema.fields().len()) {
            return Ok(rows);
        }
        let columns = projection.iter().map(|at| {
            let name = schema.field(*at).name();
            (Arc::new(Column::new(name, *at)) as _, name.clone())
        });
        Ok(Arc::new(ProjectionExec::try_new(columns.collect::<Vec<_>>(), rows)?))
    }
}
