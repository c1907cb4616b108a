//! Filters that give a column a value.

use std::sync::Arc;

use datafusion::{
    common::ScalarValue,
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, Column, Literal},
        split_conjunction,
    },
};

use crate::catalog::TableDef;

/// The columns that must have a value, by their positions, and the values: `column = constant`,
/// either way round.
pub(crate) fn equalities(filters: &[Arc<dyn PhysicalExpr>]) -> Vec<(usize, ScalarValue)> {
    filters.iter().flat_map(split_conjunction).filter_map(equality).collect()
}

fn equality(expr: &Arc<dyn PhysicalExpr>) -> Option<(usize, ScalarValue)> {
    let binary = expr.downcast_ref::<BinaryExpr>().filter(|b| *b.op() == Operator::Eq)?;
    let sides = [(binary.left(), binary.right()), (binary.right(), binary.left())];
    sides.into_iter().find_map(|(column, constant)| {
        let column = column.downcast_ref::<Column>()?;
        let constant = constant.downcast_ref::<Literal>()?;
        Some((column.index(), constant.value().clone()))
    })
}

/// Whether no more than one row of a table passes all filters, over the table's columns: they give
/// each column of a unique key a value.
pub(crate) fn leaves_one_row(filters: &[Arc<dyn PhysicalExpr>], table: &TableDef) -> bool {
    let equal = equalities(filters);
    let is_given = |id: &u32| {
        let at = table.column_index(*id);
        at.is_some_and(|at| equal.iter().any(|(index, _)| *index == at))
    };
    let mut keys = table.unique_sets().filter(|key| !key.columns.is_empty());
    keys.any(|key| key.columns.iter().all(is_given))
}

#[cfg(test)]
pub(crate) mod tests {
    use datafusion::physical_expr::expressions::col;

    use super::*;
    use crate::{
        catalog::{Catalog, CatalogChange},
        ddl,
        parse::{StatementKind, parse},
    };

    pub(crate) fn new_table(sql: &str) -> TableDef {
        let StatementKind::Ddl(ddl) = &parse(sql).unwrap()[0].kind else { panic!("{sql}") };
        let plan = ddl::plan(ddl, &Catalog::empty(), &["public".into()]).unwrap();
        match plan.changes.into_iter().next() {
            Some(CatalogChange::CreateTable(table)) => table,
            other => panic!("{sql}: {other:?}"),
        }
    }

    #[test]
    fn a_key_with_values_leaves_one_row() {
        for (keys, columns, op, expected) in [
            (", PRIMARY KEY (a)", &["a"][..], Operator::Eq, true),
            (", PRIMARY KEY (a)", &["b", "a"], Operator::Eq, true),
            (", PRIMARY KEY (a, b)", &["a", "b"], Operator::Eq, true),
            (", PRIMARY KEY (a, b)", &["a"], Operator::Eq, false),
            (", PRIMARY KEY (a, b), UNIQUE (a, c)", &["c", "a"], Operator::Eq, true),
            (", PRIMARY KEY (a)", &["a"], Operator::Gt, false),
            (", PRIMARY KEY (a)", &[], Operator::Eq, false),
            ("", &["a", "b", "c"], Operator::Eq, false),
        ] {
            let table = format!("CREATE TABLE t (a int, b int, c int{keys}) DISTRIBUTED BY (a)");
            let table = new_table(&table);
            let schema = table.arrow_schema();
            let filters = columns.iter().map(|name| {
                let value = Arc::new(Literal::new(ScalarValue::Int32(Some(7))));
                let column = col(name, &schema).unwrap();
                Arc::new(BinaryExpr::new(column, op, value)) as Arc<dyn PhysicalExpr>
            });
            let filters: Vec<_> = filters.collect();
            assert_eq!(leaves_one_row(&filters, &table), expected, "{keys} {columns:?} {op}");
        }
    }
}
