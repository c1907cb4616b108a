//! Every rule against the plan that it was given: the rows must be the same.

mod dense;
mod direct;
mod narrow;
mod plans;
mod scan;

use std::sync::{Arc, LazyLock};

use arrow::{
    array::RecordBatch,
    datatypes::Schema,
    util::{display::FormatOptions, pretty::pretty_format_batches_with_options},
};
use datafusion::{
    common::ScalarValue,
    config::ConfigOptions,
    physical_expr::{
        PhysicalExpr, ScalarFunctionExpr,
        aggregate::{AggregateExprBuilder, AggregateFunctionExpr},
        expressions::{Literal, col},
    },
    physical_plan::{
        ExecutionPlan, InputOrderMode,
        aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy},
        coalesce_partitions::CoalescePartitionsExec,
        collect, displayable,
    },
};
use kestrel_planner::functions::FunctionRegistry;

static FUNCTIONS: LazyLock<Arc<FunctionRegistry>> = LazyLock::new(FunctionRegistry::new);

type Expr = Arc<dyn PhysicalExpr>;
type Plan = Arc<dyn ExecutionPlan>;

/// Random numbers, the same in every run (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    /// Both ends included; the ends themselves come often.
    fn between(&mut self, least: i64, greatest: i64) -> i64 {
        match self.below(8) {
            0 => least,
            1 => greatest,
            _ => {
                let values = (i128::from(greatest) - i128::from(least) + 1) as u128;
                let high = u128::from(self.below(1 << 53)) << 53 | u128::from(self.below(1 << 53));
                (i128::from(least) + (high % values) as i128) as i64
            }
        }
    }
}

fn decimal(value: i128, precision: u8, scale: i8) -> Expr {
    Arc::new(Literal::new(ScalarValue::Decimal128(Some(value), precision, scale)))
}

/// A call of Kestrel's function.
fn call(function: &str, arguments: Vec<Expr>, schema: &Schema) -> Expr {
    let function = FUNCTIONS.scalar(function).unwrap();
    let options = Arc::new(ConfigOptions::default());
    Arc::new(ScalarFunctionExpr::try_new(function, arguments, schema, options).unwrap())
}

fn times(a: Expr, b: Expr, schema: &Schema) -> Expr {
    call("kestrel_multiply", vec![a, b], schema)
}

/// `l_extendedprice * (1 - l_discount)` and so on: of the columns of [`scan::table`].
fn revenue(schema: &Schema) -> Expr {
    let rest =
        call("kestrel_subtract", vec![decimal(1, 1, 0), col("disc", schema).unwrap()], schema);
    times(col("price", schema).unwrap(), rest, schema)
}

fn charge(schema: &Schema) -> Expr {
    let more = call("kestrel_add", vec![decimal(1, 1, 0), col("tax", schema).unwrap()], schema);
    times(revenue(schema), more, schema)
}

/// An aggregate function of Kestrel's.
fn function(name: &str, argument: Expr, schema: &Schema) -> AggregateExprBuilder {
    let alias = format!("{name}({argument})");
    let function = FUNCTIONS.aggregate(name).unwrap();
    AggregateExprBuilder::new(function, vec![argument])
        .schema(Arc::new(schema.clone()))
        .alias(alias)
}

fn aggregate(
    mode: AggregateMode,
    keys: &[&str],
    functions: Vec<AggregateExprBuilder>,
    input: Plan,
) -> Plan {
    let schema = input.schema();
    let keys = keys.iter().map(|key| (col(key, &schema).unwrap(), key.to_string()));
    let functions: Vec<Arc<AggregateFunctionExpr>> =
        functions.into_iter().map(|f| Arc::new(f.build().unwrap())).collect();
    let filters = vec![None; functions.len()];
    let groups = PhysicalGroupBy::new_single(keys.collect());
    let aggregate =
        AggregateExec::try_new(mode, groups, functions, filters, input, schema).unwrap();
    assert_eq!(*aggregate.input_order_mode(), InputOrderMode::Linear);
    Arc::new(aggregate)
}

/// The last phase over a partial aggregate, or over what stands in its place.
fn merged(partial: &Plan, ordinary: &Plan) -> Plan {
    let of = ordinary.downcast_ref::<AggregateExec>().unwrap();
    let input = Arc::new(CoalescePartitionsExec::new(Arc::clone(partial)));
    let last = AggregateExec::try_new(
        AggregateMode::Final,
        of.group_expr().as_final(),
        of.aggr_expr().to_vec(),
        of.filter_expr().to_vec(),
        input,
        of.input_schema(),
    );
    Arc::new(last.unwrap())
}

async fn rows(plan: &Plan) -> Vec<RecordBatch> {
    collect(Arc::clone(plan), Arc::default()).await.unwrap()
}

/// The rows in any order, as lines of a table with the columns' types.
fn lines(batches: &[RecordBatch]) -> Vec<String> {
    if batches.iter().all(|batch| batch.num_rows() == 0) {
        return Vec::new();
    }
    let options = FormatOptions::new().with_null("NULL").with_types_info(true);
    let text = pretty_format_batches_with_options(batches, &options).unwrap().to_string();
    let cells = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        cells.join("|")
    };
    let mut lines: Vec<String> = text.lines().map(cells).collect();
    lines.retain(|line| !line.starts_with('+'));
    lines.sort();
    lines
}

fn text(plan: &Plan) -> String {
    displayable(plan.as_ref()).indent(false).to_string()
}
