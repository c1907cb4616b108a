//! CREATE, ALTER and DROP ROLE; USER and GROUP are other words for the same. What a role's
//! sessions begin with (ALTER ROLE … SET) is in `role_settings`.
//!
//! Passwords stay in a [`Secret`]: no text that leaves the parser has them, neither the
//! statement's nor an error's.

use std::fmt;

use datafusion::sql::sqlparser::tokenizer::Token;
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    cursor::Cursor,
    name::Identifier,
    role_settings::{RoleSetting, role_setting},
    statement::StatementKind,
};

/// What stands where a password was.
const HIDDEN: &str = "'********'";

/// A statement about roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleStatement {
    /// CREATE ROLE, USER, GROUP
    Create {
        /// The new role.
        role: RoleName,
        /// USER: it may log in unless the options say otherwise.
        is_user: bool,
        /// What it may do.
        options: RoleOptions,
    },
    /// ALTER ROLE, USER
    Alter {
        /// The role.
        role: RoleName,
        /// What changes.
        options: RoleOptions,
    },
    /// ALTER ROLE … RENAME TO
    Rename {
        /// The role.
        role: RoleName,
        /// Its new name.
        to: RoleName,
    },
    /// ALTER GROUP … ADD USER, DROP USER
    Members {
        /// The role.
        role: RoleName,
        /// ADD, DROP
        add: bool,
        /// The members.
        members: Vec<RoleName>,
    },
    /// ALTER ROLE … SET, ALTER DATABASE … SET
    Setting(RoleSetting),
    /// DROP ROLE, USER, GROUP
    Drop {
        /// IF EXISTS
        if_exists: bool,
        /// The roles.
        roles: Vec<RoleName>,
    },
}

/// How a statement names a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleName {
    /// By its name.
    Named(Identifier),
    /// CURRENT_USER, CURRENT_ROLE, SESSION_USER: the word, and where it stands.
    Own(&'static str, u32),
}

/// What the options say; what they do not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleOptions {
    /// SUPERUSER
    pub superuser: Option<bool>,
    /// INHERIT
    pub inherit: Option<bool>,
    /// CREATEROLE
    pub create_role: Option<bool>,
    /// CREATEDB
    pub create_db: Option<bool>,
    /// LOGIN
    pub login: Option<bool>,
    /// REPLICATION
    pub replication: Option<bool>,
    /// BYPASSRLS
    pub bypass_rls: Option<bool>,
    /// CONNECTION LIMIT
    pub connection_limit: Option<i32>,
    /// PASSWORD
    pub password: Option<Password>,
    /// VALID UNTIL, not read yet.
    pub valid_until: Option<String>,
    /// IN ROLE, of CREATE ROLE
    pub in_roles: Vec<RoleName>,
    /// ROLE, of CREATE ROLE
    pub members: Vec<RoleName>,
    /// ADMIN, of CREATE ROLE
    pub admins: Vec<RoleName>,
}

/// PASSWORD
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// NULL
    Null,
    /// A password or a verifier, and how the statement writes it.
    Text {
        /// What was meant.
        value: Secret,
        /// With its quotes.
        written: Secret,
    },
}

/// A text that is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl RoleStatement {
    /// The command tag.
    pub fn tag(&self) -> &'static str {
        match self {
            Self::Create { .. } => "CREATE ROLE",
            Self::Alter { .. } | Self::Rename { .. } | Self::Members { .. } => "ALTER ROLE",
            Self::Setting(setting) => setting.tag(),
            Self::Drop { .. } => "DROP ROLE",
        }
    }

    /// The statement's text without its password.
    pub(super) fn redact(&self, sql: &str) -> String {
        match self {
            Self::Create { options, .. } | Self::Alter { options, .. } => match &options.password {
                // The shortest strings stand for too much else, and there is no secret in them.
                Some(Password::Text { written, .. }) if written.0.len() > 2 => {
                    sql.replace(&written.0, HIDDEN)
                }
                _ => sql.into(),
            },
            Self::Rename { .. } | Self::Members { .. } | Self::Setting(_) | Self::Drop { .. } => {
                sql.into()
            }
        }
    }
}

/// The error without a string that it quotes: the string may be a password.
pub(super) fn hide(mut error: ErrorReport) -> ErrorReport {
    const NEAR: &str = " at or near \"";
    if let Some((what, near)) = error.message.split_once(NEAR)
        && near.contains(['\'', '$'])
    {
        error.message = format!("{what}{NEAR}{HIDDEN}\"");
    }
    error
}

pub(super) fn create(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("CREATE")?;
    let is_user = cursor.is_word("USER");
    cursor.advance();
    if is_user && cursor.is_word("MAPPING") {
        return Ok(unsupported(cursor, "CREATE USER MAPPING"));
    }
    let role = role_name(cursor)?;
    cursor.eat("WITH");
    let options = options(cursor, Allowed::Memberships).map_err(hide)?;
    Ok(StatementKind::Role(Box::new(RoleStatement::Create { role, is_user, options })))
}

pub(super) fn alter(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("ALTER")?;
    cursor.advance();
    if cursor.is_word("MAPPING") {
        return Ok(unsupported(cursor, "ALTER USER MAPPING"));
    }
    if cursor.eat("ALL") {
        return role_setting(cursor, None);
    }
    let role = role_name(cursor)?;
    if cursor.eat("RENAME") {
        cursor.expect("TO")?;
        let to = role_name(cursor)?;
        return Ok(StatementKind::Role(Box::new(RoleStatement::Rename { role, to })));
    }
    if ["SET", "RESET", "IN DATABASE"].iter().any(|words| cursor.are_words(words)) {
        return role_setting(cursor, Some(role));
    }
    cursor.eat("WITH");
    let options = options(cursor, Allowed::Attributes).map_err(hide)?;
    Ok(StatementKind::Role(Box::new(RoleStatement::Alter { role, options })))
}

/// ALTER GROUP: its members; or its name.
pub(super) fn alter_group(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("ALTER GROUP")?;
    let role = role_name(cursor)?;
    let statement = if cursor.eat("RENAME") {
        cursor.expect("TO")?;
        RoleStatement::Rename { role, to: role_name(cursor)? }
    } else {
        let add = cursor.eat("ADD");
        if !add {
            cursor.expect("DROP")?;
        }
        cursor.expect("USER")?;
        RoleStatement::Members { role, add, members: role_names(cursor)? }
    };
    Ok(StatementKind::Role(Box::new(statement)))
}

pub(super) fn drop(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("DROP")?;
    cursor.advance();
    if cursor.is_word("MAPPING") {
        return Ok(unsupported(cursor, "DROP USER MAPPING"));
    }
    let if_exists = cursor.eat("IF EXISTS");
    let roles = role_names(cursor)?;
    Ok(StatementKind::Role(Box::new(RoleStatement::Drop { if_exists, roles })))
}

/// `a, b, …`
pub(super) fn role_names(cursor: &mut Cursor<'_>) -> Result<Vec<RoleName>> {
    let mut roles = vec![role_name(cursor)?];
    while cursor.eat_token(&Token::Comma) {
        roles.push(role_name(cursor)?);
    }
    Ok(roles)
}

/// A role's name, or one of the words for the session's own.
pub(super) fn role_name(cursor: &mut Cursor<'_>) -> Result<RoleName> {
    let position = cursor.position();
    let own = ["CURRENT_USER", "CURRENT_ROLE", "SESSION_USER"];
    if let Some(word) = own.into_iter().find(|word| cursor.eat(word)) {
        return Ok(RoleName::Own(word, position));
    }
    let name = cursor.identifier()?;
    if ["public", "none"].contains(&name.name.as_str()) {
        let message = format!("role name \"{}\" is reserved", name.name);
        return Err(ErrorReport::new(SqlState::RESERVED_NAME, message).position(position));
    }
    Ok(RoleName::Named(name))
}

/// What the options may be about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Allowed {
    /// What the role may do.
    Attributes,
    /// That, and whose member it is, and who its members are.
    Memberships,
}

/// The options up to the end.
fn options(cursor: &mut Cursor<'_>, allowed: Allowed) -> Result<RoleOptions> {
    let mut options = RoleOptions::default();
    while !cursor.at_end() {
        if allowed == Allowed::Attributes || !membership(cursor, &mut options)? {
            option(cursor, &mut options)?;
        }
    }
    Ok(options)
}

/// `IN ROLE a, b`, `ROLE a`, `ADMIN a`; `false`: it is another option.
fn membership(cursor: &mut Cursor<'_>, options: &mut RoleOptions) -> Result<bool> {
    let position = cursor.position();
    let list = if cursor.eat("IN ROLE") || cursor.eat("IN GROUP") {
        &mut options.in_roles
    } else if cursor.eat("ROLE") || cursor.eat("USER") {
        &mut options.members
    } else if cursor.eat("ADMIN") {
        &mut options.admins
    } else {
        return Ok(false);
    };
    let was_there = !list.is_empty();
    *list = role_names(cursor)?;
    if was_there { redundant(position) } else { Ok(true) }
}

fn option(cursor: &mut Cursor<'_>, options: &mut RoleOptions) -> Result<()> {
    let position = cursor.position();
    let encrypted = cursor.eat("ENCRYPTED");
    if encrypted || cursor.is_word("PASSWORD") {
        cursor.expect("PASSWORD")?;
        let password = password(cursor, encrypted)?;
        return set(&mut options.password, password, position);
    }
    if cursor.eat("CONNECTION LIMIT") {
        return set(&mut options.connection_limit, signed(cursor)?, position);
    }
    if cursor.eat("VALID UNTIL") {
        return set(&mut options.valid_until, cursor.string()?, position);
    }
    if cursor.eat("UNENCRYPTED PASSWORD") {
        return Err(ErrorReport::unsupported("UNENCRYPTED PASSWORD is no longer supported")
            .hint("Remove UNENCRYPTED to store the password in encrypted form instead.")
            .position(position));
    }
    if cursor.eat("SYSID") {
        // PostgreSQL, too, reads it and leaves it at that.
        return signed(cursor).map(|_| ());
    }
    let word = cursor.identifier()?.name;
    let (is_on, name) = match word.strip_prefix("no") {
        Some(name) => (false, name),
        None => (true, word.as_str()),
    };
    let flag = match name {
        "superuser" => &mut options.superuser,
        "inherit" => &mut options.inherit,
        "createrole" => &mut options.create_role,
        "createdb" => &mut options.create_db,
        "login" => &mut options.login,
        "replication" => &mut options.replication,
        "bypassrls" => &mut options.bypass_rls,
        _ => {
            let message = format!("unrecognized role option \"{word}\"");
            return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message).position(position));
        }
    };
    set(flag, is_on, position)
}

fn password(cursor: &mut Cursor<'_>, encrypted: bool) -> Result<Password> {
    if !encrypted && cursor.eat("NULL") {
        return Ok(Password::Null);
    }
    let written = Secret(cursor.here().to_string());
    Ok(Password::Text { value: Secret(cursor.string()?), written })
}

fn set<T>(option: &mut Option<T>, value: T, position: u32) -> Result<()> {
    match option.replace(value) {
        None => Ok(()),
        Some(_) => redundant(position),
    }
}

fn redundant<T>(position: u32) -> Result<T> {
    let message = "conflicting or redundant options";
    Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message).position(position))
}

fn signed(cursor: &mut Cursor<'_>) -> Result<i32> {
    let is_negative = cursor.eat_token(&Token::Minus);
    let Some(Token::Number(digits, _)) = cursor.token() else { return cursor.fail() };
    let Ok(number) = digits.parse::<i32>() else { return cursor.fail() };
    cursor.advance();
    Ok(if is_negative { -number } else { number })
}

fn unsupported(cursor: &mut Cursor<'_>, what: &'static str) -> StatementKind {
    let end = cursor.range().end;
    *cursor = cursor.over(end..end);
    StatementKind::Unsupported(what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    fn role(sql: &str) -> (String, RoleStatement) {
        let statement = parse(sql).unwrap().remove(0);
        match statement.kind {
            StatementKind::Role(role) => (statement.sql, *role),
            other => panic!("{sql}: {other:?}"),
        }
    }

    #[test]
    fn options_come_in_any_order() {
        let sql = "CREATE USER \"Ann\" WITH NOINHERIT CONNECTION LIMIT -1 SUPERUSER \
                   VALID UNTIL '2030-01-01' PASSWORD NULL NOCREATEDB";
        let (_, statement) = role(sql);
        let RoleStatement::Create { role: RoleName::Named(name), is_user: true, options } =
            statement
        else {
            panic!("{statement:?}");
        };
        assert_eq!(name.name, "Ann");
        let expected = RoleOptions {
            superuser: Some(true),
            inherit: Some(false),
            create_db: Some(false),
            connection_limit: Some(-1),
            password: Some(Password::Null),
            valid_until: Some("2030-01-01".into()),
            ..RoleOptions::default()
        };
        assert_eq!(options, expected);
    }

    #[test]
    fn passwords_are_in_no_text() {
        for sql in [
            "CREATE ROLE a PASSWORD 'top secret'",
            "CREATE USER a LOGIN ENCRYPTED PASSWORD E'top secret' VALID UNTIL '2030-01-01'",
            "ALTER ROLE current_user WITH PASSWORD $x$top secret$x$;",
        ] {
            let (text, statement) = role(sql);
            assert!(!text.contains("top"), "{text}");
            assert!(!format!("{statement:?}").contains("top"), "{statement:?}");
            let shown = crate::parse::without_passwords(sql);
            assert!(shown.starts_with(&sql[..6]) && !shown.contains("top"), "{shown}");
        }
        for sql in
            ["ALTER ROLE a PASSWORD 'top secret", "CREATE ROLE a IN ROLE b PASSWORD 'top secret'"]
        {
            let shown = crate::parse::without_passwords(sql);
            assert!(!shown.contains("top"), "{shown}");
        }
        for sql in [
            "CREATE ROLE a PASSWORD 'top secret' 'top secret'",
            "CREATE ROLE a PASSWORD = 'top secret'",
            "CREATE ROLE a 'top secret'",
            "CREATE ROLE a PASSWORD $$top secret",
            "ALTER ROLE a PASSWORD 'top secret",
        ] {
            let error = parse(sql).unwrap_err();
            assert_eq!(error.sqlstate, SqlState::SYNTAX_ERROR, "{sql}");
            assert!(!error.to_string().contains("top"), "{error}");
        }
    }

    #[test]
    fn wrong_statements_are_refused() {
        for (sql, sqlstate, message, position) in [
            ("CREATE ROLE public", "42939", "role name \"public\" is reserved", 13),
            ("CREATE ROLE a FLY", "42601", "unrecognized role option \"fly\"", 15),
            ("CREATE ROLE a LOGIN NOLOGIN", "42601", "conflicting or redundant options", 21),
            ("CREATE ROLE a PASSWORD", "42601", "syntax error at end of input", 23),
            ("CREATE ROLE a CONNECTION LIMIT x", "42601", "syntax error at or near \"x\"", 32),
            ("DROP ROLE", "42601", "syntax error at end of input", 10),
            ("ALTER ROLE a RENAME b", "42601", "syntax error at or near \"b\"", 21),
        ] {
            let error = parse(sql).unwrap_err();
            let found = (error.sqlstate.as_str(), error.message.as_str(), error.position);
            assert_eq!(found, (sqlstate, message, Some(position)), "{sql}");
        }
    }
}
