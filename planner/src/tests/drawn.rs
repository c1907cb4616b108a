//! Where what may differ when it is computed again is computed.

use std::sync::Arc;

use datafusion::physical_plan::displayable;

use super::{Golden, with_datanodes};
use crate::{functions::FunctionRegistry, parse::parse, plan::Planner};

fn with_tables(run: impl FnOnce(&Golden<'_>)) {
    let functions = FunctionRegistry::new();
    let planner = Planner::new(&functions);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let catalog = Arc::new(with_datanodes(3));
    let mut golden = Golden { catalog, functions, planner: &planner, runtime: &runtime };
    golden.ddl(
        "CREATE TABLE a (id int, k int) DISTRIBUTED BY (id);
         CREATE TABLE b (id int, k int) DISTRIBUTED BY (id);
         CREATE TABLE p (k int, name text) DISTRIBUTED REPLICATED",
    );
    for table in ["a", "b", "p"] {
        golden.fill(table, 3000);
    }
    run(&golden);
}

/// A condition is drawn in no operator below the first one of these.
#[test]
fn conditions_are_drawn_where_they_are_written() {
    with_tables(|golden| {
        for (sign, sql) in [
            ("Join", "SELECT a.k FROM a CROSS JOIN b WHERE random() < 0.5"),
            ("Join", "SELECT a.k FROM a JOIN b ON a.id = b.id AND random() < 0.5"),
            ("Join", "SELECT a.k FROM a JOIN b ON a.id = b.id WHERE random() < a.k"),
            ("Join", "SELECT a.k, b.k FROM a LEFT JOIN b ON random() < 0.5"),
            ("Join", "SELECT a.k, b.k FROM a LEFT JOIN b ON a.id = b.id AND random() < b.k"),
            ("Join", "SELECT k FROM (SELECT a.k FROM a, b) AS x WHERE random() < 0.5"),
            ("Aggregate", "SELECT k FROM (SELECT DISTINCT k FROM a) AS x WHERE random() < 0.5"),
            ("Aggregate", "SELECT k, count(*) FROM a GROUP BY k HAVING random() < 0.5"),
            ("Aggregate", "SELECT count(*) FROM a HAVING random() < 0.5"),
            (
                "Union",
                "SELECT k FROM (SELECT k FROM a UNION ALL SELECT k FROM b) AS x WHERE random() < 0.5",
            ),
        ] {
            let bound = golden.bind(&parse(sql).unwrap()[0], &[]).unwrap().plan;
            let context = golden.context();
            let plan = golden.planner.physical_plan(&bound, &context);
            let plan = golden.runtime.block_on(plan).unwrap();
            let text = displayable(plan.as_ref()).indent(false).to_string();
            let first = |sign: &str| text.lines().position(|line| line.contains(sign));
            let drawn = first("random()").unwrap();
            assert!(first(sign).is_some_and(|joined| drawn <= joined), "{sql}:\n{text}");
        }
    });
}

/// Copies of a replicated table take what may differ from one place, and find out the rest themselves.
#[test]
fn what_may_differ_comes_to_copies_from_one_place() {
    with_tables(|golden| {
        for (may_differ, sql) in [
            (false, "SELECT k, name FROM p"),
            (false, "SELECT x.k, y.name FROM p AS x LEFT JOIN p AS y ON x.k = y.k"),
            (false, "SELECT k, max(name) FROM p GROUP BY k"),
            (false, "SELECT DISTINCT ON (k) k, name FROM p ORDER BY k, name"),
            (true, "SELECT k, name FROM p WHERE random() < 0.5"),
            (true, "SELECT x.k, y.name FROM p AS x, p AS y WHERE x.k = y.k AND random() < x.k"),
            (
                true,
                "SELECT x.k, y.name FROM p AS x LEFT JOIN p AS y ON x.k = y.k AND random() < 0.5",
            ),
            (true, "SELECT x.k, y.name FROM p AS x LEFT JOIN p AS y ON random() < 0.5"),
            (true, "SELECT k, max(random())::text FROM p GROUP BY k"),
            (true, "SELECT k, avg(k::double precision)::text FROM p GROUP BY k"),
            (true, "SELECT k, string_agg(name, ',') FROM p GROUP BY k"),
            (true, "SELECT DISTINCT ON (k) k, name FROM p"),
            (true, "SELECT DISTINCT ON (k) k, name FROM p ORDER BY k, length(name)"),
            (true, "SELECT k, name FROM p ORDER BY k LIMIT 5"),
            (true, "SELECT k, row_number() OVER (ORDER BY k)::text FROM p"),
        ] {
            let text = golden.print(sql, false, Some("p"));
            assert_eq!(text.contains("Broadcast Motion 1:3"), may_differ, "{sql}:\n{text}");
        }
    });
}
