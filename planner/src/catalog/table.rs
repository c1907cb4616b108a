//! A table: columns, keys, distribution, and the segments that hold its rows.

use std::{collections::BTreeMap, sync::Arc};

use arrow::datatypes::{Schema, SchemaRef};
use kestrel_proto::{DatanodeId, TableId, message};
use serde::{Deserialize, Serialize};

use super::{Distribution, SqlType};
use crate::parse::quote;

/// The key in a scanned field's metadata under which the value stands that files without the
/// column have in it (`codec::encode_value`).
pub const MISSING_VALUE_METADATA: &str = "kestrel.missing_value";

/// A table as of one catalog version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableDef {
    /// Never used again; the table's OID.
    pub id: u64,
    /// The schema it is in.
    pub schema_name: String,
    /// Its name.
    pub name: String,
    /// In the order of `SELECT *`.
    pub columns: Vec<ColumnDef>,
    /// Where its rows are.
    pub distribution: Distribution,
    /// PRIMARY KEY.
    pub primary_key: Option<KeyDef>,
    /// UNIQUE constraints.
    pub unique_keys: Vec<KeyDef>,
    /// The files that hold its rows, on all datanodes.
    pub segments: Vec<Arc<Segment>>,
    /// CREATE INDEX
    #[serde(default)]
    pub indexes: Vec<IndexDef>,
    /// CHECK constraints, in the order of their names.
    #[serde(default)]
    pub checks: Vec<CheckDef>,
    /// The largest column id there ever was; 0: that of a column that is there.
    #[serde(default)]
    pub last_column_id: u32,
    /// By column id, what rows have in a column that came later than they: its default then
    /// (`codec::encode_value`). NULL where there is no entry.
    #[serde(default)]
    pub missing_values: BTreeMap<u32, String>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnDef {
    /// 1, 2, …; never used again in this table. It is PostgreSQL's `attnum`.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Its type.
    pub sql_type: SqlType,
    /// NOT NULL was declared.
    pub not_null: bool,
    /// DEFAULT, as SQL text.
    pub default: Option<String>,
}

/// A PRIMARY KEY or UNIQUE constraint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDef {
    /// The constraint's name.
    pub name: String,
    /// The index's OID.
    pub id: u64,
    /// Column ids, in order.
    pub columns: Vec<u32>,
}

/// What CREATE INDEX made. Only a unique one does anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexDef {
    /// Its name, OID and columns.
    pub key: KeyDef,
    /// UNIQUE
    pub is_unique: bool,
}

/// A CHECK constraint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckDef {
    /// Its name.
    pub name: String,
    /// Its OID.
    pub id: u64,
    /// The condition, as SQL text over the table's columns.
    pub condition: String,
    /// The ids of the columns it names.
    pub columns: Vec<u32>,
}

/// An immutable columnar file on one datanode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Where it is.
    pub datanode: u32,
    /// Unique on its datanode.
    pub id: u64,
    /// `message::SegmentKind`.
    pub kind: i32,
    /// Relative to the datanode's data directory.
    pub file: String,
    /// Where in the file it begins, in bytes.
    pub offset: u64,
    /// Its length in the file, in bytes.
    pub length: u64,
    /// Rows in it, deleted ones too.
    pub rows: u64,
    /// Bytes in memory, as Arrow.
    pub bytes: u64,
    /// Minimum and maximum per column, in the store's form.
    pub zone_summary: Vec<u8>,
    /// The delete vector; 0: none.
    pub delete_vector: u64,
    /// crc32c of the file's bytes.
    pub checksum: u32,
}

impl TableDef {
    /// The id as a newtype.
    pub fn table_id(&self) -> TableId {
        TableId(self.id)
    }

    /// All columns as an Arrow schema. Nullability is what was declared.
    pub fn arrow_schema(&self) -> SchemaRef {
        let fields = self.columns.iter().map(|c| c.sql_type.field(&c.name, !c.not_null));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// The schema for readers of files: it tells what files have in columns that they lack.
    pub fn scan_schema(&self) -> SchemaRef {
        let plain = self.arrow_schema();
        if self.missing_values.is_empty() {
            return plain;
        }
        let fields = self.columns.iter().zip(plain.fields()).map(|(column, field)| {
            let mut field = field.as_ref().clone();
            if let Some(value) = self.missing_values.get(&column.id) {
                let mut metadata = field.metadata().clone();
                metadata.insert(MISSING_VALUE_METADATA.to_string(), value.clone());
                field = field.with_metadata(metadata);
            }
            field
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// Column ids, in schema order.
    pub fn column_ids(&self) -> Vec<u32> {
        self.columns.iter().map(|c| c.id).collect()
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&ColumnDef> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// The column of this id.
    pub fn column_by_id(&self, id: u32) -> Option<&ColumnDef> {
        self.columns.iter().find(|c| c.id == id)
    }

    /// The position of a column id in the schema.
    pub fn column_index(&self, id: u32) -> Option<usize> {
        self.columns.iter().position(|c| c.id == id)
    }

    /// What no two rows may have in common: PRIMARY KEY, UNIQUE, CREATE UNIQUE INDEX.
    pub fn unique_sets(&self) -> impl Iterator<Item = &KeyDef> {
        let indexes = self.indexes.iter().filter(|index| index.is_unique).map(|index| &index.key);
        self.primary_key.iter().chain(&self.unique_keys).chain(indexes)
    }

    /// An id for a new column.
    pub fn next_column_id(&self) -> u32 {
        let present = self.columns.iter().map(|c| c.id).max().unwrap_or(0);
        self.last_column_id.max(present) + 1
    }

    /// The table without its rows.
    pub fn without_segments(&self) -> Self {
        Self { segments: Vec::new(), ..self.clone() }
    }

    /// The columns of the distribution key; empty unless the distribution is Hash.
    pub fn distribution_columns(&self) -> Vec<&ColumnDef> {
        match &self.distribution {
            Distribution::Hash(ids) => ids.iter().filter_map(|id| self.column_by_id(*id)).collect(),
            Distribution::Replicated | Distribution::Random => Vec::new(),
        }
    }

    /// The segments on one datanode.
    pub fn segments_on(&self, datanode: DatanodeId) -> impl Iterator<Item = &Arc<Segment>> {
        self.segments.iter().filter(move |s| s.datanode == datanode.0)
    }

    /// Rows and bytes on one datanode.
    pub fn size_on(&self, datanode: DatanodeId) -> (u64, u64) {
        self.segments_on(datanode).fold((0, 0), |(r, b), s| (r + s.rows, b + s.bytes))
    }

    /// The clause that declares the distribution: `DISTRIBUTED BY (a, b)`.
    pub fn distributed_clause(&self) -> String {
        match &self.distribution {
            Distribution::Hash(_) => {
                let columns = self.distribution_columns().into_iter();
                let names: Vec<_> = columns.map(|c| quote(&c.name)).collect();
                format!("DISTRIBUTED BY ({})", names.join(", "))
            }
            Distribution::Replicated => "DISTRIBUTED REPLICATED".into(),
            Distribution::Random => "DISTRIBUTED RANDOMLY".into(),
        }
    }
}

impl Segment {
    /// From what a datanode reported.
    pub fn from_message(datanode: DatanodeId, m: message::SegmentRef) -> Self {
        Self {
            datanode: datanode.0,
            id: m.id,
            kind: m.kind,
            file: m.file,
            offset: m.offset,
            length: m.length,
            rows: m.rows,
            bytes: m.bytes,
            zone_summary: m.zone_summary.to_vec(),
            delete_vector: m.delete_vector,
            checksum: m.checksum,
        }
    }

    /// As a fragment carries it.
    pub fn to_message(&self) -> message::SegmentRef {
        message::SegmentRef {
            id: self.id,
            kind: self.kind,
            file: self.file.clone(),
            offset: self.offset,
            length: self.length,
            rows: self.rows,
            bytes: self.bytes,
            zone_summary: self.zone_summary.clone().into(),
            delete_vector: self.delete_vector,
            checksum: self.checksum,
        }
    }
}
