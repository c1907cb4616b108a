//! The columns that a CHECK constraint names.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, Visitor};
use kestrel_proto::{ErrorReport, Result};

use super::{
    name::{Identifier, fold_ident},
    walk::Walk,
};

/// Each once, in the order of their first places. `position`: the constraint's.
///
/// Errors: 0A000 for a subquery.
pub(super) fn named(condition: &Expr, position: u32) -> Result<Vec<Identifier>> {
    let mut columns = Columns { position, found: Vec::new() };
    if condition.walk(&mut columns).is_break() {
        let error = ErrorReport::unsupported("cannot use subquery in check constraint");
        return Err(error.position(position));
    }
    Ok(columns.found)
}

struct Columns {
    position: u32,
    found: Vec<Identifier>,
}

impl Visitor for Columns {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        ControlFlow::Break(())
    }

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
