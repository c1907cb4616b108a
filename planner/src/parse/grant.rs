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
        return Err(ErrorReport::new(SqlState::INVALID_GRANT_OPERATION, message)
            .position(with_columns.name.position));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    fn read(sql: &str) -> AccessStatement {
        match parse(sql).unwrap().remove(0).kind {
            StatementKind::Access(statement) => *statement,
            other => panic!("{sql}: {other:?}"),
        }
    }

    #[test]
    fn objects_are_told_from_tables_of_their_kinds_name() {
        let target = |sql: &str| match read(sql) {
            AccessStatement::Grant(grant) => grant.target,
            other => panic!("{sql}: {other:?}"),
        };
        let is_table = |sql: &str| matches!(target(sql), GrantTarget::Tables(_));
        assert!(is_table("GRANT SELECT ON t, s.u TO ann"));
        assert!(is_table("GRANT SELECT ON TABLE t TO ann"));
        assert!(is_table("GRANT SELECT ON sequence TO ann"));
        assert!(is_table("REVOKE SELECT ON schema, t FROM ann"));
        let schemas = target("GRANT USAGE ON SCHEMA a, b TO ann");
        assert!(matches!(schemas, GrantTarget::Schemas(names) if names.len() == 2));
        let all = target("GRANT ALL PRIVILEGES ON ALL TABLES IN SCHEMA a TO ann");
        assert!(matches!(all, GrantTarget::AllTables(names) if names.len() == 1));
        let unsupported = parse("GRANT EXECUTE ON FUNCTION f(int) TO ann").unwrap().remove(0);
        assert!(matches!(unsupported.kind, StatementKind::Unsupported(_)));
    }

    #[test]
    fn privileges_have_columns_and_grants_have_options() {
        let sql = "GRANT SELECT (a, b), INSERT ON t TO PUBLIC, GROUP ann, CURRENT_USER \
                   WITH GRANT OPTION GRANTED BY bob";
        let AccessStatement::Grant(grant) = read(sql) else { panic!("{sql}") };
        assert_eq!(grant.action, GrantAction::Grant { with_option: true });
        let names: Vec<_> =
            grant.privileges.iter().map(|p| (p.name.name.as_str(), p.columns.len())).collect();
        assert_eq!(names, [("select", 2), ("insert", 0)]);
        assert_eq!((grant.grantees.len(), &grant.grantees[0]), (3, &Grantee::Public));
        assert!(grant.grantor.is_some());
        let AccessStatement::Grant(revoke) =
            read("REVOKE GRANT OPTION FOR ALL (a) ON t FROM ann CASCADE")
        else {
            panic!("no REVOKE");
        };
        assert_eq!(revoke.action, GrantAction::Revoke { only_option: true, cascade: true });
        assert_eq!(revoke.privileges[0].name.name, "all");
    }

    #[test]
    fn roles_are_granted_without_on() {
        let AccessStatement::GrantRole(grant) = read("GRANT a, b TO c WITH ADMIN OPTION") else {
            panic!("no GRANT of roles");
        };
        assert_eq!((grant.roles.len(), grant.members.len()), (2, 1));
        assert_eq!(grant.action, GrantAction::Grant { with_option: true });
        let AccessStatement::GrantRole(revoke) = read("REVOKE ADMIN OPTION FOR a FROM b") else {
            panic!("no REVOKE of roles");
        };
        assert_eq!(revoke.action, GrantAction::Revoke { only_option: true, cascade: false });
    }

    #[test]
    fn wrong_statements_are_refused() {
        for (sql, sqlstate, message) in [
            ("GRANT SELECT ON t", "42601", "syntax error at end of input"),
            ("GRANT SELECT ON t FROM ann", "42601", "syntax error at or near \"FROM\""),
            ("GRANT ALL TO ann", "42601", "syntax error at or near \"TO\""),
            ("REVOKE a TO b", "42601", "syntax error at or near \"TO\""),
            ("GRANT a (x) TO b", "0LP01", "column names cannot be included in GRANT/REVOKE ROLE"),
            (
                "ALTER DEFAULT PRIVILEGES GRANT SELECT ON t TO b",
                "42601",
                "syntax error at or near \
              \"t\"",
            ),
        ] {
            let error = parse(sql).unwrap_err();
            assert_eq!((error.sqlstate.as_str(), error.message.as_str()), (sqlstate, message));
        }
    }
}
