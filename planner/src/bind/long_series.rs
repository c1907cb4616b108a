//! A long series of constant integers: a table whose rows are made as they are read.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    error::Result,
    functions_table::generate_series::{GenSeriesArgs, GenerateSeriesTable},
    logical_expr::{Expr, TableType},
    physical_expr::{PhysicalExpr, expressions::Column},
    physical_plan::{ExecutionPlan, projection::ProjectionExec},
};

/// The name under which SQL refers to it; its arguments are texts: start, end and step.
pub(super) const LONG_SERIES: &str = "kestrel_long_series";

/// The rows are made by DataFusion's operator, which can be shipped to datanodes.
#[derive(Debug)]
pub(super) struct LongSeries {
    rows: GenerateSeriesTable,
    schema: SchemaRef,
}

impl LongSeries {
    /// The table of a call; `None`: it is none.
    pub(super) fn of_call(name: &str, arguments: &[Expr]) -> Option<Self> {
        if name != LONG_SERIES {
            return None;
        }
        let mut numbers = arguments.iter().map(|argument| match argument {
            Expr::Literal(value, _) => value.try_as_str().flatten()?.parse::<i64>().ok(),
            _ => None,
        });
        let (start, end, step) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let schema = Arc::new(Schema::new(vec![Field::new("value", DataType::Int64, false)]));
        let name = "generate_series";
        let series = GenSeriesArgs::Int64Args { start, end, step, include_end: true, name };
        let rows = GenerateSeriesTable::new(Arc::clone(&schema), series);
        Some(Self { rows, schema })
    }
}

#[async_trait]
impl TableProvider for LongSeries {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    // The operator forgets a projection of its own when it is shipped.
    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = self.rows.scan(state, None, &[], None).await?;
        let Some(projection) = projection else { return Ok(rows) };
        let columns = projection.iter().map(|column| {
            let value: Arc<dyn PhysicalExpr> = Arc::new(Column::new("value", *column));
            (value, "value".to_string())
        });
        Ok(Arc::new(ProjectionExec::try_new(columns, rows)?))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::common::ScalarValue;

    use super::*;

    #[test]
    fn arguments_are_numbers_as_texts() {
        let text = |value: &str| Expr::Literal(ScalarValue::Utf8(Some(value.into())), None);
        let arguments = ["1", "-5", "-2"].map(text);
        assert!(LongSeries::of_call(LONG_SERIES, &arguments).is_some());
        assert!(LongSeries::of_call(LONG_SERIES, &arguments[..2]).is_none());
        assert!(LongSeries::of_call("generate_series", &arguments).is_none());
        assert!(LongSeries::of_call(LONG_SERIES, &["1", "x", "2"].map(text)).is_none());
    }
}
