//! Tests of the order of joins: which tables are joined first, and that any order gives the columns of
//! the written one.

use std::sync::Arc;

use super::{Golden, known, with_datanodes};
use crate::{
    distribute::{Placed, is_join},
    functions::FunctionRegistry,
    join_order::JoinOrderSettings,
    motion::Motion,
    operators::ShardScanExec,
    parse::parse,
    plan::{Plan, PlanContext, Planner},
    rule_switches::{RULES, RuleSwitches},
};

/// `f` of 1,000,000 rows, `b` of 300,000, `s` of 1,000, `r` of 25 everywhere; of those that nobody has
/// analyzed `e` has 3,000, `c` 25 and `d` 60, both everywhere.
fn with_tables(run: impl FnOnce(&Golden<'_>)) {
    let functions = FunctionRegistry::new();
    let planner = Planner::new(&functions);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let catalog = Arc::new(with_datanodes(3));
    let mut golden = Golden { catalog, functions, planner: &planner, runtime: &runtime };
    golden.ddl(
        "CREATE TABLE f (id int, b int, s int, r int, v int) DISTRIBUTED BY (id);
         CREATE TABLE b (id int PRIMARY KEY, s int, r int, v int) DISTRIBUTED BY (id);
         CREATE TABLE s (id int PRIMARY KEY, b int, r int, v int) DISTRIBUTED BY (id);
         CREATE TABLE r (id int, b int, s int, v int) DISTRIBUTED REPLICATED;
         CREATE TABLE e (id int, b int, s int, r int, v int) DISTRIBUTED BY (id);
         CREATE TABLE c (id int, v int) DISTRIBUTED REPLICATED;
         CREATE TABLE d (id int, v int) DISTRIBUTED REPLICATED",
    );
    for (table, rows) in [
        ("f", 1_000_000),
        ("b", 300_000),
        ("s", 1_000),
        ("r", 25),
        ("e", 3_000),
        ("c", 25),
        ("d", 60),
    ] {
        golden.fill(table, rows);
    }
    for (table, text) in [
        (
            "f",
            "id distinct=1000000\nb distinct=300000\ns distinct=1000\nr distinct=25\nv distinct=100",
        ),
        ("b", "id distinct=300000\ns distinct=1000\nr distinct=25\nv distinct=1000"),
        ("s", "id distinct=1000\nb distinct=1000\nr distinct=25\nv distinct=1000"),
        ("r", "id distinct=25\nb distinct=25\ns distinct=25\nv distinct=25"),
    ] {
        golden.catalog = Arc::new(known::statistics(&golden.catalog, table, text));
    }
    run(&golden);
}

/// By no other rules, which would read a table twice in one order and once in another.
fn plan(golden: &Golden<'_>, sql: &str, is_enabled: bool) -> Plan {
    let join_order = JoinOrderSettings { is_enabled, ..JoinOrderSettings::default() };
    let off = RULES.iter().map(|rule| (rule.setting(), "off".to_string())).collect();
    let rules = RuleSwitches::from_settings(&off).unwrap();
    let context = PlanContext { join_order, rules, ..golden.context() };
    let bound = golden.bind(&parse(sql).unwrap().remove(0), &[]);
    let bound = bound.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let planned = golden.runtime.block_on(golden.planner.plan(&bound.plan, &context));
    planned.unwrap_or_else(|error| panic!("{sql}: {error:?}"))
}

/// The tables below.
fn tables(placed: &Placed) -> Vec<String> {
    let scan = placed.plan.downcast_ref::<ShardScanExec>();
    let mut found: Vec<_> = scan.map(|scan| scan.table().name.clone()).into_iter().collect();
    found.extend(placed.children.iter().flat_map(tables));
    found.sort();
    found
}

/// The tables below each join, innermost ones first.
fn joins(placed: &Placed) -> Vec<String> {
    let mut found: Vec<_> = placed.children.iter().flat_map(joins).collect();
    if is_join(&placed.plan) {
        found.push(tables(placed).join(" "));
    }
    found
}

#[test]
fn what_leaves_few_rows_is_joined_first() {
    with_tables(|golden| {
        for (sql, expected) in [
            (
                "SELECT f.v FROM f JOIN b ON f.b = b.id JOIN s ON f.s = s.id WHERE s.v = 5",
                ["f s", "b f s"],
            ),
            (
                "SELECT f.v FROM f, s, b WHERE f.b = b.id AND b.s = s.id AND s.v = 5",
                ["b s", "b f s"],
            ),
            // The outer join cannot go below the other one's rows, but before it.
            (
                "SELECT f.v FROM f LEFT JOIN b ON f.b = b.id JOIN s ON f.s = s.id WHERE s.v = 5",
                ["f s", "b f s"],
            ),
            (
                "SELECT f.v FROM f JOIN b ON f.b = b.id
                 WHERE EXISTS (SELECT 1 FROM s WHERE s.id = f.s AND s.v = 5)",
                ["f s", "b f s"],
            ),
        ] {
            assert_eq!(joins(&plan(golden, sql, true).root), expected, "{sql}");
        }
    });
}

#[test]
fn tables_that_nobody_analyzed_keep_the_written_order() {
    with_tables(|golden| {
        for (sql, is_written) in [
            ("SELECT f.v FROM f JOIN b ON f.b = b.id JOIN s ON f.s = s.id WHERE s.v = 5", false),
            (
                "SELECT f.v FROM f JOIN b ON f.b = b.id JOIN s ON f.s = s.id
                 JOIN e ON e.id = s.id WHERE s.v = 5",
                true,
            ),
            // Of a table that is everywhere one copy counts.
            (
                "SELECT f.v FROM f JOIN b ON f.b = b.id JOIN s ON f.s = s.id JOIN c ON f.r = c.id
                 WHERE s.v = 5",
                false,
            ),
            (
                "SELECT f.v FROM f JOIN b ON f.b = b.id JOIN s ON f.s = s.id JOIN d ON f.r = d.id
                 WHERE s.v = 5",
                true,
            ),
            // Nobody knows how many rows the recursion has.
            (
                "WITH RECURSIVE w(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM w WHERE n < 5)
                 SELECT f.v FROM f JOIN b ON f.b = b.id JOIN w ON w.n = f.r JOIN s ON f.s = s.id
                 WHERE s.v = 5",
                true,
            ),
        ] {
            let written = joins(&plan(golden, sql, false).root);
            assert_eq!(joins(&plan(golden, sql, true).root) == written, is_written, "{sql}");
        }
    });
}

fn redistributes(placed: &Placed) -> usize {
    let is_one = matches!(placed.motion(), Some(Motion::Redistribute { .. }));
    usize::from(is_one) + placed.children.iter().map(redistributes).sum::<usize>()
}

#[test]
fn rows_that_are_where_a_table_has_them_stay() {
    with_tables(|golden| {
        // They are hashed by either side's id.
        let sql = "SELECT f.id, b.id AS b, f.s, f.r, f.v FROM f JOIN b ON f.id = b.id";
        let planned = golden.plan(&parse(sql).unwrap()[0], Some("e")).unwrap();
        assert_eq!(redistributes(&planned.root), 0);
        let sql = "SELECT f.v, b.id AS b, f.s, f.r, f.id FROM f JOIN b ON f.id = b.id";
        let planned = golden.plan(&parse(sql).unwrap()[0], Some("e")).unwrap();
        assert_eq!(redistributes(&planned.root), 1);
    });
}

#[test]
fn too_many_pairs_are_joined_greedily() {
    with_tables(|golden| {
        for count in [10, 14, 30, 66] {
            let from: Vec<_> = (0..count).map(|at| format!("s AS t{at}")).collect();
            let on: Vec<_> = (1..count).map(|at| format!("t{at}.id = t0.id")).collect();
            let sql = format!("SELECT t0.v FROM {} WHERE {}", from.join(", "), on.join(" AND "));
            assert_eq!(tables(&plan(golden, &sql, true).root).len(), count, "{count}");
        }
    });
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % count as u64) as usize
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

/// Joins of all kinds of three to seven tables, with conditions above and below. Of some relations the
/// columns have other names, or each other's.
fn random_query(random: &mut Random) -> String {
    let tables = ["f", "b", "s", "r"];
    let mut keys = vec!["id"];
    let mut from = format!("{} AS t0", random.of(&tables));
    let count = 3 + random.below(5);
    for at in 1..count {
        let table = random.of(&tables);
        let other = random.below(at);
        let form = random.below(8);
        keys.push(if form < 2 { "k" } else { "id" });
        let (l, r) = (random.of(&[keys[at], "v"]), random.of(&[keys[other], "v"]));
        let word = random.of(&["JOIN", "JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
        let more = match random.below(6) {
            0 => format!(" AND t{at}.v + 1 = t{other}.v"),
            1 if !word.starts_with("FULL") => format!(" AND t{at}.v > t0.id"),
            _ => String::new(),
        };
        let relation = match form {
            0 => format!("(SELECT id AS k, v FROM {table})"),
            1 => {
                format!("(SELECT x.v AS k, y.id AS v FROM {table} AS x JOIN s AS y ON x.v = y.id)")
            }
            2 => format!("(SELECT v AS id, id AS v FROM {table})"),
            3 => format!("(SELECT id, max(v) AS v FROM {table} GROUP BY id)"),
            4 => format!("(SELECT x.id, y.v FROM {table} AS x JOIN s AS y ON x.v = y.id)"),
            _ => table.to_string(),
        };
        from += &format!(" {word} {relation} AS t{at} ON t{at}.{l} = t{other}.{r}{more}");
    }
    let key = keys[1];
    let condition = match random.below(6) {
        0 => "t0.v = 1".to_string(),
        1 => "EXISTS (SELECT 1 FROM s WHERE s.id = t0.id AND s.v < t1.v)".into(),
        2 => format!("NOT EXISTS (SELECT 1 FROM b WHERE b.id = t1.{key})"),
        3 => format!("t1.{key} NOT IN (SELECT s.id FROM s)"),
        4 => "t0.id IN (SELECT r.id FROM r JOIN s ON r.v = s.v)".into(),
        _ => "coalesce(t1.v, 0) + t2.v > 3".into(),
    };
    let output = random.of(&["t0.id, t2.v", "t1.v AS a, t1.v AS b", "count(*)", "7 AS one", "*"]);
    format!("SELECT {output} FROM {from} WHERE {condition}")
}

#[test]
fn any_order_has_the_columns_of_the_written_one() {
    with_tables(|golden| {
        let mut others = 0;
        for seed in 0..400 {
            let sql = random_query(&mut Random(seed));
            let (ordered, written) = (plan(golden, &sql, true), plan(golden, &sql, false));
            let names = |plan: &Plan| {
                let fields = plan.schema.fields().iter();
                fields.map(|f| (f.name().clone(), f.data_type().clone())).collect::<Vec<_>>()
            };
            assert_eq!(names(&ordered), names(&written), "{sql}");
            assert_eq!(tables(&ordered.root), tables(&written.root), "{sql}");
            others += usize::from(joins(&ordered.root) != joins(&written.root));
        }
        assert!(others > 40, "{others}");
    });
}

/// One row per property: a table is joined with itself by one column for each that is wanted.
#[test]
fn properties_of_things_are_planned_quickly() {
    with_tables(|golden| {
        for condition in ["t{at}.v = {at}", "t{at}.v = 7", "t{at}.v > {at}"] {
            let from: Vec<_> = (0..17).map(|at| format!("f AS t{at}")).collect();
            let equal = (1..17).map(|at| format!("t{at}.b = t0.b"));
            let chosen = (0..17).map(|at| condition.replace("{at}", &at.to_string()));
            let conditions: Vec<_> = equal.chain(chosen).collect();
            let (from, conditions) = (from.join(", "), conditions.join(" AND "));
            let sql = format!("SELECT count(*) FROM {from} WHERE {conditions}");
            let mut shortest = std::time::Duration::MAX;
            for _ in 0..3 {
                let start = std::time::Instant::now();
                assert_eq!(tables(&plan(golden, &sql, true).root).len(), 17);
                shortest = shortest.min(start.elapsed());
            }
            let is_quick = shortest.as_millis() < 1000;
            assert!(is_quick || cfg!(debug_assertions), "{condition}: {shortest:?}");
        }
    });
}
