//! What a direct aggregate computes: from an aggregate over a scan, to keys, steps and states.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::{
    error::Result,
    physical_expr::{
        PhysicalExpr,
        aggregate::AggregateFunctionExpr,
        expressions::{Column, Literal},
        utils::collect_columns,
    },
    physical_plan::{
        aggregates::AggregateExec,
        projection::{ProjectionExpr, update_expr},
    },
};
use kestrel_planner::functions::PlainAggregate;

use super::{
    dense::Dense,
    groups::{MAX_GROUPS, MAX_KEYS},
};
use crate::rules::{
    narrow::{Columns, Operand, Program, Range, compile},
    ranges::{NARROW_PRECISION, Ranges},
    raw_scan::{Raw, RawScan},
};

/// What is computed of a scan's rows. Columns are those of the scan's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) keys: Vec<Key>,
    /// The only key has a place for each of its values; `None`: groups get places when they come.
    pub(super) dense: Option<Dense>,
    /// All arithmetic, each step once.
    pub(super) program: Program,
    /// Each thing that is kept of a group, once.
    pub(super) tables: Vec<Table>,
    /// Sets of columns: where one of them is NULL, an argument is. The first set is empty.
    pub(super) nulls: Vec<Vec<usize>>,
    /// The states, in the order of the output's columns behind the keys.
    pub(super) states: Vec<State>,
    /// The forms in which the scan gives its columns.
    pub(super) raw: Vec<Option<Raw>>,
}

/// A column that rows are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) column: usize,
    pub(super) form: KeyForm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyForm {
    /// Codes of strings.
    Strings,
    Booleans,
    /// Integers from `least` on.
    Integers {
        least: i64,
    },
}

/// What is kept of each group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) kind: TableKind,
    /// Of which value.
    pub(super) operand: Operand,
    /// The value is at most so far from 0.
    pub(super) magnitude: u64,
    /// Where it is NULL: a position in [`Spec::nulls`].
    pub(super) nulls: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableKind {
    Sum,
    Least,
    Greatest,
}

/// A column of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// What a table has; NULL for groups without a value.
    Table(usize),
    /// The values of a group that are not NULL, by [`Spec::nulls`].
    Count(usize),
}

/// How groups are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// By the codes of some keys: there are few groups.
    Few,
    /// By one integer whose values lie close together.
    Dense,
}

/// An aggregate over projections over a scan.
pub(super) struct Shape<'a> {
    pub(super) aggregate: &'a AggregateExec,
    /// From the aggregate down.
    pub(super) projections: Vec<&'a [ProjectionExpr]>,
    pub(super) scan: &'a dyn RawScan,
    pub(super) ranges: Ranges,
    pub(super) form: Form,
}

impl Shape<'_> {
    /// What it computes; `None`: something that a direct aggregate does not.
    pub(super) fn spec(&self) -> Result<Option<Spec>> {
        let groups = self.aggregate.group_expr();
        let is_plain = groups.is_single()
            && match self.form {
                Form::Few => groups.expr().len() <= MAX_KEYS,
                Form::Dense => groups.expr().len() == 1,
            }
            && self.aggregate.limit_options().is_none()
            && self.aggregate.filter_expr().iter().all(Option::is_none);
        if !is_plain {
            return Ok(None);
        }
        let schema = self.scan.schema();
        let mut builder = Builder {
            shape: self,
            spec: Spec {
                keys: Vec::new(),
                dense: None,
                program: Program::default(),
                tables: Vec::new(),
                nulls: vec![Vec::new()],
                states: Vec::new(),
                raw: vec![None; schema.fields().len()],
            },
            schema,
        };
        for (key, _) in groups.expr() {
            let Some(key) = self.over_scan(key)?.and_then(|key| builder.key(&key)) else {
                return Ok(None);
            };
            builder.spec.keys.push(key);
        }
        for function in self.aggregate.aggr_expr() {
            if builder.function(function)?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(builder.finish()))
    }

    /// An expression over the aggregate's input as one over the scan's columns.
    fn over_scan(&self, expr: &Arc<dyn PhysicalExpr>) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let mut expr = Arc::clone(expr);
        for projection in &self.projections {
            let Some(below) = update_expr(&expr, projection, true)? else { return Ok(None) };
            expr = below;
        }
        Ok(Some(expr))
    }
}

struct Builder<'a> {
    shape: &'a Shape<'a>,
    schema: SchemaRef,
    spec: Spec,
}

impl Builder<'_> {
    fn data_type(&self, column: usize) -> Option<&DataType> {
        self.schema.fields().get(column).map(|field| field.data_type())
    }

    fn ask(&mut self, column: usize, form: Raw) -> Option<()> {
        *self.spec.raw.get_mut(column)? = Some(form);
        Some(())
    }

    fn key(&mut self, key: &Arc<dyn PhysicalExpr>) -> Option<Key> {
        let column = key.downcast_ref::<Column>()?.index();
        let data_type = self.data_type(column)?.clone();
        if self.shape.form == Form::Dense && !is_integer(&data_type) {
            return None;
        }
        let form = match data_type {
            DataType::Utf8View if self.shape.scan.has_few_strings(column) => {
                self.ask(column, Raw::Codes)?;
                KeyForm::Strings
            }
            DataType::Boolean => KeyForm::Booleans,
            data_type if is_integer(&data_type) => {
                let range = (*self.shape.ranges.get(column)?)?;
                match self.shape.form {
                    Form::Few if range.values() > MAX_GROUPS as u128 => return None,
                    Form::Few => {}
                    Form::Dense => self.spec.dense = Some(self.dense(range)?),
                }
                self.ask(column, Raw::Integers)?;
                KeyForm::Integers { least: range.least }
            }
            _ => return None,
        };
        Some(Key { column, form })
    }

    fn dense(&self, range: Range) -> Option<Dense> {
        let scan = self.shape.scan;
        let partitions = scan.properties().output_partitioning().partition_count();
        Dense::of(range, scan.row_count(), partitions)
    }

    /// Adds the states of an aggregate function.
    fn function(&mut self, function: &AggregateFunctionExpr) -> Result<Option<()>> {
        let is_plain =
            !function.is_distinct() && !function.ignore_nulls() && function.order_bys().is_empty();
        let arguments = function.expressions();
        let (Some(kind), [argument]) = (PlainAggregate::of(function.fun()), arguments.as_slice())
        else {
            return Ok(None);
        };
        let Some(argument) = self.shape.over_scan(argument)?.filter(|_| is_plain) else {
            return Ok(None);
        };
        let types = function.state_fields()?;
        let types: Vec<&DataType> = types.iter().map(|field| field.data_type()).collect();
        Ok(self.states(kind, &argument, &types))
    }

    fn states(
        &mut self,
        kind: PlainAggregate,
        argument: &Arc<dyn PhysicalExpr>,
        types: &[&DataType],
    ) -> Option<()> {
        let table = match kind {
            PlainAggregate::Count => {
                let nulls = self.counted(argument)?;
                self.spec.states.push(State::Count(nulls));
                return (types == [&DataType::Int64]).then_some(());
            }
            PlainAggregate::Sum | PlainAggregate::Avg => TableKind::Sum,
            PlainAggregate::Min => TableKind::Least,
            PlainAggregate::Max => TableKind::Greatest,
        };
        let table = self.table(table, argument, types.first()?)?;
        self.spec.states.push(State::Table(table));
        if kind == PlainAggregate::Avg {
            let nulls = self.spec.tables.get(table)?.nulls;
            self.spec.states.push(State::Count(nulls));
        }
        let expected = if kind == PlainAggregate::Avg { 2 } else { 1 };
        (types.len() == expected).then_some(())
    }

    /// A table of an argument's values, whose state has this type.
    fn table(
        &mut self,
        kind: TableKind,
        argument: &Arc<dyn PhysicalExpr>,
        state: &DataType,
    ) -> Option<usize> {
        let (operand, range, scale) = self.value(kind, argument)?;
        let fits = match state {
            DataType::Decimal128(_, state) => *state == scale,
            DataType::Int64 => scale == 0,
            other => kind != TableKind::Sum && scale == 0 && is_integer(other),
        };
        if !fits || matches!(operand, Operand::Constant(_)) {
            return None;
        }
        let inputs = self.spec.program.inputs_of(operand);
        let columns = inputs.iter().map(|input| self.spec.program.inputs.get(*input).copied());
        let nulls = self.nulls(columns.collect::<Option<_>>()?);
        let table = Table { kind, operand, magnitude: range.magnitude(), nulls };
        Some(position(&mut self.spec.tables, table))
    }

    fn value(
        &mut self,
        kind: TableKind,
        argument: &Arc<dyn PhysicalExpr>,
    ) -> Option<(Operand, Range, i8)> {
        if let Some(column) = argument.downcast_ref::<Column>()
            && kind != TableKind::Sum
            && self.data_type(column.index()) == Some(&DataType::Date32)
        {
            let any = Range { least: i64::MIN, greatest: i64::MAX };
            return Some((self.spec.program.input(column.index(), any).operand, any, 0));
        }
        let columns = Columns { schema: &self.schema, ranges: &self.shape.ranges };
        let number = compile(argument, columns, &mut self.spec.program)?;
        Some((number.value.operand, number.value.range, number.scale))
    }

    /// Where an argument of `count` is NULL.
    fn counted(&mut self, argument: &Arc<dyn PhysicalExpr>) -> Option<usize> {
        if let Some(literal) = argument.downcast_ref::<Literal>() {
            return (!literal.value().is_null()).then_some(0);
        }
        if let Some(column) = argument.downcast_ref::<Column>() {
            return Some(self.nulls(vec![column.index()]));
        }
        // Arithmetic that cannot fail is NULL where a column is.
        let columns = Columns { schema: &self.schema, ranges: &self.shape.ranges };
        compile(argument, columns, &mut Program::default())?;
        let columns = collect_columns(argument).iter().map(Column::index).collect();
        Some(self.nulls(columns))
    }

    fn nulls(&mut self, mut columns: Vec<usize>) -> usize {
        columns.sort_unstable();
        columns.dedup();
        position(&mut self.spec.nulls, columns)
    }

    fn finish(mut self) -> Spec {
        for column in self.spec.program.inputs.clone() {
            if self.data_type(column).is_some_and(is_integer) {
                self.ask(column, Raw::Integers);
            }
        }
        self.spec
    }
}

/// Whether a scan can give a column of the type as 64-bit integers.
fn is_integer(data_type: &DataType) -> bool {
    match data_type {
        DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Date32 => true,
        DataType::Decimal128(precision, _) => *precision <= NARROW_PRECISION,
        _ => false,
    }
}

fn position<T: PartialEq>(all: &mut Vec<T>, one: T) -> usize {
    all.iter().position(|known| *known == one).unwrap_or_else(|| {
        all.push(one);
        all.len() - 1
    })
}
