//! A view: a query under a name, and what the names in it meant when it was created.

use serde::{Deserialize, Serialize};

use super::{Catalog, ColumnDef, TableDef};

/// A view as of one catalog version.
///
/// Its text is kept as it was written. What the text's names mean is kept beside it, by OID, so
/// that the view goes on meaning the same when tables are renamed, moved or get new columns, and
/// when another table comes earlier on the search path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewDef {
    /// Its OID.
    pub id: u64,
    /// The schema it is in.
    pub schema_name: String,
    /// Its name.
    pub name: String,
    /// Its columns; none has a default.
    pub columns: Vec<ColumnDef>,
    /// The query, as SQL text.
    pub query: String,
    /// Where its creator's unqualified names were looked up: system relations still are.
    pub search_path: Vec<String>,
    /// The tables and views that the query names.
    pub relations: Vec<ViewRelation>,
}

/// A table or view in a view's query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewRelation {
    /// What the query calls it.
    pub named: NamedRelation,
    /// The columns it had when the view was created.
    pub columns: Vec<ViewColumn>,
}

/// A name that stands for a table or view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedRelation {
    /// The schema, if it was written.
    pub schema: Option<String>,
    /// The name, as it was written.
    pub name: String,
    /// The OID of what it stands for.
    pub id: u64,
}

/// A column of a table or view in a view's query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewColumn {
    /// Its id in its table.
    pub id: u32,
    /// What the query calls it.
    pub name: String,
    /// Does the view need it?
    pub is_used: bool,
}

impl ViewDef {
    /// What a name in the query stands for; `None`: for nothing in the catalog.
    pub fn relation(&self, schema: Option<&str>, name: &str) -> Option<&ViewRelation> {
        self.relations.iter().find(|r| r.named.schema.as_deref() == schema && r.named.name == name)
    }

    /// Does the query need this relation?
    pub fn uses(&self, id: u64) -> bool {
        self.relations.iter().any(|r| r.named.id == id)
    }

    /// Does the query need this column of this relation?
    pub fn uses_column(&self, id: u64, column: u32) -> bool {
        let of_relation = self.relations.iter().filter(|r| r.named.id == id);
        of_relation.flat_map(|r| &r.columns).any(|c| c.id == column && c.is_used)
    }
}

impl ViewRelation {
    /// These columns as the query knows them: under their old names, without later ones.
    pub fn columns_of(&self, columns: &[ColumnDef]) -> Vec<ColumnDef> {
        let as_known = |known: &ViewColumn| {
            let column = columns.iter().find(|c| c.id == known.id)?;
            Some(ColumnDef { name: known.name.clone(), ..column.clone() })
        };
        self.columns.iter().filter_map(as_known).collect()
    }

    /// The table as the query knows it.
    pub fn table(&self, table: &TableDef) -> TableDef {
        let columns = self.columns_of(&table.columns);
        let renamed = columns.iter().filter_map(|column| {
            let now = &table.column_by_id(column.id)?.name;
            (*now != column.name).then(|| (column.id, now.clone()))
        });
        TableDef { shard_names: renamed.collect(), columns, ..table.clone() }
    }
}

impl Catalog {
    /// The view of this id.
    pub fn view_by_id(&self, id: u64) -> Option<&std::sync::Arc<ViewDef>> {
        self.views.values().find(|v| v.id == id)
    }

    /// The columns of the table or view of this id.
    pub fn columns_by_id(&self, id: u64) -> Option<&[ColumnDef]> {
        let of_table = self.table_by_id(id).map(|t| t.columns.as_slice());
        of_table.or_else(|| self.view_by_id(id).map(|v| v.columns.as_slice()))
    }
}
