//! ALTER ROLE … SET and ALTER DATABASE … SET: what sessions begin with.

use kestrel_proto::Result;

use super::{
    access,
    cursor::Cursor,
    name::Identifier,
    role::{RoleName, RoleStatement},
    set::{SetValue, Variable, assignment, variable, variable_name},
    statement::StatementKind,
};

/// What the sessions of a role, of everybody, or of a database begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleSetting {
    /// ALTER ROLE; `None`: ALL, or ALTER DATABASE
    pub role: Option<RoleName>,
    /// IN DATABASE, ALTER DATABASE
    pub database: Option<Identifier>,
    /// ALTER DATABASE
    pub is_of_database: bool,
    /// SET or RESET.
    pub change: SettingChange,
}

/// What becomes of settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingChange {
    /// SET name TO values
    Set(String, Vec<String>),
    /// SET name FROM CURRENT
    FromCurrent(String),
    /// RESET name, SET name TO DEFAULT
    Reset(String),
    /// RESET ALL
    ResetAll,
}

impl RoleSetting {
    /// The command tag.
    pub(super) fn tag(&self) -> &'static str {
        if self.is_of_database { "ALTER DATABASE" } else { "ALTER ROLE" }
    }
}

/// `[IN DATABASE d] SET … | RESET …`, behind the role.
pub(super) fn role_setting(
    cursor: &mut Cursor<'_>,
    role: Option<RoleName>,
) -> Result<StatementKind> {
    let database = if cursor.eat("IN DATABASE") { Some(cursor.identifier()?) } else { None };
    let change = change(cursor)?;
    let setting = RoleSetting { role, database, is_of_database: false, change };
    Ok(StatementKind::Role(Box::new(RoleStatement::Setting(setting))))
}

/// SET, RESET and OWNER TO; the other forms are not there.
pub(super) fn alter_database(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("ALTER DATABASE")?;
    let name = cursor.identifier()?;
    if cursor.are_words("OWNER TO") {
        return access::database_owner(cursor, name);
    }
    if !cursor.is_word("SET") && !cursor.is_word("RESET") || cursor.are_words("SET TABLESPACE") {
        let end = cursor.range().end;
        *cursor = cursor.over(end..end);
        return Ok(StatementKind::Unsupported("ALTER DATABASE"));
    }
    let change = change(cursor)?;
    let setting = RoleSetting { role: None, database: Some(name), is_of_database: true, change };
    Ok(StatementKind::Role(Box::new(RoleStatement::Setting(setting))))
}

fn change(cursor: &mut Cursor<'_>) -> Result<SettingChange> {
    if cursor.eat("RESET") {
        return Ok(match variable(cursor)? {
            Variable::All => SettingChange::ResetAll,
            Variable::Named(name) => SettingChange::Reset(name),
        });
    }
    cursor.expect("SET")?;
    let mut ahead = cursor.clone();
    if let Ok(name) = variable_name(&mut ahead)
        && ahead.eat("FROM CURRENT")
    {
        *cursor = ahead;
        return Ok(SettingChange::FromCurrent(name));
    }
    Ok(match assignment(cursor)? {
        (name, SetValue::Default) => SettingChange::Reset(name),
        (name, SetValue::Values(values)) => SettingChange::Set(name, values),
    })
}
