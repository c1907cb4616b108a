//! ALTER TABLE, ALTER VIEW, ALTER SCHEMA.

use datafusion::sql::sqlparser::{ast, tokenizer::Token};
use kestrel_proto::Result;

use super::{
    create_table::CreateTable,
    cursor::Cursor,
    ddl::{DdlStatement, cascade, role},
    name::{Identifier, QualifiedName},
    partition_action::{self, PartitionAction},
    sequence::{self, SequenceOptions},
    set_distributed::{self, SetDistributed},
    statement::StatementKind,
    storage_parameter::{self, CLUSTER_BY, StorageParameter},
    stored_expr,
    table_element::{self, IdentityClause},
};
use crate::catalog::Identity;

/// ALTER TABLE, ALTER VIEW
#[derive(Clone, Debug, PartialEq)]
pub struct AlterTable {
    /// ALTER VIEW
    pub is_view: bool,
    /// IF EXISTS
    pub if_exists: bool,
    /// The table or view.
    pub name: QualifiedName,
    /// In order.
    pub actions: Vec<AlterAction>,
}

/// One action of ALTER TABLE.
#[derive(Clone, Debug, PartialEq)]
pub enum AlterAction {
    /// RENAME TO
    Rename(Identifier),
    /// RENAME COLUMN
    RenameColumn {
        /// The old name.
        from: Identifier,
        /// The new name.
        to: Identifier,
    },
    /// RENAME CONSTRAINT
    RenameConstraint {
        /// The old name.
        from: Identifier,
        /// The new name.
        to: Identifier,
    },
    /// SET SCHEMA
    SetSchema(Identifier),
    /// OWNER TO
    Owner(Identifier),
    /// ADD: a column with its constraints, or a constraint
    Add {
        /// IF NOT EXISTS
        if_not_exists: bool,
        /// What is added, as CREATE TABLE has it.
        elements: Box<CreateTable>,
    },
    /// DROP COLUMN
    DropColumn {
        /// The column.
        column: Identifier,
        /// IF EXISTS
        if_exists: bool,
        /// CASCADE
        cascade: bool,
    },
    /// DROP CONSTRAINT
    DropConstraint {
        /// The constraint.
        name: Identifier,
        /// IF EXISTS
        if_exists: bool,
    },
    /// ALTER COLUMN … SET DEFAULT; `None`: DROP DEFAULT
    SetDefault {
        /// The column.
        column: Identifier,
        /// As it was written.
        default: Option<String>,
    },
    /// ALTER COLUMN … SET NOT NULL, DROP NOT NULL
    SetNotNull {
        /// The column.
        column: Identifier,
        /// SET
        not_null: bool,
    },
    /// ALTER COLUMN … ADD GENERATED … AS IDENTITY
    AddIdentity {
        /// The column.
        column: Identifier,
        /// What it becomes.
        clause: IdentityClause,
    },
    /// ALTER COLUMN … SET GENERATED …, SET option, RESTART
    AlterIdentity {
        /// The column.
        column: Identifier,
        /// SET GENERATED
        identity: Option<Identity>,
        /// How its sequence counts.
        options: Box<SequenceOptions>,
    },
    /// ALTER COLUMN … DROP IDENTITY
    DropIdentity {
        /// The column.
        column: Identifier,
        /// IF EXISTS
        if_exists: bool,
    },
    /// SET (…)
    SetStorage(Vec<StorageParameter>),
    /// RESET (…), and SET WITHOUT CLUSTER, which is RESET (cluster_by)
    ResetStorage(Vec<StorageParameter>),
    /// CLUSTER ON: an index
    ClusterOn(Identifier),
    /// SET DISTRIBUTED, SET WITH (REORGANIZE)
    SetDistributed(SetDistributed),
    /// ATTACH PARTITION, and what else is done with partitions
    Partition(PartitionAction),
    /// ALTER COLUMN … TYPE
    SetType {
        /// The column.
        column: Identifier,
        /// The new type.
        data_type: ast::DataType,
        /// Where it stands.
        position: u32,
        /// USING
        has_using: bool,
    },
}

/// ALTER INDEX … RENAME TO
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterIndex {
    /// IF EXISTS
    pub if_exists: bool,
    /// The index.
    pub name: QualifiedName,
    /// RENAME TO
    pub new_name: Identifier,
}

/// ALTER SCHEMA
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterSchema {
    /// Its name.
    pub name: Identifier,
    /// RENAME TO; `None`: OWNER TO
    pub new_name: Option<Identifier>,
    /// OWNER TO
    pub owner: Option<Identifier>,
}

/// First words of PostgreSQL's and Greenplum's other actions.
const UNSUPPORTED: &[&str] = &[
    "DISABLE", "ENABLE", "EXPAND", "FORCE", "INHERIT", "NO", "NOT", "OF", "REPLICA", "RESET",
    "SET", "SPLIT", "VALIDATE",
];

pub(super) fn alter_table(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("ALTER TABLE")?;
    alter(cursor, false)
}

pub(super) fn alter_view(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("ALTER VIEW")?;
    alter(cursor, true)
}

fn alter(cursor: &mut Cursor<'_>, is_view: bool) -> Result<StatementKind> {
    let if_exists = cursor.eat("IF EXISTS");
    cursor.eat("ONLY");
    let name = cursor.name()?;
    cursor.eat_token(&Token::Mul);
    let end = cursor.range().end;
    let (mut actions, mut stands_alone) = (Vec::new(), false);
    for mut part in cursor.split_commas() {
        let start = part.clone();
        let alone = alone(&mut part)?;
        // RENAME, SET SCHEMA, SET DISTRIBUTED and what is done with partitions stand alone.
        if stands_alone || alone.is_some() && !actions.is_empty() {
            return start.fail();
        }
        stands_alone = alone.is_some();
        let action = match alone {
            Some(action) => Some(action),
            None => action(&mut part, &name)?,
        };
        let Some(action) = action else {
            *cursor = cursor.over(end..end);
            let what = if is_view { "ALTER VIEW" } else { "ALTER TABLE" };
            return Ok(StatementKind::Unsupported(what));
        };
        part.expect_end()?;
        actions.push(action);
    }
    *cursor = cursor.over(end..end);
    let alter = AlterTable { is_view, if_exists, name, actions };
    Ok(StatementKind::Ddl(DdlStatement::AlterTable(alter)))
}

/// RENAME, SET SCHEMA, SET DISTRIBUTED, and the actions on partitions.
fn alone(part: &mut Cursor<'_>) -> Result<Option<AlterAction>> {
    if part.eat("SET SCHEMA") {
        return part.identifier().map(AlterAction::SetSchema).map(Some);
    }
    if let Some(set) = set_distributed::action(part)? {
        return Ok(Some(AlterAction::SetDistributed(set)));
    }
    if let Some(action) = partition_action::action(part)? {
        return Ok(Some(AlterAction::Partition(action)));
    }
    if part.eat("RENAME CONSTRAINT") {
        let from = part.identifier()?;
        part.expect("TO")?;
        return Ok(Some(AlterAction::RenameConstraint { from, to: part.identifier()? }));
    }
    if !part.eat("RENAME") {
        return Ok(None);
    }
    if part.eat("TO") {
        return part.identifier().map(AlterAction::Rename).map(Some);
    }
    part.eat("COLUMN");
    let from = part.identifier()?;
    part.expect("TO")?;
    Ok(Some(AlterAction::RenameColumn { from, to: part.identifier()? }))
}

/// The other actions; `None` for what Kestrel does not have.
fn action(part: &mut Cursor<'_>, table: &QualifiedName) -> Result<Option<AlterAction>> {
    if part.eat("OWNER TO") {
        return role(part).map(AlterAction::Owner).map(Some);
    }
    if part.eat("ADD") {
        return add(part, table).map(Some);
    }
    if part.eat("DROP CONSTRAINT") {
        let if_exists = part.eat("IF EXISTS");
        let name = part.identifier()?;
        cascade(part);
        return Ok(Some(AlterAction::DropConstraint { name, if_exists }));
    }
    if part.eat("DROP") {
        part.eat("COLUMN");
        let if_exists = part.eat("IF EXISTS");
        let column = part.identifier()?;
        let cascade = cascade(part);
        return Ok(Some(AlterAction::DropColumn { column, if_exists, cascade }));
    }
    if part.eat("ALTER") {
        part.eat("COLUMN");
        return alter_column(part);
    }
    if let Some(action) = storage(part)? {
        return Ok(Some(action));
    }
    if UNSUPPORTED.iter().any(|word| part.is_word(word)) { Ok(None) } else { part.fail() }
}

/// What is said of how the table is stored.
fn storage(part: &mut Cursor<'_>) -> Result<Option<AlterAction>> {
    let position = part.position();
    if part.eat("CLUSTER ON") {
        return part.identifier().map(AlterAction::ClusterOn).map(Some);
    }
    if part.eat("SET WITHOUT CLUSTER") {
        let name = Identifier { name: CLUSTER_BY.into(), position };
        let parameter = StorageParameter { name, value: None };
        return Ok(Some(AlterAction::ResetStorage(vec![parameter])));
    }
    let has_list = part.peek_nth(1).is_some_and(|l| l.token.token == Token::LParen);
    if has_list && part.eat("SET") {
        return storage_parameter::read(part).map(AlterAction::SetStorage).map(Some);
    }
    if has_list && part.eat("RESET") {
        return storage_parameter::read(part).map(AlterAction::ResetStorage).map(Some);
    }
    Ok(None)
}

fn add(part: &mut Cursor<'_>, table: &QualifiedName) -> Result<AlterAction> {
    let mut elements = Box::new(CreateTable::new(table.clone()));
    let says_column = part.eat("COLUMN");
    let if_not_exists = part.eat("IF NOT EXISTS");
    if says_column || if_not_exists {
        table_element::column(part, &mut elements)?;
    } else {
        table_element::element(part, &mut elements)?;
    }
    Ok(AlterAction::Add { if_not_exists, elements })
}

fn alter_column(part: &mut Cursor<'_>) -> Result<Option<AlterAction>> {
    let column = part.identifier()?;
    if part.eat("SET DEFAULT") {
        let range = part.range();
        let (text, position) = (part.text(range).to_string(), part.position());
        let parsed = part.parse_with(|p| p.parse_expr())?;
        stored_expr::refuse_subquery(&parsed, table_element::DEFAULT_EXPRESSION, position)?;
        return Ok(Some(AlterAction::SetDefault { column, default: Some(text) }));
    }
    if part.eat("DROP DEFAULT") {
        return Ok(Some(AlterAction::SetDefault { column, default: None }));
    }
    if part.eat("SET NOT NULL") {
        return Ok(Some(AlterAction::SetNotNull { column, not_null: true }));
    }
    if part.eat("DROP NOT NULL") {
        return Ok(Some(AlterAction::SetNotNull { column, not_null: false }));
    }
    if part.eat("TYPE") || part.eat("SET DATA TYPE") {
        let position = part.position();
        let data_type = part.parse_with(|p| p.parse_data_type())?;
        if part.eat("COLLATE") {
            part.name()?;
        }
        let has_using = part.eat("USING");
        if has_using {
            part.parse_with(|p| p.parse_expr())?;
        }
        return Ok(Some(AlterAction::SetType { column, data_type, position, has_using }));
    }
    if let Some(action) = identity(part, &column)? {
        return Ok(Some(action));
    }
    if ["SET", "RESET", "DROP"].iter().any(|word| part.is_word(word)) {
        return Ok(None);
    }
    part.fail()
}

/// The actions on identity columns.
fn identity(part: &mut Cursor<'_>, column: &Identifier) -> Result<Option<AlterAction>> {
    let column = column.clone();
    let position = part.position();
    if part.eat("ADD GENERATED") {
        let identity = table_element::generated_by(part)?;
        part.expect("AS IDENTITY")?;
        let options = table_element::identity_options(part)?;
        let clause = IdentityClause { identity, options, position };
        return Ok(Some(AlterAction::AddIdentity { column, clause }));
    }
    if part.eat("DROP IDENTITY") {
        let if_exists = part.eat("IF EXISTS");
        return Ok(Some(AlterAction::DropIdentity { column, if_exists }));
    }
    let (mut identity, mut options) = (None, SequenceOptions::default());
    loop {
        if part.eat("SET GENERATED") {
            identity = Some(table_element::generated_by(part)?);
        } else if part.is_word("RESTART") {
            sequence::option(part, &mut options)?;
        } else if is_sequence_option(part) {
            part.expect("SET")?;
            sequence::option(part, &mut options)?;
        } else {
            break;
        }
    }
    let says_nothing = identity.is_none() && options == SequenceOptions::default();
    let options = Box::new(options);
    Ok((!says_nothing).then_some(AlterAction::AlterIdentity { column, identity, options }))
}

/// `SET INCREMENT BY 2`, not `SET STATISTICS 100`
fn is_sequence_option(part: &Cursor<'_>) -> bool {
    let options = ["INCREMENT", "MINVALUE", "MAXVALUE", "NO", "START", "CACHE", "CYCLE"];
    part.is_word("SET") && options.iter().any(|word| part.is_word_at(1, word))
}

pub(super) fn alter_index(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("ALTER INDEX")?;
    let if_exists = cursor.eat("IF EXISTS");
    let name = cursor.name()?;
    if !cursor.eat("RENAME TO") {
        let end = cursor.range().end;
        *cursor = cursor.over(end..end);
        return Ok(StatementKind::Unsupported("ALTER INDEX"));
    }
    let new_name = cursor.identifier()?;
    let alter = AlterIndex { if_exists, name, new_name };
    Ok(StatementKind::Ddl(DdlStatement::AlterIndex(alter)))
}

pub(super) fn alter_schema(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("ALTER SCHEMA")?;
    let name = cursor.identifier()?;
    let (mut new_name, mut owner) = (None, None);
    if cursor.eat("RENAME") {
        cursor.expect("TO")?;
        new_name = Some(cursor.identifier()?);
    } else {
        cursor.expect("OWNER TO")?;
        owner = Some(role(cursor)?);
    }
    Ok(StatementKind::Ddl(DdlStatement::AlterSchema(AlterSchema { name, new_name, owner })))
}
