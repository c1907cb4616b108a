//! A scan of a table as one query: the columns and filters that can be the database's, and what is
//! left to Kestrel.
//!
//! ```text
//! COPY (SELECT "a", "b" FROM "s"."t" WHERE ("a" > '1'::pg_catalog.int4) LIMIT 10)
//! TO STDOUT (FORMAT BINARY)
//! ```

use std::sync::Arc;

use crate::operators::ShardScan;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::physical_expr::{PhysicalExpr, utils::collect_columns};
use kestrel_proto::{ErrorReport, Result};

use super::{Capabilities, Piece, Relation, expr::pushed, quote::identifiers, sample};

/// A query that wants no columns gets this one from the database, for there to be a row to count:
/// its value is nothing, and not every server has a SELECT without columns.
const NO_COLUMNS: &str = "NULL::pg_catalog.int2";

/// The query of a scan.
#[derive(Clone, Debug)]
pub struct ScanSql {
    select_list: String,
    from: String,
    conditions: Vec<String>,
    limit: Option<usize>,
    /// What the query's columns are, as positions in the table's schema: the projection, then what
    /// only `remaining` needs. Where it is empty, the query has one column that is always NULL.
    pub columns: Vec<usize>,
    /// The filters that Kestrel has to apply, over the table's schema.
    pub remaining: Vec<Arc<dyn PhysicalExpr>>,
    /// Whether the query as a whole (not in pieces) gives no more rows than the scan needs.
    pub pushes_fetch: bool,
}

impl ScanSql {
    /// The query that does what `scan` asks for, but for what it says is left.
    ///
    /// # Errors
    /// Those of [`identifier`](super::identifier); XX000 when `scan` contradicts itself.
    pub fn of(relation: &Relation, scan: &ShardScan, capabilities: Capabilities) -> Result<Self> {
        let schema = &named_there(scan);
        let sampled = scan.sample.as_ref();
        let mut conditions: Vec<_> = sampled.and_then(sample::condition).into_iter().collect();
        let mut remaining = Vec::new();
        for filter in &scan.filters {
            match pushed(filter, schema, capabilities) {
                Some(condition) => conditions.push(condition),
                None => remaining.push(Arc::clone(filter)),
            }
        }
        let columns = columns_read(&scan.projection, &remaining);
        // A limit counts the rows that pass all filters.
        let limit = if remaining.is_empty() { scan.fetch } else { None };
        Ok(Self {
            select_list: select_list(&scan.table, schema, &columns)?,
            from: relation.quoted()? + &sampled.map_or_else(String::new, sample::clause),
            conditions,
            limit,
            columns,
            pushes_fetch: limit.is_some(),
            remaining,
        })
    }

    /// The query over a piece of the table, for EXPLAIN.
    pub fn select(&self, piece: &Piece) -> String {
        let mut sql = format!("SELECT {} FROM {}", self.select_list, self.from);
        let conditions = self.conditions.iter().map(String::as_str).chain(piece.condition());
        let conditions: Vec<_> = conditions.collect();
        if !conditions.is_empty() {
            sql.push_str(&format!(" WHERE {}", conditions.join(" AND ")));
        }
        if let Some(limit) = self.limit {
            sql.push_str(&format!(" LIMIT {limit}"));
        }
        sql
    }

    /// The statement that sends the rows of a piece in COPY's binary format.
    pub fn copy(&self, piece: &Piece) -> String {
        format!("COPY ({}) TO STDOUT (FORMAT BINARY)", self.select(piece))
    }
}

/// The projected columns, then those that only filters need.
fn columns_read(projection: &[usize], remaining: &[Arc<dyn PhysicalExpr>]) -> Vec<usize> {
    let mut columns = projection.to_vec();
    let mut filtered: Vec<_> =
        remaining.iter().flat_map(collect_columns).map(|column| column.index()).collect();
    filtered.sort_unstable();
    for column in filtered {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    columns
}

/// The table's schema under the names that its columns have in the database: a view may know them by
/// older ones.
fn named_there(scan: &ShardScan) -> SchemaRef {
    let Some(relation) = &scan.relation else { return Arc::clone(&scan.schema) };
    let fields = scan.schema.fields().iter().zip(&relation.columns);
    let fields = fields.map(|(field, name)| field.as_ref().clone().with_name(name));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn select_list(table: &str, schema: &Schema, columns: &[usize]) -> Result<String> {
    if columns.is_empty() {
        return Ok(NO_COLUMNS.into());
    }
    let fields = schema.fields();
    let names = columns.iter().map(|column| {
        let field = fields.get(*column);
        field.map(|field| field.name().as_str()).ok_or_else(|| {
            ErrorReport::internal(format!("a scan of {table} reads unknown column {column}"))
        })
    });
    identifiers(names.collect::<Result<Vec<_>>>()?)
}
