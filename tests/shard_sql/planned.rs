//! A catalog of one table, and scans of it as the planner plans them.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::physical_plan::ExecutionPlan;
use kestrel_planner::{
    bind::{BindContext, NoSessionFunctions, Source, SystemRelations, bind_query},
    catalog::{Catalog, CatalogChange, DatanodeDef, SequenceDef, TableDef},
    ddl,
    functions::{FunctionRegistry, SessionFormats},
    operators::{ShardScan, ShardScanExec},
    parse::{StatementKind, parse},
    plan::{PlanContext, Planner},
    shard_sql::SampleSize,
};
use kestrel_proto::{DatanodeId, ErrorReport, Result};

/// One datanode and the table `public.t`.
pub(super) struct Planned {
    catalog: Arc<Catalog>,
    functions: Arc<FunctionRegistry>,
    planner: Planner,
    /// What made the table.
    pub(super) changes: Vec<CatalogChange>,
}

struct NoSystemRelations;

impl SystemRelations for NoSystemRelations {
    fn relation(&self, _: &str, _: &str) -> Option<Result<RecordBatch>> {
        None
    }

    fn sequence(&self, sequence: &SequenceDef) -> Result<RecordBatch> {
        Err(ErrorReport::internal(format!("nobody knows where {} stands", sequence.name)))
    }
}

impl Planned {
    /// `create` is a CREATE TABLE.
    pub(super) fn new(create: &str) -> Self {
        let datanodes = vec![DatanodeDef {
            id: 0,
            name: "dn1".into(),
            uuid: String::new(),
            address: "local".into(),
            shard_kind: "kes".into(),
        }];
        let change = CatalogChange::SetDatanodes { datanodes, bucket_map_version: 1 };
        let catalog = Catalog::empty().apply(&[change]).unwrap();
        let StatementKind::Ddl(ddl) = &parse(create).unwrap()[0].kind else { panic!("no DDL") };
        let changes = ddl::plan(ddl, &catalog, &["public".into()]).unwrap().changes;
        let functions = FunctionRegistry::new();
        let planner = Planner::new(&functions);
        Self { catalog: Arc::new(catalog.apply(&changes).unwrap()), functions, planner, changes }
    }

    pub(super) fn table(&self) -> &Arc<TableDef> {
        self.catalog.table("public", "t").unwrap()
    }

    /// What the first scan of the query's plan reads; `None`: no row can come of it.
    pub(super) async fn scan(&self, sql: &str) -> Result<Option<ShardScan>> {
        self.sampled(sql, None).await
    }

    /// The same, where so much of a table is enough.
    pub(super) async fn sampled(
        &self,
        sql: &str,
        sample: Option<SampleSize>,
    ) -> Result<Option<ShardScan>> {
        let statement = parse(sql)?.remove(0);
        let StatementKind::Query(query) = &statement.kind else { panic!("no query: {sql}") };
        let context = BindContext {
            source: Source { sql: sql.into(), offset: 0 },
            catalog: Arc::clone(&self.catalog),
            search_path: vec!["public".into()],
            functions: Arc::clone(&self.functions),
            session_functions: Arc::new(NoSessionFunctions),
            system_relations: Arc::new(NoSystemRelations),
            changed: None,
            given: Vec::new(),
            sample,
        };
        let bound = bind_query(query, &context, &[])?.plan;
        let context = PlanContext {
            catalog: Arc::clone(&self.catalog),
            now: Default::default(),
            formats: SessionFormats::default(),
            rules: Default::default(),
            join_order: Default::default(),
        };
        let plan = self.planner.plan(&bound, &context).await?;
        Ok(plan.slices.iter().find_map(|slice| found(&slice.plan)))
    }
}

fn found(plan: &Arc<dyn ExecutionPlan>) -> Option<ShardScan> {
    if let Some(scan) = plan.downcast_ref::<ShardScanExec>() {
        return Some(scan.on(DatanodeId(0)));
    }
    plan.children().into_iter().find_map(found)
}
