//! Bounds on how deep a statement's syntax tree can be, told from its tokens. The parser, and
//! whatever drops or walks its tree, go down by recursion; a stack that ends takes the process along.
//!
//! - `a + b + c + …` is a tree as deep as the chain is long.
//! - `((…))` is read by recursion, for which the parser has a limit of its own, though not wherever
//!   it reads parentheses.
//! - `INTERVAL INTERVAL …` and `ARRAY<ARRAY<…` it reads by recursion without a limit.

use datafusion::sql::sqlparser::{keywords::Keyword, tokenizer::Token};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::lexer::Lexeme;

/// Levels of nested expressions and queries; the parser's stack grows with them.
pub(super) const MAX_NESTING: usize = 300;
/// Operators in one expression, or set operations in one query. PostgreSQL's own bound, its stack
/// depth, is of this order.
const MAX_CHAIN: usize = 4000;
/// Words of a statement that begin a value or a type inside of which another one follows at once.
/// No statement that makes sense has more than a few; the parser reads each inside of the last.
const MAX_PREFIXES: usize = 50;

/// Refuses (54001) a statement with a longer chain between two commas or parentheses, or with
/// deeper parentheses.
pub(super) fn check(lexemes: &[Lexeme]) -> Result<()> {
    // One counter per open parenthesis, and one for outside of all.
    let mut chains = vec![0];
    let (mut prefixes, mut follows_prefix) = (0, false);
    for lexeme in lexemes.iter().filter(|lexeme| !lexeme.is_space()) {
        let token = &lexeme.token.token;
        prefixes += usize::from(follows_prefix && (is_prefix(token) || *token == Token::Lt));
        follows_prefix = is_prefix(token);
        if is_operator(token)
            && let Some(chain) = chains.last_mut()
        {
            *chain += 1;
            if *chain > MAX_CHAIN {
                return Err(too_long().position(lexeme.position()));
            }
        }
        match token {
            Token::LParen | Token::LBracket => chains.push(0),
            Token::RParen | Token::RBracket if chains.len() > 1 => {
                chains.pop();
            }
            Token::Comma => chains.last_mut().into_iter().for_each(|chain| *chain = 0),
            _ => {}
        }
        if chains.len() > MAX_NESTING || prefixes > MAX_PREFIXES {
            return Err(too_deep().position(lexeme.position()));
        }
    }
    Ok(())
}

/// 54001
pub(super) fn too_deep() -> ErrorReport {
    ErrorReport::new(SqlState::STATEMENT_TOO_COMPLEX, "statement is nested too deeply")
        .hint("Split the statement, or put its inner parts into tables.")
}

fn too_long() -> ErrorReport {
    ErrorReport::new(
        SqlState::STATEMENT_TOO_COMPLEX,
        format!("more than {MAX_CHAIN} operators in one expression"),
    )
    .hint("Use IN (…), = ANY (…), a VALUES list or a table in place of a long chain.")
}

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(w) => matches!(
            w.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::IS
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::COLLATE
                | Keyword::AT
                | Keyword::NOTNULL
                | Keyword::IN
                | Keyword::SIMILAR
                | Keyword::RLIKE
                | Keyword::REGEXP
                | Keyword::MATCH
                | Keyword::MEMBER
                | Keyword::OVERLAPS
                | Keyword::OPERATOR
                | Keyword::DIV
                | Keyword::XOR
                | Keyword::UNION
                | Keyword::INTERSECT
                | Keyword::EXCEPT
                | Keyword::MINUS
        ),
        Token::Whitespace(_)
        | Token::LParen
        | Token::RParen
        | Token::RBracket
        | Token::Comma
        | Token::Number(..)
        | Token::Period
        | Token::SingleQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::DollarQuotedString(_)
        | Token::Placeholder(_)
        | Token::SemiColon => false,
        // Every other token is an operator, as `[` is, or rare.
        _ => true,
    }
}

/// Is a value or a type that follows read inside of what this word begins?
fn is_prefix(token: &Token) -> bool {
    matches!(token, Token::Word(w)
        if matches!(w.keyword, Keyword::INTERVAL | Keyword::ARRAY | Keyword::SETOF))
}

#[cfg(test)]
mod tests {
    use kestrel_proto::SqlState;

    use crate::parse::parse;

    /// On the stack of a server's thread, which must not end.
    fn on_small_stack(check: fn()) {
        let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(check).unwrap();
        thread.join().unwrap();
    }

    #[test]
    fn depth_without_a_limit_of_the_parsers_is_refused() {
        on_small_stack(|| {
            let many = 10_000;
            for sql in [
                format!("SELECT {}'1 day'", "INTERVAL ".repeat(many)),
                format!(
                    "SELECT {}1{}",
                    format!("({}", "INTERVAL ".repeat(40)).repeat(100),
                    ")".repeat(100)
                ),
                format!("SELECT CAST(1 AS {}int{})", "ARRAY<".repeat(many), ">".repeat(many)),
                format!("SELECT 1::int{}", "[]".repeat(many)),
                format!("SELECT 1{}", " IN (1)".repeat(many)),
                format!("SELECT * FROM JSON_TABLE({}", "(".repeat(many)),
            ] {
                let error = parse(&sql).unwrap_err();
                assert_eq!(error.sqlstate, SqlState::STATEMENT_TOO_COMPLEX, "{}", &sql[..60]);
            }
            for words in ["EXPLAIN ", "PREPARE a AS ", "EXPLAIN (VERBOSE) "] {
                let error = parse(&format!("{}SELECT 1", words.repeat(many))).unwrap_err();
                assert_eq!(error.sqlstate, SqlState::SYNTAX_ERROR, "{words}");
            }
        });
    }

    #[test]
    fn what_makes_sense_is_not() {
        on_small_stack(|| {
            for sql in [
                format!("SELECT {} 1", "INTERVAL '1 day' + ".repeat(1_000)),
                format!("SELECT 1 WHERE {} true", "a < ARRAY[1] AND ".repeat(500)),
                format!("SELECT {}1{}", "(".repeat(50), ")".repeat(50)),
                format!("SELECT {} 1", "a[1], ".repeat(10_000)),
                "SELECT '1'::int[][][]".to_string(),
            ] {
                assert!(parse(&sql).is_ok(), "{}: {:?}", &sql[..20], parse(&sql).err());
            }
        });
    }

    #[test]
    fn every_statement_has_its_own_notices() {
        // Looking for those of one must not mean looking at all.
        let dropped = format!("DROP TABLE {};", "x".repeat(64)).repeat(20_000);
        let statements = parse(&dropped).unwrap();
        assert!(statements.iter().all(|statement| statement.notices.len() == 1));
    }
}
