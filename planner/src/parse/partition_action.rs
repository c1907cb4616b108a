//! What ALTER TABLE does with partitions, in PostgreSQL's words and in Greenplum's.

use kestrel_proto::Result;

use super::{
    cursor::Cursor,
    name::{Identifier, QualifiedName},
    partition::{BoundClause, PartitionPart, bound, expression, rest_of_part, storage},
};

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
    /// ALTER PARTITION
    Below {
        /// Which one.
        which: WhichPartition,
        /// What is done with one of its own partitions.
        action: Box<Self>,
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
    if is_alter_partition(part) {
        part.advance();
        let which = partition(part)?;
        let Some(action) = action(part)? else { return part.fail() };
        return Ok(Some(PartitionAction::Below { which, action: Box::new(action) }));
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

/// What may be done with a column called `partition` is not meant.
fn is_alter_partition(part: &Cursor<'_>) -> bool {
    let of_column = ["TYPE", "SET", "DROP", "RESET", "RESTART", "ADD"];
    part.are_words("ALTER DEFAULT PARTITION")
        || part.are_words("ALTER PARTITION")
            && !of_column.iter().any(|word| part.is_word_at(2, word))
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
