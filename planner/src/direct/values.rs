//! The values that filters leave to the columns of a distribution key, and where these belong.

use std::{collections::BTreeSet, sync::Arc};

use arrow::datatypes::Schema;
use datafusion::{
    common::ScalarValue,
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, Column, InListExpr, IsNullExpr, Literal},
    },
};
use kestrel_proto::{BucketMap, DatanodeId, Result};

use crate::{
    catalog::{HashClass, SqlType, TableDef},
    distribute::without_casts,
    error::report,
    placement::{bucket_of_hash, hash_column},
};

/// So many combinations of the key's values are hashed; of more, all datanodes will have some.
const COMBINATIONS_MAX: usize = 1024;

/// The datanodes that can have rows of a hash-distributed table that pass all these filters, over
/// the table's columns; `None`: any.
pub(crate) fn owners(
    filters: &[Arc<dyn PhysicalExpr>],
    table: &TableDef,
    map: &BucketMap,
) -> Option<BTreeSet<DatanodeId>> {
    if filters.is_empty() {
        return None;
    }
    let schema = table.arrow_schema();
    let mut key = Vec::new();
    let mut combinations = 1_usize;
    for column in table.distribution_columns() {
        let at = table.column_index(column.id)?;
        let column = KeyColumn { at, class: column.sql_type.hash_class()?, schema: &schema };
        let values = filters.iter().filter_map(|filter| column.values(filter));
        let values = values.min_by_key(Vec::len)?;
        combinations = combinations.saturating_mul(values.len());
        key.push((values, column.class));
    }
    if key.is_empty() || combinations > COMBINATIONS_MAX {
        return None;
    }
    let hashes = hashes(&key).ok()?;
    Some(hashes.into_iter().map(|hash| map.owner(bucket_of_hash(hash))).collect())
}

/// The hashes of all combinations of one value per column.
fn hashes(key: &[(Vec<ScalarValue>, HashClass)]) -> Result<Vec<u64>> {
    let mut rows = vec![0];
    for (values, class) in key {
        let before = std::mem::take(&mut rows);
        for value in values {
            let mut hashes = before.clone();
            let column = value.to_array_of_size(before.len()).map_err(report)?;
            hash_column(&column, *class, &mut hashes)?;
            rows.append(&mut hashes);
        }
    }
    Ok(rows)
}

/// A column of a distribution key.
struct KeyColumn<'a> {
    /// Its position in the table.
    at: usize,
    class: HashClass,
    /// The table's.
    schema: &'a Schema,
}

impl KeyColumn<'_> {
    /// The values that the column can have where a condition holds, NULL among them; `None`: any.
    fn values(&self, condition: &Arc<dyn PhysicalExpr>) -> Option<Vec<ScalarValue>> {
        if let Some(binary) = condition.downcast_ref::<BinaryExpr>() {
            return self.compared(binary);
        }
        if let Some(list) = condition.downcast_ref::<InListExpr>() {
            if list.negated() || !self.is_it(list.expr()) {
                return None;
            }
            let values: Option<Vec<_>> = list.list().iter().map(|v| self.constant(v)).collect();
            // Nothing is equal to NULL.
            return values.map(|values| values.into_iter().filter(|v| !v.is_null()).collect());
        }
        if let Some(is_null) = condition.downcast_ref::<IsNullExpr>() {
            return self.is_it(is_null.arg()).then(|| vec![ScalarValue::Null]);
        }
        let constant = condition.downcast_ref::<Literal>()?;
        match constant.value() {
            // It never holds.
            ScalarValue::Boolean(Some(false) | None) | ScalarValue::Null => Some(Vec::new()),
            _ => None,
        }
    }

    fn compared(&self, binary: &BinaryExpr) -> Option<Vec<ScalarValue>> {
        let (left, right) = (binary.left(), binary.right());
        match binary.op() {
            Operator::And => match (self.values(left), self.values(right)) {
                (Some(left), Some(right)) if right.len() < left.len() => Some(right),
                (Some(values), _) | (None, Some(values)) => Some(values),
                (None, None) => None,
            },
            Operator::Or => {
                let mut values = self.values(left)?;
                values.append(&mut self.values(right)?);
                Some(values)
            }
            Operator::Eq => {
                let value = self.other_side(left, right)?;
                Some(if value.is_null() { Vec::new() } else { vec![value] })
            }
            Operator::IsNotDistinctFrom => Some(vec![self.other_side(left, right)?]),
            _ => None,
        }
    }

    /// The constant that the column is compared to.
    fn other_side(
        &self,
        left: &Arc<dyn PhysicalExpr>,
        right: &Arc<dyn PhysicalExpr>,
    ) -> Option<ScalarValue> {
        match (self.is_it(left), self.is_it(right)) {
            (true, _) => self.constant(right),
            (_, true) => self.constant(left),
            (false, false) => None,
        }
    }

    /// Is an expression the column, maybe as another type whose values hash like its own?
    fn is_it(&self, expr: &Arc<dyn PhysicalExpr>) -> bool {
        let bare = without_casts(expr, self.schema);
        bare.downcast_ref::<Column>().is_some_and(|column| column.index() == self.at)
    }

    /// The value of an expression, if all that is equal to it hashes like it.
    fn constant(&self, expr: &Arc<dyn PhysicalExpr>) -> Option<ScalarValue> {
        let value = expr.downcast_ref::<Literal>()?.value();
        if value.is_null() {
            return Some(ScalarValue::Null);
        }
        let class = SqlType::of_arrow(&value.data_type())?.hash_class()?;
        // char(n) is held without trailing blanks: what is equal to a text is that text.
        let is_alike =
            class == self.class || (class, self.class) == (HashClass::Text, HashClass::Char);
        is_alike.then(|| value.clone())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::physical_expr::expressions::{CastExpr, col};

    use super::*;
    use crate::equality::tests::new_table;

    type Filter = Arc<dyn PhysicalExpr>;

    fn table(key: &str) -> TableDef {
        let columns = "a int, b text, c numeric(9,2), d char(5)";
        new_table(&format!("CREATE TABLE t ({columns}) DISTRIBUTED BY ({key})"))
    }

    fn literal(value: ScalarValue) -> Filter {
        Arc::new(Literal::new(value))
    }

    fn number(value: i32) -> ScalarValue {
        ScalarValue::Int32(Some(value))
    }

    fn text(value: &str) -> ScalarValue {
        ScalarValue::Utf8View(Some(value.into()))
    }

    fn column(name: &str) -> Filter {
        col(name, &table("a").arrow_schema()).unwrap()
    }

    fn binary(left: Filter, op: Operator, right: Filter) -> Filter {
        Arc::new(BinaryExpr::new(left, op, right))
    }

    fn compare(name: &str, op: Operator, value: ScalarValue) -> Filter {
        binary(column(name), op, literal(value))
    }

    fn equal(name: &str, value: ScalarValue) -> Filter {
        compare(name, Operator::Eq, value)
    }

    fn is_null(name: &str) -> Filter {
        Arc::new(IsNullExpr::new(column(name)))
    }

    fn in_list(name: &str, values: Vec<ScalarValue>, negated: bool) -> Filter {
        let schema = table("a").arrow_schema();
        let list = values.into_iter().map(literal).collect();
        Arc::new(InListExpr::try_new(column(name), list, negated, &schema).unwrap())
    }

    fn and(left: Filter, right: Filter) -> Filter {
        binary(left, Operator::And, right)
    }

    fn or(left: Filter, right: Filter) -> Filter {
        binary(left, Operator::Or, right)
    }

    /// The names of the owners; `None`: any datanode.
    fn found(key: &str, filters: &[Filter]) -> Option<String> {
        let owners = owners(filters, &table(key), &BucketMap::even(1, 3))?;
        Some(owners.iter().map(|owner| owner.name()).collect::<Vec<_>>().join(" "))
    }

    /// Which datanode has a key, PostgreSQL says: `satisfies_hash_partition` with modulus 4096.
    #[test]
    fn filters_and_the_datanodes_they_leave() {
        let wide = |name: &str| -> Filter {
            Arc::new(CastExpr::new(column(name), arrow::datatypes::DataType::Int64, None))
        };
        let numeric = ScalarValue::Decimal128(Some(900), 9, 2);
        let many = |count: i32| in_list("a", (0..count).map(number).collect(), false);
        let eq = Operator::Eq;
        for (key, filters, expected) in [
            ("a", vec![equal("a", number(9))], Some("dn2")),
            ("a", vec![binary(literal(number(9)), eq, column("a"))], Some("dn2")),
            ("a", vec![equal("a", ScalarValue::Int64(Some(9)))], Some("dn2")),
            ("a", vec![binary(wide("a"), eq, literal(ScalarValue::Int64(Some(9))))], Some("dn2")),
            ("a", vec![equal("b", text("x")), equal("a", number(9))], Some("dn2")),
            ("a", vec![and(equal("b", text("x")), equal("a", number(9)))], Some("dn2")),
            ("a", vec![or(equal("a", number(2)), equal("a", number(9)))], Some("dn1 dn2")),
            ("a", vec![or(equal("a", number(9)), equal("b", text("x")))], None),
            ("a", vec![in_list("a", vec![number(8), number(9)], false)], Some("dn2 dn3")),
            (
                "a",
                vec![in_list("a", vec![number(9), ScalarValue::Int32(None)], false)],
                Some("dn2"),
            ),
            ("a", vec![in_list("a", vec![number(9)], true)], None),
            ("a", vec![many(1000)], Some("dn1 dn2 dn3")),
            ("a", vec![many(2000)], None),
            // The condition that leaves fewer values.
            ("a", vec![many(1000), equal("a", number(9))], Some("dn2")),
            ("a", vec![is_null("a")], Some("dn1")),
            ("a", vec![or(is_null("a"), equal("a", number(9)))], Some("dn1 dn2")),
            ("a", vec![compare("a", Operator::IsNotDistinctFrom, number(9))], Some("dn2")),
            (
                "a",
                vec![compare("a", Operator::IsNotDistinctFrom, ScalarValue::Int32(None))],
                Some("dn1"),
            ),
            // Such rows are nowhere.
            ("a", vec![equal("a", ScalarValue::Int32(None))], Some("")),
            ("a", vec![literal(ScalarValue::Boolean(Some(false)))], Some("")),
            ("a", vec![literal(ScalarValue::Boolean(Some(true)))], None),
            ("a", vec![], None),
            ("a", vec![compare("a", Operator::Gt, number(9))], None),
            ("a", vec![compare("a", Operator::NotEq, number(9))], None),
            // A numeric 9 is in another bucket.
            ("a", vec![equal("a", numeric)], None),
            ("b", vec![equal("b", text("x"))], Some("dn1")),
            ("b", vec![in_list("b", vec![text("x"), text("a")], false)], Some("dn1 dn3")),
            // Hashes like the text without its blanks.
            ("d", vec![equal("d", text("x    "))], Some("dn1")),
            ("a, b", vec![equal("a", number(9))], None),
            ("a, b", vec![equal("b", text("x"))], None),
        ] {
            let expected = expected.map(String::from);
            assert_eq!(found(key, &filters), expected, "({key}) {filters:?}");
        }
    }

    #[test]
    fn combinations_of_the_keys_values() {
        let table = new_table("CREATE TABLE t (k int, l int) DISTRIBUTED BY (k, l)");
        let schema = table.arrow_schema();
        let is = |name: &str, value: i32| -> Filter {
            binary(col(name, &schema).unwrap(), Operator::Eq, literal(number(value)))
        };
        let no_l: Filter = Arc::new(IsNullExpr::new(col("l", &schema).unwrap()));
        let one_or_two = || or(is("l", 1), is("l", 2));
        for (filters, expected) in [
            (vec![is("k", 1), is("l", 1)], Some("dn3")),
            (vec![is("k", 1), is("l", 2)], Some("dn2")),
            (vec![and(is("k", 1), one_or_two())], Some("dn2 dn3")),
            // Of each column all values: (2, 1) is among the combinations.
            (vec![or(and(is("k", 1), is("l", 1)), and(is("k", 2), is("l", 2)))], Some("dn2 dn3")),
            (vec![is("k", 1), no_l], Some("dn3")),
            (vec![is("k", 1)], None),
        ] {
            let owners = owners(&filters, &table, &BucketMap::even(1, 3));
            let names = |owners: BTreeSet<DatanodeId>| {
                owners.iter().map(|owner| owner.name()).collect::<Vec<_>>().join(" ")
            };
            assert_eq!(owners.map(names), expected.map(String::from), "{filters:?}");
        }
    }
}
