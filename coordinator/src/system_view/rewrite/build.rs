//! Pieces of a statement.

use datafusion::sql::sqlparser::ast::{
    Array, BinaryOperator, CaseWhen, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Ident, ObjectName,
    OrderByExpr, Value, helpers::attached_token::AttachedToken,
};

/// `name(arguments)`
pub(super) fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    call_ordered(name, arguments, vec![])
}

/// `name(arguments ORDER BY order)`
pub(super) fn call_ordered(name: &str, arguments: Vec<Expr>, order: Vec<OrderByExpr>) -> Expr {
    let clauses = match order.is_empty() {
        true => vec![],
        false => vec![FunctionArgumentClause::OrderBy(order)],
    };
    let unnamed = |e| FunctionArg::Unnamed(FunctionArgExpr::Expr(e));
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments.into_iter().map(unnamed).collect(),
            clauses,
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}

/// `'text'`
pub(super) fn text(text: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.into()).into())
}

/// A whole number.
pub(super) fn number(number: i64) -> Expr {
    Expr::Value(Value::Number(number.to_string(), false).into())
}

/// `NULL`
pub(super) fn null() -> Expr {
    Expr::Value(Value::Null.into())
}

/// `ARRAY[elements]`
pub(super) fn array(elements: Vec<Expr>) -> Expr {
    Expr::Array(Array { elem: elements, named: true })
}

/// `CASE WHEN condition THEN result END`
pub(super) fn case_when(condition: Expr, result: Expr) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition, result }],
        else_result: None,
    }
}

/// The conditions between the ANDs.
pub(super) fn conjuncts(expr: Expr, out: &mut Vec<Expr>) {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            conjuncts(*left, out);
            conjuncts(*right, out);
        }
        Expr::Nested(inner) if matches!(*inner, Expr::BinaryOp { op: BinaryOperator::And, .. }) => {
            conjuncts(*inner, out);
        }
        other => out.push(other),
    }
}

/// All of them with AND between; `None`: there is none.
pub(super) fn all_of(conjuncts: impl IntoIterator<Item = Expr>) -> Option<Expr> {
    conjuncts.into_iter().reduce(|left, right| Expr::BinaryOp {
        left: Box::new(left),
        op: BinaryOperator::And,
        right: Box::new(right),
    })
}

/// The string of a string literal.
pub(super) fn literal_text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text),
            _ => None,
        },
        Expr::Nested(inner) => literal_text(inner),
        _ => None,
    }
}

/// The elements of an array's text (`{0,1}`), where they are whole numbers or plain words.
pub(super) fn array_elements(text: &str) -> Option<Vec<Expr>> {
    let inside = text.strip_prefix('{')?.strip_suffix('}')?;
    let plain = |e: &str| !e.is_empty() && e.chars().all(|c| c.is_alphanumeric() || c == '_');
    let elements: Vec<&str> =
        if inside.is_empty() { vec![] } else { inside.split(',').map(str::trim).collect() };
    if !elements.iter().all(|e| plain(e)) {
        return None;
    }
    Some(elements.iter().map(|e| e.parse().map_or_else(|_| self::text(e), number)).collect())
}
