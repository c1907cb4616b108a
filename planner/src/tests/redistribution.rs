//! Moving rows to another distribution: datanodes do all of it, whatever the two distributions are.

use std::{collections::BTreeSet, sync::Arc};

use super::{Golden, with_datanodes};
use crate::{
    catalog::{CatalogChange, DatanodeDef, Distribution, KES, TableDef},
    functions::FunctionRegistry,
    operators::{RowChangeKind, database_tables, is_all_one_scan},
    parse::parse,
    plan::{InsertPlan, Planner, RowChange, RowChangePlan},
    redistribution::{copied_rows, lost_rows, source, target},
};

#[test]
fn datanodes_move_rows() {
    let functions = FunctionRegistry::new();
    let planner = Planner::new(&functions);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let distributions = [
        Distribution::Hash(vec![1]),
        Distribution::Hash(vec![2, 1]),
        Distribution::Random,
        Distribution::Replicated,
    ];
    for from in &distributions {
        for to in &distributions {
            let catalog = Arc::new(with_datanodes(3));
            let functions = Arc::clone(&functions);
            let mut golden = Golden { catalog, functions, planner: &planner, runtime: &runtime };
            golden.ddl("CREATE TABLE t (a int, b int) DISTRIBUTED BY (a)");
            golden.fill_each("t", &[100, 50, 50]);
            let table = golden.catalog.table("public", "t").unwrap();
            let before = TableDef { distribution: from.clone(), ..table.as_ref().clone() };
            let after = TableDef { distribution: to.clone(), ..before.without_segments() };
            let source = Arc::new(source(&before, before.segments.clone()));
            let segments = before.segments.clone();
            let target = Arc::new(TableDef { segments, ..target(&after) });
            let context = golden.context();
            let copied = copied_rows(&source, &golden.catalog).unwrap();
            let insert = planner.plan_insert(&copied, &target, &context);
            let insert = runtime.block_on(insert).unwrap();
            assert!(matches!(insert, InsertPlan::Distributed(_)), "{from:?} {to:?}");
            let lost = lost_rows(&target, &source, &[(0, 1), (1, 2)], &golden.catalog).unwrap();
            let change = RowChange {
                table: &target,
                kind: RowChangeKind::Delete,
                is_joined: true,
                moves_rows: false,
                is_routed: false,
                is_returned: false,
            };
            let delete = planner.plan_row_change(&lost, &change, &context);
            let delete = runtime.block_on(delete).unwrap();
            assert!(matches!(delete, RowChangePlan::Distributed(_)), "{from:?} {to:?}");
        }
    }
}

/// Of such plans the first row tells that their scan has begun.
#[test]
fn plans_that_are_one_scan_of_a_database() {
    let functions = FunctionRegistry::new();
    let planner = Planner::new(&functions);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let catalog = with_datanodes(3);
    let datanodes = catalog.datanodes.iter().cloned();
    let datanodes = datanodes.map(|datanode| DatanodeDef { shard_kind: KES.into(), ..datanode });
    let datanodes = datanodes.collect();
    let change = CatalogChange::SetDatanodes { datanodes, bucket_map_version: 1 };
    let catalog = Arc::new(catalog.apply(&[change]).unwrap());
    let mut golden = Golden { catalog, functions, planner: &planner, runtime: &runtime };
    golden.ddl("CREATE TABLE t (a int, b int) DISTRIBUTED BY (a)");
    golden.ddl("CREATE TABLE u (a int, b int) DISTRIBUTED BY (a)");
    for (sql, into, tables, expected) in [
        ("SELECT b FROM t WHERE a = 1", None, 1, true),
        ("SELECT count(*) FROM t", None, 1, true),
        ("SELECT b FROM t WHERE a = 1 UNION ALL SELECT 1", None, 1, false),
        ("SELECT t.b FROM t JOIN u ON t.a = u.a WHERE t.a = 1", None, 2, false),
        ("SELECT b FROM t WHERE a = 1 UNION ALL SELECT b FROM t WHERE a = 2", None, 1, false),
        ("SELECT b, a FROM t", Some("u"), 1, false),
        ("SELECT 1", None, 0, false),
    ] {
        let plan = golden.plan(&parse(sql).unwrap().remove(0), into).unwrap();
        let slices = || plan.slices.iter().map(|slice| &slice.plan);
        assert_eq!(is_all_one_scan(slices()), expected, "{sql}");
        let found: BTreeSet<_> = slices().flat_map(database_tables).collect();
        assert_eq!(found.len(), tables, "{sql}");
    }
}
