//! WITH (…), TABLESPACE, USING: how a table is stored is Kestrel's to decide, but for the columns by
//! which its segments are sorted.

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{alter::Altered, keys::column_id};
use crate::{
    catalog::{ColumnDef, SqlType, TableDef},
    parse::{CLUSTER_BY, CreateTable, Identifier, StorageParameter},
};

/// PostgreSQL's and Greenplum's storage parameters, as far as users write them.
const PARAMETERS: &[&str] = &[
    "fillfactor",
    "toast_tuple_target",
    "parallel_workers",
    "user_catalog_table",
    "oids",
    "appendonly",
    "appendoptimized",
    "orientation",
    "compresstype",
    "compresslevel",
    "blocksize",
    "checksum",
    "analyze_hll_non_part_table",
];

const TABLESPACES: &[&str] = &["pg_default"];

const ACCESS_METHODS: &[&str] = &["heap", "ao_row", "ao_column", "columnar"];

/// A NOTICE if anything was said about storage that is ignored. Names that are none are errors: 22023,
/// 42704.
pub(super) fn check(table: &CreateTable, notices: &mut Vec<ErrorReport>) -> Result<()> {
    check_parameters(&table.storage_parameters, notices)?;
    check_name("tablespace", table.tablespace.as_ref(), TABLESPACES)?;
    check_name("access method", table.access_method.as_ref(), ACCESS_METHODS)
}

fn check_parameters(parameters: &[StorageParameter], notices: &mut Vec<ErrorReport>) -> Result<()> {
    let mut ignored = Vec::new();
    let mut is_clustered = false;
    for StorageParameter { name: parameter, .. } in parameters {
        let name = parameter.name.as_str();
        let error = |message: String| {
            let error = ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message);
            Err(error.position(parameter.position))
        };
        if name == CLUSTER_BY {
            if is_clustered {
                return error(format!("parameter \"{name}\" specified more than once"));
            }
            is_clustered = true;
            continue;
        }
        let is_known = PARAMETERS.contains(&name) || name.contains("autovacuum");
        if !is_known {
            return error(format!("unrecognized parameter \"{name}\""));
        }
        ignored.push(name);
    }
    if !ignored.is_empty() {
        let message = format!("storage parameters are ignored: {}", ignored.join(", "));
        notices.push(
            ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message)
                .detail("All tables are stored as compressed columnar segments."),
        );
    }
    Ok(())
}

/// Gives a new table the clustering columns that its parameters list. Without such, it keeps those
/// that it has.
///
/// Errors: 22023, 42701, 42703 for lists that are none; 0A000 for types without an order, and for
/// tables in databases.
pub(super) fn cluster(table: &mut TableDef, parameters: &[StorageParameter]) -> Result<()> {
    let parameter = parameters.iter().find(|parameter| parameter.name.name == CLUSTER_BY);
    if let Some(parameter) = parameter {
        let columns = clustering_columns(parameter, &table.columns)?;
        set_columns(table, columns).map_err(|error| error.position(parameter.name.position))?;
    }
    Ok(())
}

fn clustering_columns(parameter: &StorageParameter, columns: &[ColumnDef]) -> Result<Vec<u32>> {
    let mut ids = Vec::new();
    for name in parameter.columns()? {
        let id = column_id(&name, columns, "named in cluster_by does not exist")?;
        if ids.contains(&id) {
            let message = format!("column \"{}\" appears twice in cluster_by", name.name);
            let error = ErrorReport::new(SqlState::DUPLICATE_COLUMN, message);
            return Err(error.position(name.position));
        }
        ids.push(id);
    }
    Ok(ids)
}

fn set_columns(table: &mut TableDef, ids: Vec<u32>) -> Result<()> {
    if table.is_on_shards() {
        let message =
            "clustering columns of tables in databases beside the datanodes are not supported";
        return Err(ErrorReport::unsupported(message).hint(
            "Leave cluster_by out, or have datanodes keep the rows themselves (shard kind \
             \"columnar\").",
        ));
    }
    for column in ids.iter().filter_map(|id| table.column_by_id(*id)) {
        if !is_ordered(column.sql_type) {
            let ColumnDef { name, sql_type, .. } = column;
            let message = format!("column \"{name}\" of type {sql_type} cannot be in cluster_by");
            return Err(ErrorReport::unsupported(message)
                .detail("Segments keep no least and greatest value of this type."));
        }
    }
    table.cluster_by = ids;
    Ok(())
}

/// Whether to sort by it helps readers: of intervals files have no bounds, and of JSON no order.
fn is_ordered(sql_type: SqlType) -> bool {
    sql_type.element().is_none()
        && !matches!(sql_type, SqlType::Interval | SqlType::Json | SqlType::Jsonb)
}

impl Altered<'_> {
    /// SET (…)
    pub(super) fn set_storage(&mut self, parameters: &[StorageParameter]) -> Result<()> {
        check_parameters(parameters, &mut self.notices)?;
        cluster(&mut self.table, parameters)
    }

    /// RESET (…)
    pub(super) fn reset_storage(&mut self, parameters: &[StorageParameter]) -> Result<()> {
        if let Some(parameter) = parameters.iter().find(|parameter| parameter.value.is_some()) {
            let message = "RESET must not include values for parameters";
            let error = ErrorReport::new(SqlState::SYNTAX_ERROR, message);
            return Err(error.position(parameter.name.position));
        }
        check_parameters(parameters, &mut self.notices)?;
        if parameters.iter().any(|parameter| parameter.name.name == CLUSTER_BY) {
            self.table.cluster_by.clear();
        }
        Ok(())
    }

    /// CLUSTER ON: the index's columns become the clustering columns.
    pub(super) fn cluster_on(&mut self, index: &Identifier) -> Result<()> {
        let key = self.table.index_keys().find(|key| key.name == index.name);
        let Some(columns) = key.map(|key| key.columns.clone()) else {
            let (index, table) = (&index.name, &self.table.name);
            let message = format!("index \"{index}\" for table \"{table}\" does not exist");
            return Err(ErrorReport::new(SqlState::UNDEFINED_OBJECT, message));
        };
        set_columns(&mut self.table, columns)
    }

    /// Without a column that goes: rows stay in the order of those before it.
    pub(super) fn uncluster(&mut self, column: u32) {
        let columns = &mut self.table.cluster_by;
        let kept = columns.iter().position(|id| *id == column).unwrap_or(columns.len());
        columns.truncate(kept);
    }
}

fn check_name(kind: &str, name: Option<&Identifier>, known: &[&str]) -> Result<()> {
    match name {
        Some(name) if !known.contains(&name.name.as_str()) => {
            let message = format!("{kind} \"{}\" does not exist", name.name);
            Err(ErrorReport::new(SqlState::UNDEFINED_OBJECT, message).position(name.position))
        }
        _ => Ok(()),
    }
}
