//! What the partitions of a join's right side put together when they share one build side whose rows
//! come out depending on all of them.

use std::{mem::take, sync::Arc};

use datafusion::error::{DataFusionError, Result};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::split::Part;

/// The parts of all partitions of a right side.
pub(super) struct Gathering {
    partitions: usize,
    gathered: Mutex<Gathered>,
    changed: Notify,
}

#[derive(Default)]
struct Gathered {
    parts: Vec<Part>,
    /// How many partitions these are of.
    partitions: usize,
    /// Why there will never be all.
    failure: Option<Arc<DataFusionError>>,
}

/// A partition that others wait for. If it goes without its parts, they fail: without its rows, what
/// they give would be wrong.
pub(super) struct Attendance {
    gathering: Arc<Gathering>,
    has_come: bool,
}

impl Gathering {
    /// Of so many partitions.
    pub(super) fn new(partitions: usize) -> Arc<Self> {
        Arc::new(Self { partitions, gathered: Mutex::default(), changed: Notify::new() })
    }

    fn change(&self, change: impl FnOnce(&mut Gathered)) {
        change(&mut self.gathered.lock());
        self.changed.notify_waiters();
    }

    async fn all(&self) -> Result<()> {
        loop {
            // Made before the look, so that no change is missed.
            let changed = self.changed.notified();
            {
                let gathered = self.gathered.lock();
                if let Some(failure) = &gathered.failure {
                    return Err(DataFusionError::Shared(Arc::clone(failure)));
                }
                if gathered.partitions == self.partitions {
                    return Ok(());
                }
            }
            changed.await;
        }
    }
}

impl Attendance {
    /// Of one partition.
    pub(super) fn new(gathering: &Arc<Gathering>) -> Self {
        Self { gathering: Arc::clone(gathering), has_come: false }
    }

    /// Adds what a partition has, waits for the others, and gives it those parts of all that are its
    /// own: every `partitions`th, with the parts' numbers.
    ///
    /// # Errors
    /// Its own, and those of the others.
    pub(super) async fn exchange(
        mut self,
        partition: usize,
        parts: Result<Vec<Part>>,
    ) -> Result<Vec<(usize, Part)>> {
        self.has_come = true;
        self.gathering.change(|gathered| match parts {
            Ok(parts) => gathered.add(parts),
            Err(error) => gathered.failure = Some(Arc::new(error)),
        });
        self.gathering.all().await?;
        let mut gathered = self.gathering.gathered.lock();
        let numbered = gathered.parts.iter_mut().enumerate();
        let own = numbered.skip(partition).step_by(self.gathering.partitions);
        Ok(own.map(|(number, part)| (number, take(part))).collect())
    }
}

impl Gathered {
    fn add(&mut self, parts: Vec<Part>) {
        self.partitions += 1;
        self.parts.resize_with(parts.len(), Part::default);
        for (all, part) in self.parts.iter_mut().zip(parts) {
            all.files.extend(part.files);
            all.rows += part.rows;
        }
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        if !self.has_come {
            let gone = DataFusionError::Internal("a partition of a join has gone".into());
            self.gathering.change(|gathered| {
                gathered.failure.get_or_insert_with(|| Arc::new(gone));
            });
        }
    }
}
