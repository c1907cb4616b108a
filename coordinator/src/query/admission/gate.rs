//! Waiting for a place.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use kestrel_proto::{ErrorReport, Result, SqlState};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{
    super::gather::{canceled, until},
    queue::{QueryLimits, Queue, Request, Ticket},
};
use crate::metrics::Metrics;

/// How often the first ones in the queue look whether a query that runs has come to rest.
const LOOK_WAIT: Duration = Duration::from_millis(100);

/// The places for running queries. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Admission {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    metrics: Metrics,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    /// To tell those that wait that they may begin.
    calls: HashMap<Ticket, oneshot::Sender<()>>,
}

/// A place among the running queries, or in the queue; dropping it gives it up.
#[derive(Debug)]
pub struct Place {
    admission: Admission,
    ticket: Ticket,
}

/// How long a query waits.
#[derive(Clone, Debug)]
pub struct Wait {
    /// The statement's end.
    pub deadline: Option<Instant>,
    /// `kestrel.queue_timeout`; zero: as long as it takes.
    pub timeout: Duration,
    /// Cancelled by the client or an operator.
    pub cancel: CancellationToken,
}

impl Admission {
    /// So many places.
    pub fn new(limits: QueryLimits, metrics: Metrics) -> Self {
        let state = State { queue: Queue::new(limits), calls: HashMap::new() };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), metrics }) }
    }

    /// How many there are.
    pub fn limits(&self) -> QueryLimits {
        self.shared.state.lock().queue.limits
    }

    /// How many queries wait for one.
    pub fn waiting(&self) -> usize {
        self.shared.state.lock().queue.waiting()
    }

    /// Waits for a place. Whoever stops waiting leaves the queue.
    ///
    /// # Errors
    /// 53000 when the queue is full; 57014 when the query may wait no longer.
    pub async fn enter(&self, request: Request, wait: &Wait) -> Result<Place> {
        let came = Instant::now();
        let (place, call) = self.come(request, came)?;
        if let Some(call) = call {
            self.called(call, came, wait).await?;
        }
        self.shared.metrics.query_admitted(came.elapsed());
        Ok(place)
    }

    /// A place, and a call to wait for if it is in the queue.
    fn come(
        &self,
        request: Request,
        now: Instant,
    ) -> Result<(Place, Option<oneshot::Receiver<()>>)> {
        let mut state = self.shared.state.lock();
        let Ok(ticket) = state.queue.come(request, now) else {
            let limits = state.queue.limits;
            self.shared.metrics.query_refused();
            return Err(queue_is_full(limits));
        };
        let (call, called) = oneshot::channel();
        state.calls.insert(ticket, call);
        state.settle(now);
        let called = state.calls.contains_key(&ticket).then_some(called);
        Ok((Place { admission: self.clone(), ticket }, called))
    }

    async fn called(
        &self,
        mut call: oneshot::Receiver<()>,
        came: Instant,
        wait: &Wait,
    ) -> Result<()> {
        let patience = (!wait.timeout.is_zero()).then(|| came.checked_add(wait.timeout)).flatten();
        loop {
            tokio::select! {
                biased;
                () = wait.cancel.cancelled() => return Err(canceled("user request")),
                called = &mut call => {
                    let lost = |_| ErrorReport::internal("a place in the queue was lost");
                    return called.map_err(lost);
                }
                () = until(wait.deadline) => return Err(canceled("statement timeout")),
                () = until(patience) => return Err(waited_too_long(wait.timeout)),
                // Nobody tells when a query that rests no longer counts.
                () = tokio::time::sleep(LOOK_WAIT) => self.settle(),
            }
        }
    }

    fn settle(&self) {
        self.shared.state.lock().settle(Instant::now());
    }
}

impl State {
    /// Calls all that may begin.
    fn settle(&mut self, now: Instant) {
        while let Some(ticket) = self.queue.admit_next(now) {
            if let Some(call) = self.calls.remove(&ticket) {
                // Who does not hear it is about to leave.
                let _ = call.send(());
            }
        }
    }
}

impl Place {
    /// The client asks for no rows, until [`Place::works`].
    pub fn rests(&self) {
        self.admission.shared.state.lock().queue.rest(self.ticket, Some(Instant::now()));
    }

    /// The client asks for rows.
    pub fn works(&self) {
        self.admission.shared.state.lock().queue.rest(self.ticket, None);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.admission.shared.state.lock();
        state.calls.remove(&self.ticket);
        state.queue.leave(self.ticket);
        state.settle(Instant::now());
    }
}

fn queue_is_full(limits: QueryLimits) -> ErrorReport {
    let QueryLimits { max_running, max_queued, .. } = limits;
    ErrorReport::new(SqlState::INSUFFICIENT_RESOURCES, "too many queries are waiting")
        .detail(format!("{max_running} queries may run, and {max_queued} more may wait."))
        .hint(
            "Run the statement again later, or raise --max-queued-queries \
             (kestrel.max_queued_queries).",
        )
}

fn waited_too_long(timeout: Duration) -> ErrorReport {
    canceled("queue timeout")
        .detail(format!("It has waited {} ms to begin.", timeout.as_millis()))
        .hint("Run it again later, or raise kestrel.queue_timeout.")
}

#[cfg(test)]
mod tests {
    use super::{super::Priority, *};

    fn admission(max_running: usize, max_queued: usize) -> Admission {
        let limits = QueryLimits { max_running, max_queued, memory_bytes: 0 };
        Admission::new(limits, Metrics::default())
    }

    fn request(session: i32) -> Request {
        Request { session, role: "a".into(), priority: Priority::Normal }
    }

    fn patient() -> Wait {
        Wait { deadline: None, timeout: Duration::ZERO, cancel: CancellationToken::new() }
    }

    #[tokio::test]
    async fn who_waits_is_called_in_order() {
        let admission = admission(1, 10);
        let first = admission.enter(request(1), &patient()).await.unwrap();
        let entered = |session| {
            let admission = admission.clone();
            tokio::spawn(async move { admission.enter(request(session), &patient()).await })
        };
        let second = entered(2);
        while admission.waiting() < 1 {
            tokio::task::yield_now().await;
        }
        let third = entered(3);
        while admission.waiting() < 2 {
            tokio::task::yield_now().await;
        }
        drop(first);
        let second = second.await.unwrap().unwrap();
        assert!(!third.is_finished());
        drop(second);
        drop(third.await.unwrap().unwrap());
        assert_eq!(admission.waiting(), 0);
    }

    #[tokio::test]
    async fn whoever_may_wait_no_longer_leaves_the_queue() {
        let admission = admission(1, 1);
        let _busy = admission.enter(request(1), &patient()).await.unwrap();
        let soon = Instant::now() + Duration::from_millis(20);
        let canceled = patient();
        canceled.cancel.cancel();
        for (wait, expected) in [
            (canceled, "canceling statement due to user request"),
            (
                Wait { deadline: Some(soon), ..patient() },
                "canceling statement due to statement timeout",
            ),
            (
                Wait { timeout: Duration::from_millis(20), ..patient() },
                "canceling statement due to queue timeout",
            ),
        ] {
            let error = admission.enter(request(2), &wait).await.unwrap_err();
            assert_eq!(
                (error.sqlstate, error.message),
                (SqlState::QUERY_CANCELED, expected.into())
            );
            assert_eq!(admission.waiting(), 0);
        }
        // The client leaves.
        let patient_wait = patient();
        let waits = admission.enter(request(2), &patient_wait);
        assert!(tokio::time::timeout(Duration::from_millis(20), waits).await.is_err());
        assert_eq!(admission.waiting(), 0);
    }

    #[tokio::test]
    async fn a_full_queue_refuses() {
        let admission = admission(1, 0);
        let busy = admission.enter(request(1), &patient()).await.unwrap();
        let error = admission.enter(request(2), &patient()).await.unwrap_err();
        assert_eq!(error.sqlstate, SqlState::INSUFFICIENT_RESOURCES);
        assert!(error.hint.is_some());
        drop(busy);
        admission.enter(request(2), &patient()).await.unwrap();
    }

    #[tokio::test]
    async fn a_query_at_rest_lets_another_begin() {
        let admission = admission(1, 1);
        let cursor = admission.enter(request(1), &patient()).await.unwrap();
        cursor.rests();
        let wait = patient();
        let second = admission.enter(request(1), &wait);
        let second = tokio::time::timeout(Duration::from_secs(60), second).await.unwrap().unwrap();
        cursor.works();
        drop(second);
    }
}
