//! Walks over syntax trees.
//!
//! sqlparser's walk is generic in its visitor, and an instance of it is a thousand functions, one
//! or more for every type of node. Here all visitors share the one instance for [`Reader`] and the
//! one for [`Writer`]: a call through a table per node instead of minutes of compiling.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Query, Select, SelectItem, Statement, TableFactor, ValueWithSpan, Visit,
    VisitMut, Visitor, VisitorMut,
};

/// Where walks start.
pub trait Walk {
    /// Shows every node at and below this one to `visitor`, until that breaks off.
    fn walk(&self, visitor: &mut dyn Visitor<Break = ()>) -> ControlFlow<()>;

    /// The same for a visitor that changes nodes.
    fn walk_mut(&mut self, visitor: &mut dyn VisitorMut<Break = ()>) -> ControlFlow<()>;
}

macro_rules! walk {
    ($($root:ty),+ $(,)?) => {
        $(impl Walk for $root {
            fn walk(&self, visitor: &mut dyn Visitor<Break = ()>) -> ControlFlow<()> {
                Visit::visit(self, &mut Reader(visitor))
            }

            fn walk_mut(&mut self, visitor: &mut dyn VisitorMut<Break = ()>) -> ControlFlow<()> {
                VisitMut::visit(self, &mut Writer(visitor))
            }
        })+
    };
}

walk!(Expr, Query, SelectItem, Statement, Vec<SelectItem>);

struct Reader<'a>(&'a mut dyn Visitor<Break = ()>);

struct Writer<'a>(&'a mut dyn VisitorMut<Break = ()>);

macro_rules! pass_on {
    ($($method:ident($($node:tt)+)),+ $(,)?) => {
        $(fn $method(&mut self, node: $($node)+) -> ControlFlow<()> {
            self.0.$method(node)
        })+
    };
}

impl Visitor for Reader<'_> {
    type Break = ();

    pass_on! {
        pre_visit_query(&Query),
        post_visit_query(&Query),
        pre_visit_select(&Select),
        post_visit_select(&Select),
        pre_visit_relation(&ObjectName),
        post_visit_relation(&ObjectName),
        pre_visit_table_factor(&TableFactor),
        post_visit_table_factor(&TableFactor),
        pre_visit_expr(&Expr),
        post_visit_expr(&Expr),
        pre_visit_statement(&Statement),
        post_visit_statement(&Statement),
        pre_visit_value(&ValueWithSpan),
        post_visit_value(&ValueWithSpan),
    }
}

impl VisitorMut for Writer<'_> {
    type Break = ();

    pass_on! {
        pre_visit_query(&mut Query),
        post_visit_query(&mut Query),
        pre_visit_select(&mut Select),
        post_visit_select(&mut Select),
        pre_visit_relation(&mut ObjectName),
        post_visit_relation(&mut ObjectName),
        pre_visit_table_factor(&mut TableFactor),
        post_visit_table_factor(&mut TableFactor),
        pre_visit_expr(&mut Expr),
        post_visit_expr(&mut Expr),
        pre_visit_statement(&mut Statement),
        post_visit_statement(&mut Statement),
        pre_visit_value(&mut ValueWithSpan),
        post_visit_value(&mut ValueWithSpan),
    }
}
