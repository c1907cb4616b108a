//! GRANT, REVOKE and ALTER DEFAULT PRIVILEGES.

use datafusion::sql::sqlparser::tokenizer::Token;
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    access::AccessStatement,
    cursor::Cursor,
    ddl::cascade,
    name::{Identifier, QualifiedName},
    role::{RoleName, role_name, role_names},
    statement::StatementKind,
};

/// GRANT … ON … TO, REVOKE … ON … FROM
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// GRANT or REVOKE, and how far.
    pub action: GrantAction,
    /// Empty: ALL.
    pub privileges: Vec<NamedPrivilege>,
    /// On what.
    pub target: GrantTarget,
    /// To or from whom.
    pub grantees: Vec<Grantee>,
    /// GRANTED BY
    pub grantor: Option<RoleName>,
}

/// What becomes of privileges or memberships.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantAction {
    /// GRANT
    Grant {
        /// WITH GRANT OPTION, WITH ADMIN OPTION
        with_option: bool,
    },
    /// REVOKE
    Revoke {
        /// GRANT OPTION FOR, ADMIN OPTION FOR
        only_option: bool,
        /// CASCADE
        cascade: bool,
    },
}

/// A privilege as it was written; with columns, on these alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPrivilege {
    /// In lower case; `all` with columns.
    pub name: Identifier,
    /// `SELECT (a, b)`
    pub columns: Vec<Identifier>,
}

/// What privileges are granted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantTarget {
    /// TABLE, or no word: tables, views, and with privileges that both have sequences
    Tables(Vec<QualifiedName>),
    /// SEQUENCE
    Sequences(Vec<QualifiedName>),
    /// SCHEMA
    Schemas(Vec<Identifier>),
    /// DATABASE
    Databases(Vec<Identifier>),
    /// ALL TABLES IN SCHEMA
    AllTables(Vec<Identifier>),
    /// ALL SEQUENCES IN SCHEMA
    AllSequences(Vec<Identifier>),
}

/// To or from whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grantee {
    /// PUBLIC
    Public,
    /// A role.
    Role(RoleName),
}

/// GRANT role TO role, REVOKE role FROM role
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRole {
    /// GRANT or REVOKE, and how far.
    pub action: GrantAction,
    /// What they become members of.
    pub roles: Vec<Identifier>,
    /// The members.
    pub members: Vec<RoleName>,
    /// GRANTED BY
    pub grantor: Option<RoleName>,
}

/// ALTER DEFAULT PRIVILEGES
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultPrivileges {
    /// FOR ROLE; empty: the session's own
    pub roles: Vec<RoleName>,
    /// IN SCHEMA
    pub schemas: Vec<Identifier>,
    /// GRANT or REVOKE, and how far.
    pub action: GrantAction,
    /// Empty: ALL.
    pub privileges: Vec<NamedPrivilege>,
    /// On which objects.
    pub kind: DefaultKind,
    /// To or from whom.
    pub grantees: Vec<Grantee>,
}

/// What default privileges are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultKind {
    /// TABLES
    Tables,
    /// SEQUENCES
    Sequences,
    /// SCHEMAS
    Schemas,
}

/// Objects with privileges in PostgreSQL that Kestrel does not have, longer phrases first.
const OTHER_OBJECTS: &[&str] = &[
    "ALL FUNCTIONS",
    "ALL PROCEDURES",
    "ALL ROUTINES",
    "FUNCTION",
    "PROCEDURE",
    "ROUTINE",
    "DOMAIN",
    "FOREIGN DATA WRAPPER",
    "FOREIGN SERVER",
    "LANGUAGE",
    "LARGE OBJECT",
    "PARAMETER",
    "TABLESPACE",
    "TYPE",
    "PROTOCOL",
];

/// Kinds of objects with default privileges that Kestrel does not have.
const OTHER_DEFAULTS: &[&str] = &["FUNCTIONS", "ROUTINES", "TYPES"];

pub(super) fn grant(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("GRANT")?;
    let privileges = privileges(cursor)?;
    if !cursor.eat("ON") {
        return grant_role(cursor, privileges, false, "TO");
    }
    let Some(target) = target(cursor)? else { return Ok(unsupported(cursor)) };
    cursor.expect("TO")?;
    let grantees = grantees(cursor)?;
    let with_option = cursor.eat("WITH GRANT OPTION");
    let grantor = granted_by(cursor)?;
    let action = GrantAction::Grant { with_option };
    let grant = Grant { action, privileges, target, grantees, grantor };
    Ok(AccessStatement::Grant(grant).into())
}

pub(super) fn revoke(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("REVOKE")?;
    if cursor.eat("ADMIN OPTION FOR") {
        let roles = privileges(cursor)?;
        return grant_role(cursor, roles, true, "FROM");
    }
    let only_option = cursor.eat("GRANT OPTION FOR");
    let privileges = privileges(cursor)?;
    if !only_option && !cursor.is_word("ON") {
        return grant_role(cursor, privileges, false, "FROM");
    }
    cursor.expect("ON")?;
    let Some(target) = target(cursor)? else { return Ok(unsupported(cursor)) };
    cursor.expect("FROM")?;
    let grantees = grantees(cursor)?;
    let grantor = granted_by(cursor)?;
    let action = GrantAction::Revoke { only_option, cascade: cascade(cursor) };
    let grant = Grant { action, privileges, target, grantees, grantor };
    Ok(AccessStatement::Grant(grant).into())
}

/// `ALL [PRIVILEGES] [(a, …)]` or a list of words; roles look like privileges until ON does not
/// come.
fn privileges(cursor: &mut Cursor<'_>) -> Result<Vec<NamedPrivilege>> {
    let position = cursor.position();
    if cursor.eat("ALL") {
        cursor.eat("PRIVILEGES");
        if cursor.token() != Some(&Token::LParen) {
            return Ok(Vec::new());
        }
        let name = Identifier { name: "all".into(), position };
        return Ok(vec![NamedPrivilege { name, columns: cursor.identifiers()? }]);
    }
    let mut all = Vec::new();
    loop {
        let position = cursor.position();
        // Privileges are reserved words, and roles may be called what they like in quotes.
        let known = ["SELECT", "REFERENCES", "CREATE"].iter().find(|word| cursor.eat(word));
        let name = match known {
            Some(word) => Identifier { name: word.to_ascii_lowercase(), position },
            None => cursor.identifier()?,
        };
        let has_columns = cursor.token() == Some(&Token::LParen);
        let columns = if has_columns { cursor.identifiers()? } else { Vec::new() };
        all.push(NamedPrivilege { name, columns });
        if !cursor.eat_token(&Token::Comma) {
            return Ok(all);
        }
    }
}

/// `None`: something that Kestrel has not.
fn target(cursor: &mut Cursor<'_>) -> Result<Option<GrantTarget>> {
    if OTHER_OBJECTS.iter().any(|words| cursor.are_words(words)) && !is_last_name(cursor) {
        return Ok(None);
    }
    let target = if cursor.eat("ALL TABLES IN SCHEMA") {
        GrantTarget::AllTables(identifiers(cursor)?)
    } else if cursor.eat("ALL SEQUENCES IN SCHEMA") {
        GrantTarget::AllSequences(identifiers(cursor)?)
    } else if has_name_behind(cursor, "SEQUENCE") {
        GrantTarget::Sequences(cursor.names()?)
    } else if has_name_behind(cursor, "SCHEMA") {
        GrantTarget::Schemas(identifiers(cursor)?)
    } else if has_name_behind(cursor, "DATABASE") {
        GrantTarget::Databases(identifiers(cursor)?)
    } else {
        cursor.eat("TABLE");
        GrantTarget::Tables(cursor.names()?)
    };
    Ok(Some(target))
}

/// A table may be called `sequence`: then the word is followed by TO, FROM or a comma.
fn has_name_behind(cursor: &mut Cursor<'_>, word: &str) -> bool {
    cursor.is_word(word) && !is_last_name(cursor) && cursor.eat(word)
}

fn is_last_name(cursor: &Cursor<'_>) -> bool {
    let ends = ["TO", "FROM"].iter().any(|word| cursor.is_word_at(1, word));
    let next = cursor.peek_nth(1).map(|lexeme| &lexeme.token.token);
    ends || matches!(next, Some(Token::Comma | Token::Period) | None)
}

fn identifiers(cursor: &mut Cursor<'_>) -> Result<Vec<Identifier>> {
    let mut all = vec![cursor.identifier()?];
    while cursor.eat_token(&Token::Comma) {
        all.push(cursor.identifier()?);
    }
    Ok(all)
}

fn grantees(cursor: &mut Cursor<'_>) -> Result<Vec<Grantee>> {
    let mut all = Vec::new();
    loop {
        cursor.eat("GROUP");
        let is_public = cursor.eat("PUBLIC");
        all.push(if is_public { Grantee::Public } else { Grantee::Role(role_name(cursor)?) });
        if !cursor.eat_token(&Token::Comma) {
            return Ok(all);
        }
    }
}

fn granted_by(cursor: &mut Cursor<'_>) -> Result<Option<RoleName>> {
    if cursor.eat("GRANTED BY") { role_name(cursor).map(Some) } else { Ok(None) }
}

fn grant_role(
    cursor: &mut Cursor<'_>,
    roles: Vec<NamedPrivilege>,
    only_option: bool,
    preposition: &str,
) -> Result<StatementKind> {
    // ALL is no role.
    if roles.is_empty() {
        return cursor.fail();
    }
    cursor.expect(preposition)?;
    if let Some(with_columns) = roles.iter().find(|role| !role.columns.is_empty()) {
        let message = "column names cannot be included in GRANT/REVOKE ROLE";
        return Err(
            ErrorReport::new(SqlState::SYNTAX_ERROR, message).position(with_columns.name.position)
        );
    }
    let roles = roles.into_iter().map(|role| role.name).collect();
    let members = role_names(cursor)?;
    let with_option = preposition == "TO" && cursor.eat("WITH ADMIN OPTION");
    let grantor = granted_by(cursor)?;
    let action = match preposition {
        "TO" => GrantAction::Grant { with_option },
        _ => GrantAction::Revoke { only_option, cascade: cascade(cursor) },
    };
    Ok(AccessStatement::GrantRole(GrantRole { action, roles, members, grantor }).into())
}

pub(super) fn default_privileges(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("ALTER DEFAULT PRIVILEGES")?;
    let (mut roles, mut schemas) = (Vec::new(), Vec::new());
    loop {
        if cursor.eat("IN SCHEMA") {
            schemas.extend(identifiers(cursor)?);
        } else if cursor.eat("FOR ROLE") || cursor.eat("FOR USER") {
            roles.extend(role_names(cursor)?);
        } else {
            break;
        }
    }
    let is_grant = cursor.eat("GRANT");
    if !is_grant {
        cursor.expect("REVOKE")?;
    }
    let only_option = !is_grant && cursor.eat("GRANT OPTION FOR");
    let privileges = privileges(cursor)?;
    cursor.expect("ON")?;
    if OTHER_DEFAULTS.iter().any(|word| cursor.is_word(word)) {
        return Ok(unsupported(cursor));
    }
    let kinds = [
        ("TABLES", DefaultKind::Tables),
        ("SEQUENCES", DefaultKind::Sequences),
        ("SCHEMAS", DefaultKind::Schemas),
    ];
    let Some(kind) = cursor.eat_one_of(&kinds) else { return cursor.fail() };
    cursor.expect(if is_grant { "TO" } else { "FROM" })?;
    let grantees = grantees(cursor)?;
    let action = match is_grant {
        true => GrantAction::Grant { with_option: cursor.eat("WITH GRANT OPTION") },
        false => GrantAction::Revoke { only_option, cascade: cascade(cursor) },
    };
    let defaults = DefaultPrivileges { roles, schemas, action, privileges, kind, grantees };
    Ok(AccessStatement::DefaultPrivileges(defaults).into())
}

fn unsupported(cursor: &mut Cursor<'_>) -> StatementKind {
    let end = cursor.range().end;
    *cursor = cursor.over(end..end);
    StatementKind::Unsupported("privileges on this kind of object")
}
