//! The statistics of columns together: what CREATE STATISTICS asks for.

use serde::{Deserialize, Serialize};

/// What ANALYZE has found out about the columns of one CREATE STATISTICS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnGroup {
    /// The statistics object's OID.
    pub statistics: u64,
    /// `ndistinct`: one for each set of two columns or more. Empty: not asked for.
    pub distinct: Vec<GroupDistinct>,
    /// `dependencies`; those of degree 0 are left out.
    pub dependencies: Vec<Dependency>,
}

/// How many distinct combinations columns have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupDistinct {
    /// Column ids, ascending.
    pub columns: Vec<u32>,
    /// Combinations, NULLs counted as a value.
    pub distinct: f64,
}

/// That some columns' values determine another's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dependency {
    /// Column ids, ascending.
    pub from: Vec<u32>,
    /// The column that they determine.
    pub to: u32,
    /// 0 … 1: the part of the rows of which that is true.
    pub degree: f64,
}
