//! The size of an operator's output, and what is known of its columns.

use std::{collections::BTreeSet, sync::Arc};

use arrow::datatypes::{Field, Schema};
use datafusion::physical_expr::{PhysicalExpr, expressions::Column};

use super::{
    ColumnFacts,
    column::type_width,
    expression::facts_of,
    selectivity::{Conditions, Selectivity},
    value_set::Scans,
};

/// The size of an operator's output over all datanodes; of one copy, where there are several.
#[derive(Clone, Debug)]
pub struct Estimate {
    /// Rows, 1 or more, except of tables that are empty.
    pub rows: f64,
    /// No fewer, if the catalog counts right.
    pub lower: f64,
    /// No more, if the catalog counts right and declared keys are keys.
    pub upper: f64,
    /// Rows of the largest table below, without its filters: what a key of it can have of
    /// distinct values when nothing is known of them.
    pub base_rows: f64,
    /// Bytes per row in memory, as Arrow.
    pub width: usize,
    /// Does it rest on a rule of thumb?
    pub is_guess: bool,
    /// 1 or more: how many times the average of all datanodes the largest one's rows are.
    pub skew: f64,
    /// One for each column of the output.
    pub columns: Arc<[ColumnFacts]>,
    /// Sets of columns in which no two rows have the same values, NULLs aside.
    pub keys: Arc<[BTreeSet<usize>]>,
    /// Where its rows come from.
    pub scans: Scans,
}

/// Bytes of a row in memory, where nothing is known of its values.
pub fn row_width(schema: &Schema) -> usize {
    let widths = schema.fields().iter().map(|field| type_width(field.data_type()));
    (widths.sum::<f64>() as usize).max(1)
}

impl Estimate {
    /// So many rows with these columns, and nothing else is known.
    pub fn unknown(rows: f64, schema: &Schema) -> Self {
        let facts = schema.fields().iter().map(|field| ColumnFacts::unknown(field));
        let estimate = Self {
            rows,
            lower: 0.0,
            upper: f64::INFINITY,
            base_rows: rows.max(1.0),
            width: 1,
            is_guess: true,
            skew: 1.0,
            columns: Arc::new([]),
            keys: Arc::new([]),
            scans: Scans::default(),
        };
        estimate.of_columns(facts.collect())
    }

    /// Rows times width.
    pub fn bytes(&self) -> f64 {
        self.rows * self.width as f64
    }

    /// Rows of the datanode that has most of them.
    pub fn largest_part(&self, datanodes: usize) -> f64 {
        (self.rows * self.skew / datanodes.max(1) as f64).min(self.rows)
    }

    /// The same rows with other columns.
    pub fn of_columns(mut self, columns: Vec<ColumnFacts>) -> Self {
        let width = columns.iter().map(|column| column.width).sum::<f64>();
        self.width = (width.round() as usize).max(1);
        self.columns = columns.into();
        self
    }

    /// The same source with so many rows, within the bounds, and columns of which nothing is known.
    pub fn with(&self, rows: f64, schema: &Schema) -> Self {
        Self {
            rows: rows.max(1.0),
            base_rows: self.base_rows,
            skew: self.skew,
            ..Self::unknown(rows, schema)
        }
    }

    /// So many of the rows, chosen without regard to their values: what a limit leaves.
    pub fn limited(&self, rows: f64) -> Self {
        let kept = self.sampled(self.rows.min(rows));
        let (lower, upper) = (self.lower.min(rows), self.upper.min(rows));
        let scans = self.scans.restricted();
        Self { rows: kept.rows.max(1.0), lower, upper, scans, ..kept }
    }

    /// With other rows, to which the columns' distinct values are fitted.
    pub fn sampled(&self, rows: f64) -> Self {
        let before = self.rows;
        let columns = self.columns.iter().map(|column| column.clone().sampled(before, rows));
        Self { rows, columns: columns.collect(), ..self.clone() }
    }

    /// 0 … 1: the part of the rows that passes all conjuncts of all filters, over the output's columns.
    pub fn part_that_passes(&self, filters: &[Arc<dyn PhysicalExpr>]) -> f64 {
        let conditions = Conditions::of(filters, &self.columns);
        let given = conditions.given();
        match self.keys.iter().any(|key| key.is_subset(&given)) {
            true => 1.0 / self.rows.max(1.0),
            false => conditions.selectivity(&self.columns).fraction,
        }
    }

    /// Rows that pass all conjuncts of all filters, over the output's columns.
    pub fn filtered(&self, filters: &[Arc<dyn PhysicalExpr>]) -> Self {
        if filters.is_empty() {
            return Self { rows: self.rows.max(1.0), ..self.clone() };
        }
        let conditions = Conditions::of(filters, &self.columns);
        let Selectivity { fraction, is_guess } = conditions.selectivity(&self.columns);
        let given = conditions.given();
        let is_one_row = self.keys.iter().any(|key| key.is_subset(&given));
        let mut upper = self.upper;
        let mut rows = (self.rows * fraction).max(1.0).min(self.rows.max(1.0));
        if is_one_row {
            (rows, upper) = (1.0, upper.min(1.0));
        }
        let columns = self.columns.iter().enumerate().map(|(at, column)| {
            let column = column.clone();
            match conditions.tests_of(at) {
                Some((tests, own)) => {
                    column.narrowed(tests, own).sampled((self.rows * own).max(1.0), rows)
                }
                None => column.sampled(self.rows, rows),
            }
        });
        let columns = columns.collect::<Vec<_>>();
        let is_guess = self.is_guess || (is_guess && !is_one_row);
        let scans = self.scans.restricted();
        Self { rows, lower: 0.0, upper, is_guess, scans, ..self.clone() }.of_columns(columns)
    }

    /// The same rows as a projection makes them.
    pub fn projected<'a>(
        &self,
        exprs: impl Iterator<Item = &'a Arc<dyn PhysicalExpr>>,
        schema: &Schema,
    ) -> Self {
        let exprs: Vec<_> = exprs.collect();
        let fields = schema.fields().iter();
        let columns = fields.zip(&exprs).map(|(field, expr)| self.computed(expr, field));
        let columns = columns.collect();
        let column = |at: usize| exprs.iter().position(|expr| is_column(expr, at));
        let keys = self.moved_keys(column);
        Self { rows: self.rows.max(1.0), keys, ..self.clone() }.of_columns(columns)
    }

    /// An expression over the rows, as an output column.
    pub(super) fn computed(&self, expr: &Arc<dyn PhysicalExpr>, field: &Field) -> ColumnFacts {
        let facts = facts_of(expr, &self.columns);
        if expr.is::<Column>() {
            return facts;
        }
        let unknown = ColumnFacts::unknown(field);
        let null_fraction = unknown.null_fraction.or(facts.null_fraction);
        // A cast of text is as wide as the text.
        let is_measured = facts.statistics.is_some() && facts.data_type == unknown.data_type;
        let width = if is_measured { facts.width } else { unknown.width };
        ColumnFacts { data_type: unknown.data_type, null_fraction, width, ..facts }
    }

    /// The same rows with these of the columns.
    pub fn kept(&self, positions: &[usize]) -> Self {
        let columns = positions.iter().map(|at| self.columns.get(*at).cloned().unwrap_or_default());
        let columns = columns.collect();
        let keys = self.moved_keys(|at| positions.iter().position(|position| *position == at));
        Self { keys, ..self.clone() }.of_columns(columns)
    }

    /// The same rows with more columns behind, of which nothing is known.
    pub fn widened(&self, schema: &Schema) -> Self {
        let known = self.columns.iter().cloned();
        let fields = schema.fields().iter().skip(self.columns.len());
        let columns = known.chain(fields.map(|field| ColumnFacts::unknown(field)));
        let columns = columns.collect();
        Self { rows: self.rows.max(1.0), ..self.clone() }.of_columns(columns)
    }

    /// The rows of all inputs, one after the other (UNION ALL).
    pub fn appended(inputs: &[&Self], schema: &Schema) -> Self {
        let sum = |of: fn(&Self) -> f64| inputs.iter().map(|input| of(input)).sum::<f64>();
        let rows = sum(|input| input.rows);
        let columns = schema.fields().iter().enumerate().map(|(at, field)| {
            let mut facts = ColumnFacts::unknown(field);
            let of_inputs = || inputs.iter().map(|input| input.columns.get(at));
            let distinct = of_inputs().map(|column| column.and_then(|column| column.distinct));
            facts.distinct = distinct.sum();
            facts.domain = facts.distinct;
            let nulls = inputs.iter().map(|input| {
                let column = input.columns.get(at)?;
                Some(column.null_fraction? * input.rows / rows.max(1.0))
            });
            facts.null_fraction = nulls.sum();
            let width = inputs.iter().zip(of_inputs()).map(|(input, column)| {
                column.map_or(facts.width, |column| column.width) * input.rows / rows.max(1.0)
            });
            facts.width = width.sum();
            facts
        });
        let columns = columns.collect();
        let estimate = Self {
            lower: sum(|input| input.lower),
            upper: sum(|input| input.upper),
            base_rows: inputs.iter().map(|input| input.base_rows).fold(1.0, f64::max),
            is_guess: inputs.iter().any(|input| input.is_guess),
            ..Self::unknown(rows.max(1.0), schema)
        };
        estimate.of_columns(columns)
    }

    /// The keys whose columns are all still there, at their new positions.
    pub(super) fn moved_keys(
        &self,
        position: impl Fn(usize) -> Option<usize>,
    ) -> Arc<[BTreeSet<usize>]> {
        let keys = self.keys.iter();
        keys.filter_map(|key| key.iter().map(|at| position(*at)).collect::<Option<_>>()).collect()
    }

    /// Within its bounds.
    pub(super) fn bounded(mut self) -> Self {
        self.rows = self.rows.max(self.lower).min(self.upper.max(1.0)).max(1.0);
        self
    }
}

fn is_column(expr: &Arc<dyn PhysicalExpr>, at: usize) -> bool {
    expr.downcast_ref::<Column>().is_some_and(|column| column.index() == at)
}
