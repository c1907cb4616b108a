//! COPY's scan of the server's files, as the coordinator plans it: all datanodes at once. Encoding a
//! fragment picks one datanode's parts; running it there asks that process for its rows.

use std::{fmt, sync::Arc};

use arrow::datatypes::SchemaRef;
use datafusion::{
    common::{Statistics, stats::Precision},
    error::Result,
    execution::TaskContext,
    physical_expr::{EquivalenceProperties, Partitioning},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
        execution_plan::{Boundedness, EmissionType},
        statistics::StatisticsArgs,
    },
};
use kestrel_proto::ErrorReport;

use super::Hands;
use crate::{
    cardinality::row_width, copy::FileScan, error::to_datafusion, functions::SessionFormats,
};

/// Reads files; puts out rows with all columns of the table that they are for.
#[derive(Debug)]
pub struct FileScanExec {
    scan: Arc<FileScan>,
    properties: Arc<PlanProperties>,
}

impl FileScanExec {
    /// Reads the files of `scan`.
    pub fn new(scan: Arc<FileScan>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(scan.schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { scan, properties: Arc::new(properties) }
    }

    /// What it reads.
    pub fn scan(&self) -> &Arc<FileScan> {
        &self.scan
    }

    /// How many rows that may be, by the files' sizes.
    pub fn estimated_rows(&self) -> f64 {
        self.scan.bytes() as f64 / row_width(&self.schema()).max(1) as f64
    }
}

impl FileScan {
    /// The columns of its rows.
    pub fn schema(&self) -> SchemaRef {
        let shape = &self.parser.shape;
        if self.parser.is_last { Arc::clone(&shape.schema) } else { shape.nullable_schema() }
    }
}

impl DisplayAs for FileScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileScanExec: {}", self.scan.parser.shape.table)
    }
}

impl ExecutionPlan for FileScanExec {
    crate::leaf_plan!("FileScanExec");

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let hands = Hands::of(&context).map_err(to_datafusion)?;
        let no_files = || to_datafusion(ErrorReport::internal("files were read where no shard is"));
        let files = hands.files.as_ref().ok_or_else(no_files)?;
        let formats = SessionFormats::of_session(context.session_config().options());
        files.read(&self.scan, formats).map_err(to_datafusion)
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        statistics.num_rows = Precision::Inexact(self.estimated_rows() as usize);
        statistics.total_byte_size = Precision::Inexact(self.scan.bytes() as usize);
        Ok(Arc::new(statistics))
    }
}
