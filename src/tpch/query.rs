//! The 22 queries, what their columns hold, and their stored answers.

use std::fmt;

use Column::{Char, Number, Quotient, Text};

/// What a column of an answer holds, which decides how it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// A number whose every digit counts; `1.50` is `1.5`.
    Number,
    /// An average or a quotient, whose digits end somewhere: equal when equal after rounding to
    /// six decimals.
    Quotient,
    /// Text or a date, as it stands.
    Text,
    /// `char(n)`, which PostgreSQL fills with blanks.
    Char(usize),
}

/// One of the 22 queries.
pub struct Query {
    /// 1 to 22.
    pub number: usize,
    /// Its text, with the validation parameters of the specification.
    pub sql: &'static str,
    /// What PostgreSQL 15 answers at scale 0.01: CSV with a header.
    pub(crate) stored_answer: &'static str,
    /// Its columns.
    pub(crate) columns: &'static [Column],
    /// The columns that ORDER BY sorts by; rows equal in them may come in any order.
    pub(crate) sorted_by: &'static [usize],
}

impl Query {
    /// The query of this number.
    pub fn numbered(number: usize) -> Option<&'static Self> {
        QUERIES.get(number.checked_sub(1)?)
    }

    /// The text without comment and semicolon, to be used inside another statement.
    pub(crate) fn bare_sql(&self) -> &'static str {
        let body = match self.sql.split_once('\n') {
            Some((comment, body)) if comment.starts_with("--") => body,
            _ => self.sql,
        };
        body.trim_end().trim_end_matches(';')
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "query {}", self.number)
    }
}

macro_rules! query {
    ($number:literal, $file:literal, [$($column:expr),*], [$($key:literal),*]) => {
        Query {
            number: $number,
            sql: include_str!(concat!("../../bench-data/tpch/queries/", $file, ".sql")),
            stored_answer: include_str!(concat!(
                "../../bench-data/tpch/answers/sf0.01/",
                $file,
                ".csv"
            )),
            columns: &[$($column),*],
            sorted_by: &[$($key),*],
        }
    };
}

/// All of them, in order.
#[rustfmt::skip]
pub static QUERIES: [Query; 22] = [
    query!(1, "q01", [Char(1), Char(1), Number, Number, Number, Number, Quotient, Quotient,
        Quotient, Number], [0, 1]),
    query!(2, "q02", [Number, Char(25), Char(25), Number, Char(25), Text, Char(15), Text],
        [0, 2, 1, 3]),
    query!(3, "q03", [Number, Number, Text, Number], [1, 2]),
    query!(4, "q04", [Char(15), Number], [0]),
    query!(5, "q05", [Char(25), Number], [1]),
    query!(6, "q06", [Number], []),
    query!(7, "q07", [Char(25), Char(25), Number, Number], [0, 1, 2]),
    query!(8, "q08", [Number, Quotient], [0]),
    query!(9, "q09", [Char(25), Number, Number], [0, 1]),
    query!(10, "q10", [Number, Text, Number, Number, Char(25), Text, Char(15), Text], [2]),
    query!(11, "q11", [Number, Number], [1]),
    query!(12, "q12", [Char(10), Number, Number], [0]),
    query!(13, "q13", [Number, Number], [1, 0]),
    query!(14, "q14", [Quotient], []),
    query!(15, "q15", [Number, Char(25), Text, Char(15), Number], [0]),
    query!(16, "q16", [Char(10), Text, Number, Number], [3, 0, 1, 2]),
    query!(17, "q17", [Quotient], []),
    query!(18, "q18", [Text, Number, Number, Text, Number, Number], [4, 3]),
    query!(19, "q19", [Number], []),
    query!(20, "q20", [Char(25), Text], [0]),
    query!(21, "q21", [Char(25), Number], [1, 0]),
    query!(22, "q22", [Text, Number, Number], [0]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_agree() {
        for (i, query) in QUERIES.iter().enumerate() {
            assert_eq!(query.number, i + 1);
            assert!(query.sql.starts_with(&format!("-- TPC-H query {}:", i + 1)), "{query:?}");
            assert!(!query.bare_sql().contains([';', '\u{feff}']), "{query:?}");
            assert!(!query.bare_sql().contains("--"), "{query:?}");
            assert!(query.sorted_by.iter().all(|key| *key < query.columns.len()), "{query:?}");
        }
        assert!(Query::numbered(0).is_none() && Query::numbered(23).is_none());
    }
}
