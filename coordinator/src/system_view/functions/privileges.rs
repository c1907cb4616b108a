//! `has_table_privilege` and its relatives (utils/adt/acl.c): (\[role,\] object, privileges). A
//! role and an object are an OID or a name, the privileges a list of which one is enough.

use kestrel_planner::{
    access::Actor,
    catalog::{
        AclItem, COLUMN_PRIVILEGES, DATABASE_OID, ObjectKind, PUBLIC, Privilege, Privileges,
        default_acl,
    },
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    super::{
        SystemViewContext,
        pg_catalog::pg_attribute::columns,
        privileges::{acl_text, held, item_text},
        relation::{Relation, RelationKind, schemas},
        rows::Value,
    },
    BOOLEAN, Function, Returns, TEXT, int, lenient, objects, strict, string,
};

pub(super) const FUNCTIONS: &[Function] = &[
    strict("acldefault", (2, 2), Returns::Texts, acl_default),
    strict("has_any_column_privilege", (2, 3), BOOLEAN, any_column),
    strict("has_column_privilege", (3, 4), BOOLEAN, column),
    strict("has_database_privilege", (2, 3), BOOLEAN, database),
    strict("has_foreign_data_wrapper_privilege", (2, 3), BOOLEAN, of_nothing),
    strict("has_function_privilege", (2, 3), BOOLEAN, |c, a| of_public(c, a, "EXECUTE")),
    strict("has_language_privilege", (2, 3), BOOLEAN, |c, a| of_public(c, a, "USAGE")),
    strict("has_parameter_privilege", (2, 3), BOOLEAN, of_nothing),
    strict("has_schema_privilege", (2, 3), BOOLEAN, schema),
    strict("has_sequence_privilege", (2, 3), BOOLEAN, sequence),
    strict("has_server_privilege", (2, 3), BOOLEAN, of_nothing),
    strict("has_table_privilege", (2, 3), BOOLEAN, table),
    strict("has_tablespace_privilege", (2, 3), BOOLEAN, of_nothing),
    strict("has_type_privilege", (2, 3), BOOLEAN, |c, a| of_public(c, a, "USAGE")),
    strict("makeaclitem", (4, 4), TEXT, make_item),
    lenient("pg_get_acl", (3, 3), TEXT, |_, _| Ok(Value::Null)),
    strict("pg_has_role", (2, 3), BOOLEAN, has_role),
    strict("row_security_active", (1, 1), BOOLEAN, |_, _| Ok(false.into())),
];

/// Who is asked about: the first argument where there are more than `without`, else the session's
/// role. And where the other arguments begin.
fn asked<'a>(
    context: &'a SystemViewContext,
    arguments: &[Value],
    without: usize,
) -> Result<(Actor<'a>, usize)> {
    if arguments.len() <= without {
        return Ok((context.actor(), 0));
    }
    Ok((Actor::new(&context.catalog, role(context, arguments, 0)?), 1))
}

/// The OID of the role that an argument names; `public` is everybody.
fn role(context: &SystemViewContext, arguments: &[Value], index: usize) -> Result<u64> {
    if let Some(Value::Int(oid)) = arguments.get(index) {
        return Ok(oid.cast_unsigned());
    }
    let name = string(arguments, index).unwrap_or_default();
    if name == "public" {
        return Ok(PUBLIC);
    }
    let missing = || {
        let message = format!("role \"{name}\" does not exist");
        ErrorReport::new(SqlState::UNDEFINED_OBJECT, message)
    };
    context.catalog.roles.get(name).map(|role| role.id).ok_or_else(missing)
}

/// What is asked: each privilege, and whether WITH GRANT OPTION.
///
/// Errors: 22023 for one that such objects do not have.
fn wanted(text: &str, known: Privileges) -> Result<Vec<(Privilege, bool)>> {
    let one = |word: &str| {
        let word = word.trim();
        let upper = word.to_ascii_uppercase();
        let (name, of_option) = match upper.strip_suffix(" WITH GRANT OPTION") {
            Some(name) => (name, true),
            None => (upper.as_str(), false),
        };
        let found = Privilege::parse(name).filter(|privilege| known.has(*privilege));
        found.map(|privilege| (privilege, of_option)).ok_or_else(|| unrecognized(word))
    };
    text.split(',').map(one).collect()
}

fn unrecognized(word: &str) -> ErrorReport {
    let message = format!("unrecognized privilege type: \"{word}\"");
    ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn any(wanted: &[(Privilege, bool)], (held, grantable): (Privileges, Privileges)) -> bool {
    let has = |(privilege, of_option): &(Privilege, bool)| match of_option {
        true => grantable.has(*privilege),
        false => held.has(*privilege),
    };
    wanted.iter().any(has)
}

fn table(context: &SystemViewContext, arguments: &[Value]) -> Result<Value> {
    let (actor, at) = asked(context, arguments, 2)?;
    let Some(relation) = objects::relation(context, arguments, at)? else { return Ok(Value::Null) };
    let known = ObjectKind::Table.privileges();
    let wanted = wanted(string(arguments, at + 1).unwrap_or_default(), known)?;
    Ok(any(&wanted, held(&actor, relation)).into())
}

fn sequence(context: &SystemViewContext, arguments: &[Value]) -> Result<Value> {
    let (actor, at) = asked(context, arguments, 2)?;
    let Some(relation) = objects::relation(context, arguments, at)? else { return Ok(Value::Null) };
    if !matches!(relation.kind, RelationKind::Sequence) {
        // As it was asked for.
        let name = string(arguments, at).unwrap_or(&relation.name);
        let message = format!("\"{name}\" is not a sequence");
        return Err(ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message));
    }
    let known = ObjectKind::Sequence.privileges();
    let wanted = wanted(string(arguments, at + 1).unwrap_or_default(), known)?;
    Ok(any(&wanted, held(&actor, relation)).into())
}

/// A privilege on a column is one on the table or on the column itself.
fn on_column(actor: &Actor<'_>, relation: &Relation, column: i64) -> (Privileges, Privileges) {
    let (of_table, grantable) = held(actor, relation);
    let (object, column) =
        (relation.oid.cast_unsigned(), u32::try_from(column).unwrap_or_default());
    (
        of_table.with(actor.column_privileges(object, column)),
        grantable.with(actor.column_grantable(object, column)),
    )
}

fn any_column(context: &SystemViewContext, arguments: &[Value]) -> Result<Value> {
    let (actor, at) = asked(context, arguments, 2)?;
    let Some(relation) = objects::relation(context, arguments, at)? else { return Ok(Value::Null) };
    let wanted = wanted(string(arguments, at + 1).unwrap_or_default(), COLUMN_PRIVILEGES)?;
    let columns = columns(&relation.kind);
    let mut columns = columns.iter().map(|column| on_column(&actor, relation, column.number));
    Ok((any(&wanted, held(&actor, relation)) || columns.any(|held| any(&wanted, held))).into())
}

fn column(context: &SystemViewContext, arguments: &[Value]) -> Result<Value> {
    let (actor, at) = asked(context, arguments, 3)?;
    let Some(relation) = objects::relation(context, arguments, at)? else { return Ok(Value::Null) };
    let columns = columns(&relation.kind);
    let number = match arguments.get(at + 1) {
        Some(Value::Int(number)) => {
            columns.iter().find(|column| column.number == *number).map(|column| column.number)
        }
        _ => {
            let name = string(arguments, at + 1).unwrap_or_default();
            let found = columns.iter().find(|column| column.name == name);
            let missing = || {
                let message =
                    format!("column \"{name}\" of relation \"{}\" does not exist", relation.name);
                ErrorReport::new(SqlState::UNDEFINED_COLUMN, message)
            };
            Some(found.map(|column| column.number).ok_or_else(missing)?)
        }
    };
    let wanted = wanted(string(arguments, at + 2).unwrap_or_default(), COLUMN_PRIVILEGES)?;
    Ok(number.map(|number| any(&wanted, on_column(&actor, relation, number))).into())
}

fn schema(context: &SystemViewContext, arguments: &[Value]) -> Result<Value> {
    let (actor, at) = asked(context, arguments, 2)?;
    let found = match arguments.get(at) {
        Some(Value::Int(oid)) => schemas(&context.catalog).find(|(known, _)| known == oid),
        _ => {
            let text = string(arguments, at).unwrap_or_default();
            let found = schemas(&context.catalog).find(|(_, known)| *known == text);
            let missing = || {
                let message = format!("schema \"{text}\" does not exist");
                ErrorReport::new(SqlState::INVALID_SCHEMA_NAME, message)
            };
            Some(found.ok_or_else(missing)?)
        }
    };
    let known = ObjectKind::Schema.privileges();
    let wanted = wanted(string(arguments, at + 1).unwrap_or_default(), known)?;
    let held = |(oid, name): (i64, &str)| match context.catalog.schemas.contains_key(name) {
        true => {
            let oid = oid.cast_unsigned();
            (actor.privileges(oid, ObjectKind::Schema), actor.grantable(oid, ObjectKind::Schema))
        }
        // Everybody looks into the system's, and nobody makes anything there.
        false if actor.is_superuser() => (known, known),
        false => (Privilege::Usage.into(), Privileges::NONE),
    };
    Ok(found.map(|schema| any(&wanted, held(schema))).into())
}

fn database(context: &SystemViewContext, arguments: &[Value]) -> Result<Value> {
    let (actor, at) = asked(context, arguments, 2)?;
    let is_there = match arguments.get(at) {
        Some(Value::Int(oid)) => *oid == DATABASE_OID.cast_signed(),
        _ => {
            let name = string(arguments, at).unwrap_or_default();
            if name != context.session.database {
                let message = format!("database \"{name}\" does not exist");
                return Err(ErrorReport::new(SqlState::INVALID_CATALOG_NAME, message));
            }
            true
        }
    };
    let kind = ObjectKind::Database;
    let wanted = wanted(string(arguments, at + 1).unwrap_or_default(), kind.privileges())?;
    let held = (actor.privileges(DATABASE_OID, kind), actor.grantable(DATABASE_OID, kind));
    Ok(is_there.then(|| any(&wanted, held)).into())
}

/// Everybody has the one privilege of functions, languages and types; superusers grant it.
fn of_public(context: &SystemViewContext, arguments: &[Value], privilege: &str) -> Result<Value> {
    let (actor, at) = asked(context, arguments, 2)?;
    let mut is_held = false;
    for word in string(arguments, at + 1).unwrap_or_default().split(',') {
        let upper = word.trim().to_ascii_uppercase();
        is_held |= match upper.strip_suffix(" WITH GRANT OPTION") {
            Some(name) if name == privilege => actor.is_superuser(),
            None if upper == privilege => true,
            _ => return Err(unrecognized(word.trim())),
        };
    }
    Ok(is_held.into())
}

/// Of objects that nobody but superusers has anything to do with.
fn of_nothing(context: &SystemViewContext, arguments: &[Value]) -> Result<Value> {
    let (actor, _) = asked(context, arguments, 2)?;
    Ok(actor.is_superuser().into())
}

/// (\[role,\] of which role, MEMBER or USAGE, WITH ADMIN OPTION)
fn has_role(context: &SystemViewContext, arguments: &[Value]) -> Result<Value> {
    let (actor, at) = asked(context, arguments, 2)?;
    let of = role(context, arguments, at)?;
    let mut has = false;
    for word in string(arguments, at + 1).unwrap_or_default().split(',') {
        let upper = word.trim().to_ascii_uppercase();
        let options = [" WITH GRANT OPTION", " WITH ADMIN OPTION"];
        let name = options.iter().find_map(|option| upper.strip_suffix(option));
        has |= match (name, upper.as_str()) {
            (Some("MEMBER" | "USAGE"), _) => context.catalog.is_admin(actor.role, of),
            (None, "MEMBER") => actor.is_member_of(of),
            (None, "USAGE") => actor.acts_as(of),
            _ => return Err(unrecognized(word.trim())),
        };
    }
    Ok(has.into())
}

/// (kind as in pg_default_acl, owner)
fn acl_default(context: &SystemViewContext, arguments: &[Value]) -> Result<Value> {
    let kind = match string(arguments, 0).unwrap_or_default() {
        "r" => ObjectKind::Table,
        "s" => ObjectKind::Sequence,
        "d" => ObjectKind::Database,
        "n" => ObjectKind::Schema,
        // Columns begin with nothing; the others' privileges are not kept.
        _ => return Ok(Value::Texts(Vec::new())),
    };
    let owner = int(arguments, 1).unwrap_or_default().cast_unsigned();
    Ok(Value::Texts(acl_text(&context.catalog, &default_acl(kind, owner))))
}

/// (grantee, grantor, privilege, whether it may be granted)
fn make_item(context: &SystemViewContext, arguments: &[Value]) -> Result<Value> {
    let every = [ObjectKind::Table, ObjectKind::Schema, ObjectKind::Database];
    let known = every.iter().fold(Privileges::NONE, |all, kind| all.with(kind.privileges()));
    let text = string(arguments, 2).unwrap_or_default();
    // One, not a list.
    let privilege = Privilege::parse(text).filter(|privilege| known.has(*privilege));
    let privileges: Privileges = privilege.ok_or_else(|| unrecognized(text))?.into();
    let is_grantable = arguments.get(3) == Some(&Value::Bool(true));
    let (grantee, grantor) = (role(context, arguments, 0)?, role(context, arguments, 1)?);
    let grantable = if is_grantable { privileges } else { Privileges::NONE };
    let item = AclItem { grantee, grantor, privileges, grantable };
    Ok(item_text(&context.catalog, &item).into())
}
