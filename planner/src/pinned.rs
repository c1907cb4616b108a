//! Filters that leave rows of one datanode only: they give each column of the distribution key a
//! value.

use std::sync::Arc;

use datafusion::physical_expr::PhysicalExpr;
use kestrel_proto::{BucketMap, DatanodeId};

use crate::{
    catalog::{Distribution, SqlType, TableDef},
    distribute::Placed,
    equality::equalities,
    operators::ShardScanExec,
    placement::buckets,
};

/// The one datanode that can have rows of a hash-distributed table that pass all these filters, over
/// the table's columns; `None`: there may be more.
pub(crate) fn owner(
    filters: &[Arc<dyn PhysicalExpr>],
    table: &TableDef,
    map: &BucketMap,
) -> Option<DatanodeId> {
    let equal = equalities(filters);
    let (mut values, mut classes) = (Vec::new(), Vec::new());
    for column in table.distribution_columns() {
        let at = table.column_index(column.id)?;
        let class = column.sql_type.hash_class()?;
        let (_, value) = equal.iter().find(|(index, _)| *index == at)?;
        let of_value = SqlType::of_arrow(&value.data_type())?.hash_class()?;
        // Equal values of another class have other hashes.
        if of_value != class || value.is_null() {
            return None;
        }
        values.push(value.to_array().ok()?);
        classes.push(class);
    }
    let bucket = buckets(&values, &classes).ok()?.first().copied()?;
    Some(map.owner(bucket))
}

/// The one datanode that a slice's rows can come from: all that it reads are tables in databases,
/// whose hash-distributed ones are pinned there.
pub(crate) fn only_executor(slice: &Placed, map: &BucketMap) -> Option<DatanodeId> {
    let mut pinned = Pinned::Anywhere;
    look(slice, map, &mut pinned);
    match pinned {
        Pinned::To(datanode) => Some(datanode),
        Pinned::Anywhere | Pinned::Nowhere => None,
    }
}

/// Where what was seen of a slice can run.
enum Pinned {
    /// Only replicated tables so far.
    Anywhere,
    To(DatanodeId),
    /// On several.
    Nowhere,
}

fn look(node: &Placed, map: &BucketMap, pinned: &mut Pinned) {
    let scan = node.plan.downcast_ref::<ShardScanExec>();
    let seen = match scan.filter(|scan| scan.table().is_on_shards()) {
        // Rows that come by a motion, or from no table.
        None if node.motion().is_some() || node.children.is_empty() => None,
        None => {
            node.children.iter().for_each(|child| look(child, map, pinned));
            return;
        }
        Some(scan) => match &scan.table().distribution {
            Distribution::Replicated => return,
            Distribution::Random => None,
            Distribution::Hash(_) => owner(scan.filters(), scan.table(), map),
        },
    };
    *pinned = match (seen, &*pinned) {
        (Some(datanode), Pinned::Anywhere) => Pinned::To(datanode),
        (Some(datanode), Pinned::To(other)) if datanode == *other => Pinned::To(datanode),
        (_, _) => Pinned::Nowhere,
    };
}

#[cfg(test)]
mod tests {
    use datafusion::{
        common::ScalarValue,
        logical_expr::Operator,
        physical_expr::expressions::{BinaryExpr, Literal, col},
    };

    use super::*;
    use crate::equality::tests::new_table;

    fn table(distributed: &str) -> TableDef {
        new_table(&format!("CREATE TABLE t (a int, b text, c numeric(9,2)) {distributed}"))
    }

    #[test]
    fn filters_that_leave_one_datanode() {
        let schema = table("DISTRIBUTED BY (a)").arrow_schema();
        let compare = |name: &str, op, value: ScalarValue, is_reversed: bool| {
            let column = col(name, &schema).unwrap();
            let value: Arc<dyn PhysicalExpr> = Arc::new(Literal::new(value));
            let (left, right) = if is_reversed { (value, column) } else { (column, value) };
            Arc::new(BinaryExpr::new(left, op, right)) as Arc<dyn PhysicalExpr>
        };
        let equal = |name: &str, value: ScalarValue| compare(name, Operator::Eq, value, false);
        let text = |value: &str| ScalarValue::Utf8View(Some(value.into()));
        let seven = ScalarValue::Int32(Some(7));
        let and = |left, right| -> Arc<dyn PhysicalExpr> {
            Arc::new(BinaryExpr::new(left, Operator::And, right))
        };
        let map = BucketMap::even(1, 4);
        for (key, filters, is_pinned) in [
            ("(a)", vec![equal("a", seven.clone())], true),
            ("(a)", vec![compare("a", Operator::Eq, seven.clone(), true)], true),
            ("(a)", vec![equal("a", ScalarValue::Int64(Some(7)))], true),
            ("(a)", vec![equal("b", text("x")), equal("a", seven.clone())], true),
            ("(a)", vec![and(equal("b", text("x")), equal("a", seven.clone()))], true),
            ("(a, b)", vec![equal("b", text("x")), equal("a", seven.clone())], true),
            ("(a, b)", vec![equal("a", seven.clone())], false),
            ("(a)", vec![], false),
            ("(a)", vec![compare("a", Operator::Gt, seven.clone(), false)], false),
            ("(a)", vec![equal("a", ScalarValue::Int32(None))], false),
            // A numeric 7 is in another bucket.
            ("(a)", vec![equal("a", ScalarValue::Decimal128(Some(700), 9, 2))], false),
        ] {
            let found = owner(&filters, &table(&format!("DISTRIBUTED BY {key}")), &map);
            assert_eq!(found.is_some(), is_pinned, "{key} {filters:?}");
        }
        let of_key = |value| owner(&[equal("a", value)], &table("DISTRIBUTED BY (a)"), &map);
        assert_eq!(of_key(seven), of_key(ScalarValue::Int64(Some(7))));
        let all: std::collections::BTreeSet<_> =
            (0..100).map(|i| of_key(ScalarValue::Int32(Some(i)))).collect();
        assert_eq!(all.len(), 4);
    }
}
