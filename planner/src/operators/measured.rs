//! Operators that are measured while they run, for EXPLAIN ANALYZE.
//!
//! Each operator of a plan that is about to run is replaced by one that hands its rows on and counts
//! them. To whoever looks at the plan nothing has changed: name, inputs and type are the operator's.
//! A batch costs some looks at the clock and its estimated size for each operator that it comes through.

use std::{
    any::Any,
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    common::tree_node::TreeNodeRecursion,
    error::Result,
    execution::{TaskContext, memory_pool::MemoryPool},
    physical_expr::{OrderingRequirements, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
        InputDistributionRequirements, PlanProperties, RecordBatchStream,
        SendableRecordBatchStream, displayable,
        execution_plan::replace_children_if_necessary,
        metrics::{MetricValue, MetricsSet},
    },
};
use futures::{Stream, StreamExt};
use kestrel_proto::{
    estimated_batch_bytes,
    message::{FragmentReport, OperatorCounter, OperatorReport},
};

use crate::memory::PeakPool;

/// These only hand rows on: they are not worth a line of their own.
pub(crate) const UNMEASURED: &[&str] =
    &["PassThroughExec", "YieldExec", "CooperativeExec", "UnionInputExec", "OpeningExec"];

/// What the operators of a plan do, from its start on.
#[derive(Debug)]
pub struct Measurement {
    begun: Instant,
    /// In pre-order.
    operators: Vec<Measured>,
}

#[derive(Debug)]
struct Measured {
    depth: usize,
    plan: Arc<dyn ExecutionPlan>,
    meter: Arc<Meter>,
}

/// Puts every operator under measurement. The plan is as it will run.
///
/// # Errors
/// An operator does not take its own inputs.
pub fn measured(plan: Arc<dyn ExecutionPlan>) -> Result<(Arc<dyn ExecutionPlan>, Measurement)> {
    let mut measurement = Measurement { begun: Instant::now(), operators: Vec::new() };
    let plan = measurement.add(plan, 0)?;
    Ok((plan, measurement))
}

impl Measurement {
    fn add(
        &mut self,
        plan: Arc<dyn ExecutionPlan>,
        depth: usize,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let is_measured = !UNMEASURED.contains(&plan.name());
        let position = self.operators.len();
        let meter = Arc::new(Meter::new(self.begun, plan.output_partitioning().partition_count()));
        if is_measured {
            let (plan, meter) = (Arc::clone(&plan), Arc::clone(&meter));
            self.operators.push(Measured { depth, plan, meter });
        }
        let children: Vec<_> = plan.children().into_iter().cloned().collect();
        let below = depth + usize::from(is_measured);
        let children = children.into_iter().map(|child| self.add(child, below));
        let children = children.collect::<Result<Vec<_>>>()?;
        let plan =
            if children.is_empty() { plan } else { replace_children_if_necessary(plan, children)? };
        if !is_measured {
            return Ok(plan);
        }
        if let Some(entry) = self.operators.get_mut(position) {
            entry.plan = Arc::clone(&plan);
        }
        Ok(Arc::new(MeasuredExec { plan, meter }))
    }

    /// What they have done until now, in pre-order.
    fn reports(&self) -> Vec<OperatorReport> {
        let report = |(at, measured): (usize, &Measured)| {
            let metrics = measured.plan.metrics().unwrap_or_default();
            let detail = displayable(measured.plan.as_ref()).one_line().to_string();
            let meter = &measured.meter;
            let own_ns = metrics.elapsed_compute().filter(|ns| *ns > 0).map(|ns| ns as u64);
            OperatorReport {
                depth: measured.depth as u32,
                name: measured.plan.name().to_string(),
                detail: detail.trim_end().to_string(),
                rows_out: meter.rows.load(Ordering::Relaxed),
                elapsed_compute_ns: own_ns.unwrap_or_else(|| self.polled_alone(at)),
                spilled_bytes: metrics.spilled_bytes().unwrap_or_default() as u64,
                bytes_out: meter.bytes.load(Ordering::Relaxed),
                loops: meter.opened.load(Ordering::Relaxed).div_ceil(meter.partitions),
                first_row_ns: meter.first_row_ns(),
                last_row_ns: meter.last_ns.load(Ordering::Relaxed),
                memory_bytes: memory(&metrics),
                counters: counters(&metrics),
            }
        };
        self.operators.iter().enumerate().map(report).collect()
    }

    /// What a fragment says of its run, which has ended. `memory`: the pool that it ran with.
    pub fn report(&self, memory: &Arc<dyn MemoryPool>) -> FragmentReport {
        FragmentReport {
            operators: self.reports(),
            peak_memory_bytes: PeakPool::peak_of(memory) as u64,
            elapsed_ns: nanoseconds_since(self.begun),
            ..FragmentReport::default()
        }
    }

    /// The time that an operator was polled for, without that of its inputs: an upper bound of its own
    /// work, and exact where its inputs do not run on other threads.
    fn polled_alone(&self, at: usize) -> u64 {
        let Some((operator, rest)) = self.operators.get(at..).and_then(<[_]>::split_first) else {
            return 0;
        };
        let below = rest.iter().take_while(|other| other.depth > operator.depth);
        let inputs = below.filter(|other| other.depth == operator.depth + 1);
        let inputs: u64 = inputs.map(|input| input.meter.busy_ns.load(Ordering::Relaxed)).sum();
        operator.meter.busy_ns.load(Ordering::Relaxed).saturating_sub(inputs)
    }
}

/// The largest of the memories that an operator tells of, in bytes.
fn memory(metrics: &MetricsSet) -> u64 {
    let total = |name: &str| {
        let of_name = metrics.sum(|metric| match metric.value() {
            MetricValue::Gauge { .. } | MetricValue::PeakMemoryUsage { .. } => {
                metric.value().name() == name
            }
            _ => false,
        });
        of_name.map_or(0, |value| value.as_usize() as u64)
    };
    total("peak_mem_used").max(total("build_mem_used"))
}

/// An operator's own counts, those that are not zero.
fn counters(metrics: &MetricsSet) -> Vec<OperatorCounter> {
    let mut counters: Vec<OperatorCounter> = Vec::new();
    for metric in metrics.iter() {
        let MetricValue::Count { name, count } = metric.value() else { continue };
        let value = count.value() as u64;
        match counters.iter_mut().find(|counter| counter.name == *name) {
            Some(counter) => counter.value += value,
            None => counters.push(OperatorCounter { name: name.to_string(), value }),
        }
    }
    counters.retain(|counter| counter.value > 0);
    counters
}

/// What is counted of an operator, of all execution partitions together.
#[derive(Debug)]
struct Meter {
    begun: Instant,
    partitions: u64,
    opened: AtomicU64,
    rows: AtomicU64,
    bytes: AtomicU64,
    /// `u64::MAX`: there was no row.
    first_ns: AtomicU64,
    last_ns: AtomicU64,
    busy_ns: AtomicU64,
}

impl Meter {
    fn new(begun: Instant, partitions: usize) -> Self {
        Self {
            begun,
            partitions: partitions.max(1) as u64,
            opened: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            first_ns: AtomicU64::new(u64::MAX),
            last_ns: AtomicU64::new(0),
            busy_ns: AtomicU64::new(0),
        }
    }

    fn first_row_ns(&self) -> u64 {
        match self.first_ns.load(Ordering::Relaxed) {
            u64::MAX => 0,
            first => first,
        }
    }

    fn count(&self, batch: &RecordBatch) {
        self.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        self.bytes.fetch_add(estimated_batch_bytes(batch), Ordering::Relaxed);
        self.first_ns.fetch_min(nanoseconds_since(self.begun), Ordering::Relaxed);
    }
}

fn nanoseconds_since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// An operator, and what is counted of it.
#[derive(Debug)]
struct MeasuredExec {
    plan: Arc<dyn ExecutionPlan>,
    meter: Arc<Meter>,
}

impl MeasuredExec {
    fn around(&self, plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { plan, meter: Arc::clone(&self.meter) })
    }
}

impl DisplayAs for MeasuredExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.plan.fmt_as(t, f)
    }
}

impl ExecutionPlan for MeasuredExec {
    fn name(&self) -> &str {
        self.plan.name()
    }

    fn downcast_delegate(&self) -> Option<&dyn ExecutionPlan> {
        Some(self.plan.as_ref())
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.plan.properties()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.plan.input_distribution_requirements()
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        self.plan.required_input_ordering()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.plan.maintains_input_order()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        self.plan.benefits_from_input_partitioning()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.plan.children()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.plan.apply_expressions(f)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self.around(replace_children_if_necessary(Arc::clone(&self.plan), children)?))
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self.around(Arc::clone(&self.plan).reset_state()?))
    }

    fn with_new_state(&self, state: Arc<dyn Any + Send + Sync>) -> Option<Arc<dyn ExecutionPlan>> {
        self.plan.with_new_state(state).map(|plan| self.around(plan))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.meter.opened.fetch_add(1, Ordering::Relaxed);
        let rows = self.plan.execute(partition, context)?;
        Ok(Box::pin(MeasuredRows { rows, meter: Arc::clone(&self.meter) }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.plan.metrics()
    }

    fn fetch(&self) -> Option<usize> {
        self.plan.fetch()
    }
}

struct MeasuredRows {
    rows: SendableRecordBatchStream,
    meter: Arc<Meter>,
}

impl Stream for MeasuredRows {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let since = Instant::now();
        let next = self.rows.poll_next_unpin(cx);
        self.meter.busy_ns.fetch_add(nanoseconds_since(since), Ordering::Relaxed);
        if let Poll::Ready(ready) = &next {
            if let Some(Ok(batch)) = ready {
                self.meter.count(batch);
            }
            let now = nanoseconds_since(self.meter.begun);
            self.meter.last_ns.fetch_max(now, Ordering::Relaxed);
        }
        next
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rows.size_hint()
    }
}

impl RecordBatchStream for MeasuredRows {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array};
    use datafusion::{
        datasource::memory::MemorySourceConfig,
        physical_plan::{
            coalesce_partitions::CoalescePartitionsExec, limit::GlobalLimitExec, union::UnionExec,
        },
    };

    use super::*;

    fn batches(counts: &[i64]) -> Arc<dyn ExecutionPlan> {
        let batch = |rows: &i64| {
            let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..*rows));
            RecordBatch::try_from_iter([("n", numbers)]).unwrap()
        };
        let batches: Vec<_> = counts.iter().map(batch).collect();
        let schema = batches[0].schema();
        MemorySourceConfig::try_new_exec(&[batches], schema, None).unwrap()
    }

    #[tokio::test]
    async fn operators_are_counted_and_stay_what_they_are() {
        let union = UnionExec::try_new(vec![batches(&[2, 3]), batches(&[4])]).unwrap();
        let all: Arc<dyn ExecutionPlan> = Arc::new(CoalescePartitionsExec::new(union));
        let limit: Arc<dyn ExecutionPlan> = Arc::new(GlobalLimitExec::new(all, 0, Some(100)));
        let (plan, measurement) = measured(limit).unwrap();
        assert!(plan.is::<GlobalLimitExec>());
        assert!(measurement.reports().iter().all(|report| report.loops == 0));
        let rows = plan.execute(0, Arc::default()).unwrap().collect::<Vec<_>>().await;
        assert_eq!(rows.into_iter().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 9);
        let found: Vec<_> = measurement
            .reports()
            .into_iter()
            .map(|report| {
                assert!(report.last_row_ns >= report.first_row_ns && report.first_row_ns > 0);
                (report.depth, report.name, report.rows_out, report.bytes_out, report.loops)
            })
            .collect();
        let expected = [
            (0, "GlobalLimitExec", 9, 72, 1),
            (1, "CoalescePartitionsExec", 9, 72, 1),
            (2, "UnionExec", 9, 72, 1),
            (3, "DataSourceExec", 5, 40, 1),
            (3, "DataSourceExec", 4, 32, 1),
        ];
        let expected = expected
            .map(|(depth, name, rows, bytes, loops)| (depth, name.to_string(), rows, bytes, loops));
        assert_eq!(found, expected);
    }
}
