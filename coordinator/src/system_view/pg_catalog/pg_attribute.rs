//! `pg_attribute`: the columns of every relation.

use kestrel_planner::catalog::{ColumnDef, Identity, TableDef};

use super::super::{
    SystemViewContext,
    privileges::acl_text,
    relation::RelationKind,
    rows::{Rows, row},
    types,
};

/// A sequence is a relation of one row.
const SEQUENCE_COLUMNS: [(&str, i64); 3] = [("last_value", 20), ("log_cnt", 20), ("is_called", 16)];

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut out = Rows::new(
        "attrelid, attname, atttypid, attstattarget, attlen, attnum, attcacheoff, atttypmod, \
         attbyval, attalign, attstorage, attnotnull, atthasdef, attislocal, \
         attcollation, attidentity, attacl",
    );
    for relation in context.relations().iter() {
        for column in columns(&relation.kind) {
            let acl = acl(context, relation.oid, column.number);
            push(&mut out, relation.oid, column, acl);
        }
    }
    out
}

/// A column, whatever it is a column of.
pub(in super::super) struct Attribute {
    pub(in super::super) name: String,
    pub(in super::super) number: i64,
    pub(in super::super) type_oid: i64,
    pub(in super::super) modifier: i32,
    pub(in super::super) not_null: bool,
    pub(in super::super) default: Option<String>,
    pub(in super::super) identity: Option<Identity>,
}

/// The columns of a relation, in order.
pub(in super::super) fn columns(kind: &RelationKind) -> Vec<Attribute> {
    let plain = |name: &str, index: usize, type_oid, not_null| Attribute {
        name: name.into(),
        number: index as i64 + 1,
        type_oid,
        modifier: -1,
        not_null,
        default: None,
        identity: None,
    };
    match kind {
        RelationKind::Table(table) => table.columns.iter().map(|c| of_column(table, c)).collect(),
        RelationKind::View(view) => {
            let columns = view.columns.iter().enumerate();
            let described = columns.map(|(i, c)| Attribute {
                modifier: c.sql_type.typmod(),
                ..plain(&c.name, i, c.sql_type.oid().into(), false)
            });
            described.collect()
        }
        RelationKind::Index(table, key) => {
            let columns = key.columns.iter().filter_map(|id| table.column_by_id(*id));
            let numbered = columns.enumerate().map(|(i, c)| Attribute {
                number: i as i64 + 1,
                not_null: false,
                default: None,
                identity: None,
                ..of_column(table, c)
            });
            numbered.collect()
        }
        RelationKind::Sequence => {
            let columns = SEQUENCE_COLUMNS.iter().enumerate();
            columns.map(|(i, (name, oid))| plain(name, i, *oid, true)).collect()
        }
        RelationKind::System(definition) => {
            let columns = definition.columns.iter().enumerate();
            columns.map(|(i, c)| plain(c.name, i, c.type_oid(), c.not_null)).collect()
        }
    }
}

fn of_column(table: &TableDef, column: &ColumnDef) -> Attribute {
    let in_primary_key =
        table.primary_key.as_ref().is_some_and(|key| key.columns.contains(&column.id));
    Attribute {
        name: column.name.clone(),
        number: column.id.into(),
        type_oid: column.sql_type.oid().into(),
        modifier: column.sql_type.typmod(),
        not_null: column.not_null || in_primary_key,
        default: column.default.clone().filter(|_| column.identity.is_none()),
        identity: column.identity,
    }
}

/// NULL as long as nothing was granted on the column.
fn acl(context: &SystemViewContext, relation: i64, column: i64) -> Option<Vec<String>> {
    let access = context.catalog.access.get(&relation.cast_unsigned())?;
    let acl = access.columns.get(&u32::try_from(column).ok()?)?;
    Some(acl_text(&context.catalog, acl))
}

fn push(out: &mut Rows, relation: i64, column: Attribute, acl: Option<Vec<String>>) {
    let Some(found) = types::by_oid(column.type_oid) else { return };
    out.push(row![
        relation,
        column.name,
        found.oid,
        -1,
        found.length,
        column.number,
        -1,
        column.modifier,
        found.by_value,
        found.alignment,
        found.storage,
        column.not_null,
        column.default.is_some(),
        true,
        found.collation,
        match column.identity {
            None => "",
            Some(Identity::Always) => "a",
            Some(Identity::ByDefault) => "d",
        },
        acl,
    ]);
}
