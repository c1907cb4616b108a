//! Who waits for a place, who has one, and who is next.
//!
//! Next is, of those with the highest priority, who belongs to the role that has the fewest queries
//! running, then to the session that has the fewest, then who came first. Nobody is passed by others
//! more often than [`OVERTAKEN_MAX`] times.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A query whose client has asked for no rows for so long does not count.
pub(super) const REST: Duration = Duration::from_millis(500);
/// So many that came later may be let in before a query. Then it is next, whatever its priority.
pub(super) const OVERTAKEN_MAX: u32 = 50;

/// How many queries run, and how much each may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryLimits {
    /// So many at the same time.
    pub max_running: usize,
    /// So many more wait; the next one is refused.
    pub max_queued: usize,
    /// Bytes of memory of each, in each process; 0: whatever there is.
    pub memory_bytes: u64,
}

impl Default for QueryLimits {
    /// Two for each core, so that one computes while another waits for rows, and eight at least, so
    /// that a few long ones leave room for short ones.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { max_running: (2 * cores).max(8), max_queued: 1000, memory_bytes: 0 }
    }
}

/// Which go before others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Before all others.
    High,
    /// As usual.
    #[default]
    Normal,
    /// After all others.
    Low,
}

impl Priority {
    /// As `kestrel.query_priority` writes it; what it does not know is `Normal`.
    pub fn of_word(word: &str) -> Self {
        match word {
            "high" => Self::High,
            "low" => Self::Low,
            _ => Self::Normal,
        }
    }
}

/// Who asks for a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The session, by its process id.
    pub session: i32,
    /// Its role.
    pub role: Arc<str>,
    /// Which others it goes before.
    pub priority: Priority,
}

/// A query that waits, or runs. They ascend in the order in which the queries came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ticket(u64);

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// All that wait and run.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) limits: QueryLimits,
    /// Who came first is first.
    waiting: Vec<Waiting>,
    pub(super) running: Vec<Running>,
    last_ticket: u64,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    request: Request,
    /// How many that came later were let in.
    overtaken: u32,
}

#[derive(Debug)]
pub(super) struct Running {
    pub(super) ticket: Ticket,
    pub(super) request: Request,
    /// Its client asks for no rows since then.
    rests_since: Option<Instant>,
}

impl Running {
    fn counts(&self, now: Instant) -> bool {
        self.rests_since.is_none_or(|since| now.saturating_duration_since(since) < REST)
    }
}

impl Queue {
    pub(super) fn new(limits: QueryLimits) -> Self {
        Self { limits, waiting: Vec::new(), running: Vec::new(), last_ticket: 0 }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// A query comes. It waits, if only until [`Queue::admit_next`].
    ///
    /// # Errors
    /// So many wait that no more may.
    pub(super) fn come(&mut self, request: Request, now: Instant) -> Result<Ticket, Full> {
        let may_begin = self.waiting.is_empty() && self.has_room(now);
        if self.waiting.len() >= self.limits.max_queued && !may_begin {
            return Err(Full);
        }
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.waiting.push(Waiting { ticket, request, overtaken: 0 });
        Ok(ticket)
    }

    /// Who may begin now, if anybody.
    pub(super) fn next(&self, now: Instant) -> Option<Ticket> {
        if !self.has_room(now) {
            return None;
        }
        let passed = self.waiting.iter().find(|waiting| waiting.overtaken >= OVERTAKEN_MAX);
        let first = || {
            self.waiting.iter().min_by_key(|waiting| {
                let Request { session, role, priority } = &waiting.request;
                let of_role = self.running_of(now, |running| running.role == *role);
                let of_session = self.running_of(now, |running| running.session == *session);
                (*priority, of_role, of_session, waiting.ticket)
            })
        };
        passed.or_else(first).map(|waiting| waiting.ticket)
    }

    /// Lets the next one begin.
    pub(super) fn admit_next(&mut self, now: Instant) -> Option<Ticket> {
        let ticket = self.next(now)?;
        let at = self.waiting.iter().position(|waiting| waiting.ticket == ticket)?;
        let Waiting { request, .. } = self.waiting.remove(at);
        self.running.push(Running { ticket, request, rests_since: None });
        for earlier in self.waiting.iter_mut().take(at) {
            earlier.overtaken += 1;
        }
        Some(ticket)
    }

    /// The query has ended, or waits no longer.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.waiting.retain(|waiting| waiting.ticket != ticket);
        self.running.retain(|running| running.ticket != ticket);
    }

    /// The query's client asks for no more rows, as of now (`Some`), or asks again.
    pub(super) fn rest(&mut self, ticket: Ticket, since: Option<Instant>) {
        let running = self.running.iter_mut().find(|running| running.ticket == ticket);
        if let Some(running) = running {
            running.rests_since = since;
        }
    }

    fn has_room(&self, now: Instant) -> bool {
        self.running_of(now, |_| true) < self.limits.max_running
    }

    fn running_of(&self, now: Instant, is_meant: impl Fn(&Request) -> bool) -> usize {
        self.running.iter().filter(|r| r.counts(now) && is_meant(&r.request)).count()
    }
}
