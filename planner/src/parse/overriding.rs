//! INSERT … OVERRIDING {SYSTEM | USER} VALUE, which sqlparser does not know: it reads the statement
//! without these words.

use std::ops::Range;

use super::{cursor::Cursor, lexer};

/// Whose values identity columns get in an INSERT that gives them some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overriding {
    /// The user's, also where they are GENERATED ALWAYS
    System,
    /// Their sequences'
    User,
}

/// What an INSERT says about it.
pub fn overriding(sql: &str) -> Option<Overriding> {
    let mut words = sql.as_bytes().windows("overriding".len());
    if !words.any(|word| word.eq_ignore_ascii_case(b"overriding")) {
        return None;
    }
    let lexed = lexer::lex(sql).ok()?;
    let statement = lexed.statements().into_iter().next()?;
    find(&Cursor::new(&lexed, statement)).map(|(overriding, _)| overriding)
}

/// The words, and which tokens they are: between the table or its columns and the rows.
pub(super) fn find(cursor: &Cursor<'_>) -> Option<(Overriding, Range<usize>)> {
    let mut at = cursor.clone();
    while !at.at_end() && !["SELECT", "VALUES", "DEFAULT"].iter().any(|word| at.is_word(word)) {
        let start = at.range().start;
        for (words, overriding) in [
            ("OVERRIDING SYSTEM VALUE", Overriding::System),
            ("OVERRIDING USER VALUE", Overriding::User),
        ] {
            if at.eat(words) {
                return Some((overriding, start..at.range().start));
            }
        }
        at.skip_group();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::{StatementKind, parse};

    #[test]
    fn the_words_stand_before_the_rows() {
        let system = Some(Overriding::System);
        for (sql, expected) in [
            ("INSERT INTO t (a) OVERRIDING SYSTEM VALUE VALUES (1)", system),
            ("insert into s.t overriding user value select a from u", Some(Overriding::User)),
            ("INSERT INTO t OVERRIDING SYSTEM VALUE DEFAULT VALUES", system),
            ("INSERT INTO t (\"overriding\") VALUES (1)", None),
            ("INSERT INTO t SELECT a AS overriding FROM u", None),
        ] {
            let statement = parse(sql).unwrap().remove(0);
            assert!(matches!(statement.kind, StatementKind::Insert(_)), "{sql}");
            assert_eq!(overriding(&statement.sql), expected, "{sql}");
        }
    }
}
