//! Golden tests of planning: `testdata/plans`, DDL and SQL in, EXPLAIN out. Every file begins with
//! an empty catalog of three datanodes. `REWRITE=1` writes what is printed into the files.
//!
//! Directives: `datanodes count=5`; `ddl`; `rows t=1000 u=20`, so many rows of 100 bytes in each
//! table; `statistics of=t`, what ANALYZE has found out ([`known`]); `plan [verbose] [rows]`; `tpch
//! query=1`; `insert into=t`, the plan of INSERT … SELECT; `analyze [timing=off]`, a query that has
//! run ([`execution`]); `advice`, what there is to say of the plan and its tables. `rows t=(3,2,1)`: so
//! many on each datanode.

use std::{fmt::Write, fs, sync::Arc};

use arrow::array::RecordBatch;
use chrono::DateTime;
use datadriven::TestCase;
use datafusion::common::{ParamValues, ScalarValue, metadata::ScalarAndMetadata};
use kestrel_proto::{ErrorReport, Result};

use crate::{
    bind::{
        BindContext, BoundQuery, NoSessionFunctions, Source, SystemRelations, bind_query, locate,
    },
    catalog::{Catalog, CatalogChange, DatanodeDef, Distribution, Segment, SequenceDef, SqlType},
    ddl,
    explain::{self, Execution, ExplainOptions, SentSql},
    functions::{FunctionRegistry, SessionFormats},
    join_order::JoinOrderSettings,
    parse::{Statement, StatementKind, parse},
    plan::{InsertPlan, Plan, PlanContext, Planner},
    statistics::TableStatistics,
};

mod advice;
mod drawn;
mod estimates;
mod execution;
mod init_values;
mod join_order;
mod known;
mod redistribution;
mod rewrite;

#[test]
fn golden() {
    let functions = FunctionRegistry::new();
    let planner = Planner::new(&functions);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    datadriven::walk("testdata/plans", |file| {
        let mut golden = Golden {
            catalog: Arc::new(with_datanodes(3)),
            functions: Arc::clone(&functions),
            planner: &planner,
            runtime: &runtime,
        };
        file.run(|case| golden.run(case));
    });
}

struct Golden<'a> {
    catalog: Arc<Catalog>,
    functions: Arc<FunctionRegistry>,
    planner: &'a Planner,
    runtime: &'a tokio::runtime::Runtime,
}

/// There are none.
struct NoSystemRelations;

impl SystemRelations for NoSystemRelations {
    fn relation(&self, _: &str, _: &str) -> Option<Result<RecordBatch>> {
        None
    }

    fn sequence(&self, sequence: &SequenceDef) -> Result<RecordBatch> {
        Err(ErrorReport::internal(format!("nobody knows where {} stands", sequence.name)))
    }
}

fn with_datanodes(count: u32) -> Catalog {
    let datanodes = (0..count).map(|id| DatanodeDef {
        id,
        name: format!("dn{}", id + 1),
        uuid: String::new(),
        address: "local".into(),
        shard_kind: "columnar".into(),
    });
    let datanodes = datanodes.collect();
    let change = CatalogChange::SetDatanodes { datanodes, bucket_map_version: 1 };
    Catalog::empty().apply(&[change]).unwrap()
}

impl Golden<'_> {
    fn run(&mut self, case: &TestCase) -> String {
        let argument = |name: &str| case.args.get(name).and_then(|values| values.first());
        match case.directive.as_str() {
            "datanodes" => {
                let count = argument("count").unwrap().parse().unwrap();
                self.catalog = Arc::new(with_datanodes(count));
                String::new()
            }
            "ddl" => self.ddl(&case.input),
            "rows" => {
                for (table, rows) in &case.args {
                    let rows: Vec<u64> = rows.iter().map(|rows| rows.parse().unwrap()).collect();
                    match rows.as_slice() {
                        [all] => self.fill(table, *all),
                        each => self.fill_each(table, each),
                    }
                }
                String::new()
            }
            "statistics" => {
                let table = argument("of").unwrap();
                self.catalog = Arc::new(known::statistics(&self.catalog, table, &case.input));
                String::new()
            }
            "plan" if case.args.contains_key("rows") => self.print_rows(&case.input),
            "plan" => self.print(&case.input, case.args.contains_key("verbose"), None),
            "analyze" => {
                let (sql, ran) = case.input.split_once(";\n").unwrap();
                let timing = argument("timing").is_none_or(|timing| timing != "off");
                self.print_run(sql, &execution::parse(ran), timing)
            }
            "tpch" => {
                let number: u32 = argument("query").unwrap().parse().unwrap();
                let file = format!("../bench-data/tpch/queries/q{number:02}.sql");
                self.print(&fs::read_to_string(file).unwrap(), false, None)
            }
            "insert" => self.print(&case.input, false, argument("into").map(String::as_str)),
            "advice" => self.advice(&case.input),
            other => panic!("unknown directive: {other}"),
        }
    }

    fn ddl(&mut self, sql: &str) -> String {
        for statement in parse(sql).unwrap() {
            let StatementKind::Ddl(ddl) = &statement.kind else { panic!("no DDL: {statement:?}") };
            let plan = ddl::plan(ddl, &self.catalog, &["public".into()]).unwrap();
            self.catalog = Arc::new(self.catalog.apply(&plan.changes).unwrap());
        }
        String::new()
    }

    /// A segment with these rows, spread evenly; all of them everywhere if it is replicated.
    fn fill(&mut self, name: &str, rows: u64) {
        let table = self.catalog.table("public", name).unwrap();
        let datanodes = self.catalog.datanodes.len() as u64;
        let here = match table.distribution {
            Distribution::Replicated => rows,
            _ => rows / datanodes,
        };
        self.fill_each(name, &vec![here; datanodes as usize]);
    }

    /// A segment with so many rows on each datanode.
    fn fill_each(&mut self, name: &str, rows: &[u64]) {
        let table = self.catalog.table("public", name).unwrap();
        let segment = |(datanode, here): (&DatanodeDef, &u64)| Segment {
            datanode: datanode.id,
            id: 1,
            kind: 0,
            file: "segment".into(),
            offset: 0,
            length: here * 50,
            rows: *here,
            bytes: here * 100,
            zone_summary: Vec::new(),
            deletes: None,
            checksum: 0,
        };
        let segments = self.catalog.datanodes.iter().zip(rows).map(segment).collect();
        let change = CatalogChange::AddSegments { table: table.id, segments };
        self.catalog = Arc::new(self.catalog.apply(&[change]).unwrap());
    }

    fn print(&self, sql: &str, verbose: bool, into: Option<&str>) -> String {
        let statement = match parse(sql) {
            Ok(mut statements) => statements.remove(0),
            Err(error) => return report(&error),
        };
        match self.plan(&statement, into) {
            Ok(plan) => printed(&plan, verbose),
            Err(error) => report(&locate(error, &statement)),
        }
    }

    fn print_run(&self, sql: &str, execution: &Execution, timing: bool) -> String {
        let plan = self.plan_of(sql);
        let options = ExplainOptions { costs: false, verbose: false, timing };
        let tree = explain::explain(&plan, options, &SentSql::default(), Some(execution));
        let mut lines = explain::text(&tree, options);
        lines.extend(explain::slice_lines(execution, options));
        lines.join("\n") + "\n"
    }

    /// The plan with how many rows each operator gives, without costs.
    fn print_rows(&self, sql: &str) -> String {
        let options = ExplainOptions { costs: true, verbose: false, timing: true };
        let plan = self.plan_of(sql);
        let tree = explain::explain(&plan, options, &SentSql::default(), None);
        let lines = explain::text(&tree, options);
        let without_cost = |line: &String| match line.split_once("(cost=") {
            Some((before, after)) => {
                let rows = after.split_once(' ').map_or("", |(_, rows)| rows);
                format!("{before}({rows}\n")
            }
            None => format!("{line}\n"),
        };
        lines.iter().map(without_cost).collect()
    }

    fn plan_of(&self, sql: &str) -> Plan {
        self.plan(&parse(sql).unwrap().remove(0), None).unwrap()
    }

    fn bind(&self, statement: &Statement, types: &[Option<SqlType>]) -> Result<BoundQuery> {
        let StatementKind::Query(query) = &statement.kind else {
            panic!("no query: {statement:?}")
        };
        let context = BindContext {
            source: Source { sql: statement.sql.clone(), offset: statement.offset },
            catalog: Arc::clone(&self.catalog),
            search_path: vec!["public".into()],
            functions: Arc::clone(&self.functions),
            session_functions: Arc::new(NoSessionFunctions),
            system_relations: Arc::new(NoSystemRelations),
            changed: None,
            given: Vec::new(),
            sample: None,
        };
        bind_query(query, &context, types)
    }

    fn context(&self) -> PlanContext {
        PlanContext {
            catalog: Arc::clone(&self.catalog),
            now: DateTime::UNIX_EPOCH,
            formats: SessionFormats::default(),
            rules: Default::default(),
            join_order: JoinOrderSettings::default(),
        }
    }

    fn plan(&self, statement: &Statement, into: Option<&str>) -> Result<Plan> {
        let (bound, context) = (self.bind(statement, &[])?.plan, self.context());
        let Some(table) = into else {
            return self.runtime.block_on(self.planner.plan(&bound, &context));
        };
        let table = self.catalog.table("public", table).unwrap();
        let insert = self.planner.plan_insert(&bound, table, &context);
        match self.runtime.block_on(insert)? {
            InsertPlan::Distributed(plan) | InsertPlan::Ingest(plan) => Ok(plan),
        }
    }
}

/// With optimizations, a table of 1,000 partitions is planned in less than 50 ms.
#[test]
fn a_thousand_partitions_are_planned_quickly() {
    let functions = FunctionRegistry::new();
    let planner = Planner::new(&functions);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let catalog = Arc::new(with_datanodes(3));
    let mut golden = Golden { catalog, functions, planner: &planner, runtime: &runtime };
    golden.ddl(
        "CREATE TABLE t (id int, k int) DISTRIBUTED BY (id)
         PARTITION BY RANGE (k) (START (0) END (1000) EVERY (1), DEFAULT PARTITION rest)",
    );
    for number in 1..=1000 {
        golden.fill(&format!("t_1_prt_{number}"), 300);
    }
    for (condition, read) in [
        ("", 1001),
        ("WHERE k = 5", 1),
        ("WHERE k >= 100 AND k < 200", 100),
        ("WHERE k > 990", 10),
        ("WHERE k IS NULL", 1),
        ("WHERE k IN (1, 2, 2000)", 3),
    ] {
        let sql = format!("SELECT id FROM t {condition}");
        let mut shortest = std::time::Duration::MAX;
        for _ in 0..5 {
            let start = std::time::Instant::now();
            let text = golden.print(&sql, false, None);
            shortest = shortest.min(start.elapsed());
            let expected = format!("Partitions: {read} of 1001");
            assert!(text.contains(&expected), "{condition}: {text}");
        }
        let is_quick = shortest.as_millis() < 50;
        assert!(is_quick || cfg!(debug_assertions), "{condition}: {shortest:?}");
    }
}

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

fn printed(plan: &Plan, verbose: bool) -> String {
    let options = ExplainOptions { costs: false, verbose, timing: true };
    let tree = explain::explain(plan, options, &SentSql::default(), None);
    let lines = explain::text(&tree, options);
    lines.join("\n") + "\n"
}

fn report(report: &ErrorReport) -> String {
    let position = report.position.map_or(String::new(), |p| format!(" @{p}"));
    let mut out = format!("ERROR {}{position}: {}\n", report.sqlstate.as_str(), report.message);
    for (label, text) in [("detail", &report.detail), ("hint", &report.hint)] {
        if let Some(text) = text {
            writeln!(out, "  {label}: {text}").unwrap();
        }
    }
    out
}
