//! Expressions as PostgreSQL's EXPLAIN prints them (`get_rule_expr`, utils/adt/ruleutils.c).
//!
//! ```text
//! ((l_shipmode = 'AIR'::text) OR (l_shipmode = 'AIR REG'::text))
//! (sum(l_quantity) > 300.00)                        (c_acctbal > $0)
//! ```
//!
//! Every operator stands in parentheses of its own, so that nobody has to know what binds more tightly,
//! and literals have their types. Unlike PostgreSQL's, `IN` and `LIKE` stay as they are written, and
//! integers and numerics that are not negative are plain in every width.

mod call;
mod column;
mod literal;

use std::sync::Arc;

use arrow::datatypes::Field;
use datafusion::{
    common::ScalarValue,
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr, PhysicalSortExpr, ScalarFunctionExpr,
        expressions::{
            BinaryExpr, CaseExpr, CastExpr, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr,
            Literal, NegativeExpr, NotExpr, TryCastExpr,
        },
        scalar_subquery::ScalarSubqueryExpr,
    },
    physical_expr_common::physical_expr::fmt_sql,
};

pub(crate) use column::Columns;

use crate::catalog::SqlType;

/// Prints expressions over some columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer<'a> {
    columns: Columns<'a>,
    /// How many definitions of columns it is in.
    depth: usize,
}

/// Prints the expressions of one kind; `None`: it is of another.
type Kind = fn(&Printer<'_>, &Arc<dyn PhysicalExpr>) -> Option<String>;

/// The kinds that have a form of their own. Others print themselves.
const KINDS: &[Kind] = &[
    column::column,
    constant,
    binary,
    not,
    is_null,
    is_not_null,
    in_list,
    like,
    negative,
    cast,
    try_cast,
    case,
    call::call,
    subquery,
];

impl<'a> Printer<'a> {
    /// For expressions over these columns.
    pub(crate) fn new(columns: Columns<'a>) -> Self {
        Self { columns, depth: 0 }
    }

    /// One expression.
    pub(crate) fn text(&self, expr: &Arc<dyn PhysicalExpr>) -> String {
        let printed = KINDS.iter().find_map(|kind| kind(self, expr));
        printed.unwrap_or_else(|| fmt_sql(expr.as_ref()).to_string())
    }

    /// Some, with commas between them.
    pub(crate) fn list<'e>(
        &self,
        exprs: impl IntoIterator<Item = &'e Arc<dyn PhysicalExpr>>,
    ) -> String {
        exprs.into_iter().map(|expr| self.text(expr)).collect::<Vec<_>>().join(", ")
    }

    /// All of these conditions.
    pub(crate) fn conjunction(&self, conditions: &[Arc<dyn PhysicalExpr>]) -> String {
        let all = conditions.iter().flat_map(|condition| operands(condition, Operator::And));
        joined(all.map(|condition| self.text(condition)).collect(), Operator::And)
    }

    /// `a DESC NULLS LAST`
    pub(crate) fn sort_key(&self, key: &PhysicalSortExpr) -> String {
        let mut text = self.text(&key.expr);
        if key.options.descending {
            text.push_str(" DESC");
        }
        // PostgreSQL's default: NULLs are larger than all values.
        match (key.options.descending, key.options.nulls_first) {
            (false, true) => text.push_str(" NULLS FIRST"),
            (true, false) => text.push_str(" NULLS LAST"),
            (false, false) | (true, true) => {}
        }
        text
    }
}

/// Conditions with AND or OR between them; one stands for itself.
pub(super) fn joined(mut conditions: Vec<String>, op: Operator) -> String {
    match conditions.len() {
        1 => conditions.pop().unwrap_or_default(),
        _ => format!("({})", conditions.join(&format!(" {op} "))),
    }
}

/// Those of `a AND (b AND c)`, in their order.
fn operands(expr: &Arc<dyn PhysicalExpr>, op: Operator) -> Vec<&Arc<dyn PhysicalExpr>> {
    let mut found = Vec::new();
    // Chains of thousands are possible: not by recursion.
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        match expr.downcast_ref::<BinaryExpr>() {
            Some(binary) if *binary.op() == op => open.extend([binary.right(), binary.left()]),
            _ => found.push(expr),
        }
    }
    found
}

fn constant(_: &Printer<'_>, expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    Some(literal::literal(expr.downcast_ref::<Literal>()?.value()))
}

fn binary(printer: &Printer<'_>, expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    let binary = expr.downcast_ref::<BinaryExpr>()?;
    let op = *binary.op();
    if matches!(op, Operator::And | Operator::Or) {
        let all = operands(expr, op).into_iter().map(|operand| printer.text(operand));
        return Some(joined(all.collect(), op));
    }
    let [left, right] = compared(binary).unwrap_or([binary.left(), binary.right()]);
    Some(format!("({} {} {})", printer.text(left), symbol(op), printer.text(right)))
}

fn symbol(op: Operator) -> String {
    match op {
        Operator::NotEq => "<>".into(),
        Operator::BitwiseXor => "#".into(),
        op => op.to_string(),
    }
}

/// What is compared by functions of ours: `kestrel_compare_numeric(a, b) > 0` is `a > b`.
fn compared(binary: &BinaryExpr) -> Option<[&Arc<dyn PhysicalExpr>; 2]> {
    let left = binary.left().downcast_ref::<ScalarFunctionExpr>()?;
    match (left.name(), left.args()) {
        ("kestrel_compare_numeric" | "kestrel_array_compare", [one, other]) => {
            let zero = binary.right().downcast_ref::<Literal>()?;
            (*zero.value() == ScalarValue::Int32(Some(0))).then_some([one, other])
        }
        ("kestrel_interval_length", [one]) => {
            let right = binary.right().downcast_ref::<ScalarFunctionExpr>()?;
            match (right.name() == left.name(), right.args()) {
                (true, [other]) => Some([one, other]),
                _ => None,
            }
        }
        _ => None,
    }
}

fn not(printer: &Printer<'_>, expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    Some(format!("(NOT {})", printer.text(expr.downcast_ref::<NotExpr>()?.arg())))
}

fn is_null(printer: &Printer<'_>, expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    Some(format!("({} IS NULL)", printer.text(expr.downcast_ref::<IsNullExpr>()?.arg())))
}

fn is_not_null(printer: &Printer<'_>, expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    Some(format!("({} IS NOT NULL)", printer.text(expr.downcast_ref::<IsNotNullExpr>()?.arg())))
}

fn in_list(printer: &Printer<'_>, expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    let list = expr.downcast_ref::<InListExpr>()?;
    let not = if list.negated() { "NOT " } else { "" };
    Some(format!("({} {not}IN ({}))", printer.text(list.expr()), printer.list(list.list())))
}

fn like(printer: &Printer<'_>, expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    let like = expr.downcast_ref::<LikeExpr>()?;
    let not = if like.negated() { "NOT " } else { "" };
    let word = if like.case_insensitive() { "ILIKE" } else { "LIKE" };
    let (operand, pattern) = (printer.text(like.expr()), printer.text(like.pattern()));
    Some(format!("({operand} {not}{word} {pattern})"))
}

fn negative(printer: &Printer<'_>, expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    Some(format!("(- {})", printer.text(expr.downcast_ref::<NegativeExpr>()?.arg())))
}

fn cast(printer: &Printer<'_>, expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    let cast = expr.downcast_ref::<CastExpr>()?;
    Some(as_type(&printer.text(cast.expr()), &type_name(cast.target_field())))
}

fn try_cast(printer: &Printer<'_>, expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    let cast = expr.downcast_ref::<TryCastExpr>()?;
    Some(as_type(&printer.text(cast.expr()), &type_name(cast.target_field())))
}

fn as_type(operand: &str, name: &str) -> String {
    format!("({operand})::{name}")
}

fn type_name(field: &Field) -> String {
    SqlType::of_field(field).map_or_else(|| field.data_type().to_string(), |t| t.to_string())
}

fn case(printer: &Printer<'_>, expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    let case = expr.downcast_ref::<CaseExpr>()?;
    let mut text = String::from("CASE");
    if let Some(operand) = case.expr() {
        text.push_str(&format!(" {}", printer.text(operand)));
    }
    for (when, then) in case.when_then_expr() {
        text.push_str(&format!(" WHEN {} THEN {}", printer.text(when), printer.text(then)));
    }
    if let Some(otherwise) = case.else_expr() {
        text.push_str(&format!(" ELSE {}", printer.text(otherwise)));
    }
    Some(text + " END")
}

/// The value of an init plan, by the number that its label says.
fn subquery(_: &Printer<'_>, expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    let subquery = expr.downcast_ref::<ScalarSubqueryExpr>()?;
    #[expect(deprecated, reason = "nothing else says which subquery it is")]
    let index = subquery.index();
    Some(format!("${}", index.as_usize()))
}

#[cfg(test)]
mod tests;
