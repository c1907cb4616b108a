//! Tests of estimates: SQL in, how many rows the whole query is thought to give.

use std::sync::Arc;

use super::{Golden, known, with_datanodes};
use crate::{cardinality::Groups, functions::FunctionRegistry, plan::Planner};

/// `t` of 10,000 rows, `u` of 1,000, `w` of 100, `g` of 10,000, `e` with a key and no statistics; `c` of
/// 4,000 with a key of two columns, which rows of `l`, 20,000, refer to; `o` of 20,000, which refer to `t` in
/// two ways.
fn check(cases: &[(&str, f64)]) {
    with_tables(|golden| {
        for (sql, expected) in cases {
            let estimate = golden.plan_of(sql).root.estimate.clone();
            let off = (estimate.rows - expected).abs() / expected;
            assert!(off < 0.01, "{sql}: {} rows, expected {expected}", estimate.rows);
            assert!(estimate.lower <= estimate.rows, "{sql}: at least {}", estimate.lower);
            assert!(estimate.rows <= estimate.upper.max(1.0), "{sql}: at most {}", estimate.upper);
        }
    });
}

fn with_tables(run: impl FnOnce(&mut Golden<'_>)) {
    let functions = FunctionRegistry::new();
    let planner = Planner::new(&functions);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let catalog = Arc::new(with_datanodes(3));
    let mut golden = Golden { catalog, functions, planner: &planner, runtime: &runtime };
    golden.ddl(
        "CREATE TABLE t (id int PRIMARY KEY, k int, n int, s text, d date, b boolean, m numeric(9,2))
             DISTRIBUTED BY (id);
         CREATE TABLE u (id int PRIMARY KEY, k int) DISTRIBUTED BY (id);
         CREATE TABLE w (k int) DISTRIBUTED RANDOMLY;
         CREATE TABLE g (a int, b int) DISTRIBUTED BY (a);
         CREATE TABLE e (id int PRIMARY KEY, k int) DISTRIBUTED BY (id);
         CREATE TABLE c (a int, b int, PRIMARY KEY (a, b)) DISTRIBUTED BY (a);
         CREATE TABLE l (a int, b int) DISTRIBUTED BY (a);
         CREATE TABLE o (x int, y int, kind int) DISTRIBUTED BY (x)",
    );
    let first = [("t", 10_000), ("u", 1_000), ("w", 100), ("g", 10_000), ("e", 3_000)];
    for (table, rows) in first.into_iter().chain([("c", 4_000), ("l", 20_000), ("o", 20_000)]) {
        golden.fill_each(table, &[rows / 2, rows / 4, rows / 4]);
    }
    for (table, text) in [
        (
            "t",
            "id distinct=10000 histogram=1,2500,5000,7500,10000\n\
             k distinct=100 common=7:0.5,8:0.1 histogram=0,25,50,75,100\n\
             n distinct=10 nulls=0.2\n\
             s distinct=1000 histogram=a,b,c,d,e,f,g,h,i,j,k\n\
             d distinct=366 histogram=2000-01-01,2000-12-31\n\
             b distinct=2 common=true:0.9,false:0.1\n\
             m distinct=1000 histogram=0,10.00",
        ),
        ("u", "id distinct=1000 histogram=1,1000\nk distinct=50 histogram=1,50"),
        ("w", "k distinct=2 common=7:0.5,9:0.5"),
        ("g", "a distinct=100\nb distinct=100\n(a, b) distinct=100\na -> b 1.0"),
        ("c", "a distinct=1000\nb distinct=100"),
        ("l", "a distinct=1000\nb distinct=100"),
        ("o", "x distinct=10000\ny distinct=10000\nkind distinct=100"),
    ] {
        golden.catalog = Arc::new(known::statistics(&golden.catalog, table, text));
    }
    run(&mut golden);
}

#[test]
fn conditions() {
    check(&[
        ("SELECT id FROM t", 10_000.0),
        ("SELECT id FROM t WHERE k = 7", 5_000.0),
        // 98 other values share 0.4.
        ("SELECT id FROM t WHERE k = 9", 40.8),
        ("SELECT id FROM t WHERE k <> 7", 5_000.0),
        ("SELECT id FROM t WHERE k IN (7, 8)", 6_000.0),
        ("SELECT id FROM t WHERE k NOT IN (7, 8)", 4_000.0),
        ("SELECT id FROM t WHERE k IN (7, 20, 21, 22, 23)", 5_163.3),
        ("SELECT id FROM t WHERE k < 10", 6_400.0),
        // A quarter of the histogram and the value 50 itself.
        ("SELECT id FROM t WHERE k BETWEEN 25 AND 50", 1_040.8),
        ("SELECT id FROM t WHERE n IS NULL", 2_000.0),
        ("SELECT id FROM t WHERE n IS NOT NULL", 8_000.0),
        ("SELECT id FROM t WHERE n = 3", 800.0),
        ("SELECT id FROM t WHERE n <> 3", 7_200.0),
        ("SELECT id FROM t WHERE b", 9_000.0),
        ("SELECT id FROM t WHERE NOT b", 1_000.0),
        // One of nine bounds by its sample, 0.0955 by its prefix.
        ("SELECT id FROM t WHERE s LIKE 'c%'", 972.4),
        ("SELECT id FROM t WHERE d < '2000-07-01'", 4_986.3),
        ("SELECT id FROM t WHERE d >= '2000-07-01' AND d < '2000-08-01'", 849.3),
        ("SELECT id FROM t WHERE m < 2.5", 2_500.0),
        ("SELECT id FROM t WHERE m * 2.0 < 5.0", 2_500.0),
        // How many values functions give is not known: 5 % for each.
        ("SELECT id FROM t WHERE substring(s, 1, 2) = 'ab'", 500.0),
        ("SELECT id FROM t WHERE id = 5", 1.0),
        ("SELECT id FROM t WHERE id + 10 < 2510", 2_500.0),
        ("SELECT id FROM t WHERE id - 10 < 2490", 2_500.0),
        ("SELECT id FROM t WHERE d - 31 < '2000-05-31'", 4_986.3),
        ("SELECT id FROM e WHERE id = 5", 1.0),
        // Only the query knows.
        ("SELECT id FROM t WHERE k = (SELECT max(id) FROM u)", 100.0),
    ]);
}

#[test]
fn conditions_together() {
    check(&[
        // 0.08 · √0.5
        ("SELECT id FROM t WHERE k = 7 AND n = 3", 565.7),
        ("SELECT id FROM t WHERE id <= 2500 AND k = 7", 1_768.5),
        ("SELECT id FROM t WHERE k = 7 OR n = 3", 5_400.0),
        // a determines b.
        ("SELECT a FROM g WHERE a = 1 AND b = 2", 100.0),
    ]);
}

#[test]
fn joins() {
    check(&[
        ("SELECT 1 FROM t JOIN u ON t.k = u.k", 100_000.0),
        ("SELECT 1 FROM t JOIN u ON t.id = u.id", 1_000.0),
        ("SELECT 1 FROM t JOIN u ON t.id = u.id AND t.k = u.k", 1_000.0),
        // Half of t has one of w's two values: 0.25 + 0.5 · 0.4 / 98.
        ("SELECT 1 FROM t JOIN w ON t.k = w.k", 252_041.0),
        // Two keys of u with two tables: each counts in full, 1 / 10,000 · 1 / 100.
        ("SELECT 1 FROM t JOIN g ON t.n = g.a JOIN u ON u.id = t.id AND u.k = g.b", 800.0),
        ("SELECT 1 FROM t LEFT JOIN u ON t.id = u.id", 10_000.0),
        ("SELECT 1 FROM t WHERE k IN (SELECT k FROM u)", 5_000.0),
        ("SELECT 1 FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.k = t.k)", 5_000.0),
        ("SELECT 1 FROM t CROSS JOIN w", 1_000_000.0),
        // Both columns of c's key, of one table and of what that was joined to.
        ("SELECT 1 FROM l JOIN c ON l.a = c.a AND l.b = c.b", 20_000.0),
        (
            "SELECT l.a, u.id FROM l JOIN u ON l.a = u.id JOIN c ON c.a = u.id AND c.b = l.b",
            20_000.0,
        ),
        // u.id is 1 or 1,000: 0.0025 and 0.09994 of t's are less.
        ("SELECT 1 FROM t JOIN u ON t.k = u.k AND t.id < u.id", 5_122.0),
        // The key of a table that nobody has analyzed.
        ("SELECT 1 FROM t JOIN e ON t.k = e.id", 10_000.0),
    ]);
}

/// Each group has one row with the least or greatest value, or as many as share it.
#[test]
fn extremes_of_groups() {
    check(&[
        // Of 100 rows a fifth has none; of ten values one is the least.
        (
            "SELECT 1 FROM t JOIN (SELECT k, min(n) AS least FROM t GROUP BY k) AS s
                 ON t.k = s.k AND t.n = s.least",
            800.0,
        ),
        (
            "SELECT t.id, s.least FROM t JOIN (SELECT k, min(n) AS least FROM t GROUP BY k) AS s
                 ON t.k = s.k AND t.n = s.least",
            800.0,
        ),
        ("SELECT t.id FROM t WHERE n = (SELECT max(i.n) FROM t AS i WHERE i.k = t.k)", 800.0),
        (
            "SELECT t.n, s.last FROM t JOIN (SELECT k, max(id) AS last FROM t GROUP BY k) AS s
                 ON t.k = s.k AND t.id = s.last",
            100.0,
        ),
        // Groups of 20 rows, which have 18.2 of 100 values.
        (
            "SELECT l.b, s.most FROM l JOIN (SELECT a, max(b) AS most FROM l GROUP BY a) AS s
                 ON l.a = s.a AND l.b = s.most",
            1_098.3,
        ),
        // Of any group's: ten values again.
        ("SELECT 1 FROM t WHERE n IN (SELECT min(n) FROM t GROUP BY k)", 8_000.0),
    ]);
}

/// What has chosen rows already leaves them all.
#[test]
fn joins_of_what_was_chosen_before() {
    check(&[
        // 20 rows of u, of which all are wanted; the groups are kept to them by a rule, or by the query.
        (
            "SELECT u.id, q.n FROM u JOIN (SELECT a, count(*) AS n FROM l GROUP BY a) AS q
                 ON u.id = q.a WHERE u.k = 7",
            20.0,
        ),
        (
            "SELECT u.id, q.n FROM u LEFT JOIN (SELECT a, count(*) AS n FROM l GROUP BY a) AS q
                 ON u.id = q.a WHERE u.k = 7",
            20.0,
        ),
        (
            "SELECT u.id, q.n FROM u JOIN (SELECT a, count(*) AS n FROM l
                     WHERE a IN (SELECT id FROM u WHERE k = 7) GROUP BY a) AS q
                 ON u.id = q.a WHERE u.k = 7",
            20.0,
        ),
        // Another condition counts besides: 1 of 10.
        (
            "SELECT u.id, q.n FROM u JOIN t ON t.id = u.id
                 JOIN (SELECT a, count(*) AS n FROM l
                     WHERE a IN (SELECT id FROM u WHERE k = 7) GROUP BY a) AS q
                 ON u.id = q.a WHERE u.k = 7 AND NOT t.b",
            2.0,
        ),
        // Other rows of u: one of 50.
        (
            "SELECT l.b, u.id FROM l JOIN u ON u.id = l.a
                 WHERE l.a IN (SELECT id FROM u WHERE k = 7) AND u.k = 8",
            8.0,
        ),
        ("SELECT x.n, y.n FROM t AS x JOIN t AS y ON x.id = y.id WHERE x.k = 9 AND y.k = 9", 40.8),
        ("SELECT x.n, y.n FROM t AS x JOIN t AS y ON x.id = y.id WHERE x.k = 9 AND y.n = 3", 3.265),
        // Both columns of c's key, with two of the first one's values.
        ("SELECT l.a, c.b FROM l JOIN c ON l.a = c.a AND l.b = c.b WHERE l.a IN (1, 2)", 40.0),
        ("SELECT l.a FROM l JOIN c ON l.a = c.a AND l.b = c.b WHERE l.a IN (1, 2)", 40.0),
    ]);
}

/// The same scans have other values where other columns join them.
#[test]
fn what_joins_scans_is_part_of_what_was_chosen() {
    check(&[
        // 200 rows with 199 of 10,000 values, and as many of these on the other side.
        (
            "SELECT o.kind FROM t JOIN o ON o.x = t.id WHERE o.kind = 7 AND NOT EXISTS (
                 SELECT 1 FROM t AS s JOIN o AS p ON p.y = s.id WHERE p.kind = 7 AND s.id = t.id)",
            196.0,
        ),
        // They are the same.
        (
            "SELECT o.kind FROM t JOIN o ON o.x = t.id WHERE o.kind = 7 AND NOT EXISTS (
                 SELECT 1 FROM t AS s JOIN o AS p ON p.x = s.id WHERE p.kind = 7 AND s.id = t.id)",
            1.0,
        ),
    ]);
}

#[test]
fn groups() {
    check(&[
        ("SELECT count(*) FROM t", 1.0),
        ("SELECT k, count(*) FROM t GROUP BY k", 100.0),
        ("SELECT DISTINCT k FROM t", 100.0),
        // NULL is a group: 11 · 100, of 10,000.
        ("SELECT n, k FROM t GROUP BY n, k", 991.0),
        ("SELECT a, b FROM g GROUP BY a, b", 100.0),
        ("SELECT id, k, count(*) FROM t GROUP BY id, k", 10_000.0),
        ("SELECT extract(month FROM d), count(*) FROM t GROUP BY 1", 12.0),
        ("SELECT k FROM t WHERE k IN (7, 8) GROUP BY k", 2.0),
        ("SELECT k FROM t LIMIT 10", 10.0),
        ("SELECT k FROM t UNION ALL SELECT k FROM u", 11_000.0),
        ("SELECT k, sum(n) OVER (PARTITION BY k) FROM t", 10_000.0),
        // 100 rows each, and 6 · √99 + 1 values.
        ("SELECT k FROM t GROUP BY k HAVING count(*) > 100", 48.35),
        ("SELECT k FROM t GROUP BY k HAVING count(*) > 150", 1.0),
        // 500,012 on average.
        ("SELECT k FROM t GROUP BY k HAVING sum(id) > 500000", 49.0),
        ("SELECT k FROM t GROUP BY k HAVING sum(id) > 700000", 1.0),
        ("SELECT k FROM t GROUP BY k HAVING 2.0 * avg(id) > 12000", 1.0),
    ]);
}

#[test]
fn datanodes_group_what_they_have() {
    let groups = Groups { count: 100.0, is_guess: false };
    assert!((groups.partial(300.0, 3) - 190.2).abs() < 0.1);
    assert!((groups.partial(300_000.0, 3) - 300.0).abs() < 0.1);
    assert_eq!(groups.partial(100.0, 1), 100.0);
}

#[test]
fn bounds_are_those_of_keys() {
    with_tables(|golden| {
        let of = |sql: &str| golden.plan_of(sql).root.estimate.clone();
        assert_eq!(of("SELECT 1 FROM t JOIN u ON t.id = u.id").upper, 1_000.0);
        assert_eq!(of("SELECT 1 FROM t LEFT JOIN u ON t.k = u.id").upper, 10_000.0);
        assert_eq!(of("SELECT 1 FROM t LEFT JOIN u ON t.k = u.id").lower, 10_000.0);
        assert_eq!(of("SELECT k FROM t WHERE id = 5").upper, 1.0);
        assert!(!of("SELECT k FROM t WHERE k = 5").is_guess);
        assert!(of("SELECT k FROM e WHERE k = 5").is_guess);
    });
}

/// Half of the rows have one value, and so come to one datanode of three, with a third of the others.
#[test]
fn skew_is_that_of_common_values() {
    with_tables(|golden| {
        let root = golden.plan_of("SELECT k, sum(n) OVER (PARTITION BY k) FROM t").root;
        let mut node = root.as_ref();
        while !matches!(node.motion(), Some(crate::motion::Motion::Redistribute { .. })) {
            node = &node.children[0];
        }
        let skew = node.estimate.skew;
        assert!((1.5..2.5).contains(&skew), "{skew}");
        assert!(node.estimate.largest_part(3) > 5_000.0);
    });
}
