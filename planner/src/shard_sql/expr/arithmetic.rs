//! Arithmetic that cannot fail: the bounds of its operands leave its result in its type.
//!
//! Integers: `smallint_column + 1` is an integer that no smallint overflows; `integer_column + 1` is
//! not pushed. Numerics: the planner's result type has room for all digits, so that the result is
//! exact on both sides.

use arrow::datatypes::DataType;

use super::{
    Errors,
    operand::{Kind, Sql, exact_integer},
};

/// What the planner's functions for operators compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl Operator {
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Add, "kestrel_add", "+"),
        (Self::Subtract, "kestrel_subtract", "-"),
        (Self::Multiply, "kestrel_multiply", "*"),
        (Self::Divide, "kestrel_divide", "/"),
        (Self::Modulo, "kestrel_modulo", "%"),
    ];

    /// The operator of this function.
    pub(super) fn of_function(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, function, _)| *function == name).map(|(op, ..)| *op)
    }

    fn symbol(self) -> &'static str {
        Self::ALL.iter().find(|(op, ..)| *op == self).map_or("", |(_, _, symbol)| symbol)
    }
}

/// `left op right`, of type `result`.
pub(super) fn computed(
    op: Operator,
    operands: &[Sql],
    result: &DataType,
    errors: Errors,
) -> Option<Sql> {
    let [left, right] = operands else { return None };
    let kind = match (left.kind, right.kind) {
        (Kind::Integer { .. }, Kind::Integer { .. }) => integer(op, left, right, result),
        (Kind::Numeric(p1, s1), Kind::Numeric(p2, s2)) => numeric(op, (p1, s1), (p2, s2), result),
        _ => return None,
    };
    let kind = kind.or_else(|| match (errors, op) {
        (Errors::Allowed, Operator::Add | Operator::Subtract | Operator::Multiply) => {
            Kind::any_of(result)
        }
        (Errors::Never | Errors::Allowed, _) => None,
    })?;
    Some(Sql::new(format!("({} {} {})", left.text, op.symbol(), right.text), kind))
}

/// `-operand`
pub(super) fn negated(operands: &[Sql], result: &DataType, errors: Errors) -> Option<Sql> {
    let [operand] = operands else { return None };
    let kind = match operand.kind {
        Kind::Integer { lowest, highest } => {
            let negated = Kind::Integer { lowest: -highest, highest: -lowest }.filter_in(result);
            negated.or_else(|| match errors {
                Errors::Allowed => Kind::any_of(result),
                Errors::Never => None,
            })?
        }
        numeric @ Kind::Numeric(..) => numeric,
        _ => return None,
    };
    Some(Sql::new(format!("(- {})", operand.text), kind))
}

impl Kind {
    /// All numbers of the type: what leaves it is an error of the database's.
    fn any_of(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Decimal128(precision, scale) => Some(Self::Numeric(*precision, *scale)),
            DataType::Int16 => Some(Self::integer(i16::MIN.into(), i16::MAX.into())),
            DataType::Int32 => Some(Self::integer(i32::MIN.into(), i32::MAX.into())),
            DataType::Int64 => Some(Self::integer(i64::MIN.into(), i64::MAX.into())),
            _ => None,
        }
    }

    /// Integers that are all in the type.
    fn filter_in(self, data_type: &DataType) -> Option<Self> {
        let Self::Integer { lowest, highest } = self else { return None };
        let room = match data_type {
            DataType::Int16 => i128::from(i16::MIN)..=i128::from(i16::MAX),
            DataType::Int32 => i128::from(i32::MIN)..=i128::from(i32::MAX),
            DataType::Int64 => i128::from(i64::MIN)..=i128::from(i64::MAX),
            _ => return None,
        };
        (room.contains(&lowest) && room.contains(&highest)).then_some(self)
    }
}

fn integer(op: Operator, left: &Sql, right: &Sql, result: &DataType) -> Option<Kind> {
    let (Kind::Integer { lowest: l1, highest: h1 }, Kind::Integer { lowest: l2, highest: h2 }) =
        (left.kind, right.kind)
    else {
        return None;
    };
    // 64-bit values: nothing here leaves 128 bits.
    let all = |corners: [i128; 4]| {
        let [a, b, c, d] = corners;
        Kind::integer(a.min(b).min(c.min(d)), a.max(b).max(c.max(d)))
    };
    let kind = match op {
        Operator::Add => Kind::integer(l1 + l2, h1 + h2),
        Operator::Subtract => Kind::integer(l1 - h2, h1 - l2),
        Operator::Multiply => all([l1 * l2, l1 * h2, h1 * l2, h1 * h2]),
        Operator::Divide => {
            let by = divisor(right)?;
            all([l1 / by, h1 / by, l1 / by, h1 / by])
        }
        Operator::Modulo => {
            let most = divisor(right)?.abs() - 1;
            Kind::integer(-most, most)
        }
    };
    kind.filter_in(result)
}

/// A constant by which everything can be divided: not 0, and not -1, by which the least integer
/// cannot.
fn divisor(operand: &Sql) -> Option<i128> {
    let value = exact_integer(operand.constant.as_ref()?)?;
    (value != 0 && value != -1).then_some(value)
}

fn numeric(
    op: Operator,
    (p1, s1): (u8, i8),
    (p2, s2): (u8, i8),
    result: &DataType,
) -> Option<Kind> {
    let &DataType::Decimal128(precision, scale) = result else { return None };
    let [p1, s1, p2, s2] = [i32::from(p1), i32::from(s1), i32::from(p2), i32::from(s2)];
    let (digits, exact) = match op {
        Operator::Add | Operator::Subtract => {
            let exact = s1.max(s2);
            ((p1 - s1).max(p2 - s2) + exact + 1, exact)
        }
        Operator::Multiply => (p1 + p2, s1 + s2),
        // A quotient is rounded, and where depends on the version.
        Operator::Divide | Operator::Modulo => return None,
    };
    let has_room = digits <= 38 && i32::from(scale) == exact && digits <= i32::from(precision);
    has_room.then_some(Kind::Numeric(precision, scale))
}
