//! The tables' DDL under each layout.

use super::table::{TABLES, Table};

static SCHEMA: &str = include_str!("../../bench-data/tpch/schema.sql");

/// How the tables are spread over the datanodes. The answers are the same under all of them;
/// the time and the rows moved are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Layout {
    /// By the keys in `bench-data/tpch/schema.sql`.
    Usual,
    /// Every table DISTRIBUTED RANDOMLY.
    Random,
    /// Every table by a column that no query joins on.
    WrongKey,
    /// Every table on every datanode.
    Replicated,
    /// No DISTRIBUTED clause: PostgreSQL's SQL.
    #[value(skip)]
    Undistributed,
}

/// One CREATE TABLE for each table, in the order of [`TABLES`].
pub fn create_statements(layout: Layout) -> Vec<String> {
    let tables = TABLES.iter();
    tables
        .filter_map(|table| Some(create_statement(usual_statement(table)?, table, layout)))
        .collect()
}

fn usual_statement(table: &Table) -> Option<&'static str> {
    let start = SCHEMA.find(&format!("CREATE TABLE {} (", table.name))?;
    SCHEMA[start..].split(';').next()
}

/// Replaces the DISTRIBUTED clause. A primary key that would not contain the distribution key
/// goes: each datanode could only check its own rows.
fn create_statement(usual: &str, table: &Table, layout: Layout) -> String {
    let (table_part, usual_clause) = usual.rsplit_once(") ").unwrap_or((usual, ""));
    let without_key = || match table_part.rsplit_once(",\n    PRIMARY KEY") {
        Some((columns, _)) => format!("{columns}\n"),
        None => table_part.to_string(),
    };
    match layout {
        Layout::Usual => format!("{table_part}) {usual_clause}"),
        Layout::Random => format!("{}) DISTRIBUTED RANDOMLY", without_key()),
        Layout::WrongKey => format!("{}) DISTRIBUTED BY ({})", without_key(), table.wrong_key),
        Layout::Replicated => format!("{table_part}) DISTRIBUTED REPLICATED"),
        Layout::Undistributed => format!("{table_part})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nation(layout: Layout) -> String {
        create_statements(layout)[1].clone()
    }

    #[test]
    fn layouts_change_the_clause_and_the_key() {
        let columns = "CREATE TABLE nation (\n    n_nationkey int NOT NULL,\n    \
            n_name char(25) NOT NULL,\n    n_regionkey int NOT NULL,\n    \
            n_comment varchar(152) NOT NULL";
        let key = ",\n    PRIMARY KEY (n_nationkey)";
        for (layout, key, clause) in [
            (Layout::Usual, key, " DISTRIBUTED REPLICATED"),
            (Layout::Random, "", " DISTRIBUTED RANDOMLY"),
            (Layout::WrongKey, "", " DISTRIBUTED BY (n_name)"),
            (Layout::Replicated, key, " DISTRIBUTED REPLICATED"),
            (Layout::Undistributed, key, ""),
        ] {
            assert_eq!(nation(layout), format!("{columns}{key}\n){clause}"), "{layout:?}");
        }
    }

    #[test]
    fn every_table_is_there_and_has_its_wrong_key() {
        for layout in [Layout::Usual, Layout::Random, Layout::WrongKey, Layout::Replicated] {
            let statements = create_statements(layout);
            assert_eq!(statements.len(), TABLES.len());
            for (table, statement) in TABLES.iter().zip(statements) {
                assert!(statement.contains(&format!("\n    {} ", table.wrong_key)), "{statement}");
                assert_eq!(statement.matches("DISTRIBUTED").count(), 1, "{statement}");
            }
        }
    }
}
