//! Partitioned tables: PostgreSQL's `PARTITION BY`, `PARTITION OF` and bounds, and Greenplum's lists of
//! partitions.

use datafusion::sql::sqlparser::tokenizer::Token;
use kestrel_proto::Result;

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
    /// WITH (MODULUS …)
    Hash,
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

/// What ALTER TABLE does with a partition.
#[derive(Clone, Debug, PartialEq)]
pub enum PartitionAction {
    /// ATTACH PARTITION
    Attach {
        /// The table.
        table: QualifiedName,
        /// Its rows.
        bound: BoundClause,
    },
    /// DETACH PARTITION
    Detach(QualifiedName),
    /// ADD PARTITION, ADD DEFAULT PARTITION
    Add(PartitionPart),
    /// DROP PARTITION
    Drop {
        /// Which one.
        which: WhichPartition,
        /// IF EXISTS
        if_exists: bool,
    },
    /// TRUNCATE PARTITION
    Truncate(WhichPartition),
    /// RENAME PARTITION
    Rename {
        /// Which one.
        which: WhichPartition,
        /// Its new name.
        to: Identifier,
    },
    /// EXCHANGE PARTITION
    Exchange {
        /// Which one.
        which: WhichPartition,
        /// The table that takes its place.
        table: QualifiedName,
        /// Not WITHOUT VALIDATION
        validate: bool,
    },
}

/// A partition in Greenplum's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhichPartition {
    /// Its name.
    Named(Identifier),
    /// FOR (…): the one that takes this value, as it was written.
    For(String),
    /// DEFAULT PARTITION
    Default,
}

/// A clause of a partitioned table.
pub(super) enum PartitionClause {
    /// PARTITION BY
    By(PartitionBy),
    /// What Kestrel does not have, and what to do instead.
    Unsupported(&'static str, &'static str),
}

const ONE_LEVEL: &str = "Partitions have no partitions of their own. Use PARTITION BY RANGE with more \
                         than one column.";

/// `PARTITION BY RANGE | LIST (…) [(partitions)]`
pub(super) fn partition_by(cursor: &mut Cursor<'_>) -> Result<PartitionClause> {
    cursor.expect("PARTITION BY")?;
    let position = cursor.position();
    let strategy = Identifier { name: cursor.word()?, position };
    let list = cursor.parenthesized()?;
    let mut columns = Vec::new();
    let mut has_expressions = false;
    for mut part in list.split_commas() {
        match part.identifier() {
            Ok(column) if part.at_end() => columns.push(column),
            Ok(_) if part.is_word("COLLATE") || matches!(part.token(), Some(Token::Word(_))) => {
                let hint = "Leave COLLATE and operator classes out.";
                return Ok(PartitionClause::Unsupported("this form of a partition key", hint));
            }
            Ok(_) | Err(_) => has_expressions = true,
        }
    }
    if cursor.is_word("SUBPARTITION") {
        return Ok(PartitionClause::Unsupported("SUBPARTITION BY", ONE_LEVEL));
    }
    let mut parts = None;
    if cursor.token() == Some(&Token::LParen) {
        let inside = cursor.parenthesized()?;
        let read = inside.split_commas().into_iter().map(|mut part| {
            let read = part_of_list(&mut part)?;
            part.expect_end().map(|()| read)
        });
        parts = Some(read.collect::<Result<Vec<_>>>()?);
    }
    if has_expressions {
        let hint = "Partition by columns.";
        return Ok(PartitionClause::Unsupported("expressions in a partition key", hint));
    }
    Ok(PartitionClause::By(PartitionBy { strategy, columns, parts }))
}

/// An element of Greenplum's list.
fn part_of_list(part: &mut Cursor<'_>) -> Result<PartitionPart> {
    let position = part.position();
    if part.eat("DEFAULT PARTITION") {
        let name = part.identifier()?;
        storage(part)?;
        return Ok(PartitionPart::Default(name));
    }
    let name = if part.eat("PARTITION") { Some(part.identifier()?) } else { None };
    rest_of_part(part, name, position)
}

fn rest_of_part(
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
fn storage(part: &mut Cursor<'_>) -> Result<()> {
    if part.eat("WITH") {
        part.parenthesized()?;
    }
    if part.eat("TABLESPACE") {
        part.identifier()?;
    }
    Ok(())
}

/// The text of an expression that is all there is.
fn expression(mut inside: Cursor<'_>) -> Result<String> {
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
        cursor.parenthesized()?;
        WrittenBound::Hash
    } else {
        cursor.expect("FROM")?;
        let from = ends(cursor.parenthesized()?)?;
        cursor.expect("TO")?;
        WrittenBound::Range { from, to: ends(cursor.parenthesized()?)? }
    };
    Ok(BoundClause { bound, position })
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

/// The actions of ALTER TABLE on partitions; `None`: it is another one.
pub(super) fn action(part: &mut Cursor<'_>) -> Result<Option<PartitionAction>> {
    let position = part.position();
    if part.eat("ATTACH PARTITION") {
        let table = part.name()?;
        let bound = bound(part)?;
        return Ok(Some(PartitionAction::Attach { table, bound }));
    }
    if part.eat("DETACH PARTITION") {
        let table = part.name()?;
        // Writers are waited for in any case; nobody reads what is detached any more.
        let _ = part.eat("CONCURRENTLY") || part.eat("FINALIZE");
        return Ok(Some(PartitionAction::Detach(table)));
    }
    if part.eat("ADD DEFAULT PARTITION") {
        let name = part.identifier()?;
        storage(part)?;
        return Ok(Some(PartitionAction::Add(PartitionPart::Default(name))));
    }
    if part.eat("ADD PARTITION") {
        let begins = ["START", "END", "VALUES"].iter().any(|word| part.is_word(word));
        let name = if begins { None } else { Some(part.identifier()?) };
        return rest_of_part(part, name, position).map(PartitionAction::Add).map(Some);
    }
    if part.are_words("DROP PARTITION") || part.are_words("DROP DEFAULT PARTITION") {
        part.advance();
        let is_default = part.eat("DEFAULT");
        part.expect("PARTITION")?;
        let if_exists = part.eat("IF EXISTS");
        let which = if is_default { WhichPartition::Default } else { which(part)? };
        let _ = part.eat("CASCADE") || part.eat("RESTRICT");
        return Ok(Some(PartitionAction::Drop { which, if_exists }));
    }
    if part.is_word("TRUNCATE") {
        part.advance();
        return partition(part).map(PartitionAction::Truncate).map(Some);
    }
    if part.is_word("EXCHANGE") {
        part.advance();
        let which = partition(part)?;
        part.expect("WITH TABLE")?;
        let table = part.name()?;
        let validate = !part.eat("WITHOUT VALIDATION");
        part.eat("WITH VALIDATION");
        return Ok(Some(PartitionAction::Exchange { which, table, validate }));
    }
    // A column may have this name, too.
    let renames = part.are_words("RENAME PARTITION") && !part.is_word_at(2, "TO");
    if renames || part.are_words("RENAME DEFAULT PARTITION") {
        part.advance();
        let which = partition(part)?;
        part.expect("TO")?;
        let to = part.identifier()?;
        return Ok(Some(PartitionAction::Rename { which, to }));
    }
    Ok(None)
}

/// `PARTITION name`, `PARTITION FOR (value)`, `DEFAULT PARTITION`
fn partition(part: &mut Cursor<'_>) -> Result<WhichPartition> {
    if part.eat("DEFAULT PARTITION") {
        return Ok(WhichPartition::Default);
    }
    part.expect("PARTITION")?;
    which(part)
}

fn which(part: &mut Cursor<'_>) -> Result<WhichPartition> {
    if part.eat("FOR") {
        return expression(part.parenthesized()?).map(WhichPartition::For);
    }
    part.identifier().map(WhichPartition::Named)
}
