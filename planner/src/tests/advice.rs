//! What there is to say of plans: before they run, as golden files print it, and after.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kestrel_proto::message::MotionTraffic;

use super::{Golden, known, with_datanodes};
use crate::{
    advice::{
        Advice, KeyUses, MotionFacts, PlanFacts, RunFacts, TableState, Thresholds, Usage, of_plan,
        of_run, of_table,
    },
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

fn check(cases: &[Run<'_>]) {
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
        let found = of_run(&facts, &run, &Thresholds::default());
        let told = found.iter().map(|advice| {
            let finding = &advice.finding;
            let text = format!("{} {}", finding.message, finding.detail);
            (advice.kind.name, (text, finding.hint.clone()))
        });
        let mut told: BTreeMap<_, _> = told.collect();
        assert_eq!(told.len(), case.expected.len(), "{}: {told:?}", case.sql);
        for (kind, part, hint) in case.expected {
            let (text, found) = told.remove(kind).unwrap_or_default();
            assert!(text.contains(part), "{}: {text}", case.sql);
            assert_eq!(found.as_deref(), *hint, "{}", case.sql);
        }
    }
}

const MB: u64 = 1 << 20;
const COORDINATOR: u32 = u32::MAX;

#[test]
fn uneven_work_is_told() {
    let grouped = "SELECT k, count(*) FROM t GROUP BY k";
    let redistribute = |carried, expected| Run {
        sql: grouped,
        motion: MotionKind::Redistribute,
        carried,
        stale: false,
        expected,
    };
    check(&[
        redistribute(
            &[(0, 900, 200 * MB), (1, 50, MB), (2, 50, MB)],
            &[("processing_skew", "dn1 gets 90 % of its rows", None)],
        ),
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
