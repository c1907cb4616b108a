//! Names of GROUP BY's keys that are casts.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    common::tree_node::{Transformed, TransformedResult},
    error::Result,
    logical_expr::{Aggregate, Expr, LogicalPlan, Projection},
};

/// Gives keys names of their own where two have one. A cast has the name of what is cast, so that
/// `GROUP BY ts::date, ts` has a key `"t.ts"` and a key `t.ts`; DataFusion's rule for DISTINCT
/// aggregates makes a projection of them and finds the name there twice.
///
/// ```text
///                                      Projection: key_0 AS "t.ts", t.ts, count(DISTINCT t.v)
///   Aggregate: [ts::date, ts]    =>      Aggregate: [ts::date AS key_0, ts]
/// ```
pub(crate) fn name_group_keys(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Aggregate(aggregate) if has_equal_names(&aggregate) => {
            named(aggregate).map(Transformed::yes)
        }
        other => Ok(Transformed::no(other)),
    })
    .data()
}

fn has_equal_names(aggregate: &Aggregate) -> bool {
    let is_set = matches!(aggregate.group_expr.first(), Some(Expr::GroupingSet(_)));
    let mut names = BTreeSet::new();
    !is_set && !aggregate.schema.columns().iter().all(|column| names.insert(column.flat_name()))
}

fn named(aggregate: Aggregate) -> Result<LogicalPlan> {
    let outputs = aggregate.schema.columns();
    let Aggregate { input, mut group_expr, aggr_expr, .. } = aggregate;
    let computed = group_expr.iter_mut().enumerate().filter(|(_, key)| key.try_as_col().is_none());
    for (at, key) in computed {
        *key = std::mem::take(key).unalias().alias(format!("kestrel_group_key_{at}"));
    }
    let aggregate = Aggregate::try_new(input, group_expr, aggr_expr)?;
    let columns = aggregate.schema.columns().into_iter().zip(outputs);
    let columns = columns.map(|(column, output)| match column == output {
        true => Expr::Column(column),
        false => Expr::Column(column).alias_qualified(output.relation, output.name),
    });
    let columns = columns.collect();
    let aggregate = Arc::new(LogicalPlan::Aggregate(aggregate));
    Projection::try_new(columns, aggregate).map(LogicalPlan::Projection)
}
