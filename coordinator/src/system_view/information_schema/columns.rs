//! `information_schema.columns`

use kestrel_planner::catalog::Identity;

use super::super::{
    SystemViewContext,
    name::default_text,
    pg_catalog::pg_attribute::{Attribute, columns},
    privileges::{shows, shows_column},
    relation::{Relation, RelationKind},
    rows::{Rows, row},
    types,
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "table_catalog, table_schema, table_name, column_name, ordinal_position, \
         column_default, is_nullable, data_type, character_maximum_length, \
         character_octet_length, numeric_precision, numeric_precision_radix, numeric_scale, \
         datetime_precision, udt_catalog, udt_schema, udt_name, dtd_identifier, \
         is_self_referencing, is_identity, identity_generation, identity_start, identity_increment, \
         identity_maximum, identity_minimum, identity_cycle, is_generated, is_updatable",
    );
    let actor = context.actor();
    for relation in context.relations().iter() {
        let has_columns = matches!(
            relation.kind,
            RelationKind::Table(_) | RelationKind::View(_) | RelationKind::System(_)
        );
        let is_other = context.is_of_other_session(&relation.schema);
        if has_columns && !is_other && shows(&actor, relation) {
            for column in columns(&relation.kind) {
                if shows_column(&actor, relation, column.number) {
                    push(&mut rows, context, relation, &column);
                }
            }
        }
    }
    rows
}

fn push(rows: &mut Rows, context: &SystemViewContext, relation: &Relation, column: &Attribute) {
    let database = &context.session.database;
    let default = column.default.as_deref();
    let default = default.map(|d| default_text(d, column.type_oid, &context.session.search_path));
    let is_table = matches!(relation.kind, RelationKind::Table(_));
    let yes_or_no = |yes| if yes { "YES" } else { "NO" };
    let type_name = types::by_oid(column.type_oid).map_or("", |t| t.name);
    let is_array = type_name.starts_with('_') || type_name.ends_with("vector");
    let modifier = column.modifier;
    let length = LengthAndPrecision::of(type_name, modifier);
    let sequence = column.identity.and_then(|_| {
        let table = relation.oid.cast_unsigned();
        context.owned_sequence(table, u32::try_from(column.number).ok()?)
    });
    rows.push(row![
        database,
        &relation.schema,
        &relation.name,
        &column.name,
        column.number,
        default,
        yes_or_no(!column.not_null),
        if is_array { "ARRAY".into() } else { types::format(column.type_oid, None) },
        length.characters,
        length.octets,
        length.precision,
        length.radix,
        length.scale,
        length.datetime,
        database,
        "pg_catalog",
        type_name,
        column.number.to_string(),
        "NO",
        yes_or_no(column.identity.is_some()),
        column.identity.map(|identity| match identity {
            Identity::Always => "ALWAYS",
            Identity::ByDefault => "BY DEFAULT",
        }),
        sequence.map(|s| s.start.to_string()),
        sequence.map(|s| s.increment.to_string()),
        sequence.map(|s| s.max_value.to_string()),
        sequence.map(|s| s.min_value.to_string()),
        yes_or_no(sequence.is_some_and(|s| s.cycle)),
        "NEVER",
        yes_or_no(is_table),
    ]);
}

/// The columns of the view that depend on the type alone.
#[derive(Default)]
struct LengthAndPrecision {
    characters: Option<i32>,
    octets: Option<i32>,
    precision: Option<i32>,
    radix: Option<i32>,
    scale: Option<i32>,
    datetime: Option<i32>,
}

impl LengthAndPrecision {
    /// information_schema.sql: `_pg_char_max_length`, `_pg_numeric_precision`, …
    fn of(type_name: &str, modifier: i32) -> Self {
        let binary = |precision| (Some(precision), Some(2));
        let (precision, radix) = match type_name {
            "int2" => binary(16),
            "int4" => binary(32),
            "int8" => binary(64),
            "float4" => binary(24),
            "float8" => binary(53),
            "numeric" if modifier >= 4 => (Some(((modifier - 4) >> 16) & 0xffff), Some(10)),
            "numeric" => (None, Some(10)),
            _ => (None, None),
        };
        let scale = match type_name {
            "int2" | "int4" | "int8" => Some(0),
            "numeric" if modifier >= 4 => Some((((modifier - 4) & 0x7ff) ^ 1024) - 1024),
            _ => None,
        };
        let (characters, octets) = match type_name {
            // UTF-8 takes up to four octets.
            "varchar" | "bpchar" if modifier >= 4 => (Some(modifier - 4), Some((modifier - 4) * 4)),
            "varchar" | "bpchar" | "text" => (None, Some(1 << 30)),
            _ => (None, None),
        };
        let datetime = match type_name {
            "date" => Some(0),
            "time" | "timestamp" | "timestamptz" | "interval" => Some(6),
            _ => None,
        };
        Self { characters, octets, precision, radix, scale, datetime }
    }
}
