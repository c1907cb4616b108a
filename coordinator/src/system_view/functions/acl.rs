//! `aclexplode` (utils/adt/acl.c): the columns of its rows, one function each; the binder takes the
//! arrays that they give apart.

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    super::{SystemViewContext, rows::Value},
    Function, Returns, strict,
};

pub(super) const FUNCTIONS: &[Function] = &[
    strict("kestrel_acl_grantable", (1, 1), Returns::Texts, |c, a| {
        texts(c, a, |right| if right.grantable { "t" } else { "f" })
    }),
    strict("kestrel_acl_grantees", (1, 1), Returns::Ints, |c, a| ids(c, a, |right| right.grantee)),
    strict("kestrel_acl_grantors", (1, 1), Returns::Ints, |c, a| ids(c, a, |right| right.grantor)),
    strict("kestrel_acl_privileges", (1, 1), Returns::Texts, |c, a| {
        texts(c, a, |right| right.privilege)
    }),
];

/// `ACL_ALL_RIGHTS_STR`, in the order of the letters in an item's text.
const PRIVILEGES: &[(char, &str)] = &[
    ('a', "INSERT"),
    ('r', "SELECT"),
    ('w', "UPDATE"),
    ('d', "DELETE"),
    ('D', "TRUNCATE"),
    ('x', "REFERENCES"),
    ('t', "TRIGGER"),
    ('X', "EXECUTE"),
    ('U', "USAGE"),
    ('C', "CREATE"),
    ('T', "TEMPORARY"),
    ('c', "CONNECT"),
    ('s', "SET"),
    ('A', "ALTER SYSTEM"),
];

/// A row of `aclexplode`.
struct Right {
    /// The roles' OIDs; everybody is 0.
    grantor: i64,
    grantee: i64,
    privilege: &'static str,
    grantable: bool,
}

fn ids(context: &SystemViewContext, arguments: &[Value], id: fn(&Right) -> i64) -> Result<Value> {
    Ok(Value::Ints(rights(context, arguments)?.iter().map(id).collect()))
}

fn texts(
    context: &SystemViewContext,
    arguments: &[Value],
    text: fn(&Right) -> &'static str,
) -> Result<Value> {
    Ok(Value::Texts(rights(context, arguments)?.iter().map(|r| text(r).to_string()).collect()))
}

/// What the items of a list say.
///
/// Errors: 22P02 for a text that is no `aclitem`, 42704 for a role that does not exist.
fn rights(context: &SystemViewContext, arguments: &[Value]) -> Result<Vec<Right>> {
    let items = match arguments.first() {
        Some(Value::Texts(items)) => items.as_slice(),
        _ => &[],
    };
    let mut rights = Vec::new();
    for item in items {
        let (grantee, rest) = name(item);
        let parts = rest.strip_prefix('=').and_then(|rest| rest.split_once('/'));
        let Some((letters, grantor)) = parts else {
            let message = format!("invalid input syntax for type aclitem: \"{item}\"");
            return Err(ErrorReport::new(SqlState::INVALID_TEXT_REPRESENTATION, message));
        };
        let grantee = if grantee.is_empty() { 0 } else { role(context, &grantee)? };
        let grantor = role(context, &name(grantor).0)?;
        let mut letters = letters.chars().peekable();
        while let Some(letter) = letters.next() {
            let grantable = letters.next_if_eq(&'*').is_some();
            let known = PRIVILEGES.iter().find(|(known, _)| *known == letter);
            rights.extend(known.map(|(_, privilege)| Right {
                grantor,
                grantee,
                privilege,
                grantable,
            }));
        }
    }
    Ok(rights)
}

fn role(context: &SystemViewContext, name: &str) -> Result<i64> {
    let role = context.catalog.roles.get(name).ok_or_else(|| {
        let message = format!("role \"{name}\" does not exist");
        ErrorReport::new(SqlState::UNDEFINED_OBJECT, message)
    })?;
    Ok(role.id.cast_signed())
}

/// The name at the front, without its quotes, and the rest (`getid`).
fn name(text: &str) -> (String, &str) {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        return (text[..end].into(), &text[end..]);
    };
    let mut name = String::new();
    while let Some((before, after)) = rest.split_once('"') {
        name.push_str(before);
        match after.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return (name, after),
        }
    }
    (name, rest)
}
