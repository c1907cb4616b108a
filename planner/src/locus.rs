//! Where an operator's rows are, as the planner knows it.
//!
//! The kinds are those of Greenplum's `src/include/cdb/cdbpathlocus.h`, less the ones that a
//! coordinator which only receives does not need.

use std::{collections::BTreeSet, fmt};

use crate::catalog::HashClass;

/// Where an operator's rows are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locus {
    /// The same rows wherever the operator runs, the coordinator included: constants.
    General,
    /// All rows on every datanode: a replicated table, or the receiving end of a Broadcast.
    Replicated,
    /// All rows in one process.
    Single,
    /// Each row on the datanode that owns the bucket of its key.
    Hashed(HashedLocus),
    /// Each row on one datanode; which one is not known.
    Strewn,
}

/// The key rows are placed by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashedLocus {
    /// In the order they are hashed in.
    pub keys: Vec<LocusKey>,
    /// Rows with a NULL key may be anywhere (after a full join): good for joins, not for
    /// grouping. Greenplum's HashedOJ.
    pub nulls_anywhere: bool,
}

/// One key column: all output columns that hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocusKey {
    /// Output columns equal to the key in every row; never empty.
    pub columns: BTreeSet<usize>,
    /// How its values hash.
    pub class: HashClass,
}

impl Locus {
    /// Hashed by one column per key.
    pub fn hashed(keys: impl IntoIterator<Item = (usize, HashClass)>) -> Self {
        let keys = keys
            .into_iter()
            .map(|(column, class)| LocusKey { columns: [column].into(), class })
            .collect();
        Self::Hashed(HashedLocus { keys, nulls_anywhere: false })
    }

    /// Is the data in disjoint parts on several datanodes?
    pub fn is_partitioned(&self) -> bool {
        match self {
            Self::Hashed(_) | Self::Strewn => true,
            Self::General | Self::Replicated | Self::Single => false,
        }
    }

    /// Where rows are made of these that may differ from copy to copy: once.
    pub fn once(self) -> Self {
        if self.is_partitioned() { self } else { Self::Single }
    }

    /// Are rows that are here also where the other says?
    pub fn is_also(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Hashed(here), Self::Hashed(there)) => {
                let is_key = |(here, there): (&LocusKey, &LocusKey)| {
                    here.class == there.class && there.columns.is_subset(&here.columns)
                };
                here.keys.len() == there.keys.len()
                    && (there.nulls_anywhere || !here.nulls_anywhere)
                    && here.keys.iter().zip(&there.keys).all(is_key)
            }
            (here, there) => here == there,
        }
    }

    /// The locus after a projection; `map` gives the new positions of an old column. A key that
    /// no output column holds any more leaves the rows Strewn.
    pub fn project(&self, map: impl Fn(usize) -> Vec<usize>) -> Self {
        let Self::Hashed(hashed) = self else { return self.clone() };
        let keys: Option<Vec<_>> = hashed
            .keys
            .iter()
            .map(|key| {
                let columns: BTreeSet<_> = key.columns.iter().flat_map(|c| map(*c)).collect();
                (!columns.is_empty()).then_some(LocusKey { columns, class: key.class })
            })
            .collect();
        match keys {
            Some(keys) => Self::Hashed(HashedLocus { keys, nulls_anywhere: hashed.nulls_anywhere }),
            None => Self::Strewn,
        }
    }

    /// Are all rows that agree on these columns (NULLs included) in one place?
    pub fn groups_together(&self, columns: &BTreeSet<usize>) -> bool {
        match self {
            Self::General | Self::Replicated | Self::Single => true,
            Self::Hashed(hashed) => {
                !hashed.nulls_anywhere
                    && hashed.keys.iter().all(|key| !key.columns.is_disjoint(columns))
            }
            Self::Strewn => false,
        }
    }

    /// As EXPLAIN VERBOSE prints it.
    pub fn describe(&self, column_name: impl Fn(usize) -> String) -> String {
        match self {
            Self::General => "General".into(),
            Self::Replicated => "Replicated".into(),
            Self::Single => "Single".into(),
            Self::Strewn => "Strewn".into(),
            Self::Hashed(hashed) => {
                let name = if hashed.nulls_anywhere { "HashedOJ" } else { "Hashed" };
                let keys = hashed.keys.iter().filter_map(|k| k.columns.first().copied());
                format!("{name}({})", keys.map(column_name).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

impl fmt::Display for Locus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe(|column| format!("#{column}")))
    }
}
