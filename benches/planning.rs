//! How long TPC-H's 22 queries take from their text to their slices, at the sizes of scale 1 on
//! three datanodes, beside DataFusion's own way from text to its optimized physical plan; the same with
//! plans that were kept; and queries of a table with 1,000 partitions: `cargo bench --bench planning`.

use std::{collections::HashMap, hint::black_box, sync::Arc};

use arrow::array::RecordBatch;
use chrono::DateTime;
use criterion::{
    BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime,
};
use datafusion::{datasource::MemTable, prelude::SessionContext};
use kestrel::tpch::{Layout, QUERIES, create_statements};
use kestrel_planner::{
    bind::{BindContext, BoundQuery, NoSessionFunctions, Source, SystemRelations, bind_query},
    catalog::{Catalog, CatalogChange, DatanodeDef, Segment, SequenceDef},
    ddl,
    functions::{FunctionRegistry, SessionFormats},
    parse::{StatementKind, parse},
    plan::{GenericPlan, Plan, PlanContext, Planner},
};
use kestrel_proto::{ErrorReport, Result};
use tokio::runtime::Runtime;

const DATANODES: u32 = 3;
/// Rows per table at scale 1.
const ROWS: [(&str, u64); 8] = [
    ("region", 5),
    ("nation", 25),
    ("supplier", 10_000),
    ("part", 200_000),
    ("partsupp", 800_000),
    ("customer", 150_000),
    ("orders", 1_500_000),
    ("lineitem", 6_001_215),
];

fn planning(criterion: &mut Criterion) {
    let fail = |what: &str, error: ErrorReport| -> ! { panic!("{what}: {error}") };
    let catalog = Arc::new(catalog().unwrap_or_else(|e| fail("the catalog", e)));
    let functions = FunctionRegistry::new();
    let planner = Planner::new(&functions);
    let runtime = Runtime::new().unwrap_or_else(|e| panic!("a runtime: {e}"));
    let context = BindContext {
        source: Source::default(),
        catalog: Arc::clone(&catalog),
        search_path: vec!["public".into()],
        functions: Arc::clone(&functions),
        session_functions: Arc::new(NoSessionFunctions),
        system_relations: Arc::new(NoSystemRelations),
        changed: None,
        given: Vec::new(),
        sample: None,
    };
    let plan_of = |sql: &str| {
        let planned = runtime.block_on(plan(sql, &context, &planner));
        planned.unwrap_or_else(|e| fail(sql, e))
    };
    each(criterion.benchmark_group("planning"), |sql| {
        black_box(plan_of(sql));
    });
    kept(criterion, &context, &planner, &runtime);
    partitioned(criterion, &context, &planner, &runtime);
    let alone = datafusion_alone(&catalog).unwrap_or_else(|e| fail("DataFusion's tables", e));
    each(criterion.benchmark_group("planning by DataFusion alone"), |sql| {
        let frame = runtime.block_on(alone.sql(sql));
        let plan = frame.and_then(|frame| runtime.block_on(frame.create_physical_plan()));
        black_box(plan.unwrap_or_else(|e| panic!("{sql}: {e}")));
    });
}

/// Queries that come again: their plans were kept.
fn kept(criterion: &mut Criterion, context: &BindContext, planner: &Planner, runtime: &Runtime) {
    let fail = |what: &str, error: ErrorReport| -> ! { panic!("{what}: {error}") };
    let plan_context = plan_context(context);
    let kept: HashMap<&str, GenericPlan> = QUERIES
        .iter()
        .filter_map(|query| {
            let generic = bound(query.sql, context)
                .and_then(|bound| planner.generic(&bound, query.sql, &plan_context));
            Some((query.sql, generic.unwrap_or_else(|e| fail(query.sql, e))?))
        })
        .collect();
    each(criterion.benchmark_group("planning of kept plans"), |sql| {
        if let Some(generic) = kept.get(sql) {
            let planned = runtime.block_on(planner.plan_generic(generic, None, &plan_context));
            black_box(planned.unwrap_or_else(|e| fail(sql, e)));
        }
    });
}

/// Queries of a table with 1,000 partitions: of all, of one, of a third.
fn partitioned(
    criterion: &mut Criterion,
    context: &BindContext,
    planner: &Planner,
    runtime: &Runtime,
) {
    let fail = |what: &str, error: ErrorReport| -> ! { panic!("{what}: {error}") };
    let catalog = with_partitions(&context.catalog).unwrap_or_else(|e| fail("partitions", e));
    let context = BindContext { catalog: Arc::new(catalog), ..context.clone() };
    let mut group = criterion.benchmark_group("planning of 1,000 partitions");
    for (name, condition) in [
        ("all", "true"),
        ("one", "k = 345678"),
        ("a third", "k >= 333000 AND k < 666000 AND v > 5"),
    ] {
        let sql = format!("SELECT k, sum(v) FROM parts WHERE {condition} GROUP BY k");
        group.bench_function(name, |b| {
            b.iter(|| {
                let planned = runtime.block_on(plan(black_box(&sql), &context, planner));
                black_box(planned.unwrap_or_else(|e| fail(&sql, e)));
            });
        });
    }
    group.finish();
}

/// With a table of 1,000 partitions of 1,000 keys each, and a segment of each on every datanode.
fn with_partitions(catalog: &Catalog) -> Result<Catalog> {
    let sql = "CREATE TABLE parts (id int, k int, v int) DISTRIBUTED BY (id) \
               PARTITION BY RANGE (k) (START (0) END (1000000) EVERY (1000))";
    let statement = parse(sql)?.remove(0);
    let StatementKind::Ddl(create) = &statement.kind else {
        return Err(ErrorReport::internal("no DDL"));
    };
    let plan = ddl::plan(create, catalog, &["public".into()])?;
    let catalog = catalog.apply(&plan.changes)?;
    let parts = catalog.table("public", "parts").map_or(0, |table| table.id);
    let fill = |table: u64| CatalogChange::AddSegments {
        table,
        segments: (0..DATANODES).map(|datanode| segment(datanode, 100_000)).collect(),
    };
    let partitions = catalog.partitions_of(parts).into_iter();
    let changes: Vec<_> = partitions.map(|table| fill(table.id)).collect();
    catalog.apply(&changes)
}

/// Measures the queries together, then each.
fn each(mut group: BenchmarkGroup<'_, WallTime>, plan: impl Fn(&str)) {
    group.bench_function("all 22", |b| {
        b.iter(|| {
            for query in &QUERIES {
                plan(black_box(query.sql));
            }
        });
    });
    for query in &QUERIES {
        let name = format!("q{:02}", query.number);
        group.bench_function(name, |b| b.iter(|| plan(black_box(query.sql))));
    }
    group.finish();
}

/// A session of DataFusion's, as it comes, with the same tables in memory.
fn datafusion_alone(catalog: &Catalog) -> Result<SessionContext> {
    let context = SessionContext::new();
    for (name, _) in ROWS {
        let table = catalog.table("public", name);
        let table = table.ok_or_else(|| ErrorReport::internal(format!("no table {name}")))?;
        let schema = table.arrow_schema();
        let empty = RecordBatch::new_empty(Arc::clone(&schema));
        let provider = MemTable::try_new(schema, vec![vec![empty.clone()], vec![empty]]);
        let registered = provider.and_then(|table| context.register_table(name, Arc::new(table)));
        registered.map_err(|e| ErrorReport::internal(e.to_string()))?;
    }
    Ok(context)
}

async fn plan(sql: &str, context: &BindContext, planner: &Planner) -> Result<Plan> {
    planner.plan(&bound(sql, context)?.plan, &plan_context(context)).await
}

fn bound(sql: &str, context: &BindContext) -> Result<BoundQuery> {
    let statement = parse(sql)?.remove(0);
    let StatementKind::Query(query) = &statement.kind else {
        return Err(ErrorReport::internal("no query"));
    };
    bind_query(query, context, &[])
}

fn plan_context(context: &BindContext) -> PlanContext {
    PlanContext {
        catalog: Arc::clone(&context.catalog),
        now: DateTime::UNIX_EPOCH,
        formats: SessionFormats::default(),
        rules: Default::default(),
        join_order: Default::default(),
    }
}

/// TPC-H's tables with the usual keys.
fn catalog() -> Result<Catalog> {
    let datanodes = (0..DATANODES).map(|id| DatanodeDef {
        id,
        name: format!("dn{}", id + 1),
        uuid: String::new(),
        address: "local".into(),
        shard_kind: "columnar".into(),
    });
    let datanodes = datanodes.collect();
    let change = CatalogChange::SetDatanodes { datanodes, bucket_map_version: 1 };
    let mut catalog = Catalog::empty().apply(&[change])?;
    for statement in create_statements(Layout::Usual) {
        for parsed in parse(&statement)? {
            if let StatementKind::Ddl(create) = &parsed.kind {
                let plan = ddl::plan(create, &catalog, &["public".into()])?;
                catalog = catalog.apply(&plan.changes)?;
            }
        }
    }
    for (name, rows) in ROWS {
        let table = catalog.table("public", name).map(|t| t.id);
        let table = table.ok_or_else(|| ErrorReport::internal(format!("no table {name}")))?;
        let segments = (0..DATANODES).map(|datanode| segment(datanode, rows)).collect();
        catalog = catalog.apply(&[CatalogChange::AddSegments { table, segments }])?;
    }
    Ok(catalog)
}

fn segment(datanode: u32, rows: u64) -> Segment {
    let rows = rows / u64::from(DATANODES);
    Segment {
        datanode,
        id: 1,
        kind: 0,
        file: "segment".into(),
        offset: 0,
        length: rows * 50,
        rows,
        bytes: rows * 100,
        zone_summary: Vec::new(),
        deletes: None,
        checksum: 0,
    }
}

struct NoSystemRelations;

impl SystemRelations for NoSystemRelations {
    fn relation(&self, _: &str, _: &str) -> Option<Result<RecordBatch>> {
        None
    }

    fn sequence(&self, _: &SequenceDef) -> Result<RecordBatch> {
        Err(ErrorReport::internal("there is no sequence"))
    }
}

criterion_group!(benches, planning);
criterion_main!(benches);
