//! A filter as SQL: only what has Kestrel's answer in the database, too, and what can fail for no
//! row.
//!
//! Filters that are pushed are computed for all rows, before and in another order than Kestrel
//! would: a division by zero in a row that another filter drops must fail nowhere. So whatever may
//! fail stays with Kestrel, which sees only rows that pass what was pushed. What is pushed:
//!
//! | Expression | Where |
//! |---|---|
//! | columns, constants | [`operand`] |
//! | AND, OR, NOT, IS \[NOT\] NULL | here |
//! | = <> < <= > >=, IS \[NOT\] DISTINCT FROM (so IS TRUE, IS FALSE), IN | [`comparison`] |
//! | LIKE | [`like`] |
//! | + - * of integers and numerics whose types leave room, / % by a constant | [`arithmetic`] |
//! | casts that lose nothing | [`cast`] |
//! | CASE, COALESCE | [`case`] |
//!
//! BETWEEN is two comparisons by the time it comes here. What stays, and why:
//!
//! - `lower`, `upper`, ILIKE, regular expressions: they depend on the database's locale.
//! - LIKE with a pattern that is no constant, or that sees the blanks of a `char(n)`.
//! - `date ± interval`, `date ± integer`: a date may leave its range, which fails. With constants on
//!   both sides it is a constant by now.
//! - Intervals, which compare by their length; json. Whether they are NULL is pushed.
//! - `extract`, `substr` and other functions: their result types or errors differ by version.
//! - Filters that joins make while they run: they change.

mod arithmetic;
mod case;
mod cast;
mod comparison;
mod like;
mod operand;

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::{
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr, ScalarFunctionExpr,
        expressions::{
            BinaryExpr, CaseExpr, CastExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr,
            LikeExpr, Literal, NotExpr,
        },
    },
};

use self::operand::{Kind, Sql};
use super::Capabilities;

/// Deeper expressions are not pushed: the database's parser has a stack, too.
const DEPTH_MAX: usize = 200;
/// Longer texts are not pushed: a filter is there to save bytes.
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// The condition in SQL, over the columns of a table of this schema; `None`: Kestrel has to compute
/// it.
pub fn pushed(
    filter: &Arc<dyn PhysicalExpr>,
    schema: &Schema,
    capabilities: Capabilities,
) -> Option<String> {
    let errors = Errors::Never;
    let sql = Translation { schema, capabilities, errors, depth: 0 }.of(filter)?;
    (sql.kind == Kind::Boolean).then_some(sql.text)
}

/// What of a filter keeps it from being pushed: the smallest part that is not on the list, or that may
/// fail. `None`: it is pushed.
pub fn obstacle<'a>(
    filter: &'a Arc<dyn PhysicalExpr>,
    schema: &Schema,
    capabilities: Capabilities,
) -> Option<&'a Arc<dyn PhysicalExpr>> {
    if pushed(filter, schema, capabilities).is_some() {
        return None;
    }
    let translation = Translation { schema, capabilities, errors: Errors::Never, depth: 0 };
    let mut part = filter;
    while let Some(child) =
        part.children().into_iter().find(|child| translation.of(child).is_none())
    {
        part = child;
    }
    Some(part)
}

/// A value or condition of an UPDATE or DELETE in SQL: it may fail, as it does in PostgreSQL. `None`:
/// it is not on the list.
pub fn computed(
    expr: &Arc<dyn PhysicalExpr>,
    schema: &Schema,
    capabilities: Capabilities,
) -> Option<String> {
    let errors = Errors::Allowed;
    Some(Translation { schema, capabilities, errors, depth: 0 }.of(expr)?.text)
}

/// Whether an expression may fail for some row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Errors {
    Never,
    Allowed,
}

/// What an expression is translated with.
#[derive(Clone, Copy, Debug)]
struct Translation<'a> {
    schema: &'a Schema,
    capabilities: Capabilities,
    errors: Errors,
    depth: usize,
}

impl Translation<'_> {
    /// `None`: it is not on the list, or too large.
    fn of(&self, expr: &Arc<dyn PhysicalExpr>) -> Option<Sql> {
        if self.depth == DEPTH_MAX {
            return None;
        }
        let inner = Self { depth: self.depth + 1, ..*self };
        inner.node(expr).filter(|sql| sql.text.len() <= TEXT_BYTES_MAX)
    }

    fn node(&self, expr: &Arc<dyn PhysicalExpr>) -> Option<Sql> {
        if let Some(column) = expr.downcast_ref::<Column>() {
            self.column(column.index())
        } else if let Some(literal) = expr.downcast_ref::<Literal>() {
            self.constant(literal.value())
        } else if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
            self.binary(binary)
        } else if let Some(not) = expr.downcast_ref::<NotExpr>() {
            Some(Sql::boolean(format!("(NOT {})", self.boolean(not.arg())?.text)))
        } else if let Some(is_null) = expr.downcast_ref::<IsNullExpr>() {
            self.null_test(is_null.arg(), "IS NULL")
        } else if let Some(is_not_null) = expr.downcast_ref::<IsNotNullExpr>() {
            self.null_test(is_not_null.arg(), "IS NOT NULL")
        } else if let Some(list) = expr.downcast_ref::<InListExpr>() {
            self.in_list(list)
        } else if let Some(like) = expr.downcast_ref::<LikeExpr>() {
            self.like(like)
        } else if let Some(cast) = expr.downcast_ref::<CastExpr>() {
            cast::widened(self.of(cast.expr())?, cast.cast_type())
        } else if let Some(case) = expr.downcast_ref::<CaseExpr>() {
            self.case(case)
        } else if let Some(call) = expr.downcast_ref::<ScalarFunctionExpr>() {
            self.call(call)
        } else {
            None
        }
    }

    fn boolean(&self, expr: &Arc<dyn PhysicalExpr>) -> Option<Sql> {
        self.of(expr).filter(|sql| sql.kind == Kind::Boolean)
    }

    fn binary(&self, binary: &BinaryExpr) -> Option<Sql> {
        let word = match binary.op() {
            Operator::And => "AND",
            Operator::Or => "OR",
            op => {
                let (left, right) = (self.of(binary.left())?, self.of(binary.right())?);
                return self.comparison(*op, &left, &right);
            }
        };
        let (left, right) = (self.boolean(binary.left())?, self.boolean(binary.right())?);
        Some(Sql::boolean(format!("({} {word} {})", left.text, right.text)))
    }

    /// Whether a value is NULL is the same for every type; of texts, where the empty one is none.
    fn null_test(&self, expr: &Arc<dyn PhysicalExpr>, test: &str) -> Option<Sql> {
        let operand = self.of(expr)?;
        Some(Sql::boolean(format!("({} {test})", operand.text)))
    }

    fn call(&self, call: &ScalarFunctionExpr) -> Option<Sql> {
        let arguments = || call.args().iter().map(|a| self.of(a)).collect::<Option<Vec<_>>>();
        match call.name() {
            "coalesce" => self.coalesce(&arguments()?),
            "kestrel_negate" => arithmetic::negated(&arguments()?, call.return_type(), self.errors),
            "kestrel_cast" => cast::relabelled(self, call.args()),
            name => {
                let operator = arithmetic::Operator::of_function(name)?;
                arithmetic::computed(operator, &arguments()?, call.return_type(), self.errors)
            }
        }
    }
}
