//! Names of join keys that are casts.

use datafusion::{
    common::tree_node::{Transformed, TransformedResult},
    error::Result,
    logical_expr::{Expr, LogicalPlan},
};

use crate::functions::is_cast;

/// Gives join keys that are our casts names of their own. DataFusion computes keys in a projection
/// beside the input's columns; it names its own casts there, because a cast has the name of what is
/// cast, and so has ours.
pub(crate) fn name_join_keys(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(mut join) if join.on.iter().any(|(l, r)| is_cast(l) || is_cast(r)) => {
            let keys = join.on.iter_mut().flat_map(|(left, right)| [left, right]);
            keys.filter(|key| is_cast(key)).for_each(name);
            Ok(Transformed::yes(LogicalPlan::Join(join)))
        }
        other => Ok(Transformed::no(other)),
    })
    .data()
}

fn name(key: &mut Expr) {
    let name = key.to_string();
    *key = std::mem::take(key).alias(name);
}
