//! WITH (…), TABLESPACE, USING: how a table is stored is Kestrel's to decide.

use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::parse::{CreateTable, Identifier};

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

/// A NOTICE if anything was said about storage. Names that are none are errors: 22023, 42704.
pub(super) fn check(table: &CreateTable, notices: &mut Vec<ErrorReport>) -> Result<()> {
    let mut ignored = Vec::new();
    for parameter in &table.storage_parameters {
        let name = parameter.name.as_str();
        let is_known = PARAMETERS.contains(&name) || name.contains("autovacuum");
        if !is_known {
            let message = format!("unrecognized parameter \"{name}\"");
            let error = ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message);
            return Err(error.position(parameter.position));
        }
        ignored.push(name);
    }
    check_name("tablespace", table.tablespace.as_ref(), TABLESPACES)?;
    check_name("access method", table.access_method.as_ref(), ACCESS_METHODS)?;
    if !ignored.is_empty() {
        let message = format!("storage parameters are ignored: {}", ignored.join(", "));
        notices.push(
            ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message)
                .detail("All tables are stored as compressed columnar segments."),
        );
    }
    Ok(())
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
