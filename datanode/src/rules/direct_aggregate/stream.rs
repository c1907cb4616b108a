//! One execution partition of a direct aggregate.

use std::sync::Arc;

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    error::Result,
    execution::{TaskContext, memory_pool::MemoryReservation},
    physical_plan::{
        EmptyRecordBatchStream, ExecutionPlan, SendableRecordBatchStream, metrics::BaselineMetrics,
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, stream};

use super::{
    accumulation::Accumulation,
    groups::Full,
    rest,
    spec::Spec,
    states::{self, Codebooks},
};

/// How often all groups may be given out, so that new ones find place, before the ordinary aggregate
/// takes over.
const MAX_CLEARINGS: usize = 1;

/// What a partition works with.
pub(super) struct Work {
    pub(super) spec: Arc<Spec>,
    pub(super) codebooks: Arc<Codebooks>,
    /// Of the raw scan.
    pub(super) input: SendableRecordBatchStream,
    /// The aggregate over the scan, for what is left when there are too many groups.
    pub(super) ordinary: Arc<dyn ExecutionPlan>,
    pub(super) context: Arc<TaskContext>,
    pub(super) metrics: BaselineMetrics,
    pub(super) memory: MemoryReservation,
}

impl Work {
    /// The ordinary aggregate over this batch and those that follow it.
    pub(super) fn ordinary_over(
        &mut self,
        batch: RecordBatch,
    ) -> Result<SendableRecordBatchStream> {
        self.memory.free();
        let schema = self.input.schema();
        let input = std::mem::replace(&mut self.input, nothing(&schema));
        let rows = stream::iter([Ok(batch)]).chain(input);
        let rows = Box::pin(RecordBatchStreamAdapter::new(schema, rows));
        let forms = (self.spec.raw.clone(), Arc::clone(&self.codebooks));
        rest::run(&self.ordinary, rows, forms, Arc::clone(&self.context))
    }

    /// All rows have been read: what reads them goes.
    pub(super) fn let_input_go(&mut self) {
        self.input = nothing(&self.input.schema());
    }

    /// The states of all groups; one group may come several times.
    pub(super) fn into_states(self, schema: SchemaRef) -> SendableRecordBatchStream {
        let accumulation = Accumulation::new(&self.spec);
        let schema_of_states = Arc::clone(&schema);
        let run = Run {
            work: self,
            schema: schema_of_states,
            accumulation,
            clearings: 0,
            unread: None,
            rest: None,
            ended: false,
        };
        let states = stream::try_unfold(run, next);
        Box::pin(RecordBatchStreamAdapter::new(schema, states))
    }
}

async fn next(mut run: Run) -> Result<Option<(RecordBatch, Run)>> {
    let states = run.next().await?;
    Ok(states.map(|states| (states, run)))
}

struct Run {
    work: Work,
    schema: SchemaRef,
    accumulation: Accumulation,
    clearings: usize,
    /// A batch, from this row on.
    unread: Option<(RecordBatch, usize)>,
    /// The ordinary aggregate, once it has taken over.
    rest: Option<SendableRecordBatchStream>,
    ended: bool,
}

impl Run {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while !self.ended {
            if let Some(rest) = &mut self.rest {
                let states = rest.next().await.transpose()?;
                return Ok(states.map(|states| self.given(states)));
            }
            let unread = match self.unread.take() {
                Some(unread) => Some(unread),
                None => self.work.input.next().await.transpose()?.map(|batch| (batch, 0)),
            };
            let states = match unread {
                Some((batch, from)) => self.add(batch, from)?,
                None => {
                    self.ended = true;
                    self.work.let_input_go();
                    self.states()?
                }
            };
            if let Some(states) = states {
                return Ok(Some(self.given(states)));
            }
        }
        Ok(None)
    }

    /// Adds rows; the states of all groups so far, if these rows' groups find no place.
    fn add(&mut self, batch: RecordBatch, from: usize) -> Result<Option<RecordBatch>> {
        let timer = self.work.metrics.elapsed_compute().timer();
        let stopped = self.accumulation.add(&batch, from)?;
        timer.done();
        self.work.memory.try_resize(self.accumulation.size())?;
        let Some((row, full)) = stopped else { return Ok(None) };
        let states = self.states()?;
        if full == Full::Groups && self.clearings < MAX_CLEARINGS {
            self.clearings += 1;
            self.unread = Some((batch, row));
        } else {
            let rest = batch.slice(row, batch.num_rows() - row);
            self.rest = Some(self.work.ordinary_over(rest)?);
        }
        Ok(states)
    }

    fn states(&mut self) -> Result<Option<RecordBatch>> {
        let timer = self.work.metrics.elapsed_compute().timer();
        let totals = self.accumulation.take();
        let states = (!totals.groups.is_empty())
            .then(|| states::batch(&totals, &self.work.spec, &self.work.codebooks, &self.schema))
            .transpose();
        timer.done();
        states
    }

    fn given(&self, states: RecordBatch) -> RecordBatch {
        self.work.metrics.record_output(states.num_rows());
        states
    }
}

fn nothing(schema: &SchemaRef) -> SendableRecordBatchStream {
    Box::pin(EmptyRecordBatchStream::new(Arc::clone(schema)))
}
