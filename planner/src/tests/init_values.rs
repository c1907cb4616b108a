//! What scans of fragments are, once the init plans have their values.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::{
    execution::TaskContext,
    logical_expr::physical_planning_context::SubqueryIndex,
    physical_plan::{ExecutionPlan, SendableRecordBatchStream, empty::EmptyExec},
    scalar::ScalarValue,
};
use kestrel_proto::{DatanodeId, message::SegmentRef};
use parking_lot::Mutex;

use super::*;
use crate::{
    codec::{decode_plan, encode_plan},
    operators::{SegmentTarget, ShardScan, ShardStore, addressed},
};

/// Keeps what it is asked for.
#[derive(Debug, Default)]
struct Asked(Mutex<Vec<ShardScan>>);

#[async_trait]
impl ShardStore for Asked {
    fn scan(&self, scan: &ShardScan) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = addressed(&scan.schema).project(&scan.projection).unwrap();
        self.0.lock().push(scan.clone());
        Ok(Arc::new(EmptyExec::new(Arc::new(schema))))
    }

    async fn write(
        &self,
        _: &SegmentTarget,
        _: SendableRecordBatchStream,
    ) -> Result<Vec<SegmentRef>> {
        Err(ErrorReport::internal("nothing is written here"))
    }
}

/// The only scan of the main plan as the first datanode decodes it, and that datanode's plan.
fn decoded(golden: &Golden<'_>, sql: &str, value: i32) -> (ShardScan, String) {
    let plan = golden.plan_of(sql);
    plan.init_values.set(SubqueryIndex::new(0), ScalarValue::Int32(Some(value))).unwrap();
    let bytes = encode_plan(&plan.slices[1].plan, DatanodeId(0), &golden.functions).unwrap();
    let asked = Arc::new(Asked::default());
    let store = Some(Arc::clone(&asked) as Arc<dyn ShardStore>);
    let plan = decode_plan(&bytes, &TaskContext::default(), store, &golden.functions).unwrap();
    let text = datafusion::physical_plan::displayable(plan.as_ref()).indent(false).to_string();
    (asked.0.lock().pop().unwrap(), text)
}

#[test]
fn values_of_init_plans_leave_out_partitions() {
    let functions = FunctionRegistry::new();
    let planner = Planner::new(&functions);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let catalog = Arc::new(with_datanodes(3));
    let mut golden = Golden { catalog, functions, planner: &planner, runtime: &runtime };
    golden.ddl(
        "CREATE TABLE u (a int, k int) DISTRIBUTED BY (a);
         CREATE TABLE t (a int, b int, k int, v int) DISTRIBUTED BY (a)
         PARTITION BY RANGE (k) (START (0) END (50) EVERY (10), DEFAULT PARTITION rest)",
    );
    for partition in ["1", "2", "3", "4", "rest"] {
        golden.fill(&format!("t_1_prt_{partition}"), 3000);
    }
    for (condition, value, read, filters) in [
        ("k = (SELECT max(k) FROM u)", 15, 1, "k@2 = 15"),
        ("k >= (SELECT max(k) FROM u)", 25, 3, "k@2 >= 25"),
        ("k < 20 AND k > (SELECT max(k) FROM u)", 10, 1, "k@2 < 20, k@2 > 10"),
        ("v = (SELECT max(k) FROM u)", 3, 5, "v@3 = 3"),
    ] {
        let (scan, text) = decoded(&golden, &format!("SELECT b FROM t WHERE {condition}"), value);
        let printed: Vec<_> = scan.filters.iter().map(ToString::to_string).collect();
        assert_eq!(printed.join(", "), filters, "{condition}");
        assert_eq!(scan.partitions.len(), read, "{condition}: {value}");
        assert_eq!(scan.segments.len(), read, "{condition}");
        let all = if condition.starts_with("k < 20") { 3 } else { 5 };
        assert_eq!(scan.partitions_left_out, all - read, "{condition}");
        assert!(scan.projection.contains(&1), "{condition}");
        assert!(!text.contains("FilterExec"), "{condition}: {text}");
    }
}
