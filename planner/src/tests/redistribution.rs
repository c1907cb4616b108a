//! Moving rows to another distribution: datanodes do all of it, whatever the two distributions are.

use std::sync::Arc;

use super::{Golden, with_datanodes};
use crate::{
    catalog::{Distribution, TableDef},
    functions::FunctionRegistry,
    operators::RowChangeKind,
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
