//! The PostgreSQL dialect, without the two places where the parser's time can double with every
//! level of nesting, with a bound on its work, with PostgreSQL's precedence of IS DISTINCT and with BETWEEN SYMMETRIC.

use std::{
    any::{Any, TypeId},
    cell::Cell,
};

use datafusion::sql::sqlparser::{
    ast::Expr,
    dialect::{Dialect, PostgreSqlDialect, Precedence},
    keywords::Keyword,
    parser::{Parser, ParserError},
    tokenizer::Token,
};

use super::{between, name::begins_clause};

/// Expressions the parser may begin per token of the statement. A sane statement begins about one.
const ATTEMPTS_PER_TOKEN: usize = 200;

/// PostgreSQL's words, for one parse of one statement.
///
/// The parser backtracks: it reads `f(x)` in one way and, when that fails, again in another. Nested
/// `n` deep that is `2^n` readings, so the dialect counts them and ends the parse.
#[derive(Debug)]
pub(super) struct KestrelDialect {
    postgresql: PostgreSqlDialect,
    attempts_left: Cell<usize>,
}

impl KestrelDialect {
    /// For a statement of this many tokens.
    pub(super) fn new(tokens: usize) -> Self {
        let attempts_left = Cell::new(10_000 + tokens.saturating_mul(ATTEMPTS_PER_TOKEN));
        Self { postgresql: PostgreSqlDialect {}, attempts_left }
    }
}

/// Delegates the methods that PostgreSQL's dialect overrides.
macro_rules! postgresql {
    ($($method:ident),* $(,)?) => {
        $(fn $method(&self) -> bool {
            self.postgresql.$method()
        })*
    };
}

impl Dialect for KestrelDialect {
    fn dialect(&self) -> TypeId {
        self.postgresql.type_id()
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        // `SELECT a, FROM t`: FROM is no column.
        if let Token::Word(word) = &parser.peek_token_ref().token
            && word.quote_style.is_none()
            && begins_clause(&word.value)
        {
            return Some(parser.expected_ref("an expression", parser.peek_token_ref()));
        }
        match self.attempts_left.get().checked_sub(1) {
            Some(left) => {
                self.attempts_left.set(left);
                None
            }
            // The one error that backtracking does not swallow.
            None => Some(Err(ParserError::RecursionLimitExceeded)),
        }
    }

    // BETWEEN SYMMETRIC it does not know. The parser takes all that follows for the right side: `a IS DISTINCT FROM b AND c`.
    fn parse_infix(
        &self,
        parser: &mut Parser,
        expr: &Expr,
        _: u8,
    ) -> Option<Result<Expr, ParserError>> {
        if let Some(between) = between::infix(parser, expr, self.prec_value(Precedence::Between)) {
            return Some(between);
        }
        let not =
            parser.parse_keywords(&[Keyword::IS, Keyword::NOT, Keyword::DISTINCT, Keyword::FROM]);
        if !not && !parser.parse_keywords(&[Keyword::IS, Keyword::DISTINCT, Keyword::FROM]) {
            return None;
        }
        let (left, is) = (Box::new(expr.clone()), self.prec_value(Precedence::Is));
        Some(parser.parse_subexpr(is).map(Box::new).map(|right| match not {
            true => Expr::IsNotDistinctFrom(left, right),
            false => Expr::IsDistinctFrom(left, right),
        }))
    }

    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        // PostgreSQL's reserved words that begin an expression: a failed CASE is an error at once,
        // not a column named "case".
        matches!(
            keyword,
            Keyword::CASE | Keyword::CAST | Keyword::NOT | Keyword::ARRAY | Keyword::EXISTS
        ) || self.postgresql.is_reserved_for_identifier(keyword)
    }

    // `f(name => 1)` needs no expression for the name; reading one doubles the work per level.
    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        false
    }

    // `5 !` went away with PostgreSQL 14.
    fn supports_factorial_operator(&self) -> bool {
        false
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        self.postgresql.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        self.postgresql.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        self.postgresql.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        self.postgresql.is_identifier_part(ch)
    }

    fn is_custom_operator_part(&self, ch: char) -> bool {
        self.postgresql.is_custom_operator_part(ch)
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        self.postgresql.get_next_precedence(parser)
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        self.postgresql.prec_value(precedence)
    }

    postgresql!(
        supports_unicode_string_literal,
        supports_filter_during_aggregation,
        supports_group_by_expr,
        allow_extract_custom,
        allow_extract_single_quotes,
        supports_create_index_with_clause,
        supports_explain_with_utility_options,
        supports_listen_notify,
        supports_bitwise_shift_operators,
        supports_comment_on,
        supports_load_extension,
        supports_named_fn_args_with_colon_operator,
        supports_empty_projections,
        supports_nested_comments,
        supports_string_escape_constant,
        supports_numeric_literal_underscores,
        supports_array_typedef_with_brackets,
        supports_geometric_types,
        supports_set_names,
        supports_alter_column_type_using,
        supports_notnull_operator,
        supports_interval_options,
        supports_insert_table_alias,
        supports_create_table_like_parenthesized,
        supports_select_wildcard_with_alias,
        supports_comma_separated_trim,
        supports_xml_expressions,
        supports_comment_optimizer_hint,
    );
}
