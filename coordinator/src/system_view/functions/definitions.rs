//! `pg_get_…def`: objects as the SQL that would make them.

use kestrel_proto::Result;

use super::{
    super::{
        SystemViewContext, name,
        pg_catalog::pg_statistic_ext,
        relation::{RelationKind, keys},
        rows::Value,
    },
    Function, TEXT, int, lenient, objects, strict, string,
};

pub(super) const FUNCTIONS: &[Function] = &[
    strict("pg_get_constraintdef", (1, 2), TEXT, constraint_definition),
    // Defaults and bounds are kept as SQL text.
    strict("pg_get_expr", (2, 3), TEXT, |_, arguments| {
        Ok(string(arguments, 0).map(str::to_string).into())
    }),
    lenient("pg_get_function_arguments", (1, 1), TEXT, nothing),
    lenient("pg_get_function_identity_arguments", (1, 1), TEXT, nothing),
    lenient("pg_get_function_result", (1, 1), TEXT, nothing),
    lenient("pg_get_function_sqlbody", (1, 1), TEXT, nothing),
    lenient("pg_get_functiondef", (1, 1), TEXT, nothing),
    strict("pg_get_indexdef", (1, 3), TEXT, index_definition),
    lenient("pg_get_ruledef", (1, 2), TEXT, nothing),
    strict("pg_get_statisticsobjdef", (1, 1), TEXT, statistics_definition),
    strict("pg_get_statisticsobjdef_columns", (1, 1), TEXT, |c, arguments| {
        let found = int(arguments, 0).and_then(|oid| pg_statistic_ext::found(c, oid));
        Ok(found.map(|(table, known)| pg_statistic_ext::columns(table, known)).into())
    }),
    lenient("pg_get_triggerdef", (1, 2), TEXT, nothing),
    // The system views are computed: no SELECT defines them.
    strict("pg_get_viewdef", (1, 2), TEXT, |c, arguments| {
        let found = objects::relation(c, arguments, 0)?;
        Ok(match found.map(|r| &r.kind) {
            Some(RelationKind::View(view)) => name::view_definition(c, view).into(),
            _ => Value::Null,
        })
    }),
];

fn constraint_definition(context: &SystemViewContext, arguments: &[Value]) -> Result<Value> {
    let Some(oid) = int(arguments, 0) else { return Ok(Value::Null) };
    let mut checks = context.catalog.tables.values().flat_map(|table| &table.checks);
    if let Some(check) = checks.find(|check| check.id.cast_signed() == oid) {
        let is_pretty = arguments.get(1) == Some(&Value::Bool(true));
        return Ok(name::check_definition(check, is_pretty).into());
    }
    Ok(match context.relations().get(oid).map(|r| &r.kind) {
        Some(RelationKind::Index(table, key)) if keys(table).any(|(k, _)| k.id == key.id) => {
            name::constraint_definition(table, key).into()
        }
        _ => Value::Null,
    })
}

fn nothing(_: &SystemViewContext, _: &[Value]) -> Result<Value> {
    Ok(Value::Null)
}

/// (index), (index, column number or 0: the statement, pretty)
fn index_definition(context: &SystemViewContext, arguments: &[Value]) -> Result<Value> {
    let found = int(arguments, 0).and_then(|oid| context.relations().get(oid));
    let Some(RelationKind::Index(table, key)) = found.map(|r| &r.kind) else {
        return Ok(Value::Null);
    };
    let column = usize::try_from(int(arguments, 1).unwrap_or(0)).unwrap_or(usize::MAX);
    if column > 0 {
        let id = key.columns.get(column - 1);
        let found = id.and_then(|id| table.column_by_id(*id));
        return Ok(found.map_or_else(String::new, |c| name::quoted(&c.name)).into());
    }
    let is_pretty = arguments.get(2) == Some(&Value::Bool(true));
    let on = context.relations().get(table.id.cast_signed()).filter(|_| is_pretty);
    let on = match on {
        Some(relation) => objects::relation_name(context, relation),
        None => name::qualified(&table.schema_name, &table.name),
    };
    Ok(name::index_definition(table, key, &on).into())
}

fn statistics_definition(context: &SystemViewContext, arguments: &[Value]) -> Result<Value> {
    let found = int(arguments, 0).and_then(|oid| pg_statistic_ext::found(context, oid));
    let Some((table, statistics)) = found else { return Ok(Value::Null) };
    let relation = context.relations().get(table.id.cast_signed());
    let on = relation.map(|relation| objects::relation_name(context, relation));
    let on = on.unwrap_or_else(|| name::quoted(&table.name));
    Ok(pg_statistic_ext::definition((table, statistics), &on).into())
}
