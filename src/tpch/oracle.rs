//! The expected answers at scales that have no stored ones: a DataFusion of its own, in this
//! process, over the same generated rows.
//!
//! It shares Kestrel's kernels and hence their bugs; PostgreSQL's stored answers do not. What it
//! checks is everything around the kernels: placement, motions, plans, the protocol.

use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchReader};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::config::Dialect;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::prelude::{SessionConfig, SessionContext};
use tokio::task::{JoinSet, spawn_blocking};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator,
    PartSuppGenerator, RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow,
    SupplierArrow,
};

use super::query::Query;
use super::table::TABLES;
use crate::client::Row;
use crate::output::Console;
use crate::{CommandError, Result};

/// No query reads them, and together they are half of the rows' bytes.
const UNREAD_COLUMNS: [&str; 7] =
    ["l_comment", "ps_comment", "p_comment", "p_retailprice", "o_clerk", "n_comment", "r_comment"];

/// A DataFusion that holds the tables in memory: about 1.5 GB for each unit of scale.
pub(crate) struct Oracle {
    context: SessionContext,
}

impl Oracle {
    /// Generates the tables.
    pub(crate) async fn new(scale: f64, console: &Console) -> Result<Self> {
        let mut config = SessionConfig::new();
        let parser = &mut config.options_mut().sql_parser;
        parser.parse_float_as_decimal = true;
        parser.dialect = Dialect::PostgreSQL;
        let context = SessionContext::new_with_config(config);
        let bar = console.bar("checking", TABLES.len() as u64);
        for table in &TABLES {
            let (schema, partitions) = generate(table.name, scale).await?;
            let memory = MemTable::try_new(schema, partitions).map_err(failed)?;
            context.register_table(table.name, Arc::new(memory)).map_err(failed)?;
            bar.advance(1);
        }
        Ok(Self { context })
    }

    /// The rows that the query gives, each value as text.
    pub(crate) async fn answer(&self, query: &Query) -> Result<Vec<Row>> {
        let frame = self.context.sql(query.sql).await.map_err(failed)?;
        let batches = frame.collect().await.map_err(failed)?;
        let mut rows = Vec::new();
        for batch in &batches {
            append_rows(batch, &mut rows).map_err(failed)?;
        }
        Ok(rows)
    }
}

fn append_rows(batch: &RecordBatch, rows: &mut Vec<Row>) -> Result<(), ArrowError> {
    let options = FormatOptions::default();
    let columns = batch.columns().iter();
    let formatters =
        columns.map(|c| ArrayFormatter::try_new(c, &options)).collect::<Result<Vec<_>, _>>()?;
    for i in 0..batch.num_rows() {
        let value = |(c, formatter): (usize, &ArrayFormatter<'_>)| {
            batch.column(c).is_valid(i).then(|| formatter.value(i).to_string())
        };
        rows.push(formatters.iter().enumerate().map(value).collect());
    }
    Ok(())
}

type Reader = Box<dyn RecordBatchReader>;

/// One partition for each core, generated side by side.
async fn generate(table: &'static str, scale: f64) -> Result<(SchemaRef, Vec<Vec<RecordBatch>>)> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // The two small ones cannot be generated in parts.
    let parts = if matches!(table, "region" | "nation") { 1 } else { cores.min(64) as i32 };
    let mut generators = JoinSet::new();
    for part in 1..=parts {
        generators.spawn(async move {
            let read = move || read_all(reader(table, scale, part, parts));
            spawn_blocking(read).await.map_err(|e| CommandError::failure(e.to_string()))?
        });
    }
    let (mut schema, mut partitions) = (None, Vec::new());
    while let Some(generated) = generators.join_next().await {
        let generated = generated.map_err(|e| CommandError::failure(e.to_string()))?;
        let (part_schema, batches) = generated?;
        schema = Some(part_schema);
        partitions.push(batches);
    }
    let schema = schema.ok_or_else(|| CommandError::failure("no rows generated"))?;
    Ok((schema, partitions))
}

fn read_all(reader: Reader) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let schema = reader.schema();
    let fields = schema.fields().iter().enumerate();
    let read = fields.filter(|(_, field)| !UNREAD_COLUMNS.contains(&field.name().as_str()));
    let read: Vec<usize> = read.map(|(i, _)| i).collect();
    let batches = reader.map(|batch| batch?.project(&read)).collect::<Result<Vec<_>, _>>();
    let schema = schema.project(&read).map_err(failed)?;
    Ok((Arc::new(schema), batches.map_err(failed)?))
}

fn reader(table: &str, scale: f64, part: i32, parts: i32) -> Reader {
    match table {
        "region" => Box::new(RegionArrow::new(RegionGenerator::new(scale, part, parts))),
        "nation" => Box::new(NationArrow::new(NationGenerator::new(scale, part, parts))),
        "supplier" => Box::new(SupplierArrow::new(SupplierGenerator::new(scale, part, parts))),
        "part" => Box::new(PartArrow::new(PartGenerator::new(scale, part, parts))),
        "partsupp" => Box::new(PartSuppArrow::new(PartSuppGenerator::new(scale, part, parts))),
        "customer" => Box::new(CustomerArrow::new(CustomerGenerator::new(scale, part, parts))),
        "orders" => Box::new(OrderArrow::new(OrderGenerator::new(scale, part, parts))),
        _ => Box::new(LineItemArrow::new(LineItemGenerator::new(scale, part, parts))),
    }
}

fn failed(error: impl Into<DataFusionError>) -> CommandError {
    CommandError::failure(format!("computing the expected answers: {}", error.into()))
}

#[cfg(test)]
mod tests {
    use super::super::answer::{Precision, compare, stored_answer};
    use super::super::query::QUERIES;
    use super::*;

    /// Two engines over one generator: the answers that PostgreSQL stored are those of DataFusion.
    #[tokio::test]
    async fn datafusion_agrees_with_the_stored_answers() {
        let oracle = Oracle::new(0.01, &Console::silent()).await.unwrap();
        for query in &QUERIES {
            let computed = oracle.answer(query).await.unwrap();
            let stored = stored_answer(query);
            let equal = compare(query, &computed, &stored, Precision::CutOff);
            assert_eq!(equal, Ok(()), "{query:?}");
        }
    }
}
