//! What generated queries contain: counted, so that a test can assert that nothing is left out.

use std::collections::BTreeMap;

/// Every feature that a run of the usual length must contain.
pub(crate) const REQUIRED: &[&str] = &[
    "aggregate filter",
    "aggregate without group by",
    "between",
    "case",
    "coalesce",
    "correlated by an inequality",
    "count distinct",
    "cross join",
    "cte",
    "cte used twice",
    "date arithmetic",
    "derived table",
    "distinct",
    "distinct over group by",
    "error: cast",
    "error: division by zero",
    "error: domain",
    "error: numeric overflow",
    "error: overflow",
    "error: several rows",
    "except",
    "except all",
    "exists",
    "exists, correlated",
    "extract",
    "full join",
    "group by",
    "group by expression",
    "having",
    "in list",
    "in subquery",
    "in subquery, correlated",
    "inner join",
    "intersect",
    "intersect all",
    "is distinct from",
    "join on char",
    "join on date",
    "join on numbers of two types",
    "join on several keys",
    "join on text",
    "join using",
    "left join",
    "like",
    "limit",
    "non-equi join",
    "not exists",
    "not in list",
    "not in subquery",
    "not in with a single null",
    "nullif",
    "offset",
    "one-sided join condition",
    "order by",
    "right join",
    "scalar subquery",
    "scalar subquery, correlated",
    "self join",
    "set operation under a set operation",
    "string function",
    "subquery under or",
    "sum distinct",
    "top n per group",
    "union",
    "union all",
    "values",
    "wide integers",
    "window aggregate",
    "window frame",
    "window lag or lead",
    "window over group by",
    "window rank",
    "window row_number",
];

/// How often each feature occurred.
#[derive(Clone, Debug, Default)]
pub(crate) struct Features(pub(crate) BTreeMap<&'static str, usize>);

impl Features {
    /// Counts one occurrence.
    pub(crate) fn note(&mut self, feature: &'static str) {
        *self.0.entry(feature).or_default() += 1;
    }

    /// Adds another count.
    pub(crate) fn add(&mut self, other: &Self) {
        for (feature, count) in &other.0 {
            *self.0.entry(feature).or_default() += count;
        }
    }

    /// The required features that did not occur.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        REQUIRED.iter().copied().filter(|f| !self.0.contains_key(f)).collect()
    }
}
