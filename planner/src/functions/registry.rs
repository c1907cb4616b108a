//! Functions by name.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use datafusion::{
    error::Result,
    execution::{FunctionRegistry as DataFusionRegistry, SessionStateDefaults},
    logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, WindowUDF, planner::ExprPlanner},
};
use kestrel_proto::{ENGINE_VERSION, ErrorReport, SqlState};

use crate::error::to_datafusion;

/// All functions: DataFusion's, with Kestrel's in place of those whose results are not
/// PostgreSQL's.
#[derive(Debug)]
pub struct FunctionRegistry {
    scalar: HashMap<String, Arc<ScalarUDF>>,
    higher_order: HashMap<String, Arc<HigherOrderUDF>>,
    aggregate: HashMap<String, Arc<AggregateUDF>>,
    window: HashMap<String, Arc<WindowUDF>>,
    expr_planners: Vec<Arc<dyn ExprPlanner>>,
    /// Names of Kestrel's own scalar functions.
    ours: HashSet<String>,
    fingerprint: u64,
}

impl FunctionRegistry {
    /// The functions of this build.
    pub fn new() -> Arc<Self> {
        let mut registry = Self {
            scalar: HashMap::new(),
            higher_order: HashMap::new(),
            aggregate: HashMap::new(),
            window: HashMap::new(),
            expr_planners: super::expr_planners(),
            ours: HashSet::new(),
            fingerprint: 0,
        };
        // Later ones win: ours come after DataFusion's.
        let scalars = SessionStateDefaults::default_scalar_functions();
        for function in scalars.into_iter().chain(super::scalar_functions()) {
            registry.add_scalar(&function);
        }
        for function in super::scalar_functions() {
            registry.ours.extend(names(function.name(), function.aliases()));
        }
        // It finds the type of its arguments as DataFusion's does.
        registry.ours.remove("coalesce");
        for function in SessionStateDefaults::default_higher_order_functions() {
            for name in names(function.name(), function.aliases()) {
                registry.higher_order.insert(name, Arc::clone(&function));
            }
        }
        let aggregates = SessionStateDefaults::default_aggregate_functions();
        for function in aggregates.into_iter().chain(super::aggregate_functions()) {
            for name in names(function.name(), function.aliases()) {
                registry.aggregate.insert(name, Arc::clone(&function));
            }
        }
        let windows = SessionStateDefaults::default_window_functions();
        for function in windows.into_iter().chain(super::window_functions()) {
            for name in names(function.name(), function.aliases()) {
                registry.window.insert(name, Arc::clone(&function));
            }
        }
        registry.expr_planners.extend(SessionStateDefaults::default_expr_planners());
        registry.fingerprint = registry.compute_fingerprint();
        Arc::new(registry)
    }

    fn add_scalar(&mut self, function: &Arc<ScalarUDF>) {
        for name in names(function.name(), function.aliases()) {
            self.scalar.insert(name, Arc::clone(function));
        }
    }

    /// All scalar functions, to be registered one after the other: ours come last and win their
    /// names and aliases.
    #[cfg(test)]
    pub(crate) fn scalars(&self) -> Vec<Arc<ScalarUDF>> {
        let all = SessionStateDefaults::default_scalar_functions().into_iter();
        all.chain(super::scalar_functions()).collect()
    }

    /// All aggregate functions, likewise.
    #[cfg(test)]
    pub(crate) fn aggregates(&self) -> Vec<Arc<AggregateUDF>> {
        let all = SessionStateDefaults::default_aggregate_functions().into_iter();
        all.chain(super::aggregate_functions()).collect()
    }

    /// All window functions, likewise.
    #[cfg(test)]
    pub(crate) fn windows(&self) -> Vec<Arc<WindowUDF>> {
        let all = SessionStateDefaults::default_window_functions().into_iter();
        all.chain(super::window_functions()).collect()
    }

    /// Must an integer literal have its type when this scalar function is called? DataFusion's own
    /// look at the types of their arguments only; Kestrel's look at the literals, too.
    pub(crate) fn wants_typed_literals(&self, name: &str) -> bool {
        !self.ours.contains(&name.to_ascii_lowercase())
            && self.aggregate(name).is_none()
            && self.window(name).is_none()
            && self.higher_order(name).is_none()
    }

    /// The scalar function of this name, in any case of letters.
    pub fn scalar(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        find(&self.scalar, name)
    }

    /// The higher-order function (one that takes lambdas) of this name.
    pub fn higher_order(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        find(&self.higher_order, name)
    }

    /// The aggregate function of this name.
    pub fn aggregate(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        find(&self.aggregate, name)
    }

    /// The window function of this name.
    pub fn window(&self, name: &str) -> Option<Arc<WindowUDF>> {
        find(&self.window, name)
    }

    /// What turns operators and special syntax into calls, in the order in which to ask.
    pub fn expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.expr_planners
    }

    /// Equal on two processes that run each other's fragments; the same in every run of one build.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// FNV-1a (Fowler, Noll, Vo) over the engine's version and the sorted names: a hash that no
    /// library update changes.
    fn compute_fingerprint(&self) -> u64 {
        let kinds = [
            self.scalar.keys().collect::<BTreeSet<_>>(),
            self.higher_order.keys().collect(),
            self.aggregate.keys().collect(),
            self.window.keys().collect(),
        ];
        let names = kinds
            .iter()
            .flat_map(|kind| kind.iter().map(|name| name.as_str()).chain(std::iter::once("\n")));
        std::iter::once(ENGINE_VERSION)
            .chain(names)
            .flat_map(|name| name.bytes().chain([0]))
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            })
    }
}

fn names(name: &str, aliases: &[String]) -> Vec<String> {
    std::iter::once(name)
        .chain(aliases.iter().map(String::as_str))
        .map(str::to_ascii_lowercase)
        .collect()
}

fn find<T: ?Sized>(map: &HashMap<String, Arc<T>>, name: &str) -> Option<Arc<T>> {
    match map.get(name) {
        Some(function) => Some(Arc::clone(function)),
        None => map.get(&name.to_ascii_lowercase()).map(Arc::clone),
    }
}

fn found<T: ?Sized>(function: Option<Arc<T>>, name: &str) -> Result<Arc<T>> {
    function.ok_or_else(|| {
        to_datafusion(ErrorReport::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("function {name} does not exist"),
        ))
    })
}

/// What datafusion-proto asks when it decodes a plan.
impl DataFusionRegistry for FunctionRegistry {
    fn udfs(&self) -> HashSet<String> {
        self.scalar.keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> HashSet<String> {
        self.higher_order.keys().cloned().collect()
    }

    fn udafs(&self) -> HashSet<String> {
        self.aggregate.keys().cloned().collect()
    }

    fn udwfs(&self) -> HashSet<String> {
        self.window.keys().cloned().collect()
    }

    fn udf(&self, name: &str) -> Result<Arc<ScalarUDF>> {
        found(self.scalar(name), name)
    }

    fn higher_order_function(&self, name: &str) -> Result<Arc<HigherOrderUDF>> {
        found(self.higher_order(name), name)
    }

    fn udaf(&self, name: &str) -> Result<Arc<AggregateUDF>> {
        found(self.aggregate(name), name)
    }

    fn udwf(&self, name: &str) -> Result<Arc<WindowUDF>> {
        found(self.window(name), name)
    }

    fn expr_planners(&self) -> Vec<Arc<dyn ExprPlanner>> {
        self.expr_planners.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_by_name_and_alias() {
        let registry = FunctionRegistry::new();
        for name in ["abs", "character_length", "char_length", "UPPER"] {
            assert!(registry.scalar(name).is_some(), "{name}");
        }
        for name in ["sum", "Sum", "count", "avg", "string_agg", "array_agg"] {
            assert!(registry.aggregate(name).is_some(), "{name}");
        }
        for name in ["row_number", "rank", "lag"] {
            assert!(registry.window(name).is_some(), "{name}");
        }
        let missing = registry.udf("nope").map(|_| ()).map_err(crate::error::report);
        assert_eq!(missing.unwrap_err().message, "function nope does not exist");
    }

    #[test]
    fn the_fingerprint_is_stable() {
        assert_eq!(FunctionRegistry::new().fingerprint(), FunctionRegistry::new().fingerprint());
    }
}
