//! Comparisons and IN: of operands of one kind, as both sides compare them.
//!
//! **Texts.** Kestrel compares bytes. Equality is that of bytes in every deterministic collation (no
//! column of a table that Kestrel uses has another), so that an index of the column's collation can
//! be used; order is that of `COLLATE "C"`. A `char(n)` is compared without its trailing blanks, as
//! Kestrel holds it: as a text, or, for an index, beside a constant `bpchar` that has none.
//!
//! **Floats.** PostgreSQL has one zero and puts every NaN above all numbers; Arrow's order (IEEE
//! 754's total order) has `-0 < 0`. Only comparisons with a constant that cannot tell the two zeros
//! apart are pushed. A NaN whose sign bit is set, which Arrow puts below all numbers, gets
//! PostgreSQL's answer.

use crate::catalog::SqlType;
use datafusion::{
    common::ScalarValue, logical_expr::Operator, physical_expr::expressions::InListExpr,
};

use super::{
    super::literal::literal,
    Translation,
    operand::{Kind, Sql},
};

impl Translation<'_> {
    pub(super) fn comparison(&self, op: Operator, left: &Sql, right: &Sql) -> Option<Sql> {
        let symbol = symbol(op)?;
        let (left, right) = self.sides(op, left, right)?;
        Some(Sql::boolean(format!("({left} {symbol} {right})")))
    }

    pub(super) fn in_list(&self, list: &InListExpr) -> Option<Sql> {
        if list.is_empty() {
            return None;
        }
        let operand = self.of(list.expr())?;
        let mut compared = operand.text.clone();
        let mut members = Vec::with_capacity(list.len());
        for member in list.list() {
            let member = self.of(member)?;
            member.constant.as_ref()?;
            let (left, right) = self.sides(Operator::Eq, &operand, &member)?;
            // All members are compared alike: one that needs another form of the operand decides.
            if left != compared && !members.is_empty() {
                return None;
            }
            compared = left;
            members.push(right);
        }
        let not = if list.negated() { "NOT " } else { "" };
        Some(Sql::boolean(format!("({compared} {not}IN ({}))", members.join(", "))))
    }

    /// Both operands, in the form in which they are compared.
    fn sides(&self, op: Operator, left: &Sql, right: &Sql) -> Option<(String, String)> {
        let as_they_are = || Some((left.text.clone(), right.text.clone()));
        match (left.kind, right.kind) {
            (Kind::Text | Kind::Char, Kind::Text | Kind::Char) => self.texts(op, left, right),
            (Kind::Float, Kind::Float) => {
                let same_zero = match (&left.constant, &right.constant) {
                    (None, Some(constant)) => has_one_zero(op, constant),
                    (Some(constant), None) => has_one_zero(op.swap()?, constant),
                    _ => false,
                };
                if same_zero { as_they_are() } else { None }
            }
            (left, right) => {
                left.common(right)?;
                as_they_are()
            }
        }
    }

    fn texts(&self, op: Operator, left: &Sql, right: &Sql) -> Option<(String, String)> {
        let (first, second) = (self.held_text(left)?, self.held_text(right)?);
        if is_equality(op) {
            if left.kind == Kind::Char
                && let Some(constant) = without_blanks(right)
            {
                return Some((left.text.clone(), constant));
            }
            if right.kind == Kind::Char
                && let Some(constant) = without_blanks(left)
            {
                return Some((constant, right.text.clone()));
            }
        }
        if is_equality(op) && (left.constant.is_some() || right.constant.is_some()) {
            return Some((first, second));
        }
        // Two columns may have collations that nothing decides between.
        Some((format!("{first} COLLATE \"C\""), second))
    }
}

fn symbol(op: Operator) -> Option<&'static str> {
    Some(match op {
        Operator::Eq => "=",
        Operator::NotEq => "<>",
        Operator::Lt => "<",
        Operator::LtEq => "<=",
        Operator::Gt => ">",
        Operator::GtEq => ">=",
        Operator::IsDistinctFrom => "IS DISTINCT FROM",
        Operator::IsNotDistinctFrom => "IS NOT DISTINCT FROM",
        _ => return None,
    })
}

fn is_equality(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq | Operator::NotEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom
    )
}

/// A constant text as a `bpchar`, if it has no blanks at its end that would not count there.
fn without_blanks(operand: &Sql) -> Option<String> {
    let text = operand.constant_text().filter(|text| !text.ends_with(' '))?;
    literal(&ScalarValue::Utf8View(Some(text.into())), SqlType::Char(1)).ok()
}

/// Whether `x op constant` is the same for -0 and 0 on both sides. A NaN is left to Kestrel.
fn has_one_zero(op: Operator, constant: &ScalarValue) -> bool {
    let value = match constant {
        ScalarValue::Float32(Some(value)) => f64::from(*value),
        ScalarValue::Float64(Some(value)) => *value,
        _ => return false,
    };
    match (value.is_nan(), value == 0.0, value.is_sign_negative()) {
        (true, ..) => false,
        (_, false, _) => true,
        (_, true, false) => matches!(op, Operator::Gt | Operator::LtEq),
        (_, true, true) => matches!(op, Operator::Lt | Operator::GtEq),
    }
}
