//! Partitioned tables: one that is partitioned has no rows of its own, its partitions have them. They
//! are tables of their own with the same columns, under the same ids, and the same distribution.

use datafusion::common::ScalarValue;
use kestrel_proto::Result;
use serde::{Deserialize, Serialize};

use super::{ColumnDef, TableDef};
use crate::{
    codec::{decode_value, encode_value},
    parse::quote,
};

/// PARTITION BY
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionedBy {
    /// How bounds divide the rows.
    pub strategy: PartitionStrategy,
    /// The partition key: column ids, in order.
    pub columns: Vec<u32>,
    /// How partitions that Greenplum's words make are partitioned themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Box<PartitionTemplate>>,
}

/// SUBPARTITION BY, SUBPARTITION TEMPLATE
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionTemplate {
    /// How each partition is partitioned; with a template of its own, if these are, too.
    pub by: PartitionedBy,
    /// What each has then: short names and bounds.
    pub partitions: Vec<(String, PartitionBound)>,
}

/// How bounds divide the rows of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartitionStrategy {
    /// From a value, inclusive, to another, exclusive
    Range,
    /// Some values
    List,
    /// A remainder of the key's hash
    Hash,
}

/// What a partition is of, and which rows it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionOf {
    /// The partitioned table.
    pub parent: u64,
    /// Its rows.
    pub bound: PartitionBound,
}

/// Which rows a partition takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartitionBound {
    /// FROM … TO …: one end per column of the key
    Range {
        /// Inclusive.
        from: Vec<RangeEnd>,
        /// Exclusive.
        to: Vec<RangeEnd>,
    },
    /// IN (…); `None`: NULL
    List(Vec<Option<BoundValue>>),
    /// WITH (MODULUS …, REMAINDER …): of the key's hash, PostgreSQL's ([`crate::placement`])
    Hash {
        /// At least 1.
        modulus: u32,
        /// Less than the modulus.
        remainder: u32,
    },
    /// DEFAULT: what no other partition takes
    Default,
}

/// One column of one end of a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RangeEnd {
    /// MINVALUE: less than all values
    MinValue,
    /// A value
    Value(BoundValue),
    /// MAXVALUE: greater than all values
    MaxValue,
}

/// A value in a bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundValue {
    /// [`encode_value`], in the type of its column.
    pub value: String,
    /// As SQL: `10`, `'2024-01-01'`.
    pub text: String,
}

impl PartitionedBy {
    /// The columns of the partition key, and of those of its templates.
    pub fn all_columns(&self) -> Vec<u32> {
        let below = self.template.iter().flat_map(|template| template.by.all_columns());
        self.columns.iter().copied().chain(below).collect()
    }
}

impl PartitionStrategy {
    /// `RANGE`
    pub fn word(self) -> &'static str {
        match self {
            Self::Range => "RANGE",
            Self::List => "LIST",
            Self::Hash => "HASH",
        }
    }

    /// As in `pg_partitioned_table.partstrat`.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Range => "r",
            Self::List => "l",
            Self::Hash => "h",
        }
    }
}

impl BoundValue {
    /// Of a value that is not NULL.
    pub fn new(value: &ScalarValue, text: String) -> Result<Self> {
        Ok(Self { value: encode_value(value)?, text })
    }

    /// The value.
    pub fn decoded(&self) -> Result<ScalarValue> {
        decode_value(&self.value)
    }
}

impl RangeEnd {
    /// As SQL.
    pub fn text(&self) -> &str {
        match self {
            Self::MinValue => "MINVALUE",
            Self::Value(value) => &value.text,
            Self::MaxValue => "MAXVALUE",
        }
    }
}

impl PartitionBound {
    /// As PostgreSQL prints it: `FOR VALUES FROM (1) TO (10)`, `FOR VALUES IN ('a', NULL)`,
    /// `FOR VALUES WITH (modulus 4, remainder 0)`, `DEFAULT`.
    pub fn text(&self) -> String {
        match self {
            Self::Range { from, to } => {
                format!("FOR VALUES FROM {} TO {}", ends_text(from), ends_text(to))
            }
            Self::List(values) => {
                let texts = values.iter().map(|v| v.as_ref().map_or("NULL", |v| &v.text));
                format!("FOR VALUES IN ({})", texts.collect::<Vec<_>>().join(", "))
            }
            Self::Hash { modulus, remainder } => {
                format!("FOR VALUES WITH (modulus {modulus}, remainder {remainder})")
            }
            Self::Default => "DEFAULT".into(),
        }
    }
}

/// `(1, MAXVALUE)`
pub fn ends_text(ends: &[RangeEnd]) -> String {
    format!("({})", ends.iter().map(RangeEnd::text).collect::<Vec<_>>().join(", "))
}

impl TableDef {
    /// The columns of the partition key; none of a table that is not partitioned.
    pub fn partition_columns(&self) -> Vec<&ColumnDef> {
        let ids = self.partitioned_by.iter().flat_map(|by| &by.columns);
        ids.filter_map(|id| self.column_by_id(*id)).collect()
    }

    /// The clause that declares the partition key, without its first words: `RANGE (a, b)`.
    pub fn partition_key(&self) -> Option<String> {
        let by = self.partitioned_by.as_ref()?;
        let names: Vec<_> = self.partition_columns().iter().map(|c| quote(&c.name)).collect();
        Some(format!("{} ({})", by.strategy.word(), names.join(", ")))
    }

    /// The table that it is a partition of.
    pub fn parent_id(&self) -> Option<u64> {
        self.partition_of.as_ref().map(|of| of.parent)
    }

    /// Takes it the rows that no other partition takes?
    pub fn is_default_partition(&self) -> bool {
        self.partition_of.as_ref().is_some_and(|of| of.bound == PartitionBound::Default)
    }
}
