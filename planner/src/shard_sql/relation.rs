//! The name of a table in a shard's database.

use crate::catalog::TableDef;
use kestrel_proto::Result;

use super::quote::identifier;

/// A table of a schema. It has the same name in every shard's database as in Kestrel's catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The schema it is in.
    pub schema: String,
    /// Its name.
    pub name: String,
}

impl Relation {
    /// Where the rows of this table are.
    pub fn of(table: &TableDef) -> Self {
        Self { schema: table.schema_name.clone(), name: table.name.clone() }
    }

    /// `"schema"."table"`
    ///
    /// # Errors
    /// Those of [`identifier`].
    pub fn quoted(&self) -> Result<String> {
        Ok(format!("{}.{}", identifier(&self.schema)?, identifier(&self.name)?))
    }
}
