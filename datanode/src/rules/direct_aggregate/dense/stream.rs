//! One execution partition of a dense aggregate.

use std::sync::Arc;

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    error::Result,
    physical_plan::{SendableRecordBatchStream, stream::RecordBatchStreamAdapter},
};
use futures::{StreamExt, stream};

use super::{
    super::{accumulation::Totals, states, stream::Work},
    Dense, Finish,
    accumulation::Accumulation,
    gather::{Gather, Held},
    groups::Groups,
    places::Places,
};
use crate::turns::give_way;

/// An execution partition that runs.
pub(in crate::rules::direct_aggregate) struct DenseRun {
    work: Work,
    dense: Dense,
    gather: Arc<Gather>,
    /// `None`: states come out.
    finish: Option<Arc<Finish>>,
    batch_rows: usize,
    stage: Stage,
}

enum Stage {
    /// No row has come yet.
    Unread,
    Adding(Box<Accumulation>),
    /// The ordinary aggregate does it.
    Ordinary(SendableRecordBatchStream),
    Giving(Groups),
    Done,
}

impl DenseRun {
    /// Of an execution partition that is opened.
    pub(in crate::rules::direct_aggregate) fn new(
        work: Work,
        dense: Dense,
        gather: Arc<Gather>,
        finish: Option<Arc<Finish>>,
    ) -> Self {
        let batch_rows = work.context.session_config().batch_size().max(1);
        Self { work, dense, gather, finish, batch_rows, stage: Stage::Unread }
    }

    /// The groups, each once, of whichever partition is done last; when there is no memory for the
    /// places, those that the ordinary aggregate gives beside them.
    pub(in crate::rules::direct_aggregate) fn into_groups(
        self,
        schema: SchemaRef,
    ) -> SendableRecordBatchStream {
        let states = self.finish.as_ref().map_or(&schema, |finish| &finish.states);
        let states = Arc::clone(states);
        let groups = stream::try_unfold((self, states), |(mut run, states)| async move {
            let groups = run.next(&states).await?;
            Ok(groups.map(|groups| (groups, (run, states))))
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, groups))
    }

    async fn next(&mut self, states: &SchemaRef) -> Result<Option<RecordBatch>> {
        loop {
            match &mut self.stage {
                Stage::Unread => match self.work.input.next().await.transpose()? {
                    Some(batch) => self.begin(batch)?,
                    None => self.leave(None),
                },
                Stage::Adding(accumulation) => match self.work.input.next().await.transpose()? {
                    Some(batch) => {
                        let timer = self.work.metrics.elapsed_compute().timer();
                        accumulation.add(&batch)?;
                        timer.done();
                    }
                    None => self.read_all(),
                },
                Stage::Ordinary(groups) => match groups.next().await.transpose()? {
                    Some(groups) => return Ok(Some(self.given(groups))),
                    None => self.leave(None),
                },
                Stage::Giving(groups) => {
                    give_way().await;
                    let timer = self.work.metrics.elapsed_compute().timer();
                    let groups = groups.next(&self.work.spec, self.batch_rows);
                    let groups = groups.map(|totals| self.batch(&totals, states)).transpose()?;
                    timer.done();
                    match groups {
                        Some(groups) => return Ok(Some(self.given(groups))),
                        None => self.stage = Stage::Done,
                    }
                }
                Stage::Done => return Ok(None),
            }
        }
    }

    /// Takes the memory of all places. Where there is too little, the ordinary aggregate may need less,
    /// and can do with less.
    fn begin(&mut self, first: RecordBatch) -> Result<()> {
        let Self { work, dense, .. } = self;
        let bytes = Places::bytes(&work.spec, dense);
        let may_take = dense.may_take(bytes, &work.context.memory_pool().memory_limit());
        self.stage = if may_take && work.memory.try_grow(bytes).is_ok() {
            let timer = work.metrics.elapsed_compute().timer();
            let mut accumulation = Accumulation::new(&work.spec, *dense);
            accumulation.add(&first)?;
            timer.done();
            Stage::Adding(Box::new(accumulation))
        } else {
            Stage::Ordinary(work.ordinary_over(first)?)
        };
        Ok(())
    }

    fn read_all(&mut self) {
        let stage = std::mem::replace(&mut self.stage, Stage::Done);
        if let Stage::Adding(accumulation) = stage {
            let memory = self.work.memory.take();
            self.leave(Some(Held::new(accumulation.into_places(), memory)));
        }
    }

    /// All rows have been read. What comes out of the last partition is that of all.
    fn leave(&mut self, held: Option<Held>) {
        self.work.let_input_go();
        let timer = self.work.metrics.elapsed_compute().timer();
        self.stage = match self.gather.leave(held) {
            Some(held) => Stage::Giving(Groups::new(held)),
            None => Stage::Done,
        };
        timer.done();
    }

    fn batch(&self, totals: &Totals, schema: &SchemaRef) -> Result<RecordBatch> {
        let states = states::batch(totals, &self.work.spec, &self.work.codebooks, schema)?;
        match &self.finish {
            Some(finish) => finish.results(&states),
            None => Ok(states),
        }
    }

    fn given(&self, groups: RecordBatch) -> RecordBatch {
        self.work.metrics.record_output(groups.num_rows());
        groups
    }
}
