//! Tests of `rewrite`: the rows of a query are the same with a rule and without it, whatever is in the
//! tables; a rule that is on does something, whatever that costs.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch},
    compute::cast,
    util::display::{ArrayFormatter, FormatOptions},
};
use datafusion::{
    catalog::memory::MemorySourceConfig,
    common::{
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    execution::TaskContext,
    physical_expr::{conjunction, expressions::Column},
    physical_plan::{
        ExecutionPlan, collect, displayable,
        execution_plan::reset_plan_states,
        filter::FilterExec,
        projection::{ProjectionExec, ProjectionExpr},
    },
};

use super::{Golden, with_datanodes};
use crate::{
    distribute::{Distributor, check as check_placed},
    functions::FunctionRegistry,
    join_order::JoinOrderSettings,
    operators::{ShardScanExec, physical_rules},
    parse::parse,
    plan::Planner,
    rewrite::rewritten_anyway,
    rule_switches::{RULES, RuleSwitches},
};

type PlanRef = Arc<dyn ExecutionPlan>;

/// Tables are filled so many times.
const FILLS: u64 = 12;

/// `rule` makes `sign` appear in the plans of these queries, and leaves their rows alone.
fn check(rule: &str, sign: &str, queries: &[&str]) {
    with_tables(|golden| {
        for sql in queries {
            let (plan, rewritten) = plans(golden, rule, sql);
            let (before, after) = (count(&plan, sign), count(&rewritten, sign));
            assert!(after > before, "{sql}: {}", displayable(rewritten.as_ref()).indent(false));
            check_placed(&distributor(golden).distribute(&rewritten).unwrap()).unwrap();
            for seed in 0..FILLS {
                let (expected, found) = (rows(golden, &plan, seed), rows(golden, &rewritten, seed));
                assert_eq!(found, expected, "{sql}: with {seed}");
            }
        }
    });
}

/// `rule` leaves the plans of these queries alone.
fn check_unchanged(rule: &str, queries: &[&str]) {
    with_tables(|golden| {
        for sql in queries {
            let (plan, rewritten) = plans(golden, rule, sql);
            let text = displayable(rewritten.as_ref()).indent(false).to_string();
            assert!(Arc::ptr_eq(&plan, &rewritten), "{sql}: {text}");
        }
    });
}

fn with_tables(run: impl FnOnce(&Golden<'_>)) {
    let functions = FunctionRegistry::new();
    let planner = Planner::new(&functions);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let catalog = Arc::new(with_datanodes(3));
    let mut golden = Golden { catalog, functions, planner: &planner, runtime: &runtime };
    golden.ddl(
        "CREATE TABLE a (k int, g int, v int, m numeric(9,2), s text) DISTRIBUTED BY (k);
         CREATE TABLE b (k int, g int, w int) DISTRIBUTED BY (k);
         CREATE TABLE c (k int, x int) DISTRIBUTED BY (k)",
    );
    for table in ["a", "b", "c"] {
        golden.fill(table, 3000);
    }
    run(&golden);
}

fn distributor(golden: &Golden<'_>) -> Distributor {
    Distributor {
        datanodes: 3,
        bucket_map: Arc::clone(&golden.catalog.bucket_map),
        everywhere: false,
        join_order: JoinOrderSettings::default(),
    }
}

/// Without the rule, and with it and no other.
fn plans(golden: &Golden<'_>, rule: &str, sql: &str) -> (PlanRef, PlanRef) {
    let bound = golden.bind(&parse(sql).unwrap()[0], &[]).unwrap().plan;
    let context = golden.context();
    let plan = golden.planner.physical_plan(&bound, &context);
    let plan = golden.runtime.block_on(plan).unwrap();
    let others = RULES.iter().filter(|other| other.name != rule);
    let off: HashMap<_, _> = others.map(|other| (other.setting(), "off".to_string())).collect();
    let rules = RuleSwitches::from_settings(&off).unwrap();
    let rewritten = rewritten_anyway(Arc::clone(&plan), &distributor(golden), &rules).unwrap();
    (plan, rewritten)
}

fn count(plan: &PlanRef, sign: &str) -> usize {
    displayable(plan.as_ref()).indent(false).to_string().matches(sign).count()
}

/// What a plan gives over tables with random rows, sorted.
fn rows(golden: &Golden<'_>, plan: &PlanRef, seed: u64) -> Vec<String> {
    let mut tables = BTreeMap::new();
    // Joins share what they have built with the plans that are made of theirs.
    let plan = reset_plan_states(Arc::clone(plan)).unwrap().transform_up(|node| {
        let Some(scan) = node.downcast_ref::<ShardScanExec>() else {
            return Ok(Transformed::no(node));
        };
        let name = scan.table().name.clone();
        let batch = tables.entry(name).or_insert_with_key(|name| random(scan, name, seed));
        let rows = MemorySourceConfig::try_new_exec(&[vec![batch.clone()]], batch.schema(), None)?;
        let mut rows: PlanRef = rows;
        if !scan.filters().is_empty() {
            let all = conjunction(scan.filters().iter().cloned());
            rows = Arc::new(FilterExec::try_new(all, rows)?);
        }
        let schema = rows.schema();
        let outputs = scan.projection().iter().map(|at| {
            let alias = schema.field(*at).name().clone();
            ProjectionExpr { expr: Arc::new(Column::new(&alias, *at)), alias }
        });
        let outputs = outputs.collect::<Vec<_>>();
        Ok(Transformed::yes(Arc::new(ProjectionExec::try_new(outputs, rows)?)))
    });
    let mut options = ConfigOptions::default();
    options.execution.target_partitions = 2;
    let optimized = physical_rules()
        .iter()
        .fold(plan.data().unwrap(), |plan, rule| rule.optimize(plan, &options).unwrap());
    let shown = displayable(optimized.as_ref()).indent(false).to_string();
    let batches = collect(optimized, Arc::new(TaskContext::default()));
    let batches =
        golden.runtime.block_on(batches).unwrap_or_else(|error| panic!("{error}: {shown}"));
    let mut rows: Vec<String> = batches.iter().flat_map(texts).collect();
    rows.sort();
    rows
}

fn texts(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let columns = batch.columns().iter();
    let columns = columns.map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap());
    let columns: Vec<_> = columns.collect();
    let row = |at| columns.iter().map(|c| c.value(at).to_string()).collect::<Vec<_>>().join("|");
    (0..batch.num_rows()).map(row).collect()
}

/// Up to 40 rows of few values, a fifth of them NULL.
fn random(scan: &ShardScanExec, name: &str, seed: u64) -> RecordBatch {
    // The generator of Knuth's MMIX.
    let mut state = name.bytes().fold(seed + 1, |state, byte| state * 31 + u64::from(byte));
    let mut next = |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let (schema, rows) = (scan.table().arrow_schema(), next(41));
    let columns = schema.fields().iter().map(|field| {
        let values = (0..rows).map(|_| (next(5) > 0).then(|| next(7) as i64));
        let values: ArrayRef = Arc::new(values.collect::<Int64Array>());
        cast(&values, field.data_type()).unwrap()
    });
    let columns = columns.collect();
    RecordBatch::try_new(schema, columns).unwrap()
}

#[test]
fn aggregates_are_reduced() {
    check("semi_join_reduction", "HashJoinExec", &[
        "SELECT a.v, q.n, q.w FROM a
         JOIN (SELECT k, count(*) AS n, sum(w) AS w FROM b GROUP BY k) q ON a.k = q.k WHERE a.v < 3",
        "SELECT a.v, q.n FROM a
         LEFT JOIN (SELECT k, count(*) AS n FROM b GROUP BY k) q ON a.k = q.k WHERE a.v < 3",
        "SELECT a.v, q.n FROM (SELECT k, count(*) AS n FROM b GROUP BY k) q
         RIGHT JOIN (SELECT * FROM a WHERE v < 3) a ON a.k = q.k",
        "SELECT a.v FROM a
         WHERE a.v < 3 AND a.k IN (SELECT k FROM b GROUP BY k HAVING count(*) > 1)",
        "SELECT a.v FROM a WHERE a.g < 3 AND a.v > (SELECT avg(w) FROM b WHERE b.k = a.k)",
        "SELECT a.v FROM a WHERE a.v < 3 AND NOT EXISTS (
           SELECT 1 FROM (SELECT k FROM b GROUP BY k HAVING count(*) > 1) q WHERE q.k = a.k)",
        // By a table that is not the aggregate's neighbour, and by a condition above its join.
        "SELECT a.v, q.n FROM a JOIN c ON a.k = c.k
         JOIN (SELECT k, count(*) AS n FROM b GROUP BY k) q ON q.k = a.k WHERE c.x < 2",
        "SELECT a.v, q.n FROM a JOIN (SELECT k, count(*) AS n FROM b GROUP BY k) q ON q.k = a.k
         WHERE a.k IN (SELECT k FROM c WHERE x < 2)",
        // Below a join, and through two aggregates.
        "SELECT a.v, q.n FROM a JOIN (
           SELECT b.k, count(*) AS n FROM b LEFT JOIN c ON b.g = c.k GROUP BY b.k) q ON q.k = a.k
         WHERE a.v < 3",
        "SELECT a.v, q.n FROM a JOIN (
           SELECT k, max(n) AS n FROM (SELECT k, g, count(*) AS n FROM b GROUP BY k, g) i GROUP BY k) q
         ON q.k = a.k WHERE a.v < 3",
        "SELECT a.v, q.n FROM a JOIN (SELECT k, g, count(*) AS n FROM b GROUP BY k, g) q
         ON q.k = a.k AND q.g = a.g WHERE a.v < 3",
    ]);
}

#[test]
fn aggregates_that_are_wanted_whole() {
    check_unchanged(
        "semi_join_reduction",
        &[
            "SELECT a.v, q.n FROM a FULL JOIN (SELECT k, count(*) AS n FROM b GROUP BY k) q ON a.k = q.k",
            "SELECT a.v, q.n FROM (SELECT * FROM a WHERE v < 3) a
         RIGHT JOIN (SELECT k, count(*) AS n FROM b GROUP BY k) q ON a.k = q.k",
            "SELECT a.v, q.n FROM a
         JOIN (SELECT k, count(*) AS n FROM b GROUP BY ROLLUP (k)) q ON a.k = q.k WHERE a.v < 3",
            "SELECT a.v, q.n FROM a JOIN (SELECT count(*) AS n FROM b) q ON a.k = q.n WHERE a.v < 3",
            // Other rows might come the second time.
            "SELECT a.v, q.n FROM (SELECT k, v FROM a WHERE random() < 0.5) a
         JOIN (SELECT k, count(*) AS n FROM b GROUP BY k) q ON a.k = q.k",
            "SELECT a.v, q.n FROM (SELECT k, v FROM a LIMIT 3) a
         JOIN (SELECT k, count(*) AS n FROM b GROUP BY k) q ON a.k = q.k",
            // Which group is the first depends on the others.
            "SELECT a.v, q.n FROM a
         JOIN (SELECT k, count(*) AS n FROM b GROUP BY k ORDER BY n, k LIMIT 2) q ON a.k = q.k
         WHERE a.v < 3",
        ],
    );
}

#[test]
fn aggregates_go_below_joins() {
    check("eager_aggregation", "mode=PartialReduce", &[
        "SELECT c.x, sum(a.v), count(*), avg(a.m), min(a.s), max(a.v) FROM a JOIN c ON a.k = c.k
         GROUP BY c.x",
        "SELECT c.x, sum(a.v), sum(a.m), count(a.s) FROM c JOIN a ON a.k = c.k GROUP BY c.x",
        "SELECT a.g, sum(a.v) FROM a LEFT JOIN c ON a.k = c.k GROUP BY a.g",
        "SELECT a.g, c.x, avg(a.v) FROM c RIGHT JOIN a ON a.k = c.k GROUP BY a.g, c.x",
        "SELECT a.g, c.x, count(a.v) FILTER (WHERE a.g > 2) FROM a JOIN c ON a.k = c.k
         GROUP BY a.g, c.x",
        "SELECT c.x + a.g, sum(CASE WHEN a.v > 2 THEN a.v END) FROM a JOIN c ON a.k = c.k GROUP BY 1",
        "SELECT a.g, sum(a.v) FROM a WHERE EXISTS (SELECT 1 FROM c WHERE c.k = a.k) GROUP BY a.g",
        "SELECT a.g, sum(a.v) FROM a WHERE NOT EXISTS (SELECT 1 FROM c WHERE c.k = a.k)
         GROUP BY a.g",
        "SELECT DISTINCT a.g, c.x FROM a JOIN c ON a.k = c.k",
        "SELECT c.x, count(*) FROM a JOIN b ON a.k = b.k JOIN c ON b.g = c.k GROUP BY c.x",
    ]);
}

#[test]
fn aggregates_that_stay_above_joins() {
    check_unchanged(
        "eager_aggregation",
        &[
            "SELECT a.g, sum(a.v + c.x) FROM a JOIN c ON a.k = c.k GROUP BY a.g",
            "SELECT a.g, sum(a.v), sum(c.x) FROM a JOIN c ON a.k = c.k GROUP BY a.g",
            "SELECT a.g, count(c.x) FROM a LEFT JOIN c ON a.k = c.k GROUP BY a.g",
            "SELECT a.g, sum(a.v) FROM a FULL JOIN c ON a.k = c.k GROUP BY a.g",
            "SELECT a.g, sum(a.v) FROM a JOIN c ON a.k = c.k AND a.v < c.x GROUP BY a.g",
            "SELECT a.g, sum(100 / a.v) FROM a JOIN c ON a.k = c.k GROUP BY a.g",
            "SELECT a.g, array_agg(a.v) FROM a JOIN c ON a.k = c.k GROUP BY a.g",
            "SELECT a.g, sum(a.v::float8) FROM a JOIN c ON a.k = c.k GROUP BY a.g",
            // A sum of rows that find no partner might be too large.
            "SELECT a.g, sum(a.m::numeric(38,0)) FROM a JOIN c ON a.k = c.k GROUP BY a.g",
            "SELECT sum(a.v) FROM a JOIN c ON a.k = c.k",
            "SELECT a.g, sum(a.v) FROM a JOIN c ON a.k = c.k GROUP BY ROLLUP (a.g)",
        ],
    );
}
