//! Columns: by their names or, where these are only what the engine has made of an expression, by that
//! expression.
//!
//! ```text
//! sum(lineitem.l_quantity) > 300     the column of an aggregate: (sum(l_quantity) > 300.00)
//! ```

use std::{iter, sync::Arc};

use datafusion::{
    common::JoinSide,
    physical_expr::{
        PhysicalExpr,
        expressions::{Column, Literal},
    },
    physical_plan::{
        WindowExpr,
        aggregates::{AggregateExec, AggregateMode},
        joins::utils::JoinFilter,
        limit::{GlobalLimitExec, LocalLimitExec},
        projection::ProjectionExec,
        sorts::sort::SortExec,
    },
};

use super::{super::describe::window_exprs, Printer, call::function_name};
use crate::{distribute::Placed, rewrite::columns::below};

/// Within so many definitions names are left as they are: a definition may name a column several times,
/// whose definition does so, too.
const DEPTH_MAX: usize = 4;

/// What the columns of an expression are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Columns<'a> {
    /// What they are called.
    Named,
    /// An operator's output.
    Output(&'a Placed),
    /// Those of both inputs that a join's filter is over.
    Joined(&'a [Placed], &'a JoinFilter),
}

pub(super) fn column(printer: &Printer<'_>, expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    let column = expr.downcast_ref::<Column>()?;
    Some(printer.column(column.index(), column.name()))
}

/// Who names columns does it without these; what the engine makes of `-a` or `a + 1` has them.
fn is_made_up(name: &str) -> bool {
    name.contains(['(', ' '])
}

impl Printer<'_> {
    /// The column at this position, which has this name.
    pub(crate) fn column(&self, at: usize, name: &str) -> String {
        let definition = match is_made_up(name) && self.depth < DEPTH_MAX {
            true => self.definition(at),
            false => None,
        };
        definition.unwrap_or_else(|| name.to_string())
    }

    /// The expression that a column is; `None`: nobody knows.
    fn definition(&self, column: usize) -> Option<String> {
        match self.columns {
            Columns::Named => None,
            Columns::Output(placed) => self.of_output(placed, column),
            Columns::Joined(inputs, filter) => {
                let column = filter.column_indices().get(column)?;
                let input = match column.side {
                    JoinSide::Left => inputs.first()?,
                    JoinSide::Right => inputs.get(1)?,
                    JoinSide::None => return None,
                };
                self.of_output(input, column.index)
            }
        }
    }

    fn of_output(&self, placed: &Placed, column: usize) -> Option<String> {
        if let Some((input, column)) = passed_on(placed, column) {
            return self.of_output(placed.children.get(input)?, column);
        }
        let [below] = placed.children.as_slice() else { return None };
        let plan = placed.plan.as_ref();
        if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
            return Some(self.computed(below, &projection.expr().get(column)?.expr));
        }
        if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
            return self.of_aggregate(aggregate, below, column);
        }
        if let Some(calls) = window_exprs(placed) {
            return self.of_window(calls, below, column);
        }
        None
    }

    fn of_aggregate(
        &self,
        aggregate: &AggregateExec,
        below: &Placed,
        column: usize,
    ) -> Option<String> {
        let keys = aggregate.group_expr();
        if let Some((key, _)) = keys.expr().get(column) {
            return Some(self.computed(below, key));
        }
        let at = column.checked_sub(keys.num_group_exprs())?;
        match aggregate.mode() {
            AggregateMode::Single | AggregateMode::SinglePartitioned => {
                self.inside(below).aggregate(aggregate, at)
            }
            AggregateMode::Final | AggregateMode::FinalPartitioned => {
                let (partial, input) = partial_below(below)?;
                let (first, last) = (partial.aggr_expr().get(at)?, aggregate.aggr_expr().get(at)?);
                let is_same = first.name() == last.name();
                is_same.then(|| self.inside(input).aggregate(partial, at)).flatten()
            }
            AggregateMode::Partial => {
                let states = aggregate.aggr_expr().iter().enumerate();
                let mut states = states.flat_map(|(at, call)| {
                    iter::repeat_n(at, call.state_fields().map_or(0, |s| s.len()))
                });
                let call = self.inside(below).aggregate(aggregate, states.nth(at)?)?;
                Some(format!("PARTIAL {call}"))
            }
            // Its arguments are states, too.
            AggregateMode::PartialReduce => None,
        }
    }

    /// One of an aggregate's calls: `count(DISTINCT a) FILTER (WHERE b)`.
    fn aggregate(&self, aggregate: &AggregateExec, at: usize) -> Option<String> {
        let call = aggregate.aggr_expr().get(at)?;
        let name = function_name(call.fun().name());
        let mut text = self.arguments(&name, &call.expressions());
        if call.is_distinct() {
            text.insert_str(0, "DISTINCT ");
        }
        if !call.order_bys().is_empty() {
            let keys: Vec<_> = call.order_bys().iter().map(|key| self.sort_key(key)).collect();
            text.push_str(&format!(" ORDER BY {}", keys.join(", ")));
        }
        Some(match aggregate.filter_expr().get(at)? {
            Some(filter) => format!("{name}({text}) FILTER (WHERE {})", self.text(filter)),
            None => format!("{name}({text})"),
        })
    }

    fn of_window(
        &self,
        calls: &[Arc<dyn WindowExpr>],
        below: &Placed,
        column: usize,
    ) -> Option<String> {
        match column.checked_sub(below.plan.schema().fields().len()) {
            Some(at) => self.inside(below).window(calls.get(at)?.as_ref()),
            None => self.of_output(below, column),
        }
    }

    /// `rank() OVER (PARTITION BY a ORDER BY b)`. Which function it is says only the name that it has as a
    /// column; `None`: that has been changed.
    fn window(&self, call: &dyn WindowExpr) -> Option<String> {
        let name = function_name(call.name().split_once('(')?.0);
        let mut over = Vec::new();
        if !call.partition_by().is_empty() {
            over.push(format!("PARTITION BY {}", self.list(call.partition_by())));
        }
        if !call.order_by().is_empty() {
            let keys: Vec<_> = call.order_by().iter().map(|key| self.sort_key(key)).collect();
            over.push(format!("ORDER BY {}", keys.join(", ")));
        }
        let arguments = self.arguments(&name, &call.expressions());
        Some(format!("{name}({arguments}) OVER ({})", over.join(" ")))
    }

    /// Of an aggregate function.
    fn arguments(&self, function: &str, arguments: &[Arc<dyn PhysicalExpr>]) -> String {
        match arguments {
            [one] if function == "count" && one.is::<Literal>() => "*".to_string(),
            arguments => self.list(arguments),
        }
    }

    /// What the operator above this one computes. To pass a column on is no definition of it.
    fn computed(&self, below: &Placed, expr: &Arc<dyn PhysicalExpr>) -> String {
        match expr.is::<Column>() {
            true => Printer { columns: Columns::Output(below), ..*self }.text(expr),
            false => self.inside(below).text(expr),
        }
    }

    /// For what the operator above this one computes.
    fn inside<'b>(&self, below: &'b Placed) -> Printer<'b> {
        Printer { columns: Columns::Output(below), depth: self.depth + 1 }
    }
}

/// The input, and its column, that an operator only passes on.
fn passed_on(placed: &Placed, column: usize) -> Option<(usize, usize)> {
    if placed.plan.is::<ProjectionExec>() || placed.plan.is::<AggregateExec>() {
        return None;
    }
    match passes_all(placed) {
        true => Some((0, column)),
        false => below(&placed.plan, column),
    }
}

/// Has an operator the columns of its only input, in their order?
fn passes_all(placed: &Placed) -> bool {
    let plan = placed.plan.as_ref();
    placed.motion().is_some()
        || plan.is::<SortExec>()
        || plan.is::<GlobalLimitExec>()
        || plan.is::<LocalLimitExec>()
}

/// The aggregate whose states another one finishes, and its input.
fn partial_below(placed: &Placed) -> Option<(&AggregateExec, &Placed)> {
    let [below] = placed.children.as_slice() else { return None };
    match placed.plan.downcast_ref::<AggregateExec>() {
        Some(partial) if *partial.mode() == AggregateMode::Partial => Some((partial, below)),
        Some(_) => partial_below(below),
        None => passes_all(placed).then(|| partial_below(below)).flatten(),
    }
}
