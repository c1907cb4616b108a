//! Partitioned tables: PostgreSQL's `PARTITION BY`, `PARTITION OF` and bounds, and Greenplum's lists of
//! partitions.

use datafusion::sql::sqlparser::tokenizer::Token;
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    cursor::Cursor,
    name::{Identifier, QualifiedName},
    stored_expr,
};

/// PARTITION BY
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionBy {
    /// RANGE, LIST, or what else stands there; in lower case.
    pub strategy: Identifier,
    /// The partition key.
    pub columns: Vec<Identifier>,
    /// Greenplum's partitions, in order; `None`: there is no list of them.
    pub parts: Option<Vec<PartitionPart>>,
    /// SUBPARTITION BY: how each of them is partitioned. Its parts are the template's.
    pub below: Option<Box<Self>>,
}

/// A partition, or several of one kind, in Greenplum's words.
#[derive(Clone, Debug, PartialEq)]
pub enum PartitionPart {
    /// DEFAULT PARTITION
    Default(Identifier),
    /// START … END … EVERY
    Range {
        /// PARTITION
        name: Option<Identifier>,
        /// START
        start: Option<PartEdge>,
        /// END
        end: Option<PartEdge>,
        /// EVERY, as it was written.
        every: Option<String>,
        /// Where it stands.
        position: u32,
    },
    /// VALUES
    List {
        /// PARTITION
        name: Option<Identifier>,
        /// As they were written.
        values: Vec<String>,
        /// Where it stands.
        position: u32,
    },
}

/// START or END
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartEdge {
    /// As it was written.
    pub value: String,
    /// INCLUSIVE
    pub is_inclusive: bool,
}

/// FOR VALUES …, DEFAULT
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundClause {
    /// What it says.
    pub bound: WrittenBound,
    /// Where it stands.
    pub position: u32,
}

/// A partition's bound as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WrittenBound {
    /// FROM … TO …
    Range {
        /// FROM
        from: Vec<WrittenEnd>,
        /// TO
        to: Vec<WrittenEnd>,
    },
    /// IN
    List(Vec<String>),
    /// WITH (MODULUS …, REMAINDER …)
    Hash {
        /// MODULUS
        modulus: u32,
        /// REMAINDER
        remainder: u32,
    },
    /// DEFAULT
    Default,
}

/// A column of an end of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WrittenEnd {
    /// MINVALUE
    MinValue,
    /// As it was written.
    Value(String),
    /// MAXVALUE
    MaxValue,
}

/// PARTITION OF
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionOfClause {
    /// The partitioned table.
    pub parent: QualifiedName,
    /// Which of its rows.
    pub bound: BoundClause,
}

/// A clause of a partitioned table.
pub(super) enum PartitionClause {
    /// PARTITION BY
    By(PartitionBy),
    /// What Kestrel does not have, and what to do instead.
    Unsupported(&'static str, &'static str),
}

/// `PARTITION BY RANGE | LIST | HASH (…) [SUBPARTITION BY …] [(partitions)]`
pub(super) fn partition_by(cursor: &mut Cursor<'_>) -> Result<PartitionClause> {
    cursor.expect("PARTITION BY")?;
    let mut levels = vec![(key(cursor)?, None)];
    while cursor.eat("SUBPARTITION BY") {
        let key = key(cursor)?;
        let has_template = cursor.eat("SUBPARTITION TEMPLATE");
        levels.push((key, if has_template { Some(list(cursor)?) } else { None }));
    }
    if cursor.token() == Some(&Token::LParen) {
        levels[0].1 = Some(list(cursor)?);
    }
    if let Some((what, hint)) = levels.iter().find_map(|(key, _)| key.refused) {
        return Ok(PartitionClause::Unsupported(what, hint));
    }
    let mut by = None;
    for (Key { strategy, columns, .. }, parts) in levels.into_iter().rev() {
        by = Some(Box::new(PartitionBy { strategy, columns, parts, below: by }));
    }
    by.map_or_else(|| cursor.fail(), |by| Ok(PartitionClause::By(*by)))
}

/// A partition key.
struct Key {
    strategy: Identifier,
    columns: Vec<Identifier>,
    /// What Kestrel does not have, and what to do instead.
    refused: Option<(&'static str, &'static str)>,
}

fn key(cursor: &mut Cursor<'_>) -> Result<Key> {
    let position = cursor.position();
    let strategy = Identifier { name: cursor.word()?, position };
    let (mut columns, mut refused) = (Vec::new(), None);
    for mut part in cursor.parenthesized()?.split_commas() {
        match part.identifier() {
            Ok(column) if part.at_end() => columns.push(column),
            Ok(_) if part.is_word("COLLATE") || matches!(part.token(), Some(Token::Word(_))) => {
                let hint = "Leave COLLATE and operator classes out.";
                refused = Some(("this form of a partition key", hint));
            }
            Ok(_) | Err(_) => {
                let hint = "Partition by columns.";
                refused = refused.or(Some(("expressions in a partition key", hint)));
            }
        }
    }
    Ok(Key { strategy, columns, refused })
}

/// Greenplum's list of partitions, or of those of each partition.
fn list(cursor: &mut Cursor<'_>) -> Result<Vec<PartitionPart>> {
    let inside = cursor.parenthesized()?;
    let read = inside.split_commas().into_iter().map(|mut part| {
        let read = part_of_list(&mut part)?;
        if part.token() == Some(&Token::LParen) {
            let message = "a list of subpartitions of one partition is not supported";
            let error = ErrorReport::unsupported(message).position(part.position());
            return Err(error.hint("Use SUBPARTITION TEMPLATE."));
        }
        part.expect_end().map(|()| read)
    });
    read.collect()
}

/// An element of Greenplum's list.
fn part_of_list(part: &mut Cursor<'_>) -> Result<PartitionPart> {
    let position = part.position();
    if part.eat("DEFAULT PARTITION") || part.eat("DEFAULT SUBPARTITION") {
        let name = part.identifier()?;
        storage(part)?;
        return Ok(PartitionPart::Default(name));
    }
    let is_named = part.eat("PARTITION") || part.eat("SUBPARTITION");
    let name = if is_named { Some(part.identifier()?) } else { None };
    rest_of_part(part, name, position)
}

pub(super) fn rest_of_part(
    part: &mut Cursor<'_>,
    name: Option<Identifier>,
    position: u32,
) -> Result<PartitionPart> {
    if part.eat("VALUES") {
        let values = expressions(part.parenthesized()?)?;
        storage(part)?;
        return Ok(PartitionPart::List { name, values, position });
    }
    let start = edge(part, "START", true)?;
    let end = edge(part, "END", false)?;
    if start.is_none() && end.is_none() {
        return part.fail();
    }
    let every = if part.eat("EVERY") { Some(expression(part.parenthesized()?)?) } else { None };
    storage(part)?;
    Ok(PartitionPart::Range { name, start, end, every, position })
}

/// `START (value) [INCLUSIVE | EXCLUSIVE]`
fn edge(part: &mut Cursor<'_>, word: &str, is_inclusive: bool) -> Result<Option<PartEdge>> {
    if !part.eat(word) {
        return Ok(None);
    }
    let value = expression(part.parenthesized()?)?;
    let said = part.eat_one_of(&[("INCLUSIVE", true), ("EXCLUSIVE", false)]);
    Ok(Some(PartEdge { value, is_inclusive: said.unwrap_or(is_inclusive) }))
}

/// What Greenplum says of a partition's storage: nothing that Kestrel would do.
pub(super) fn storage(part: &mut Cursor<'_>) -> Result<()> {
    if part.eat("WITH") {
        part.parenthesized()?;
    }
    if part.eat("TABLESPACE") {
        part.identifier()?;
    }
    Ok(())
}

/// The text of an expression that is all there is.
pub(super) fn expression(mut inside: Cursor<'_>) -> Result<String> {
    let (text, position) = (inside.text(inside.range()).to_string(), inside.position());
    let parsed = inside.parse_with(|p| p.parse_expr())?;
    inside.expect_end()?;
    stored_expr::refuse_subquery(&parsed, "partition bound", position)?;
    Ok(text)
}

fn expressions(inside: Cursor<'_>) -> Result<Vec<String>> {
    inside.split_commas().into_iter().map(expression).collect()
}

/// `FOR VALUES IN (…) | FROM (…) TO (…) | WITH (…)`, `DEFAULT`
pub(super) fn bound(cursor: &mut Cursor<'_>) -> Result<BoundClause> {
    let position = cursor.position();
    if cursor.eat("DEFAULT") {
        return Ok(BoundClause { bound: WrittenBound::Default, position });
    }
    cursor.expect("FOR VALUES")?;
    let bound = if cursor.eat("IN") {
        WrittenBound::List(expressions(cursor.parenthesized()?)?)
    } else if cursor.eat("WITH") {
        hash_bound(&cursor.parenthesized()?)?
    } else {
        cursor.expect("FROM")?;
        let from = ends(cursor.parenthesized()?)?;
        cursor.expect("TO")?;
        WrittenBound::Range { from, to: ends(cursor.parenthesized()?)? }
    };
    Ok(BoundClause { bound, position })
}

/// `MODULUS n, REMAINDER n`, in any order
fn hash_bound(inside: &Cursor<'_>) -> Result<WrittenBound> {
    let (mut modulus, mut remainder) = (None, None);
    for mut part in inside.split_commas() {
        let position = part.position();
        let word = part.word()?;
        let place = match word.as_str() {
            "modulus" => &mut modulus,
            "remainder" => &mut remainder,
            other => {
                let message =
                    format!("unrecognized hash partition bound specification \"{other}\"");
                let error = ErrorReport::new(SqlState::SYNTAX_ERROR, message);
                return Err(error.position(position));
            }
        };
        if place.is_some() {
            let message = format!("{word} for hash partition provided more than once");
            let error = ErrorReport::new(SqlState::DUPLICATE_OBJECT, message);
            return Err(error.position(position));
        }
        let Some(Token::Number(digits, _)) = part.token() else { return part.fail() };
        // As much as PostgreSQL's integers can hold.
        let number = digits.parse::<u32>().ok().filter(|n| i32::try_from(*n).is_ok());
        let Some(number) = number else { return part.fail() };
        part.advance();
        part.expect_end()?;
        *place = Some(number);
    }
    let missing = |word: &str| {
        let message = format!("{word} for hash partition must be specified");
        ErrorReport::new(SqlState::SYNTAX_ERROR, message)
    };
    let modulus = modulus.ok_or_else(|| missing("modulus"))?;
    let remainder = remainder.ok_or_else(|| missing("remainder"))?;
    Ok(WrittenBound::Hash { modulus, remainder })
}

fn ends(inside: Cursor<'_>) -> Result<Vec<WrittenEnd>> {
    let end = |mut part: Cursor<'_>| {
        let words = [("MINVALUE", WrittenEnd::MinValue), ("MAXVALUE", WrittenEnd::MaxValue)];
        for (word, end) in words {
            if part.is_word(word) {
                part.advance();
                return part.expect_end().map(|()| end);
            }
        }
        expression(part).map(WrittenEnd::Value)
    };
    inside.split_commas().into_iter().map(end).collect()
}
