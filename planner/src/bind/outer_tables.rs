//! Tables of outer queries, which come before columns.
//!
//! In `SELECT … FROM t AS a WHERE EXISTS (SELECT 1 FROM u WHERE u.a = a.id)` the table `a` is that
//! of the outer query: PostgreSQL looks for a table on all levels (`transformColumnRef` in
//! parse_expr.c). DataFusion looks for a field `id` in the column `u.a` before it leaves the inner
//! query. So the reference gets a schema of which there is no table, and no column either.
//! DataFusion does not mind it where FROM names the table without a schema.
//!
//! | reference | the table is | read as |
//! |---|---|---|
//! | `a.id` | in this FROM | `a.id` |
//! | `a.id` | `FROM t AS a`, farther out | `<OUTER_TABLE>.a.id` |
//! | `t.id` | `FROM public.t`, farther out | `<OUTER_TABLE>.public.t.id` |
//! | `x.id` | nowhere | `<NO_TABLE>.x.id`, for the error |

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Ident, ObjectName, Query, Select, TableFactor, VisitorMut,
};

use super::whole_row::for_each_relation;
use crate::{
    error::OUTER_TABLE,
    parse::{Walk, fold_ident},
};

/// The schema of tables that no FROM has; in no name that a user writes.
const NO_TABLE: &str = "none\u{1f}";

/// Gives a schema to the tables of all references but those to tables of the same SELECT.
pub(super) fn outer_tables(query: &mut Query) {
    // It never breaks off.
    let _ = query.walk_mut(&mut References { scopes: Vec::new(), queries: Vec::new() });
}

/// The relations of one FROM.
struct Scope {
    /// What each is called, and in full.
    relations: Vec<(String, ObjectName)>,
    /// How many of them the place sees where the walk is: a subquery in FROM sees those before it
    /// if it is LATERAL, and none if not.
    visible: usize,
}

struct References {
    scopes: Vec<Scope>,
    /// How many scopes are around each query that the walk is in.
    queries: Vec<usize>,
}

impl VisitorMut for References {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.queries.push(self.scopes.len());
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        // Only here: the query's ORDER BY is in the scope of its SELECT.
        self.scopes.truncate(self.queries.pop().unwrap_or_default());
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let mut relations = Vec::new();
        for from in &select.from {
            for_each_relation(from, &mut |_, name, path| relations.push((name, path)));
        }
        // Of a UNION's sides neither sees the other.
        self.scopes.truncate(self.around());
        self.scopes.push(Scope { visible: relations.len(), relations });
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Derived { lateral, alias, .. } = factor
            && let Some(scope) = self.scopes.last_mut()
        {
            let own = alias.as_ref().map(|alias| fold_ident(&alias.name));
            let is_own = |(name, _): &(String, ObjectName)| Some(name) == own.as_ref();
            let before = scope.relations.iter().position(is_own).unwrap_or(scope.visible);
            scope.visible = if *lateral { before } else { 0 };
        }
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Derived { .. } = factor
            && let Some(scope) = self.scopes.last_mut()
        {
            scope.visible = scope.relations.len();
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::CompoundIdentifier(parts) => {
                if let [table, column] = parts.as_slice()
                    && let Some(mut path) = self.path(table)
                {
                    path.push(column.clone());
                    *parts = path;
                }
            }
            // `a.list[1]` becomes `(a.list)[1]`; the walk comes to `a.list` next.
            Expr::CompoundFieldAccess { root, access_chain } => {
                if let Expr::Identifier(table) = root.as_ref()
                    && let [AccessExpr::Dot(Expr::Identifier(column)), AccessExpr::Subscript(_), ..] =
                        access_chain.as_slice()
                {
                    **root = Expr::CompoundIdentifier(vec![table.clone(), column.clone()]);
                    access_chain.remove(0);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl References {
    /// How many scopes are around the query that the walk is in.
    fn around(&self) -> usize {
        self.queries.last().copied().unwrap_or_default()
    }

    /// The table with its schema; `None`: it is one of the same SELECT.
    fn path(&self, table: &Ident) -> Option<Vec<Ident>> {
        let name = fold_ident(table);
        let find = |scope: &Scope| {
            let mut visible = scope.relations.iter().take(scope.visible);
            visible.find(|(known, _)| *known == name).map(|(_, path)| path.clone())
        };
        let (outer, own) = self.scopes.split_at(self.around());
        if own.iter().any(|scope| find(scope).is_some()) {
            return None;
        }
        let schema =
            |name: &str| Ident { value: name.into(), quote_style: Some('"'), span: table.span };
        let Some(path) = outer.iter().rev().find_map(find) else {
            return Some(vec![schema(NO_TABLE), table.clone()]);
        };
        // With a database's name it is complete.
        let unlike_a_column = (path.0.len() < 3).then(|| schema(OUTER_TABLE));
        let place = |ident: &Ident| Ident { span: table.span, ..ident.clone() };
        let path = path.0.iter().filter_map(|part| part.as_ident()).map(place);
        Some(unlike_a_column.into_iter().chain(path).collect())
    }
}
