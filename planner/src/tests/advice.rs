//! What there is to say of plans: before they run, as golden files print it, and after.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kestrel_proto::{
    DatanodeId,
    message::{FragmentReport, MotionTraffic},
};

use super::{Golden, known, with_datanodes};
use crate::{
    advice::{
        Advice, KeyUses, MotionFacts, PlanFacts, RunFacts, TableState, Thresholds, Usage, of_plan,
        of_run, of_table,
    },
    distribute::Placed,
    explain::title,
    functions::FunctionRegistry,
    motion::MotionKind,
    plan::Planner,
};

impl Golden<'_> {
    /// In the order of SQLSTATEs and tables.
    pub(super) fn advice(&self, sql: &str) -> String {
        let (facts, thresholds) = (self.facts(sql), Thresholds::default());
        let mut uses = KeyUses::default();
        uses.note(&facts);
        let mut found = of_plan(&facts, &thresholds);
        for scan in &facts.scans {
            let table = self.catalog.table_by_id(scan.table.id).unwrap();
            let state = TableState::of(&self.catalog, table);
            found.extend(of_table(&state, Usage { scan, uses: &uses }, &thresholds));
        }
        let key =
            |advice: &Advice| (advice.kind.sqlstate.as_str(), advice.finding.object.name.clone());
        found.sort_by_key(key);
        let text = |Advice { kind, finding }: &Advice| {
            let how = finding.at_most.min(kind.delivery).word();
            let hint = finding.hint.iter().map(|hint| format!("  {hint}\n"));
            let (state, message, detail) =
                (kind.sqlstate.as_str(), &finding.message, &finding.detail);
            format!("{how} {state} {message}\n  {detail}\n{}", hint.collect::<String>())
        };
        found.iter().map(text).collect()
    }

    fn facts(&self, sql: &str) -> PlanFacts {
        PlanFacts::of(&self.plan_of(sql), self.catalog.datanodes.len())
    }
}

/// `t` of 300,000 rows, with statistics; and what its query's lowest motion of a kind has carried to each
/// receiver: rows and bytes. `stale`: its statistics are said to be.
struct Run<'a> {
    sql: &'a str,
    motion: MotionKind,
    carried: &'a [(u32, u64, u64)],
    stale: bool,
    /// Kind, a part of its text, hint.
    expected: &'a [(&'a str, &'a str, Option<&'a str>)],
}

/// With `t`, and with `u` of 30,000 rows, of which half have a `k` of 7.
fn with_tables(check: impl FnOnce(&Golden<'_>)) {
    let functions = FunctionRegistry::new();
    let planner = Planner::new(&functions);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let catalog = Arc::new(with_datanodes(3));
    let mut golden = Golden { catalog, functions, planner: &planner, runtime: &runtime };
    golden.ddl("CREATE TABLE t (id int, k int, n int) DISTRIBUTED BY (id)");
    golden.fill("t", 300_000);
    let text = "id distinct=300000 histogram=1,300000\nk distinct=1000 histogram=1,1000\n\
                n distinct=1000 histogram=1,1000";
    golden.catalog = Arc::new(known::statistics(&golden.catalog, "t", text));
    golden.ddl("CREATE TABLE u (id int, k int) DISTRIBUTED BY (id)");
    golden.fill("u", 30_000);
    let text = "id distinct=30000 histogram=1,30000\n\
                k distinct=1000 common=7:0.5 histogram=1,1000";
    golden.catalog = Arc::new(known::statistics(&golden.catalog, "u", text));
    check(&golden);
}

fn check(cases: &[Run<'_>]) {
    with_tables(|golden| check_in(golden, cases));
}

fn check_in(golden: &Golden<'_>, cases: &[Run<'_>]) {
    for case in cases {
        let facts = golden.facts(case.sql);
        let is_it = |motion: &&MotionFacts| motion.kind == case.motion;
        let number = facts.motions.iter().rfind(is_it).unwrap().number;
        let traffic = case.carried.iter().map(|(receiver, rows, bytes)| MotionTraffic {
            motion: number,
            sender: 0,
            receiver: *receiver,
            rows: *rows,
            bytes: *bytes,
        });
        let traffic: Vec<_> = traffic.collect();
        let tables = facts.scans.iter().map(|scan| scan.table.id);
        let stale: BTreeSet<u64> = tables.filter(|_| case.stale).collect();
        let run = RunFacts::of(traffic.iter(), stale);
        check_told(case.sql, &of_run(&facts, &run, &Thresholds::default()), case.expected);
    }
}

fn check_told(sql: &str, found: &[Advice], expected: &[(&str, &str, Option<&str>)]) {
    let told = found.iter().map(|advice| {
        let finding = &advice.finding;
        let text = format!("{} {}", finding.message, finding.detail);
        (advice.kind.name, (text, finding.hint.clone()))
    });
    let mut told: BTreeMap<_, _> = told.collect();
    assert_eq!(told.len(), expected.len(), "{sql}: {told:?}");
    for (kind, part, hint) in expected {
        let (text, found) = told.remove(kind).unwrap_or_default();
        assert!(text.contains(part), "{sql}: {text}");
        assert_eq!(found.as_deref(), *hint, "{sql}");
    }
}

/// What operators of a query gave on each datanode, by their titles, of a phase of an aggregate without
/// its word; the others do not tell.
struct Gave<'a> {
    sql: &'a str,
    rows: &'a [(&'a str, [u64; 3])],
    stale: bool,
    expected: &'a [(&'a str, &'a str, Option<&'a str>)],
}

fn check_operators(cases: &[Gave<'_>]) {
    with_tables(|golden| {
        for case in cases {
            let facts = golden.facts(case.sql);
            let mut reports =
                Reports { next: 0, slices: BTreeMap::new(), gave: case.rows.to_vec() };
            reports.add(facts.root.as_ref().unwrap(), 0);
            assert!(reports.gave.is_empty(), "{}: {:?} are not there", case.sql, reports.gave);
            let reports = reports.fragments();
            let tables = facts.scans.iter().map(|scan| scan.table.id);
            let stale: BTreeSet<u64> = tables.filter(|_| case.stale).collect();
            let fragments = reports.iter().map(|(slice, id, report)| (*slice, *id, report));
            let run = RunFacts::of([].iter(), stale).with_operators(fragments);
            check_told(case.sql, &of_run(&facts, &run, &Thresholds::default()), case.expected);
        }
    });
}

/// Reports of the fragments of a plan.
struct Reports<'a> {
    next: u32,
    /// Of each operator, 1 more than what it gave on each datanode; 0: it does not tell.
    slices: BTreeMap<u32, Vec<[u64; 3]>>,
    gave: Vec<(&'a str, [u64; 3])>,
}

impl Reports<'_> {
    fn add(&mut self, placed: &Placed, slice: u32) {
        let title = title(placed);
        let is_it = |(name, _): &(&str, _)| title.trim_start_matches("Finalize ") == *name;
        let known = self.gave.iter().position(is_it).map(|at| self.gave.remove(at).1);
        let rows = known.map_or([0; 3], |rows| rows.map(|rows| rows + 1));
        // The first is the send.
        let sent = if slice > 0 { vec![[0; 3]] } else { Vec::new() };
        self.slices.entry(slice).or_insert(sent).push(rows);
        let mut inner = slice;
        if placed.motion().is_some() {
            self.next += 1;
            inner = self.next;
        }
        placed.children.iter().for_each(|child| self.add(child, inner));
    }

    fn fragments(self) -> Vec<(u32, DatanodeId, FragmentReport)> {
        let of_slice = |(slice, rows): (u32, Vec<[u64; 3]>)| {
            let here = if slice > 0 { vec![0, 1, 2] } else { vec![0] };
            here.into_iter().map(move |at: u32| {
                let operator_rows = rows.iter().map(|rows| rows[at as usize]).collect();
                let id = if slice > 0 { DatanodeId(at) } else { kestrel_proto::COORDINATOR };
                (slice, id, FragmentReport { operator_rows, ..FragmentReport::default() })
            })
        };
        self.slices.into_iter().flat_map(of_slice).collect()
    }
}

const MB: u64 = 1 << 20;
const COORDINATOR: u32 = u32::MAX;

#[test]
fn uneven_work_is_told() {
    let grouped = "SELECT k, count(*) FROM t GROUP BY k";
    let of_query = |sql, carried, expected| Run {
        sql,
        motion: MotionKind::Redistribute,
        carried,
        stale: false,
        expected,
    };
    let redistribute = |carried, expected| of_query(grouped, carried, expected);
    let uneven: &[_] = &[(0, 900, 200 * MB), (1, 50, MB), (2, 50, MB)];
    let told: &[_] = &[("processing_skew", "dn1 gets 90 % of its rows", None)];
    check(&[
        redistribute(uneven, told),
        // One datanode has filled the limit, and the others were stopped.
        of_query("SELECT k, count(*) FROM t GROUP BY k LIMIT 900", uneven, &[]),
        // All are read before the first row.
        of_query("SELECT k, count(*) FROM t GROUP BY k ORDER BY 2 LIMIT 5", uneven, told),
        // Who has got nothing is not there.
        redistribute(
            &[(2, 900, 200 * MB)],
            &[("processing_skew", "dn3 gets 100 % of its rows", None)],
        ),
        redistribute(&[(0, 900, 20 * MB), (1, 50, MB), (2, 50, MB)], &[]),
        redistribute(&[(0, 900, 200 * MB), (1, 500, 100 * MB), (2, 500, 100 * MB)], &[]),
    ]);
}

#[test]
fn wrong_estimates_are_told_of_the_lowest_motion() {
    let run = |sql, rows, stale, expected| Run {
        sql,
        motion: MotionKind::Gather,
        carried: rows,
        stale,
        expected,
    };
    let all: &[_] = &[(COORDINATOR, 300_000, 8)];
    let few: &[_] = &[(COORDINATOR, 10_000, 8)];
    check(&[
        run("SELECT id FROM t", all, false, &[]),
        run("SELECT id FROM t", few, false, &[("misestimate", "30 times fewer", None)]),
        // What a limit has not asked for is not missing.
        run("SELECT id FROM t LIMIT 250000", few, false, &[]),
        run(
            "SELECT id FROM t WHERE k = 9 AND n = 3",
            few,
            false,
            &[(
                "misestimate",
                "may depend on one another",
                Some("CREATE STATISTICS t_k_n ON k, n FROM public.t; ANALYZE public.t;"),
            )],
        ),
        run(
            "SELECT id FROM t WHERE k = 9 AND n = 3",
            few,
            true,
            &[("misestimate", "are to blame", Some("ANALYZE public.t;"))],
        ),
        run("SELECT id FROM t WHERE k = 9", &[(COORDINATOR, 301, 8)], false, &[]),
    ]);
}

#[test]
fn wrong_estimates_are_told_of_the_lowest_operator() {
    let gave = |sql, rows, expected| Gave { sql, rows, stale: false, expected };
    let filtered = "SELECT count(*) FROM t WHERE k = 9 AND n = 3";
    let joined = "SELECT t.id, u.id FROM t JOIN u ON t.k = u.k";
    let (all_t, all_u) = ([100_000; 3], [10_000; 3]);
    check_operators(&[
        gave(
            filtered,
            &[("Seq Scan on t", [4_000; 3])],
            &[(
                "misestimate",
                "of a Seq Scan on t, Filter ((k = 9) AND (n = 3)), were",
                Some("CREATE STATISTICS t_k_n ON k, n FROM public.t; ANALYZE public.t;"),
            )],
        ),
        Gave {
            sql: filtered,
            rows: &[("Seq Scan on t", [4_000; 3])],
            stale: true,
            expected: &[("misestimate", "are to blame", Some("ANALYZE public.t;"))],
        },
        // What a limit has not asked for is not missing.
        gave("SELECT id FROM t LIMIT 250000", &[("Seq Scan on t", [3_000; 3])], &[]),
        gave(
            joined,
            &[("Hash Join", [100; 3]), ("Seq Scan on t", all_t), ("Seq Scan on u", all_u)],
            &[("misestimate", "of a Hash Join, Hash Cond", None)],
        ),
        // The keys of one side have filtered the other: whose fault it is nobody knows.
        gave(
            joined,
            &[("Hash Join", [100; 3]), ("Seq Scan on t", [90; 3]), ("Seq Scan on u", all_u)],
            &[],
        ),
        // The lower one is told.
        gave(
            joined,
            &[("Hash Join", [100; 3]), ("Seq Scan on t", [2_000_000; 3]), ("Seq Scan on u", all_u)],
            &[("misestimate", "of a Seq Scan on t were misestimated", None)],
        ),
        gave(
            "SELECT k, n, count(*) FROM t GROUP BY k, n",
            &[("HashAggregate", [300; 3]), ("Seq Scan on t", all_t)],
            &[(
                "misestimate",
                "Groups by \"k\", \"n\" of table \"t\" may depend",
                Some("CREATE STATISTICS t_k_n ON k, n FROM public.t; ANALYZE public.t;"),
            )],
        ),
    ]);
}

#[test]
fn uneven_operators_are_told() {
    let joined = "SELECT t.id, u.id FROM t JOIN u ON t.k = u.k";
    let (all_t, all_u) = ([100_000; 3], [10_000; 3]);
    let of_query = |sql, given, expected| Gave { sql, rows: given, stale: false, expected };
    let gave = |given, expected| of_query(joined, given, expected);
    let uneven: &[_] = &[
        ("Hash Join", [60_000_000, 300_000, 300_000]),
        ("Seq Scan on t", all_t),
        ("Seq Scan on u", all_u),
    ];
    check_operators(&[
        // One datanode has filled the limit, and the others were stopped.
        of_query("SELECT t.id, u.id FROM t JOIN u ON t.k = u.k LIMIT 60000000", uneven, &[]),
        // All are read before the first row.
        of_query(
            "SELECT t.id, u.id FROM t JOIN u ON t.k = u.k ORDER BY t.id LIMIT 10",
            uneven,
            &[("processing_skew", "a Hash Join is skewed: dn1 gives 99 % of its rows", None)],
        ),
        gave(
            &[
                ("Hash Join", [60_000_000, 300_000, 300_000]),
                ("Seq Scan on t", all_t),
                ("Seq Scan on u", all_u),
            ],
            &[("processing_skew", "a Hash Join is skewed: dn1 gives 99 % of its rows", None)],
        ),
        gave(
            &[
                ("Hash Join", [60_000_000, 300_000, 300_000]),
                ("Seq Scan on t", all_t),
                ("Seq Scan on u", all_u),
            ],
            &[("processing_skew", "is 7 in about 50 % of the rows of its table.", None)],
        ),
        gave(
            &[
                ("Hash Join", [30_000_000, 12_000_000, 12_000_000]),
                ("Seq Scan on t", all_t),
                ("Seq Scan on u", all_u),
            ],
            &[],
        ),
    ]);
}

#[test]
fn statistics_of_adopted_tables_become_stale() {
    with_tables(|golden| {
        let facts = golden.facts("SELECT id FROM t");
        let table = golden.catalog.table_by_id(facts.scans[0].table.id).unwrap();
        let uses = KeyUses::default();
        // No changes were counted when it was analyzed: `rows` are there now, of which `changed` are counted.
        let is_told = |is_whole: bool, rows: u64, changed: u64| {
            let mut state = TableState::of(&golden.catalog, table);
            let mut known = state.statistics.as_deref().unwrap().clone();
            known.changed_rows = 0;
            if !is_whole {
                known.columns.pop_first();
            }
            (state.statistics, state.rows, state.changed) = (Some(Arc::new(known)), rows, changed);
            let usage = Usage { scan: &facts.scans[0], uses: &uses };
            let found = of_table(&state, usage, &Thresholds::default());
            found.iter().any(|advice| advice.kind.name == "stale_statistics")
        };
        assert!(is_told(true, 570_000, 270_000));
        assert!(!is_told(true, 301_000, 1_000));
        // Column by column, and some.
        assert!(!is_told(true, 300_000, 300_000));
        assert!(!is_told(false, 570_000, 270_000));
    });
}
