//! Objects by OID and by name.

use kestrel_planner::catalog::{PG_TEMP, RoleDef, own_temporary_schema};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    super::{
        SystemViewContext, name,
        pg_catalog::{fixed, pg_attribute::columns, pg_description},
        relation::{Relation, RelationKind, schema_oid, schemas},
        rows::Value,
        types,
    },
    BOOLEAN, Function, NAME, OID, TEXT, int, lenient, strict, string,
};

pub(super) const FUNCTIONS: &[Function] = &[
    strict("col_description", (2, 2), TEXT, |c, a| Ok(description(c, a, int(a, 1), None))),
    lenient("format_type", (2, 2), TEXT, |_, arguments| {
        Ok(int(arguments, 0).map(|oid| types::format(oid, int(arguments, 1))).into())
    }),
    strict("obj_description", (1, 2), TEXT, |c, a| Ok(description(c, a, Some(0), string(a, 1)))),
    strict("pg_collation_is_visible", (1, 1), BOOLEAN, always),
    strict("pg_conversion_is_visible", (1, 1), BOOLEAN, always),
    strict("pg_describe_object", (3, 3), TEXT, describe),
    strict("pg_function_is_visible", (1, 1), BOOLEAN, always),
    strict("pg_get_serial_sequence", (2, 2), TEXT, serial_sequence),
    strict("pg_get_userbyid", (1, 1), NAME, |c, a| Ok(role_name(c, int(a, 0)))),
    strict("pg_is_other_temp_schema", (1, 1), BOOLEAN, |c, arguments| {
        Ok(is_of_other_session(c, int(arguments, 0)).into())
    }),
    strict("pg_opclass_is_visible", (1, 1), BOOLEAN, always),
    strict("pg_operator_is_visible", (1, 1), BOOLEAN, always),
    strict("pg_opfamily_is_visible", (1, 1), BOOLEAN, always),
    strict("pg_relation_filenode", (1, 1), OID, |c, arguments| {
        Ok(relation(c, arguments, 0)?.map(|r| r.oid).into())
    }),
    strict("pg_relation_is_publishable", (1, 1), BOOLEAN, |c, arguments| {
        let found = relation(c, arguments, 0)?;
        Ok(found.map(|r| matches!(r.kind, RelationKind::Table(_))).into())
    }),
    strict("pg_statistics_obj_is_visible", (1, 1), BOOLEAN, always),
    strict("pg_table_is_visible", (1, 1), BOOLEAN, |c, arguments| {
        let found = int(arguments, 0).and_then(|oid| c.relations().get(oid));
        Ok(found.map(|r| c.relations().is_visible(&c.session.search_path, r)).into())
    }),
    strict("pg_ts_config_is_visible", (1, 1), BOOLEAN, always),
    strict("pg_ts_dict_is_visible", (1, 1), BOOLEAN, always),
    strict("pg_ts_parser_is_visible", (1, 1), BOOLEAN, always),
    strict("pg_ts_template_is_visible", (1, 1), BOOLEAN, always),
    strict("pg_type_is_visible", (1, 1), BOOLEAN, |_, arguments| {
        Ok(int(arguments, 0).and_then(types::by_oid).map(|_| true).into())
    }),
    strict(REG_OID, (2, 2), OID, |c, arguments| {
        let kind = string(arguments, 0).unwrap_or_default();
        match int(arguments, 1) {
            Some(oid) => Ok(oid.into()),
            None => {
                let name = string(arguments, 1).unwrap_or_default();
                Ok(oid_of(c, kind, name).ok_or_else(|| does_not_exist(kind, name))?.into())
            }
        }
    }),
    strict(REG_TEXT, (2, 2), TEXT, |c, arguments| {
        let kind = string(arguments, 0).unwrap_or_default();
        let oid = match int(arguments, 1) {
            Some(oid) => oid,
            None => {
                let name = string(arguments, 1).unwrap_or_default();
                oid_of(c, kind, name).ok_or_else(|| does_not_exist(kind, name))?
            }
        };
        Ok(name_of(c, kind, oid).into())
    }),
    strict("shobj_description", (2, 2), TEXT, |c, a| Ok(description(c, a, Some(0), string(a, 1)))),
    strict("to_regclass", (1, 1), OID, |c, arguments| to_reg(c, "regclass", arguments)),
    strict("to_regnamespace", (1, 1), OID, |c, arguments| to_reg(c, "regnamespace", arguments)),
    strict("to_regproc", (1, 1), OID, |c, arguments| to_reg(c, "regproc", arguments)),
    strict("to_regrole", (1, 1), OID, |c, arguments| to_reg(c, "regrole", arguments)),
    strict("to_regtype", (1, 1), OID, |c, arguments| to_reg(c, "regtype", arguments)),
];

/// `x::regclass` and its like, where the OID is wanted: (`regclass`, x).
pub(in super::super) const REG_OID: &str = "kestrel_reg_oid";
/// `x::regclass` and its like, where it is printed: (`regclass`, x).
pub(in super::super) const REG_TEXT: &str = "kestrel_reg_text";

/// The comment on an object of a class, or on one of its columns.
fn description(
    context: &SystemViewContext,
    arguments: &[Value],
    column: Option<i64>,
    class: Option<&str>,
) -> Value {
    let found = || {
        let object = u64::try_from(int(arguments, 0)?).ok()?;
        let is_of_class = class.is_none_or(|name| {
            pg_description::class_oid(name) == Some(pg_description::class(context, object))
        });
        let column = u32::try_from(column?).ok()?;
        context.catalog.comment(object, column).filter(|_| is_of_class)
    };
    found().map(str::to_string).into()
}

/// Is the schema another session's temporary one?
fn is_of_other_session(context: &SystemViewContext, oid: Option<i64>) -> bool {
    let found = schemas(&context.catalog).find(|(id, _)| Some(*id) == oid);
    found.is_some_and(|(_, name)| context.is_of_other_session(name))
}

/// In `pg_catalog`, which every search path has.
fn always(_: &SystemViewContext, _: &[Value]) -> Result<Value> {
    Ok(true.into())
}

/// The relation that an argument of type regclass names; `None`: there is no such OID.
pub(super) fn relation<'a>(
    context: &'a SystemViewContext,
    arguments: &[Value],
    index: usize,
) -> Result<Option<&'a Relation>> {
    if let Some(oid) = int(arguments, index) {
        return Ok(context.relations().get(oid));
    }
    let name = string(arguments, index).unwrap_or_default();
    let found = find_relation(context, name).ok_or_else(|| does_not_exist("regclass", name))?;
    Ok(Some(found))
}

fn find_relation<'a>(context: &'a SystemViewContext, text: &str) -> Option<&'a Relation> {
    match name::parse(text)?.as_slice() {
        [name] => context.relations().find(&context.session.search_path, name),
        [schema, name] if schema == PG_TEMP => {
            let own = own_temporary_schema(&context.session.search_path)?;
            context.relations().named(own, name)
        }
        [schema, name] => context.relations().named(schema, name),
        [database, schema, name] if *database == context.session.database => {
            context.relations().named(schema, name)
        }
        _ => None,
    }
}

fn oid_of(context: &SystemViewContext, kind: &str, text: &str) -> Option<i64> {
    match kind {
        "regclass" => Some(find_relation(context, text)?.oid),
        // A modifier is no part of the type.
        "regtype" => Some(types::by_sql_name(text.split('(').next()?.trim())?.oid),
        "regnamespace" => schema_oid(&context.catalog, &name::parse(text)?.pop()?),
        "regrole" => {
            let role = context.catalog.roles.get(&*name::parse(text)?.pop()?)?;
            Some(role.id.cast_signed())
        }
        _ => fixed::procedure_oid(&name::parse(text.split('(').next()?)?.pop()?),
    }
}

fn name_of(context: &SystemViewContext, kind: &str, oid: i64) -> String {
    let found = match kind {
        _ if oid == 0 => Some("-".to_string()),
        "regclass" => context.relations().get(oid).map(|r| relation_name(context, r)),
        "regtype" => Some(types::format(oid, None)).filter(|t| t != "???"),
        "regnamespace" => {
            schemas(&context.catalog).find(|(o, _)| *o == oid).map(|(_, n)| name::quoted(n))
        }
        "regrole" => role(context, Some(oid)).map(|role| name::quoted(&role.name)),
        _ => fixed::procedure_name(oid).map(str::to_string),
    };
    found.unwrap_or_else(|| oid.to_string())
}

/// The shortest name that means the relation.
pub(super) fn relation_name(context: &SystemViewContext, relation: &Relation) -> String {
    if context.relations().is_visible(&context.session.search_path, relation) {
        name::quoted(&relation.name)
    } else {
        name::qualified(&relation.schema, &relation.name)
    }
}

fn does_not_exist(kind: &str, name: &str) -> ErrorReport {
    let (sqlstate, what) = match kind {
        "regclass" => (SqlState::UNDEFINED_TABLE, "relation"),
        "regtype" => (SqlState::UNDEFINED_OBJECT, "type"),
        "regnamespace" => (SqlState::INVALID_SCHEMA_NAME, "schema"),
        "regrole" => (SqlState::UNDEFINED_OBJECT, "role"),
        _ => (SqlState::UNDEFINED_FUNCTION, "function"),
    };
    ErrorReport::new(sqlstate, format!("{what} \"{name}\" does not exist"))
}

fn to_reg(context: &SystemViewContext, kind: &str, arguments: &[Value]) -> Result<Value> {
    let name = string(arguments, 0).unwrap_or_default();
    Ok(int(arguments, 0).or_else(|| oid_of(context, kind, name)).into())
}

fn role(context: &SystemViewContext, oid: Option<i64>) -> Option<&RoleDef> {
    context.catalog.role_by_id(oid?.cast_unsigned())
}

fn role_name(context: &SystemViewContext, oid: Option<i64>) -> Value {
    match role(context, oid) {
        Some(role) => (&role.name).into(),
        None => format!("unknown (OID={})", oid.unwrap_or(0)).into(),
    }
}

fn describe(context: &SystemViewContext, arguments: &[Value]) -> Result<Value> {
    let found = int(arguments, 1).and_then(|oid| context.relations().get(oid));
    let column = int(arguments, 2).filter(|number| *number != 0);
    Ok(found
        .map(|r| {
            let column = column.and_then(|n| columns(&r.kind).into_iter().find(|c| c.number == n));
            let column = column.map(|c| format!("column {} of ", name::quoted(&c.name)));
            let what = match &r.kind {
                RelationKind::Table(_) => "table",
                RelationKind::View(_) => "view",
                RelationKind::Index(..) => "index",
                RelationKind::Sequence => "sequence",
                RelationKind::System(definition) if definition.kind == "r" => "table",
                RelationKind::System(_) => "view",
            };
            format!("{}{what} {}", column.unwrap_or_default(), relation_name(context, r))
        })
        .into())
}

fn serial_sequence(context: &SystemViewContext, arguments: &[Value]) -> Result<Value> {
    let Some(table) = relation(context, arguments, 0)? else { return Ok(Value::Null) };
    let column_name = string(arguments, 1).unwrap_or_default();
    let RelationKind::Table(definition) = &table.kind else { return Ok(Value::Null) };
    let column = definition.column(column_name).ok_or_else(|| {
        ErrorReport::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{column_name}\" of relation \"{}\" does not exist", definition.name),
        )
    })?;
    let sequence = context.owned_sequence(definition.id, column.id);
    Ok(sequence.map(|s| name::qualified(&s.schema_name, &s.name)).into())
}
