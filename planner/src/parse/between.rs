//! `x BETWEEN SYMMETRIC a AND b`: between them in either order (`transformAExprBetween` in PostgreSQL's
//! parse_expr.c).

use datafusion::sql::sqlparser::{
    ast::{BinaryOperator, Expr},
    keywords::Keyword,
    parser::{Parser, ParserError},
};

/// What follows `expr`, if that is `[NOT] BETWEEN SYMMETRIC | ASYMMETRIC a AND b`.
pub(super) fn infix(
    parser: &mut Parser,
    expr: &Expr,
    precedence: u8,
) -> Option<Result<Expr, ParserError>> {
    use Keyword::{ASYMMETRIC, BETWEEN, NOT, SYMMETRIC};
    let mut is = |words: &[Keyword]| parser.parse_keywords(words);
    let (negated, symmetric) = if is(&[BETWEEN, SYMMETRIC]) {
        (false, true)
    } else if is(&[NOT, BETWEEN, SYMMETRIC]) {
        (true, true)
    } else if is(&[BETWEEN, ASYMMETRIC]) {
        (false, false)
    } else if is(&[NOT, BETWEEN, ASYMMETRIC]) {
        (true, false)
    } else {
        return None;
    };
    Some(bounds(parser, precedence).map(|(low, high)| match symmetric {
        true => in_either_order(expr, negated, low, high),
        false => between(expr, negated, low, high),
    }))
}

fn bounds(parser: &mut Parser, precedence: u8) -> Result<(Expr, Expr), ParserError> {
    let low = parser.parse_subexpr(precedence)?;
    parser.expect_keyword_is(Keyword::AND)?;
    Ok((low, parser.parse_subexpr(precedence)?))
}

fn between(expr: &Expr, negated: bool, low: Expr, high: Expr) -> Expr {
    let (expr, low, high) = (Box::new(expr.clone()), Box::new(low), Box::new(high));
    Expr::Between { expr, negated, low, high }
}

fn in_either_order(expr: &Expr, negated: bool, low: Expr, high: Expr) -> Expr {
    let left = Box::new(between(expr, negated, low.clone(), high.clone()));
    let right = Box::new(between(expr, negated, high, low));
    let op = if negated { BinaryOperator::And } else { BinaryOperator::Or };
    Expr::Nested(Box::new(Expr::BinaryOp { left, op, right }))
}
