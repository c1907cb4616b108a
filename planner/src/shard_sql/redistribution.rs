//! ALTER TABLE … SET DISTRIBUTED in the databases that hold shards: a table beside another, to which
//! its rows go, and from which they come back.

use kestrel_proto::Result;

use super::{Relation, quote::identifiers};
use crate::catalog::TableDef;

/// The table beside `after`, where the rows are to be.
pub fn stage_of(after: &TableDef) -> TableDef {
    TableDef { name: format!("kestrel moves {}", after.id), ..after.without_segments() }
}

/// Makes it, with the columns of `table` and nothing else.
///
/// # Errors
/// Those of [`super::identifier`].
pub fn make_stage(table: &TableDef, stage: &TableDef) -> Result<Vec<String>> {
    let (table, stage) = (Relation::of(table).quoted()?, Relation::of(stage).quoted()?);
    Ok(vec![format!("CREATE TABLE {stage} (LIKE {table})")])
}

/// Its rows take the place of the table's, and it goes. Snapshots that are open see the rows that there
/// were: they are deleted, since TRUNCATE would take them away from under all.
///
/// # Errors
/// Those of [`super::identifier`].
pub fn take_back(table: &TableDef, stage: &TableDef) -> Result<Vec<String>> {
    let columns = identifiers(table.columns.iter().map(|column| column.name.as_str()))?;
    let (table, stage) = (Relation::of(table).quoted()?, Relation::of(stage).quoted()?);
    Ok(vec![
        format!("DELETE FROM {table}"),
        format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM {stage}"),
        format!("DROP TABLE {stage}"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{ColumnDef, Distribution, SqlType};

    #[test]
    fn rows_go_and_come_back() {
        let column = |id, name: &str| ColumnDef {
            id,
            name: name.into(),
            sql_type: SqlType::Integer,
            not_null: false,
            default: None,
            identity: None,
        };
        let columns = vec![column(1, "a"), column(3, "B")];
        let table = TableDef::new(20_000, ("s", "t"), columns, Distribution::Random);
        let stage = stage_of(&table);
        let made = make_stage(&table, &stage).unwrap();
        assert_eq!(made, ["CREATE TABLE \"s\".\"kestrel moves 20000\" (LIKE \"s\".\"t\")"]);
        let expected = [
            "DELETE FROM \"s\".\"t\"",
            "INSERT INTO \"s\".\"t\" (\"a\", \"B\") SELECT \"a\", \"B\" FROM \
             \"s\".\"kestrel moves 20000\"",
            "DROP TABLE \"s\".\"kestrel moves 20000\"",
        ];
        assert_eq!(take_back(&table, &stage).unwrap(), expected);
    }
}
