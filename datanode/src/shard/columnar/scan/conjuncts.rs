//! What rows must pass, taken apart: each conjunct as the cheapest test that decides it.
//!
//! | Conjunct | Test |
//! |---|---|
//! | a column of integers (dates, decimals …) and constants: comparison, IN | [`Test::Integers`] |
//! | IS \[NOT\] NULL of a column | [`Test::Nulls`] |
//! | any expression over one column of strings | [`Test::Strings`]: once per distinct string |
//! | a join's keys | [`Test::Keys`] |
//! | two columns of integers of one type, compared | [`Test::Columns`] |
//! | OR of such | [`Test::Any`] |
//! | anything else | [`Test::Rows`] |
//!
//! A row passes when every conjunct is true, so that NULL counts as false in all of them; under OR,
//! too, which is no NOT.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::{
    common::ScalarValue,
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr, conjunction,
        expressions::{BinaryExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, Literal},
        split_conjunction,
        utils::split_disjunction,
    },
    physical_expr_common::physical_expr::is_volatile,
};

use super::{
    integers::{IntegerSet, IntegerTest, integer_of, is_integer},
    rows::{RowExpr, can_fail, has_like},
};
use crate::runtime_filter::RuntimeFilter;

/// The conjuncts of a scan.
#[derive(Debug)]
pub(super) struct Conjuncts {
    /// The columns that they read, as positions in the table. A column's place in this list is its
    /// *slot*: tests name columns by it.
    pub(super) columns: Vec<usize>,
    /// In the order in which they are tried at first.
    pub(super) list: Vec<Conjunct>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Conjunct {
    pub(super) test: Test,
    /// The same as an expression, for columns that are not held as the test needs them; `None` for
    /// keys, without which every row may pass.
    pub(super) expr: Option<RowExpr>,
    /// What the least and the greatest string of a piece are compared with.
    pub(super) bound: Option<StringBound>,
    /// What it costs, as far as that is known beforehand.
    pub(super) class: Class,
    /// Row by row it may be an error, or another answer each time: only rows that all others have
    /// let pass may be asked, in the written order.
    pub(super) can_fail: bool,
    /// Its place in the written order.
    pub(super) written: usize,
}

/// How a conjunct is decided.
#[derive(Debug)]
pub(super) enum Test {
    /// By the integers of a column.
    Integers { slot: usize, test: IntegerTest },
    /// By a column's NULLs.
    Nulls { slot: usize, passes: bool },
    /// By the integers of two columns.
    Columns { left: usize, right: usize, passes: Comparison },
    /// By the strings of a column, if it is coded.
    Strings { slot: usize },
    /// By the keys of a join's build side.
    Keys { slot: usize, filter: Arc<RuntimeFilter> },
    /// By one of these at least, each of which needs all of its own.
    Any(Vec<Vec<Conjunct>>),
    /// Row by row.
    Rows,
}

/// A comparison of two values: which of its three outcomes pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) less: bool,
    pub(super) equal: bool,
    pub(super) greater: bool,
}

/// `column operator constant` over strings, which compare by their bytes.
#[derive(Debug)]
pub(super) struct StringBound {
    pub(super) slot: usize,
    pub(super) passes: Comparison,
    pub(super) constant: String,
}

/// The cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Nulls,
    Integers,
    Keys,
    Columns,
    Any,
    FixedWidth,
    Text,
    Like,
}

impl Conjuncts {
    /// Those of `filters`, over the columns of the table, and of runtime filters: of each, its column
    /// and itself.
    pub(super) fn new(
        filters: &[Arc<dyn PhysicalExpr>],
        runtime_filters: &[(usize, Arc<RuntimeFilter>)],
        table: &SchemaRef,
    ) -> Self {
        let mut compiler = Compiler { table, columns: Vec::new() };
        let mut list = compiler.all(filters.iter().flat_map(split_conjunction).map(Arc::clone));
        for (column, filter) in runtime_filters {
            let test = Test::Keys { slot: compiler.slot(*column), filter: Arc::clone(filter) };
            let written = list.len();
            let class = Class::Keys;
            list.push(Conjunct { test, expr: None, bound: None, class, can_fail: false, written });
        }
        list.sort_by_key(|conjunct| (conjunct.class, conjunct.written));
        Self { columns: compiler.columns, list }
    }
}

impl Comparison {
    /// `None`: the operator compares nothing.
    fn of(operator: Operator) -> Option<Self> {
        let (less, equal, greater) = match operator {
            Operator::Eq => (false, true, false),
            Operator::NotEq => (true, false, true),
            Operator::Lt => (true, false, false),
            Operator::LtEq => (true, true, false),
            Operator::Gt => (false, false, true),
            Operator::GtEq => (false, true, true),
            _ => return None,
        };
        Some(Self { less, equal, greater })
    }

    /// With the sides exchanged.
    fn swapped(self) -> Self {
        Self { less: self.greater, equal: self.equal, greater: self.less }
    }
}

/// What tests are made with.
struct Compiler<'a> {
    table: &'a SchemaRef,
    columns: Vec<usize>,
}

impl Compiler<'_> {
    fn slot(&mut self, column: usize) -> usize {
        if let Some(slot) = self.columns.iter().position(|other| *other == column) {
            return slot;
        }
        self.columns.push(column);
        self.columns.len() - 1
    }

    /// The conjuncts of an AND; intervals of one column become one.
    fn all(&mut self, exprs: impl Iterator<Item = Arc<dyn PhysicalExpr>>) -> Vec<Conjunct> {
        let mut list: Vec<Conjunct> = Vec::new();
        for expr in exprs {
            let conjunct = Conjunct { written: list.len(), ..self.one(&expr) };
            if !list.iter_mut().any(|other| self.merged(other, &conjunct)) {
                list.push(conjunct);
            }
        }
        list
    }

    /// Makes `into` both of them, if they are intervals of one column.
    fn merged(&mut self, into: &mut Conjunct, other: &Conjunct) -> bool {
        let Test::Integers { slot, test } = &mut into.test else { return false };
        let Test::Integers { slot: other_slot, test: other_test } = &other.test else {
            return false;
        };
        let both = (slot == other_slot).then(|| test.and(other_test)).flatten();
        let (Some(both), Some(a), Some(b)) = (both, &into.expr, &other.expr) else { return false };
        *test = both;
        let exprs = [Arc::clone(&a.over_table), Arc::clone(&b.over_table)];
        into.expr = Some(self.row_expr(&conjunction(exprs)));
        true
    }

    fn one(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Conjunct {
        let test = self.test(expr);
        let bound = self.string_bound(expr);
        let class = match &test {
            Test::Integers { .. } => Class::Integers,
            Test::Nulls { .. } => Class::Nulls,
            Test::Columns { .. } => Class::Columns,
            Test::Keys { .. } => Class::Keys,
            Test::Any(_) => Class::Any,
            // Where the strings are not coded, they are compared row by row.
            Test::Strings { .. } | Test::Rows => self.class_by_row(expr),
        };
        let can_fail = is_volatile(expr) || can_fail(expr);
        let expr = Some(self.row_expr(expr));
        Conjunct { test, expr, bound, class, can_fail, written: 0 }
    }

    fn row_expr(&mut self, expr: &Arc<dyn PhysicalExpr>) -> RowExpr {
        let table = self.table;
        RowExpr::new(expr, table, &mut |column| self.slot(column))
    }

    fn class_by_row(&self, expr: &Arc<dyn PhysicalExpr>) -> Class {
        if has_like(expr) {
            return Class::Like;
        }
        let columns = datafusion::physical_expr::utils::collect_columns(expr);
        let is_text = |column: &Column| {
            self.table.fields().get(column.index()).is_none_or(|field| {
                field.data_type().primitive_width().is_none()
                    && *field.data_type() != DataType::Boolean
            })
        };
        if columns.iter().any(is_text) { Class::Text } else { Class::FixedWidth }
    }

    fn test(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Test {
        self.null_test(expr)
            .or_else(|| self.comparison(expr))
            .or_else(|| self.list(expr))
            .or_else(|| self.strings(expr))
            .or_else(|| self.any(expr))
            .unwrap_or(Test::Rows)
    }

    fn null_test(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Option<Test> {
        let (of, passes) = if let Some(is_null) = expr.downcast_ref::<IsNullExpr>() {
            (is_null.arg(), true)
        } else {
            (expr.downcast_ref::<IsNotNullExpr>()?.arg(), false)
        };
        let column = column_of(of, self.table)?;
        Some(Test::Nulls { slot: self.slot(column), passes })
    }

    /// `column operator constant`, either way round, or two columns.
    fn comparison(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Option<Test> {
        let binary = expr.downcast_ref::<BinaryExpr>()?;
        let passes = Comparison::of(*binary.op())?;
        let left = column_of(binary.left(), self.table);
        let right = column_of(binary.right(), self.table);
        if let (Some(left), Some(right)) = (left, right) {
            let (a, b) = (data_type(self.table, left), data_type(self.table, right));
            let comparable = a == b && is_integer(a);
            return comparable.then(|| Test::Columns {
                left: self.slot(left),
                right: self.slot(right),
                passes,
            });
        }
        let (column, constant, operator) = match (left, right) {
            (Some(column), _) => (column, constant_of(binary.right())?, *binary.op()),
            (_, Some(column)) => (column, constant_of(binary.left())?, binary.op().swap()?),
            _ => return None,
        };
        let constant = integer_of(constant, data_type(self.table, column))?;
        let test = IntegerTest::of(operator, constant)?;
        Some(Test::Integers { slot: self.slot(column), test })
    }

    /// `column IN (constants)`. NULL in the list makes nothing true, and what would be true with NOT
    /// no longer is.
    fn list(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Option<Test> {
        let list = expr.downcast_ref::<InListExpr>()?;
        let column = column_of(list.expr(), self.table)?;
        let data_type = data_type(self.table, column);
        let constants = list.list().iter().map(constant_of).collect::<Option<Vec<_>>>()?;
        let has_null = constants.iter().any(|constant| constant.is_null());
        let constants = constants.into_iter().filter(|constant| !constant.is_null());
        let integers = constants
            .map(|constant| integer_of(constant, data_type))
            .collect::<Option<Vec<_>>>()?;
        if list.negated() && has_null {
            return None;
        }
        let set = IntegerSet::of(integers)?;
        let test = if list.negated() { IntegerTest::NoneOf(set) } else { IntegerTest::OneOf(set) };
        is_integer(data_type).then(|| Test::Integers { slot: self.slot(column), test })
    }

    fn strings(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Option<Test> {
        let columns = datafusion::physical_expr::utils::collect_columns(expr);
        let mut columns = columns.iter().map(Column::index);
        let (column, None) = (columns.next()?, columns.next()) else { return None };
        let is_string = *data_type(self.table, column) == DataType::Utf8View;
        (is_string && !is_volatile(expr)).then(|| Test::Strings { slot: self.slot(column) })
    }

    /// An OR of which something is better than row by row, and nothing can fail.
    fn any(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Option<Test> {
        let branches = split_disjunction(expr);
        if branches.len() < 2 || is_volatile(expr) || can_fail(expr) {
            return None;
        }
        let branches: Vec<_> = branches
            .into_iter()
            .map(|branch| self.all(split_conjunction(branch).into_iter().map(Arc::clone)))
            .collect();
        let by_row = |conjunct: &Conjunct| matches!(conjunct.test, Test::Rows);
        let all_by_row = branches.iter().all(|branch| branch.iter().all(by_row));
        (!all_by_row).then_some(Test::Any(branches))
    }

    fn string_bound(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Option<StringBound> {
        let binary = expr.downcast_ref::<BinaryExpr>()?;
        let passes = Comparison::of(*binary.op())?;
        let left = column_of(binary.left(), self.table);
        let right = column_of(binary.right(), self.table);
        let (column, constant, passes) = match (left, right) {
            (Some(column), None) => (column, constant_of(binary.right())?, passes),
            (None, Some(column)) => (column, constant_of(binary.left())?, passes.swapped()),
            _ => return None,
        };
        match constant {
            ScalarValue::Utf8View(Some(constant))
                if *data_type(self.table, column) == DataType::Utf8View =>
            {
                let slot = self.slot(column);
                Some(StringBound { slot, passes, constant: constant.clone() })
            }
            _ => None,
        }
    }
}

/// The column that an expression is; `None`: it is something else, or not of the table.
fn column_of(expr: &Arc<dyn PhysicalExpr>, table: &Schema) -> Option<usize> {
    let column = expr.downcast_ref::<Column>()?.index();
    (column < table.fields().len()).then_some(column)
}

fn data_type(table: &Schema, column: usize) -> &DataType {
    table.fields().get(column).map_or(&DataType::Null, |field| field.data_type())
}

fn constant_of(expr: &Arc<dyn PhysicalExpr>) -> Option<&ScalarValue> {
    expr.downcast_ref::<Literal>().map(Literal::value)
}
