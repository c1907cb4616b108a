//! How many groups rows have.

use std::{collections::BTreeSet, sync::Arc};

use arrow::datatypes::Schema;
use datafusion::physical_expr::PhysicalExpr;

use super::{ColumnFacts, Estimate, Origin, distinct_taken, expression::facts_of};

/// Of this many rows one group remains, when nothing is known of the values.
const ROWS_PER_GROUP: f64 = 4.0;

/// The groups of an aggregate's input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Groups {
    /// How many there are.
    pub count: f64,
    /// Is that a rule of thumb?
    pub is_guess: bool,
}

impl Groups {
    /// By these expressions over the input; 1 without any.
    pub fn of(exprs: &[Arc<dyn PhysicalExpr>], input: &Estimate) -> Self {
        let rows = input.rows.max(1.0);
        let mut facts: Vec<ColumnFacts> = Vec::new();
        for expr in exprs {
            let next = facts_of(expr, &input.columns);
            let is_there = |one: &ColumnFacts| one.class.is_some() && one.class == next.class;
            if !facts.iter().any(is_there) {
                facts.push(next);
            }
        }
        let mut is_guess = false;
        let mut factors: Vec<f64> = Vec::new();
        while let Some(next) = facts.pop() {
            let Some(origin) = next.origin.clone() else {
                match next.distinct {
                    Some(distinct) => factors.push(with_null(distinct, &next)),
                    None => is_guess = true,
                }
                continue;
            };
            let is_beside = |one: &ColumnFacts| {
                one.origin.as_ref().is_some_and(|other| other.is_beside(&origin))
            };
            let (mut columns, others): (Vec<_>, Vec<_>) =
                facts.into_iter().partition(|one| is_beside(one));
            facts = others;
            columns.push(next);
            match of_table(&origin, columns, rows) {
                Some(distinct) => factors.push(distinct),
                None => is_guess = true,
            }
        }
        let known = saturating(&factors, rows).max(1.0);
        let count = if is_guess { known.max(rows / ROWS_PER_GROUP) } else { known };
        Self { count: count.min(rows), is_guess }
    }

    /// Of several grouping sets: the groups of each.
    pub fn of_sets(sets: &[Vec<Arc<dyn PhysicalExpr>>], input: &Estimate) -> Self {
        let all: Vec<_> = sets.iter().map(|set| Self::of(set, input)).collect();
        if all.iter().any(|groups| groups.is_guess) {
            let count = (input.rows / ROWS_PER_GROUP).max(1.0);
            return Self { count, is_guess: true };
        }
        Self { count: all.iter().map(|groups| groups.count).sum(), is_guess: false }
    }

    /// How many rows all datanodes have that each group the rows they happen to have.
    pub fn partial(self, rows: f64, datanodes: usize) -> f64 {
        if self.is_guess {
            return self.count;
        }
        let datanodes = datanodes.max(1) as f64;
        let here = distinct_taken(self.count.max(1.0), rows / datanodes);
        (datanodes * here).max(self.count).min(rows.max(1.0))
    }

    /// The aggregate's output: so many rows, whose first columns are the groups'. `are_keys`: no group
    /// comes twice.
    pub fn estimate(
        self,
        exprs: &[Arc<dyn PhysicalExpr>],
        input: &Estimate,
        rows: f64,
        schema: &Schema,
        are_keys: bool,
    ) -> Estimate {
        let rows = rows.max(1.0);
        let columns = schema.fields().iter().enumerate().map(|(at, field)| {
            let Some(expr) = exprs.get(at) else { return ColumnFacts::unknown(field) };
            let mut facts = input.computed(expr, field);
            // Of each value there is one, or as many as of others.
            facts.statistics = None;
            facts.null_fraction = facts.null_fraction.map(|part| part.min(1.0 / rows));
            facts.distinct = facts.distinct.map(|distinct| distinct.min(self.count));
            facts.domain = facts.distinct;
            facts
        });
        let columns = columns.collect();
        let keys: Vec<BTreeSet<usize>> = match are_keys && !exprs.is_empty() {
            true => vec![(0..exprs.len()).collect()],
            false => Vec::new(),
        };
        let estimate = Estimate {
            rows,
            lower: input.lower.min(1.0),
            upper: match (exprs.is_empty(), are_keys) {
                (true, true) => 1.0,
                (true, false) => f64::INFINITY,
                (false, _) => input.upper,
            },
            keys: keys.into(),
            is_guess: input.is_guess || self.is_guess,
            ..input.clone()
        };
        estimate.of_columns(columns)
    }
}

/// NULL is a group.
fn with_null(distinct: f64, facts: &ColumnFacts) -> f64 {
    distinct + f64::from(u8::from(facts.null_fraction.is_some_and(|part| part > 0.0)))
}

/// Combinations of one table's columns (PostgreSQL's `estimate_num_groups`, selfuncs.c): what a
/// key determines counts for nothing, CREATE STATISTICS is believed. `None`: unknown.
fn of_table(origin: &Origin, mut columns: Vec<ColumnFacts>, rows: f64) -> Option<f64> {
    let table = &origin.table;
    let id_of = |facts: &ColumnFacts| facts.origin.as_ref().map(|origin| origin.column);
    let ids: BTreeSet<u32> = columns.iter().filter_map(id_of).collect();
    let keys = table.table.unique_sets();
    let mut keys = keys.filter(|key| key.columns.iter().all(|id| ids.contains(id)));
    let most = table.rows.min(rows).max(1.0);
    if let Some(key) = keys.find(|key| !key.columns.is_empty()) {
        columns.retain(|facts| id_of(facts).is_some_and(|id| key.columns.contains(&id)));
        if columns.len() > 1 {
            return Some(most);
        }
    }
    let mut factors = Vec::new();
    let groups = table.statistics.iter().flat_map(|statistics| &statistics.groups);
    let mut sets: Vec<_> = groups.flat_map(|group| &group.distinct).collect();
    sets.sort_by_key(|set| std::cmp::Reverse(set.columns.len()));
    for set in sets {
        let left: BTreeSet<u32> = columns.iter().filter_map(id_of).collect();
        if set.columns.iter().all(|id| left.contains(id)) {
            factors.push(set.distinct);
            columns.retain(|facts| id_of(facts).is_none_or(|id| !set.columns.contains(&id)));
        }
    }
    for facts in &columns {
        factors.push(with_null(facts.distinct?, facts));
    }
    Some(saturating(&factors, most))
}

/// The product, near to `most` where it is larger: `most · p / (most + p)` (Axiom's
/// `saturatingProduct`). One factor is what it is.
fn saturating(factors: &[f64], most: f64) -> f64 {
    let product = factors.iter().product::<f64>().max(1.0);
    match factors.iter().filter(|factor| **factor > 1.0).count() {
        0 | 1 => product.min(most),
        _ if product.is_infinite() => most,
        _ => (most * product / (most + product)).max(largest(factors).min(most)),
    }
}

fn largest(factors: &[f64]) -> f64 {
    factors.iter().copied().fold(1.0, f64::max)
}
