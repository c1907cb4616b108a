//! The seam to the planner's codec.

use std::{fmt::Debug, sync::Arc};

use datafusion::{execution::TaskContext, physical_plan::ExecutionPlan};
use kestrel_planner::{
    codec::decode_plan, error::report, functions::FunctionRegistry, operators::ShardStore,
};
use kestrel_proto::{Result, message::Fragment};

/// Makes operators of a fragment's bytes.
pub trait FragmentDecoder: Debug + Send + Sync {
    /// Of the functions that decoded plans may call; a fragment's must be the same.
    fn function_fingerprint(&self) -> u64;

    /// The operators of `fragment.plan`, fresh ones at every call: they hold the state of one run.
    /// Its scans are `store`'s. `context` is the one they will run in.
    fn decode(
        &self,
        fragment: &Fragment,
        store: &Arc<dyn ShardStore>,
        context: &TaskContext,
    ) -> Result<Arc<dyn ExecutionPlan>>;
}

/// The planner's codec.
#[derive(Debug)]
pub struct PlanDecoder {
    functions: Arc<FunctionRegistry>,
}

impl PlanDecoder {
    /// Plans may call these functions.
    pub fn new(functions: Arc<FunctionRegistry>) -> Self {
        Self { functions }
    }
}

impl FragmentDecoder for PlanDecoder {
    fn function_fingerprint(&self) -> u64 {
        self.functions.fingerprint()
    }

    fn decode(
        &self,
        fragment: &Fragment,
        store: &Arc<dyn ShardStore>,
        context: &TaskContext,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        decode_plan(&fragment.plan, context, Some(Arc::clone(store)), &self.functions)
            .map_err(report)
    }
}
