//! Lateral joins: the right side for all values that it reads of the left one.

use std::sync::Arc;

use datafusion::{
    common::{JoinType, Result},
    logical_expr::Join,
};

use super::{
    Names,
    dependent::{Pushed, pushed},
    domain::Domain,
    joinable::lateral_by_join,
};

/// The join with a right side that does not read the left one; its columns are more then. `None`: it
/// reads nothing, or DataFusion can join it.
pub(super) fn without_lateral(join: &Join, names: &Names) -> Result<Option<Join>> {
    if !matches!(join.join_type, JoinType::Inner | JoinType::Left) || lateral_by_join(join)? {
        return Ok(None);
    }
    let domain = Domain::of(&join.right, &join.left)?;
    if domain.is_empty() {
        return Ok(None);
    }
    let Pushed { plan, keys } = pushed(&join.right, &domain, names)?;
    let mut on = join.on.clone();
    on.extend(domain.equalities(domain.columns(), &keys)?);
    Join::try_new(
        Arc::clone(&join.left),
        Arc::new(plan),
        on,
        join.filter.clone(),
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )
    .map(Some)
}
