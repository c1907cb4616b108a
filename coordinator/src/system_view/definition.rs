//! The columns of every system relation.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use kestrel_planner::catalog::{SQL_TYPE_METADATA, SqlType};

use super::types;

/// A system relation: its name and columns.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) schema: &'static str,
    pub(super) name: &'static str,
    pub(super) oid: i64,
    /// `r` or `v`, as in `pg_class.relkind`.
    pub(super) kind: &'static str,
    pub(super) columns: Vec<ColumnDefinition>,
    pub(super) arrow: SchemaRef,
}

/// A column of a system relation.
#[derive(Debug)]
pub(super) struct ColumnDefinition {
    pub(super) name: &'static str,
    /// As in `pg_type.typname`.
    pub(super) type_name: &'static str,
    pub(super) not_null: bool,
}

/// All system relations, in the order of `data/relations.txt`.
pub(super) static DEFINITIONS: LazyLock<Vec<Definition>> = LazyLock::new(|| {
    include_str!("data/relations.txt").lines().filter_map(Definition::parse).collect()
});

impl Definition {
    /// From a line of `data/relations.txt`; `None`: a comment.
    fn parse(line: &'static str) -> Option<Self> {
        let (head, columns) = line.split_once(": ").filter(|_| !line.starts_with('#'))?;
        let mut head = head.split(' ');
        let (schema, name) = head.next()?.split_once('.')?;
        let oid = head.next()?.parse().ok()?;
        let kind = head.next()?;
        let columns: Vec<_> = columns.split(", ").filter_map(ColumnDefinition::parse).collect();
        let fields: Vec<_> = columns.iter().map(ColumnDefinition::field).collect();
        Some(Self { schema, name, oid, kind, columns, arrow: Arc::new(Schema::new(fields)) })
    }
}

impl ColumnDefinition {
    fn parse(text: &'static str) -> Option<Self> {
        let (name, type_name) = text.split_once(' ')?;
        let not_null = type_name.ends_with('!');
        Some(Self { name, type_name: type_name.trim_end_matches('!'), not_null })
    }

    /// The type's OID.
    pub(super) fn type_oid(&self) -> i64 {
        types::by_name(self.type_name).map_or(0, |t| t.oid)
    }

    /// Lists carry PostgreSQL's name of their type, for those who print them.
    fn field(&self) -> Field {
        let nullable = !self.not_null;
        match sql_type(self.type_name) {
            Ok(sql_type) => sql_type.field(self.name, nullable),
            Err(element) => {
                let item = Field::new_list_field(element, true);
                let metadata = [(SQL_TYPE_METADATA.to_string(), self.type_name.to_string())];
                Field::new(self.name, DataType::List(Arc::new(item)), nullable)
                    .with_metadata(metadata.into())
            }
        }
    }
}

/// How a type of the system catalogs is held: as an SQL type of ours, or as a list.
fn sql_type(type_name: &str) -> Result<SqlType, DataType> {
    Ok(match type_name {
        "bool" => SqlType::Boolean,
        "int2" => SqlType::SmallInt,
        "int4" => SqlType::Integer,
        "int8" => SqlType::BigInt,
        "float4" => SqlType::Real,
        "float8" => SqlType::Double,
        "oid" | "regproc" | "xid" => SqlType::Oid,
        "name" => SqlType::Name,
        "timestamptz" => SqlType::TimestampTz,
        "interval" => SqlType::Interval,
        "bytea" => SqlType::Bytea,
        "int2vector" => SqlType::Int2Vector,
        "oidvector" => SqlType::OidVector,
        "_int2" => return Err(DataType::Int16),
        "_oid" | "_int8" => return Err(DataType::Int64),
        "_float4" => return Err(DataType::Float32),
        "_float8" => return Err(DataType::Float64),
        list if list.starts_with('_') => return Err(DataType::Utf8View),
        // "char", text, varchar, pg_node_tree, inet, …: what they hold is text.
        _ => SqlType::Text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_understood() {
        let lines = include_str!("data/relations.txt").lines().filter(|l| !l.starts_with('#'));
        assert_eq!(DEFINITIONS.len(), lines.clone().count());
        for (line, definition) in lines.zip(DEFINITIONS.iter()) {
            assert_eq!(line.matches(", ").count() + 1, definition.columns.len(), "{line}");
            assert!(["r", "v"].contains(&definition.kind), "{line}");
            for column in &definition.columns {
                assert_ne!(column.type_oid(), 0, "type {} in {line}", column.type_name);
            }
        }
        let mut oids: Vec<_> = DEFINITIONS.iter().map(|d| d.oid).collect();
        oids.sort_unstable();
        oids.dedup();
        assert_eq!(oids.len(), DEFINITIONS.len(), "OIDs are unique");
    }
}
