//! Columns: by their names or, where these are only what the engine has made of an expression, by that
//! expression.
//!
//! ```text
//! sum(lineitem.l_quantity) > 300     the column of an aggregate: (sum(l_quantity) > 300.00)
//! ```

use std::sync::Arc;

use datafusion::{
    common::JoinSide,
    physical_expr::{
        PhysicalExpr, aggregate::AggregateFunctionExpr, expressions::Column, expressions::Literal,
    },
    physical_plan::{
        aggregates::{AggregateExec, AggregateMode},
        filter::FilterExec,
        joins::utils::JoinFilter,
        limit::{GlobalLimitExec, LocalLimitExec},
        projection::ProjectionExec,
        sorts::sort::SortExec,
    },
};

use super::{Printer, call::function_name};
use crate::distribute::Placed;

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
    let definition = match is_made_up(column.name()) && printer.depth < DEPTH_MAX {
        true => printer.definition(column.index()),
        false => None,
    };
    Some(definition.unwrap_or_else(|| column.name().to_string()))
}

/// Who names columns does it without these; what the engine makes of `-a` or `a + 1` has them.
fn is_made_up(name: &str) -> bool {
    name.contains(['(', ' '])
}

impl Printer<'_> {
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
        let [below] = placed.children.as_slice() else { return None };
        let plan = placed.plan.as_ref();
        if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
            return Some(self.computed(below, &projection.expr().get(column)?.expr));
        }
        if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
            return self.of_aggregate(aggregate, below, column);
        }
        if let Some(filter) = plan.downcast_ref::<FilterExec>() {
            return match filter.projection() {
                Some(kept) => self.of_output(below, *kept.get(column)?),
                None => self.of_output(below, column),
            };
        }
        passes_columns(placed).then(|| self.of_output(below, column)).flatten()
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
        let (aggregate, below) = match aggregate.mode() {
            AggregateMode::Single | AggregateMode::SinglePartitioned => (aggregate, below),
            AggregateMode::Final | AggregateMode::FinalPartitioned => {
                let (partial, input) = partial_below(below)?;
                let (first, last) = (partial.aggr_expr().get(at)?, aggregate.aggr_expr().get(at)?);
                (first.name() == last.name()).then_some((partial, input))?
            }
            // Its columns are states.
            AggregateMode::Partial | AggregateMode::PartialReduce => return None,
        };
        let filter = aggregate.filter_expr().get(at)?.as_ref();
        Some(self.inside(below).aggregate(aggregate.aggr_expr().get(at)?, filter))
    }

    /// `count(DISTINCT a) FILTER (WHERE b)`
    fn aggregate(
        &self,
        call: &AggregateFunctionExpr,
        filter: Option<&Arc<dyn PhysicalExpr>>,
    ) -> String {
        let (name, arguments) = (function_name(call.fun().name()), call.expressions());
        let mut text = match arguments.as_slice() {
            [one] if name == "count" && one.is::<Literal>() => "*".to_string(),
            arguments => self.list(arguments),
        };
        if call.is_distinct() {
            text.insert_str(0, "DISTINCT ");
        }
        if !call.order_bys().is_empty() {
            let keys: Vec<_> = call.order_bys().iter().map(|key| self.sort_key(key)).collect();
            text.push_str(&format!(" ORDER BY {}", keys.join(", ")));
        }
        match filter {
            Some(filter) => format!("{name}({text}) FILTER (WHERE {})", self.text(filter)),
            None => format!("{name}({text})"),
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

/// Has an operator the columns of its only input, in their order?
fn passes_columns(placed: &Placed) -> bool {
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
        None => passes_columns(placed).then(|| partial_below(below)).flatten(),
    }
}
