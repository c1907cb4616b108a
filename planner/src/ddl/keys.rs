//! PRIMARY KEY and UNIQUE (PostgreSQL's `transformIndexConstraints`, parser/parse_utilcmd.c).

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::names::RelationNames;
use crate::{
    catalog::{ColumnDef, KeyDef},
    parse::{CreateTable, Identifier, KeyClause, TableElement},
};

/// A key to be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeyRequest {
    /// `None`: to be chosen.
    pub(super) name: Option<String>,
    pub(super) is_primary: bool,
    /// Column ids.
    pub(super) columns: Vec<u32>,
}

/// The keys of the statement, then the copied ones; the primary key first.
pub(super) fn requests(
    table: &CreateTable,
    columns: &[ColumnDef],
    copied: Vec<KeyRequest>,
) -> Result<Vec<KeyRequest>> {
    let mut requests: Vec<KeyRequest> = Vec::new();
    let mut add = |request: KeyRequest, position: Option<u32>| {
        if request.is_primary && requests.iter().any(|r| r.is_primary) {
            let message =
                format!("multiple primary keys for table \"{}\" are not allowed", table.name.name);
            let error = ErrorReport::new(SqlState::INVALID_TABLE_DEFINITION, message);
            return Err(ErrorReport { position, ..error });
        }
        // `a int PRIMARY KEY UNIQUE` is one key.
        match requests.iter_mut().find(|r| r.columns == request.columns) {
            Some(same) => {
                same.is_primary |= request.is_primary;
                same.name = same.name.take().or(request.name);
            }
            None => requests.push(request),
        }
        Ok(())
    };
    for element in &table.elements {
        let (is_primary, clause) = match element {
            TableElement::PrimaryKey(clause) => (true, clause),
            TableElement::Unique(clause) => (false, clause),
            TableElement::Column(_)
            | TableElement::Check(_)
            | TableElement::ForeignKey(_)
            | TableElement::Like(_) => continue,
        };
        let columns = column_ids(clause, is_primary, columns)?;
        let name = clause.name.as_ref().map(|n| n.name.clone());
        add(KeyRequest { name, is_primary, columns }, Some(clause.position))?;
    }
    copied.into_iter().try_for_each(|request| add(request, None))?;
    requests.sort_by_key(|r| !r.is_primary);
    Ok(requests)
}

fn column_ids(clause: &KeyClause, is_primary: bool, columns: &[ColumnDef]) -> Result<Vec<u32>> {
    let mut ids = Vec::new();
    for name in &clause.columns {
        let id = column_id(name, columns, "named in key does not exist")
            .map_err(|e| e.position(clause.position))?;
        if ids.contains(&id) {
            let constraint = if is_primary { "primary key" } else { "unique" };
            let message =
                format!("column \"{}\" appears twice in {constraint} constraint", name.name);
            let error = ErrorReport::new(SqlState::DUPLICATE_COLUMN, message);
            return Err(error.position(clause.position));
        }
        ids.push(id);
    }
    Ok(ids)
}

/// The column's id, or `column "x" {missing}` (42703).
pub(super) fn column_id(name: &Identifier, columns: &[ColumnDef], missing: &str) -> Result<u32> {
    columns.iter().find(|c| c.name == name.name).map(|c| c.id).ok_or_else(|| {
        let message = format!("column \"{}\" {missing}", name.name);
        ErrorReport::new(SqlState::UNDEFINED_COLUMN, message).position(name.position)
    })
}

/// Names and numbers the keys, and makes the primary key's columns NOT NULL. `next_oid` is called
/// once per key.
pub(super) fn make(
    requests: Vec<KeyRequest>,
    table_name: &str,
    columns: &mut [ColumnDef],
    names: &mut RelationNames<'_>,
    mut next_oid: impl FnMut() -> u64,
) -> Result<(Option<KeyDef>, Vec<KeyDef>)> {
    let (mut primary_key, mut unique_keys) = (None, Vec::new());
    for request in requests {
        let name = match request.name {
            Some(name) => {
                names.take(&name)?;
                name
            }
            None if request.is_primary => names.choose(table_name, "", "pkey"),
            None => {
                let of_key = columns.iter().filter(|c| request.columns.contains(&c.id));
                let mut by_key: Vec<_> = of_key.map(|c| (c.id, c.name.as_str())).collect();
                by_key.sort_by_key(|(id, _)| request.columns.iter().position(|c| c == id));
                let parts: Vec<_> = by_key.into_iter().map(|(_, name)| name).collect();
                names.choose(table_name, &parts.join("_"), "key")
            }
        };
        let key = KeyDef { name, id: next_oid(), columns: request.columns };
        if request.is_primary {
            let of_key = columns.iter_mut().filter(|c| key.columns.contains(&c.id));
            of_key.for_each(|c| c.not_null = true);
            primary_key = Some(key);
        } else {
            unique_keys.push(key);
        }
    }
    Ok((primary_key, unique_keys))
}
