//! CREATE TABLE … AS, once the query's columns are known.

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    DdlPlan, columns,
    create_table::{check_clauses, missing_schema, table_def, target_schema},
    distribution_key::Declared,
    storage,
};
use crate::{
    catalog::{Catalog, CatalogChange, SqlType},
    parse::CreateTableAs,
};

/// Plans the table of `CREATE TABLE … AS` for a query with these columns. If nothing is created
/// (`IF NOT EXISTS`), the plan has no changes and the query need not run. The tag is that of
/// `WITH NO DATA`; with data it is `SELECT n`.
///
/// Errors: as [`super::plan`]'s for CREATE TABLE; 42601 for more column names than columns.
pub fn create_table_as(
    statement: &CreateTableAs,
    columns: &[(String, SqlType)],
    catalog: &Catalog,
    search_path: &[String],
) -> Result<DdlPlan> {
    let mut plan = DdlPlan::new("CREATE TABLE AS");
    let table = &statement.table;
    let Some(schema) = target_schema(table, catalog, search_path, &mut plan.notices)? else {
        return Ok(plan);
    };
    check_clauses(table, &mut plan.notices)?;
    if table.partition_by.is_some() {
        let message = "cannot create a partitioned table using CREATE TABLE AS SELECT";
        return Err(ErrorReport::unsupported(message)
            .hint("Use CREATE TABLE ... PARTITION BY, then INSERT INTO ... SELECT."));
    }
    if let Some(extra) = statement.column_names.get(columns.len()) {
        let message = "too many column names were specified";
        let error = ErrorReport::new(SqlState::SYNTAX_ERROR, message);
        return Err(error.position(extra.position));
    }
    let mut columns = columns.to_vec();
    for (column, name) in columns.iter_mut().zip(&statement.column_names) {
        column.0 = name.name.clone();
    }
    let columns = columns::of_query(&columns)?;
    let distribution = Declared {
        clause: table.distributed.as_ref(),
        columns: &columns,
        primary_key: None,
        unique_keys: &[],
        keys_are_copied: true,
        like: None,
        column_word: "column(s)",
    }
    .distribution(&mut plan.notices)?;
    plan.changes.extend(missing_schema(catalog, schema, || catalog.next_oid + 1));
    let mut definition =
        table_def(catalog, catalog.next_oid, (schema, &table.name.name), columns, distribution);
    definition.on_commit = table.on_commit.unwrap_or_default();
    storage::cluster(&mut definition, &table.storage_parameters)?;
    plan.changes.push(CatalogChange::CreateTable(definition));
    Ok(plan)
}
