//! `pg_description` and `pg_shdescription`: comments on objects, and on the database.

use kestrel_planner::catalog::DATABASE_OID;

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

/// `pg_class`, as a class of objects.
const RELATION: i64 = 1259;
/// `pg_namespace`
const SCHEMA: i64 = 2615;
/// `pg_database`
const DATABASE: i64 = 1262;

pub(in super::super) fn pg_description(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("objoid, classoid, objsubid, description");
    for comments in context.catalog.comments.values().filter(|c| c.id != DATABASE_OID) {
        let class = class(context, comments.id);
        for (column, text) in &comments.texts {
            rows.push(row![comments.id, class, *column, text]);
        }
    }
    rows
}

pub(in super::super) fn pg_shdescription(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("objoid, classoid, description");
    if let Some(text) = context.catalog.comment(DATABASE_OID, 0) {
        rows.push(row![DATABASE_OID, DATABASE, text.to_string()]);
    }
    rows
}

/// The catalog that an object has its row in.
pub(in super::super) fn class(context: &SystemViewContext, object: u64) -> i64 {
    match context.relations().get(object.cast_signed()) {
        Some(_) => RELATION,
        None if object == DATABASE_OID => DATABASE,
        None => SCHEMA,
    }
}

/// The OID of a class of objects that comments can be on.
pub(in super::super) fn class_oid(name: &str) -> Option<i64> {
    match name {
        "pg_class" => Some(RELATION),
        "pg_namespace" => Some(SCHEMA),
        "pg_database" => Some(DATABASE),
        _ => None,
    }
}
