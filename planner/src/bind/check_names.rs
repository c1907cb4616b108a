//! What PostgreSQL refuses before it looks anything up: the same name twice in FROM, window
//! functions in WHERE.

use std::{collections::BTreeSet, ops::ControlFlow};

use datafusion::sql::sqlparser::ast::{
    Expr, Query, Select, TableFactor, TableWithJoins, Visit, Visitor,
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::parse::fold_ident;

/// Errors: 42712, 42P20.
pub(super) fn check_names(query: &Query) -> Result<()> {
    match query.visit(&mut Selects) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Selects;

impl Visitor for Selects {
    type Break = ErrorReport;

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<ErrorReport> {
        let mut names = BTreeSet::new();
        for from in &select.from {
            check_from(from, &mut names)?;
        }
        match &select.selection {
            Some(condition) => condition.visit(&mut WindowFunctions { depth: 0 }),
            None => ControlFlow::Continue(()),
        }
    }
}

fn check_from(from: &TableWithJoins, names: &mut BTreeSet<String>) -> ControlFlow<ErrorReport> {
    let joined = from.joins.iter().map(|join| &join.relation);
    for factor in std::iter::once(&from.relation).chain(joined) {
        let (name, full) = match factor {
            TableFactor::Table { name, alias: None, .. } => {
                let last = name.0.last().and_then(|part| part.as_ident()).map(fold_ident);
                // Tables of two schemas may have one name.
                (last, name.0.len() > 1)
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                check_from(table_with_joins, names)?;
                (None, false)
            }
            TableFactor::Table { alias: Some(alias), .. }
            | TableFactor::Derived { alias: Some(alias), .. } => {
                (Some(fold_ident(&alias.name)), false)
            }
            _ => (None, false),
        };
        if let Some(name) = name
            && !names.insert(name.clone())
            && !full
        {
            let message = format!("table name \"{name}\" specified more than once");
            return ControlFlow::Break(ErrorReport::new(SqlState::DUPLICATE_ALIAS, message));
        }
    }
    ControlFlow::Continue(())
}

/// Those of the condition itself, not of its subqueries.
struct WindowFunctions {
    depth: usize,
}

impl Visitor for WindowFunctions {
    type Break = ErrorReport;

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<ErrorReport> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<ErrorReport> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<ErrorReport> {
        match expr {
            Expr::Function(function) if function.over.is_some() && self.depth == 0 => {
                let message = "window functions are not allowed in WHERE";
                ControlFlow::Break(ErrorReport::new(SqlState::WINDOWING_ERROR, message))
            }
            _ => ControlFlow::Continue(()),
        }
    }
}
