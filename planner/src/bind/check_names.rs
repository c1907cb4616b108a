//! What PostgreSQL refuses before it looks anything up: the same name twice in FROM, window
//! functions in WHERE.

use std::{collections::BTreeSet, ops::ControlFlow};

use datafusion::sql::sqlparser::ast::{Expr, Query, Select, TableFactor, TableWithJoins, Visitor};
use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::parse::{Walk, fold_ident};

/// Errors: 42712, 42P20.
pub(super) fn check_names(query: &Query) -> Result<()> {
    let mut selects = Selects { result: Ok(()) };
    // It breaks off at an error.
    let _ = query.walk(&mut selects);
    selects.result
}

struct Selects {
    result: Result<()>,
}

impl Visitor for Selects {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.result = check_select(select);
        match self.result {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

fn check_select(select: &Select) -> Result<()> {
    let mut names = BTreeSet::new();
    for from in &select.from {
        check_from(from, &mut names)?;
    }
    let mut window_functions = WindowFunctions { depth: 0 };
    match &select.selection {
        Some(condition) if condition.walk(&mut window_functions).is_break() => {
            let message = "window functions are not allowed in WHERE";
            Err(ErrorReport::new(SqlState::WINDOWING_ERROR, message))
        }
        _ => Ok(()),
    }
}

fn check_from(from: &TableWithJoins, names: &mut BTreeSet<String>) -> Result<()> {
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
            return Err(ErrorReport::new(SqlState::DUPLICATE_ALIAS, message));
        }
    }
    Ok(())
}

/// Breaks off at one of the condition itself, not of its subqueries.
struct WindowFunctions {
    depth: usize,
}

impl Visitor for WindowFunctions {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function) if function.over.is_some() && self.depth == 0 => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}
