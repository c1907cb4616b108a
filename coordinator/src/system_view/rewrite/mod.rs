//! What clients ask the catalogs, in forms that the SQL planner takes.
//!
//! psql, drivers and tools write PostgreSQL's own dialect when they read the catalogs: names
//! qualified with `pg_catalog`, `OPERATOR(pg_catalog.~)`, `x::regclass`, `ARRAY(SELECT …)`,
//! scalar subqueries that give a column of the one row found. Each is turned into an equivalent
//! that DataFusion plans:
//!
//! | Written | Planned | In |
//! |---|---|---|
//! | `pg_catalog.f(x)`, `x OPERATOR(pg_catalog.~) y`, `x COLLATE …` | `f(x)`, `x ~ y`, `x` | `names` |
//! | `pg_class`, `c.tableoid` | `pg_catalog.pg_class`, its OID | `names` |
//! | `x::oid`, `x::"char"`, `x::pg_catalog.text` | `x::bigint`, `x::text` | `names` |
//! | `relname[0]` | `substr(relname, …)` | `names` |
//! | `'t'::regclass` compared, `x::regclass` shown | the OID, the name | `reg` |
//! | `ARRAY(SELECT x FROM …)` | `(SELECT array_agg(x) FROM …)` | `arrays` |
//! | `_pg_expandarray(a)`, `(row).name` | `unnest`, `get_field` | `arrays` |
//! | `(SELECT x FROM … WHERE … = outer)` | `(SELECT first_value(x) …)` | `subqueries` |
//! | `(WITH RECURSIVE … SELECT x … ORDER BY y LIMIT 1)` | `(… SELECT first_value(x ORDER BY y) …)` | `subqueries` |
//! | `EXISTS (…)` shown | `(SELECT count(1) …) > 0` | `subqueries` |
//! | subqueries shown beside a relation that is always empty | NULL | `subqueries` |
//!
//! The result columns have been named before ([`kestrel_planner::bind::name_outputs`]): their names
//! are those of the statement as it was written.

mod arrays;
mod build;
mod names;
mod reg;
mod scope;
mod subqueries;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, ops::ControlFlow};

use datafusion::sql::sqlparser::ast::{DataType, Expr, ObjectName, Query, Statement, Visitor};
use kestrel_planner::parse::Walk;

/// Whether a statement with a query asks the catalogs: it reads a system relation, names something
/// in `pg_catalog` or a `reg…` type, or looks one up. Only such statements need [`rewrite`].
pub fn concerns_catalogs(statement: &Statement) -> bool {
    match statement {
        Statement::Query(_)
        | Statement::Explain { .. }
        | Statement::Insert(_)
        | Statement::Update(_)
        | Statement::Delete(_)
        | Statement::Copy { .. } => {}
        Statement::CreateTable(table) if table.query.is_some() => {}
        // The expressions of other DDL are kept as text: they stay as they were written.
        _ => return false,
    }
    let mut search = Search { ctes: cte_names(statement) };
    statement.walk(&mut search).is_break()
}

/// Turns what clients write into what the SQL planner takes.
pub fn rewrite(statement: &mut Statement) {
    let ctes = cte_names(statement);
    let _ = statement.walk_mut(&mut reg::Reg);
    let _ = statement.walk_mut(&mut names::Names::new(ctes));
    let _ = statement.walk_mut(&mut subqueries::Subqueries);
}

struct Search {
    ctes: HashSet<String>,
}

impl Visitor for Search {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        match scope::system_relation(relation, &self.ctes) {
            Some(_) => ControlFlow::Break(()),
            None if names::gives_rows(relation) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let found = match expr {
            Expr::Function(function) => {
                names::is_qualified(&function.name) || reg::looked_up(function).is_some()
            }
            Expr::Cast { data_type, .. } => {
                reg::kind(data_type).is_some() || is_in_pg_catalog(data_type)
            }
            Expr::Collate { .. } => true,
            _ => false,
        };
        if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn is_in_pg_catalog(data_type: &DataType) -> bool {
    data_type.to_string().to_ascii_lowercase().starts_with("pg_catalog.")
}

/// The names of all WITH queries: relations of these names are not the catalogs'.
fn cte_names(statement: &Statement) -> HashSet<String> {
    struct Names(HashSet<String>);
    impl Visitor for Names {
        type Break = ();
        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
            self.0.extend(ctes.map(|cte| cte.alias.name.value.to_lowercase()));
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(HashSet::new());
    let _ = statement.walk(&mut names);
    names.0
}
