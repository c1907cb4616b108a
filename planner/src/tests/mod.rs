//! Golden tests of planning: `testdata/plans`, DDL and SQL in, EXPLAIN out. Every file begins with
//! an empty catalog of three datanodes. `REWRITE=1` writes what is printed into the files.
//!
//! Directives: `datanodes count=5`; `ddl`; `rows t=1000 u=20`, so many rows of 100 bytes in each
//! table; `statistics of=t`, what ANALYZE has found out ([`known`]); `plan [verbose] [rows]`; `tpch
//! scale=1`, TPC-H's tables, analyzed ([`tpch`]); `tpch query=1 [moved]`, the plan of its query, with what
//! motions move ([`moved`]); `insert into=t`, the plan of INSERT … SELECT; `analyze [timing=off]`, a query that has
//! run ([`execution`]); `advice`, what there is to say of the plan and its tables. `rows t=(3,2,1)`: so
//! many on each datanode.

use std::{fmt::Write, sync::Arc};

use arrow::array::RecordBatch;
use chrono::DateTime;
use datadriven::TestCase;
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
};

mod advice;
mod drawn;
mod estimates;
mod execution;
mod init_values;
mod join_order;
mod kept_plans;
mod known;
mod moved;
mod redistribution;
mod rewrite;
mod tpch;

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
            "tpch" => match argument("query").map(|number| tpch::query(number)) {
                Some(sql) if case.args.contains_key("moved") => moved::printed(&self.plan_of(&sql)),
                Some(sql) => self.print(&sql, false, None),
                None => {
                    assert_eq!(argument("scale").map(String::as_str), Some("1"));
                    tpch::analyzed_at_scale_1(self);
                    String::new()
                }
            },
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
