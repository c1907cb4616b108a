//! Conjuncts, those of each column together.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use datafusion::physical_expr::{PhysicalExpr, utils::split_conjunction};

use super::{
    super::{ColumnFacts, Origin},
    Comparison, Selectivity, Test,
};
use crate::{cardinality::expression::facts_of, statistics::Dependency};

/// The conjuncts of filters, over an operator's columns.
#[derive(Debug, Default)]
pub(in crate::cardinality) struct Conditions {
    /// By column, with the part of all rows that passes all of its tests.
    of_columns: BTreeMap<usize, (Vec<Test>, Selectivity)>,
    /// What is no test of a column, each by itself.
    others: Vec<Selectivity>,
}

impl Conditions {
    /// Sorts them.
    pub(in crate::cardinality) fn of(
        filters: &[Arc<dyn PhysicalExpr>],
        columns: &[ColumnFacts],
    ) -> Self {
        let mut tests: BTreeMap<usize, Vec<Test>> = BTreeMap::new();
        let mut others = Vec::new();
        for conjunct in filters.iter().flat_map(split_conjunction) {
            match Test::of(conjunct, columns) {
                Some((operand, test)) => match Test::column(operand, columns) {
                    Some(column) => tests.entry(column).or_default().push(test),
                    None => others.push(facts_of(operand, columns).fraction(&[test])),
                },
                None => others.push(Selectivity::of(conjunct, columns)),
            }
        }
        let unknown = ColumnFacts::default();
        let of_columns = tests.into_iter().map(|(column, tests)| {
            let selectivity = columns.get(column).unwrap_or(&unknown).fraction(&tests);
            (column, (tests, selectivity))
        });
        Self { of_columns: of_columns.collect(), others }
    }

    /// The columns that have one value in all rows that pass.
    pub(in crate::cardinality) fn given(&self) -> BTreeSet<usize> {
        let is_given = |tests: &[Test]| {
            tests.iter().any(|test| matches!(test, Test::Compare(Comparison::Equal, _)))
        };
        let of_columns = self.of_columns.iter();
        of_columns.filter(|(_, (tests, _))| is_given(tests)).map(|(column, _)| *column).collect()
    }

    /// What a column must pass, and the part of all rows that does.
    pub(in crate::cardinality) fn tests_of(&self, column: usize) -> Option<(&[Test], f64)> {
        let (tests, selectivity) = self.of_columns.get(&column)?;
        Some((tests, selectivity.fraction))
    }

    /// The part of the rows that passes everything. What is known is damped: the strongest condition
    /// counts in full, the next with its square root, and so on (the exponential back-off of SQL
    /// Server 2014), since conditions that people write together go together in the rows. Rules of
    /// thumb are multiplied.
    pub(in crate::cardinality) fn selectivity(&self, columns: &[ColumnFacts]) -> Selectivity {
        let mut of_columns: BTreeMap<usize, f64> = BTreeMap::new();
        let mut known = Vec::new();
        let mut product = 1.0;
        let mut is_guess = false;
        for (column, (tests, selectivity)) in &self.of_columns {
            let is_equality = matches!(tests.as_slice(), [Test::Compare(Comparison::Equal, _)]);
            match (selectivity.is_guess, is_equality) {
                (true, _) => product *= selectivity.fraction,
                (false, true) => drop(of_columns.insert(*column, selectivity.fraction)),
                (false, false) => known.push(selectivity.fraction),
            }
            is_guess |= selectivity.is_guess;
        }
        for selectivity in &self.others {
            match selectivity.is_guess {
                true => product *= selectivity.fraction,
                false => known.push(selectivity.fraction),
            }
            is_guess |= selectivity.is_guess;
        }
        product *= take_dependent(&mut of_columns, columns);
        known.extend(of_columns.into_values());
        Selectivity { fraction: (product * damped(known)).clamp(0.0, 1.0), is_guess }
    }
}

fn damped(mut known: Vec<f64>) -> f64 {
    known.sort_by(f64::total_cmp);
    let mut exponent = 1.0;
    known.into_iter().fold(1.0, |product, fraction| {
        let product = product * fraction.powf(exponent);
        exponent /= 2.0;
        product
    })
}

/// Takes away equalities that follow from others to some degree, by CREATE STATISTICS, and gives the
/// part of the others' rows that passes them: `degree + (1 - degree) · fraction`, the strongest
/// dependency first (PostgreSQL's `dependencies_clauselist_selectivity`, dependencies.c).
fn take_dependent(equalities: &mut BTreeMap<usize, f64>, columns: &[ColumnFacts]) -> f64 {
    let mut product = 1.0;
    while let Some((column, degree)) = strongest(equalities, columns) {
        let fraction = equalities.remove(&column).unwrap_or(1.0);
        product *= degree + (1.0 - degree) * fraction;
    }
    product
}

fn strongest(equalities: &BTreeMap<usize, f64>, columns: &[ColumnFacts]) -> Option<(usize, f64)> {
    if equalities.len() < 2 {
        return None;
    }
    let origin = |column: &usize| columns.get(*column)?.origin.as_ref();
    let has = |table: &Origin, id: u32| {
        equalities.keys().filter_map(origin).any(|o| o.is_beside(table) && o.column == id)
    };
    let of_column = |column: &usize| -> Option<(usize, f64)> {
        let to = origin(column)?;
        let groups = &to.table.statistics.as_ref()?.groups;
        let all = groups.iter().flat_map(|group| &group.dependencies);
        let is_met = |dependency: &&Dependency| {
            dependency.to == to.column && dependency.from.iter().all(|id| has(to, *id))
        };
        let degree = all.filter(is_met).map(|dependency| dependency.degree).reduce(f64::max)?;
        Some((*column, degree))
    };
    let found = equalities.keys().filter_map(of_column);
    found.max_by(|a, b| a.1.total_cmp(&b.1))
}
