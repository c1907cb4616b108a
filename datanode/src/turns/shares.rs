//! The queries of a process, and who of them may run.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

use kestrel_proto::QueryId;
use parking_lot::Mutex;

use super::allowed::{Others, SHORT, allowed};

/// A query that waits a little, for rows of another task or of a file, still wants to run: for so
/// many times what it ran before, and not longer than [`PAUSE_MAX`]. One that only trickles takes no
/// threads from others so.
const PAUSE_FACTOR: u32 = 8;
const PAUSE_MAX: Duration = Duration::from_millis(10);

/// The threads that the queries of a process share. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Turns {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    cores: usize,
    /// Queries that are here; looked at far more often than they change.
    queries: AtomicUsize,
    state: Mutex<State>,
    tickets: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    queries: HashMap<QueryId, QueryState>,
}

/// One query: its fragments on the datanodes of the process.
#[derive(Default)]
struct QueryState {
    /// Who has a [`QueryTurns`] of it.
    handles: usize,
    /// Tasks that are being polled.
    running: usize,
    /// Tasks that were refused, by their tickets, the one that waits longest first.
    waiting: VecDeque<(usize, Waker)>,
    /// What its tasks have run for.
    used: Duration,
    /// When one did last.
    ran_at: Option<Instant>,
    /// Until then it wants to run, though no task of it does.
    pauses_until: Option<Instant>,
}

/// A query's claim to the threads.
#[derive(Debug)]
pub(crate) struct QueryTurns {
    query: QueryId,
    shared: Arc<Shared>,
}

impl Turns {
    /// Of so many processors, and more threads.
    pub fn new(cores: usize) -> Self {
        let (queries, tickets) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let shared = Shared { cores: cores.max(1), queries, state: Mutex::default(), tickets };
        Self { shared: Arc::new(shared) }
    }

    /// A fragment of this query comes.
    pub(crate) fn of(&self, query: QueryId) -> Arc<QueryTurns> {
        let mut state = self.shared.state.lock();
        state.queries.entry(query).or_default().handles += 1;
        self.shared.queries.store(state.queries.len(), Ordering::Relaxed);
        Arc::new(QueryTurns { query, shared: Arc::clone(&self.shared) })
    }
}

impl QueryTurns {
    /// A number for a task.
    pub(super) fn ticket(&self) -> usize {
        self.shared.tickets.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether no other query is here.
    pub(super) fn is_alone(&self) -> bool {
        self.shared.queries.load(Ordering::Relaxed) <= 1
    }

    /// Whether a task may run now. One that may not is woken when another task has left its place
    /// to it, and should try again after a [`REST`](super::allowed::REST).
    pub(super) fn enter(&self, ticket: usize, waker: &Waker, now: Instant) -> bool {
        self.shared.state.lock().enter(self.query, self.shared.cores, (ticket, waker), now)
    }

    /// A task has run from `began` to `now`.
    pub(super) fn leave(&self, began: Instant, now: Instant) {
        let woken = self.shared.state.lock().leave(self.query, self.shared.cores, began, now);
        woken.into_iter().for_each(Waker::wake);
    }

    /// A task that was refused is gone: whatever woke it is for the next one.
    pub(super) fn give_up(&self, ticket: usize, now: Instant) {
        let woken = self.shared.state.lock().give_up(self.query, self.shared.cores, ticket, now);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl Drop for QueryTurns {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        let mut woken = Vec::new();
        if let Some(query) = state.queries.get_mut(&self.query) {
            query.handles = query.handles.saturating_sub(1);
            if query.handles == 0 {
                state.queries.remove(&self.query);
                // Those it has kept from running.
                let waiting = state.queries.values_mut().flat_map(|query| query.waiting.drain(..));
                woken.extend(waiting.map(|(_, waker)| waker));
            }
        }
        self.shared.queries.store(state.queries.len(), Ordering::Relaxed);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl State {
    fn enter(
        &mut self,
        id: QueryId,
        cores: usize,
        (ticket, waker): (usize, &Waker),
        now: Instant,
    ) -> bool {
        let others = self.others(id, now);
        let Some(query) = self.queries.get_mut(&id) else { return true };
        let place = query.waiting.iter().position(|(other, _)| *other == ticket);
        if query.running < query.allowed(cores, others, now) {
            query.running += 1;
            place.map(|at| query.waiting.remove(at));
            return true;
        }
        match place.and_then(|at| query.waiting.get_mut(at)) {
            Some((_, old)) => old.clone_from(waker),
            None => query.waiting.push_back((ticket, waker.clone())),
        }
        false
    }

    fn leave(&mut self, id: QueryId, cores: usize, began: Instant, now: Instant) -> Vec<Waker> {
        if let Some(query) = self.queries.get_mut(&id) {
            let length = now.saturating_duration_since(began);
            query.running = query.running.saturating_sub(1);
            query.used += length;
            query.ran_at = Some(now);
            let pause = length.saturating_mul(PAUSE_FACTOR).min(PAUSE_MAX);
            query.pauses_until = query.pauses_until.max(now.checked_add(pause));
        }
        self.next(id, cores, now)
    }

    fn give_up(&mut self, id: QueryId, cores: usize, ticket: usize, now: Instant) -> Vec<Waker> {
        if let Some(query) = self.queries.get_mut(&id) {
            query.waiting.retain(|(other, _)| *other != ticket);
        }
        self.next(id, cores, now)
    }

    /// The tasks of a query that may try again.
    fn next(&mut self, id: QueryId, cores: usize, now: Instant) -> Vec<Waker> {
        let others = self.others(id, now);
        let Some(query) = self.queries.get_mut(&id) else { return Vec::new() };
        let room = query.allowed(cores, others, now).saturating_sub(query.running);
        let count = room.min(query.waiting.len());
        query.waiting.drain(..count).map(|(_, waker)| waker).collect()
    }

    fn others(&self, id: QueryId, now: Instant) -> Others {
        let mut others = Others::default();
        for (_, query) in self.queries.iter().filter(|(other, _)| **other != id) {
            if query.wants(now) {
                let kind = if query.used < SHORT { &mut others.short } else { &mut others.long };
                *kind += 1;
            }
        }
        others
    }
}

impl QueryState {
    fn allowed(&self, cores: usize, others: Others, now: Instant) -> usize {
        let rested = |at| now.saturating_duration_since(at);
        allowed(cores, others, self.used, self.ran_at.map_or(Duration::MAX, rested))
    }

    fn wants(&self, now: Instant) -> bool {
        let is_busy = self.running > 0 || !self.waiting.is_empty();
        is_busy || self.pauses_until.is_some_and(|until| now < until)
    }
}

impl fmt::Debug for QueryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryState")
            .field("running", &self.running)
            .field("waiting", &self.waiting.len())
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
    };

    use super::*;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn waker() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        (Arc::clone(&count), Waker::from(count))
    }

    /// Makes it a long one.
    fn run_long(query: &QueryTurns, now: Instant) {
        assert!(query.enter(query.ticket(), Waker::noop(), now));
        query.leave(now, now + Duration::from_secs(1));
    }

    #[test]
    fn a_long_query_rests_while_a_short_one_runs() {
        let turns = Turns::new(2);
        let (long, short) = (turns.of(QueryId::random()), turns.of(QueryId::random()));
        let now = Instant::now();
        run_long(&long, now);
        let now = now + Duration::from_secs(2);
        let (woken, waker) = waker();
        let [a, b, c] = [0; 3].map(|_| long.ticket());
        // Nobody else wants to run.
        assert!(long.enter(a, &waker, now) && long.enter(b, &waker, now));
        assert!(short.enter(short.ticket(), Waker::noop(), now));
        assert!(!long.enter(c, &waker, now));
        // The short one may have all.
        assert!(short.enter(short.ticket(), Waker::noop(), now));
        assert!(short.enter(short.ticket(), Waker::noop(), now));
        long.leave(now, now);
        long.leave(now, now);
        let after = |ms| now + Duration::from_millis(ms);
        assert!(!long.enter(c, &waker, after(11)));
        assert!(long.enter(c, &waker, after(12)));
        assert!(!long.enter(a, &waker, after(12)));
        long.leave(after(12), after(13));
        assert!(!long.enter(a, &waker, after(14)));
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        drop(short);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(long.enter(a, &waker, after(14)));
    }

    #[test]
    fn a_pause_is_as_long_as_the_work_before_it_and_ends() {
        let turns = Turns::new(2);
        let (long, short) = (turns.of(QueryId::random()), turns.of(QueryId::random()));
        let ms = Duration::from_millis;
        let now = Instant::now();
        run_long(&long, now);
        let now = now + ms(5000);
        assert!(short.enter(1, Waker::noop(), now));
        short.leave(now, now + ms(1));
        let may_have_two = |now: Instant| {
            assert!(long.enter(2, Waker::noop(), now));
            let second = long.enter(3, Waker::noop(), now);
            long.give_up(3, now);
            long.leave(now, now);
            if second {
                long.leave(now, now);
            }
            second
        };
        assert!(!may_have_two(now + ms(8)));
        assert!(may_have_two(now + ms(9)));
        assert!(short.enter(1, Waker::noop(), now));
        short.leave(now, now + ms(100));
        assert!(!may_have_two(now + ms(109)));
        assert!(may_have_two(now + ms(110)));
        drop(short);
        assert!(long.is_alone());
    }

    #[test]
    fn what_wakes_a_task_that_is_gone_wakes_the_next() {
        let turns = Turns::new(2);
        let (long, other) = (turns.of(QueryId::random()), turns.of(QueryId::random()));
        let now = Instant::now();
        run_long(&long, now);
        run_long(&other, now);
        let now = now + Duration::from_secs(2);
        assert!(other.enter(1, Waker::noop(), now));
        assert!(long.enter(2, Waker::noop(), now));
        let ((first, first_waker), (second, second_waker)) = (waker(), waker());
        assert!(!long.enter(3, &first_waker, now));
        assert!(!long.enter(4, &second_waker, now));
        long.leave(now, now);
        let counts = || (first.0.load(Ordering::Relaxed), second.0.load(Ordering::Relaxed));
        assert_eq!(counts(), (1, 0));
        // It is dropped before it runs.
        long.give_up(3, now);
        assert_eq!(counts(), (1, 1));
        drop(long);
        assert_eq!(turns.shared.state.lock().queries.len(), 1);
    }
}
