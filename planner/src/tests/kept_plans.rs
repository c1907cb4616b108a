//! Plans that are kept: they are what would be made of the query now.

use std::sync::Arc;

use datafusion::common::{ParamValues, ScalarValue, metadata::ScalarAndMetadata};

use super::{Golden, printed, with_datanodes};
use crate::{
    catalog::{CatalogChange, SqlType},
    functions::FunctionRegistry,
    join_order::JoinOrderSettings,
    parse::parse,
    plan::{GenericPlan, Plan, PlanContext, Planner},
    statistics::TableStatistics,
};

/// A plan that was kept is, with its parameters' values, what these would have made of the query.
#[test]
fn kept_plans_are_those_of_their_values() {
    let functions = FunctionRegistry::new();
    let planner = Planner::new(&functions);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let catalog = Arc::new(with_datanodes(3));
    let mut golden = Golden { catalog, functions, planner: &planner, runtime: &runtime };
    golden.ddl(
        "CREATE TABLE t (k int, v int) DISTRIBUTED BY (k);
         CREATE TABLE u (k int, w text) DISTRIBUTED BY (k);
         CREATE TABLE p (k int, d int) DISTRIBUTED BY (k)
         PARTITION BY RANGE (d) (START (0) END (100) EVERY (10))",
    );
    for (sql, is_kept) in [
        ("SELECT v FROM t WHERE k = $1", true),
        ("SELECT v FROM t WHERE k IN ($1, 3)", true),
        ("SELECT v FROM t WHERE k = $1 + 1", true),
        ("SELECT $1 + v FROM t WHERE k = $1 ORDER BY v LIMIT 5", true),
        ("SELECT count(*) FROM t JOIN u ON t.k = u.k WHERE t.k = $1", true),
        ("SELECT w FROM u WHERE k = (SELECT max(k) FROM t WHERE v < $1)", true),
        ("SELECT w FROM u WHERE EXISTS (SELECT 1 FROM t WHERE t.k = u.k AND v = $1)", true),
        ("SELECT k FROM p WHERE d = $1", true),
        ("SELECT v FROM t UNION ALL SELECT k FROM u WHERE k = $1", true),
        ("SELECT v FROM t WHERE k = $1 LIMIT $1", false),
        ("SELECT v, random() FROM t WHERE k = $1", false),
        ("SELECT v FROM t WHERE k = $1 AND now() > timestamptz '2024-01-01'", false),
        ("SELECT i FROM generate_series(1, 5) AS s(i) WHERE i = $1", false),
        ("VALUES ($1::int)", false),
    ] {
        let bound = golden.bind(&parse(sql).unwrap()[0], &[Some(SqlType::Integer)]).unwrap();
        let generic = planner.generic(&bound, sql, &golden.context()).unwrap();
        assert_eq!(generic.is_some(), is_kept, "{sql}");
        let Some(generic) = generic.map(Arc::new) else { continue };
        // Rows come; what was kept before is planned over them.
        golden.fill("t", 30_000);
        golden.fill("p_1_prt_1", 3000);
        let path = ["public".to_string()];
        let present = generic.over(&golden.catalog, &path).unwrap();
        for value in ["2", "9"] {
            let number = ScalarValue::Int32(Some(value.parse().unwrap()));
            let values = ParamValues::List(vec![ScalarAndMetadata::new(number, None)]);
            let context = golden.context();
            let plan = planner.plan_generic(&present, Some(values), &context);
            let plan = runtime.block_on(plan).unwrap();
            let expected = golden.print(&sql.replace("$1", value), false, None);
            assert_eq!(printed(&plan, false), expected, "{sql}: {value}");
        }
    }
}

/// A kept plan is as good as the names and definitions it was made with.
#[test]
fn kept_plans_end_with_the_definitions_they_rest_on() {
    let functions = FunctionRegistry::new();
    let planner = Planner::new(&functions);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let catalog = Arc::new(with_datanodes(3));
    let mut golden = Golden { catalog, functions, planner: &planner, runtime: &runtime };
    golden.ddl("CREATE TABLE t (k int, v int) DISTRIBUTED BY (k); CREATE SCHEMA s");
    let sql = "SELECT v FROM t";
    let bound = golden.bind(&parse(sql).unwrap()[0], &[]).unwrap();
    let generic = planner.generic(&bound, sql, &golden.context()).unwrap().map(Arc::new).unwrap();
    let before = Arc::clone(&golden.catalog);
    let path = ["s".to_string(), "public".to_string()];
    let same = generic.over(&before, &path).unwrap();
    assert!(Arc::ptr_eq(&same, &generic));
    for (ddl, is_alive) in [
        ("CREATE TABLE other (k int) DISTRIBUTED BY (k)", true),
        ("ALTER TABLE t ADD COLUMN x int", false),
        ("ALTER TABLE t RENAME TO u", false),
        ("DROP TABLE t", false),
        ("CREATE TABLE s.t (k int) DISTRIBUTED BY (k)", false),
        ("CREATE SEQUENCE s.t", false),
    ] {
        golden.catalog = Arc::clone(&before);
        golden.ddl(ddl);
        assert_eq!(generic.over(&golden.catalog, &path).is_some(), is_alive, "{ddl}");
    }
}

/// What ANALYZE finds out reaches plans that were kept before.
#[test]
fn kept_plans_take_new_statistics() {
    let functions = FunctionRegistry::new();
    let planner = Planner::new(&functions);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let catalog = Arc::new(with_datanodes(3));
    let mut golden = Golden { catalog, functions, planner: &planner, runtime: &runtime };
    golden.ddl("CREATE TABLE t (k int, v int) DISTRIBUTED BY (k)");
    golden.fill("t", 3000);
    let sql = "SELECT v FROM t WHERE v = 7";
    let bound = golden.bind(&parse(sql).unwrap()[0], &[]).unwrap();
    let generic = planner.generic(&bound, sql, &golden.context()).unwrap().map(Arc::new).unwrap();
    let path = ["public".to_string()];
    let table = golden.catalog.table("public", "t").unwrap().id;
    for rows in [3000, 4000] {
        let statistics = TableStatistics { table, rows, ..Default::default() };
        let change = CatalogChange::SetStatistics(Box::new(statistics));
        let before = generic.over(&golden.catalog, &path).unwrap();
        golden.catalog = Arc::new(golden.catalog.apply(&[change]).unwrap());
        let after = before.over(&golden.catalog, &path).unwrap();
        assert!(!Arc::ptr_eq(&before, &after), "{rows}");
        assert!(Arc::ptr_eq(&after, &after.over(&golden.catalog, &path).unwrap()), "{rows}");
    }
}

/// Without parameters the whole plan is kept, as long as nothing changes that it depends on.
#[test]
fn finished_plans_are_kept_until_something_changes() {
    let functions = FunctionRegistry::new();
    let planner = Planner::new(&functions);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let catalog = Arc::new(with_datanodes(3));
    let mut golden = Golden { catalog, functions, planner: &planner, runtime: &runtime };
    golden.ddl("CREATE TABLE t (k int, v int) DISTRIBUTED BY (k)");
    golden.fill("t", 3000);
    let sql = "SELECT * FROM (SELECT k FROM t ORDER BY k LIMIT 9) a \
               JOIN (SELECT v FROM t ORDER BY v LIMIT 9) b ON k = v";
    let bound = golden.bind(&parse(sql).unwrap()[0], &[]).unwrap();
    let generic = planner.generic(&bound, sql, &golden.context()).unwrap().map(Arc::new).unwrap();
    let path = ["public".to_string()];
    let plan = |generic: &GenericPlan, context: &PlanContext| {
        runtime.block_on(planner.plan_generic(generic, None, context)).unwrap()
    };
    let is_same = |one: &Plan, other: &Plan| {
        let pairs = one.slices.iter().zip(&other.slices).skip(1);
        let is_same = pairs.map(|(one, other)| Arc::ptr_eq(&one.plan, &other.plan));
        let is_same: Vec<_> = is_same.collect();
        assert!(!is_same.is_empty() && is_same.iter().all(|same| *same == is_same[0]));
        is_same[0]
    };
    let context = golden.context();
    let first = plan(&generic, &context);
    let second = plan(&generic, &context);
    assert!(is_same(&first, &second));
    assert_eq!(printed(&first, true), printed(&second, true));
    // A join that has built its table is not the next query's.
    assert!(!Arc::ptr_eq(&first.slices[0].plan, &second.slices[0].plan));

    let join_order = JoinOrderSettings { is_enabled: false, ..context.join_order };
    let third = plan(&generic, &PlanContext { join_order, ..golden.context() });
    assert!(!is_same(&first, &third));
    golden.ddl("CREATE TABLE u (k int) DISTRIBUTED BY (k)");
    let present = generic.over(&golden.catalog, &path).unwrap();
    let fourth = plan(&present, &golden.context());
    assert!(is_same(&fourth, &plan(&present, &golden.context())), "another table");
    golden.fill("t", 9000);
    let present = generic.over(&golden.catalog, &path).unwrap();
    assert!(!is_same(&fourth, &plan(&present, &golden.context())), "more rows");
}

/// Of a partitioned table the next query's plan is another in any case.
#[test]
fn finished_plans_of_partitioned_tables_are_not_kept() {
    let functions = FunctionRegistry::new();
    let planner = Planner::new(&functions);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let catalog = Arc::new(with_datanodes(3));
    let mut golden = Golden { catalog, functions, planner: &planner, runtime: &runtime };
    golden.ddl(
        "CREATE TABLE p (k int, d int) DISTRIBUTED BY (k)
         PARTITION BY RANGE (d) (START (0) END (100) EVERY (10))",
    );
    golden.fill("p_1_prt_1", 3000);
    let sql = "SELECT k FROM p";
    let bound = golden.bind(&parse(sql).unwrap()[0], &[]).unwrap();
    let context = golden.context();
    let generic = planner.generic(&bound, sql, &context).unwrap().unwrap();
    let plan = || runtime.block_on(planner.plan_generic(&generic, None, &context)).unwrap();
    let (first, second) = (plan(), plan());
    assert_eq!(printed(&first, true), printed(&second, true));
    assert!(!Arc::ptr_eq(&first.slices[1].plan, &second.slices[1].plan));
}
