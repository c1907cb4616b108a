//! The expressions that tables keep as text: conditions of CHECK, and DEFAULT.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, Visitor};
use kestrel_proto::{ErrorReport, Result};

use super::{
    name::{Identifier, fold_ident},
    walk::Walk,
};

/// Whoever writes into the table has such an expression computed, and is not asked whether they may
/// read what a subquery in it reads: there is none. `place`: `check constraint`, `DEFAULT expression`.
///
/// Errors: 0A000 for a subquery.
pub(super) fn refuse_subquery(expression: &Expr, place: &str, position: u32) -> Result<()> {
    struct Search;
    impl Visitor for Search {
        type Break = ();
        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    if expression.walk(&mut Search).is_continue() {
        return Ok(());
    }
    let error = ErrorReport::unsupported(format!("cannot use subquery in {place}"));
    Err(error.position(position))
}

/// The columns that a condition names: each once, in the order of their first places, `position`
/// being the constraint's.
pub(super) fn named_columns(condition: &Expr, position: u32) -> Vec<Identifier> {
    let mut columns = Columns { position, found: Vec::new() };
    let _ = condition.walk(&mut columns);
    columns.found
}

struct Columns {
    position: u32,
    found: Vec<Identifier>,
}

impl Visitor for Columns {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let ident = match expr {
            Expr::Identifier(ident) => Some(ident),
            Expr::CompoundIdentifier(parts) => parts.last(),
            _ => None,
        };
        if let Some(name) = ident.map(fold_ident)
            && !self.found.iter().any(|column| column.name == name)
        {
            self.found.push(Identifier { name, position: self.position });
        }
        ControlFlow::Continue(())
    }
}
