//! Tasks that run in turns.

use std::{
    any::Any,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use datafusion::common::runtime::{JoinSetTracer, set_join_set_tracer};
use futures::future::BoxFuture;

use tokio::time::{Sleep, sleep};

use super::{allowed::REST, shares::QueryTurns};

/// A task that has run for so long gives way.
const TURN_LENGTH: Duration = Duration::from_millis(3);

tokio::task_local! {
    /// That of the task that is being polled.
    static TURN: Turn;
}

#[derive(Clone)]
struct Turn {
    query: Arc<QueryTurns>,
    began: Instant,
}

/// A task of a query, which is polled when the query may run.
struct InTurns<T> {
    work: BoxFuture<'static, T>,
    query: Arc<QueryTurns>,
    ticket: usize,
    was_refused: bool,
    /// Until it tries again by itself.
    rest: Option<Pin<Box<Sleep>>>,
}

/// Runs `work` as a task of this query, and what it spawns through DataFusion.
pub(crate) fn in_turns<T: 'static>(
    query: &Arc<QueryTurns>,
    work: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> + Send + 'static {
    let (work, query) = (Box::pin(work), Arc::clone(query));
    let ticket = query.ticket();
    InTurns { work, query, ticket, was_refused: false, rest: None }
}

/// Whether the task that is being polled has run long enough, and another query may want to run.
pub(super) fn is_over() -> bool {
    let is_over = |turn: &Turn| !turn.query.is_alone() && turn.began.elapsed() >= TURN_LENGTH;
    TURN.try_with(is_over).unwrap_or(false)
}

/// From now on the tasks that DataFusion spawns run in the turns of the task that spawns them.
pub(crate) fn wrap_spawned_tasks() {
    // The datanodes of a process do this one after the other.
    let _ = set_join_set_tracer(&Spawned);
}

struct Spawned;

impl JoinSetTracer for Spawned {
    fn trace_future(
        &self,
        work: BoxFuture<'static, Box<dyn Any + Send>>,
    ) -> BoxFuture<'static, Box<dyn Any + Send>> {
        match TURN.try_with(|turn| Arc::clone(&turn.query)) {
            Ok(query) => Box::pin(in_turns(&query, work)),
            Err(_) => work,
        }
    }

    fn trace_block(
        &self,
        work: Box<dyn FnOnce() -> Box<dyn Any + Send> + Send>,
    ) -> Box<dyn FnOnce() -> Box<dyn Any + Send> + Send> {
        work
    }
}

impl<T> InTurns<T> {
    /// Nobody may be left who would wake it: the short query for which it rests may wait for its
    /// client.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        let rest = self.rest.get_or_insert_with(|| Box::pin(sleep(REST)));
        if rest.as_mut().poll(cx).is_ready() {
            self.rest = None;
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl<T> Future for InTurns<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = &mut *self;
        let began = Instant::now();
        this.was_refused = !this.query.enter(this.ticket, cx.waker(), began);
        if this.was_refused {
            return this.poll_rest(cx);
        }
        this.rest = None;
        let turn = Turn { query: Arc::clone(&this.query), began };
        // Also when the work panics.
        let _leaving = Leaving(turn.clone());
        TURN.sync_scope(turn, || this.work.as_mut().poll(cx))
    }
}

impl<T> Drop for InTurns<T> {
    fn drop(&mut self) {
        if self.was_refused {
            self.query.give_up(self.ticket, Instant::now());
        }
    }
}

struct Leaving(Turn);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.query.leave(self.0.began, Instant::now());
    }
}
