//! A bound on chains of operators. `a + b + c + …` is a tree as deep as the chain is long, and
//! trees are dropped by recursion.

use datafusion::sql::sqlparser::{keywords::Keyword, tokenizer::Token};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::lexer::Lexeme;

/// Operators in one expression, or set operations in one query. PostgreSQL's own bound, its stack
/// depth, is of this order.
const MAX_CHAIN: usize = 4000;

/// Refuses (54001) a statement with a longer chain between two commas or parentheses.
pub(super) fn check(lexemes: &[Lexeme]) -> Result<()> {
    // One counter per open parenthesis, and one for outside of all.
    let mut chains = vec![0];
    for lexeme in lexemes {
        match &lexeme.token.token {
            Token::LParen | Token::LBracket => chains.push(0),
            Token::RParen | Token::RBracket if chains.len() > 1 => {
                chains.pop();
            }
            Token::Comma => chains.last_mut().into_iter().for_each(|chain| *chain = 0),
            token if is_operator(token) => {
                if let Some(chain) = chains.last_mut() {
                    *chain += 1;
                    if *chain > MAX_CHAIN {
                        return Err(too_long().position(lexeme.position()));
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
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
                | Keyword::UNION
                | Keyword::INTERSECT
                | Keyword::EXCEPT
                | Keyword::MINUS
        ),
        Token::Whitespace(_)
        | Token::Number(..)
        | Token::Period
        | Token::SingleQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::DollarQuotedString(_)
        | Token::Placeholder(_)
        | Token::SemiColon => false,
        // Every other token is an operator, or rare.
        _ => true,
    }
}
