//! Who holds which lock and who waits: the state, without any waiting.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    iter::repeat,
    time::Instant,
};

use chrono::{DateTime, Utc};
use kestrel_proto::{ErrorReport, Result, SqlState};
use tokio::sync::oneshot;

use super::{LockFacts, LockIdentity, LockMode, LockScope, LockTag, WaitLimits};

/// All locks that somebody holds or waits for.
#[derive(Debug, Default)]
pub(super) struct LockTable {
    locks: HashMap<LockTag, Lock>,
    /// What each owner holds, so that its end looks at no other locks.
    held: HashMap<i32, HashSet<LockTag>>,
    /// What each owner waits for, by owner and ticket, so that a wait looks only at those that it
    /// leads to.
    waits: BTreeMap<(i32, u64), LockTag>,
    next_ticket: u64,
}

#[derive(Debug, Default)]
struct Lock {
    granted: Vec<Grant>,
    /// By ticket: in the order in which they came.
    waiting: BTreeMap<u64, Waiter>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) owner: i32,
    pub(super) mode: LockMode,
    pub(super) scope: LockScope,
}

/// Who waits for a lock.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) wanted: Grant,
    /// Told when it has the lock.
    pub(super) granted: oneshot::Sender<()>,
    pub(super) since: DateTime<Utc>,
    pub(super) limits: WaitLimits,
}

impl Waiter {
    /// Its statement has been ended: the client may know that already, and must not have the lock
    /// then, even if the wait itself has not noticed.
    fn is_over(&self) -> bool {
        let limits = &self.limits;
        limits.cancel.is_cancelled() || limits.deadline.is_some_and(|at| at <= Instant::now())
    }
}

impl Lock {
    /// Whom an owner that wants a lock, and has come with this ticket, must wait for.
    fn blockers(&self, wanted: Grant, ticket: u64) -> Vec<i32> {
        let blocks =
            |other: &Grant| other.owner != wanted.owner && other.mode.conflicts(wanted.mode);
        let holds = self.is_held_by(wanted.owner);
        let before = self.waiting.range(..ticket).map(|(_, waiter)| waiter);
        // Who holds the lock does not wait for those that wait for it.
        let before = before.filter(|waiter| !holds && !waiter.is_over());
        let before = before.map(|waiter| &waiter.wanted);
        self.granted.iter().chain(before).filter(|other| blocks(other)).map(|g| g.owner).collect()
    }

    /// Gives the lock to those that need not wait any more. Who waits no more: owner, ticket, and
    /// whether it has the lock.
    fn grant_waiting(&mut self) -> Vec<(i32, u64, bool)> {
        let mut ended = Vec::new();
        let tickets: Vec<u64> = self.waiting.keys().copied().collect();
        for ticket in tickets {
            let Some(waiter) = self.waiting.get(&ticket) else { continue };
            if waiter.is_over() || !self.blockers(waiter.wanted, ticket).is_empty() {
                continue;
            }
            // One that has stopped waiting leaves by itself.
            if let Some(Waiter { wanted, granted, .. }) = self.waiting.remove(&ticket) {
                let has_it = granted.send(()).is_ok();
                if has_it {
                    self.granted.push(wanted);
                }
                ended.push((wanted.owner, ticket, has_it));
            }
        }
        ended
    }

    fn is_held_by(&self, owner: i32) -> bool {
        self.granted.iter().any(|grant| grant.owner == owner)
    }

    fn is_free(&self) -> bool {
        self.granted.is_empty() && self.waiting.is_empty()
    }
}

impl LockTable {
    /// Gives a lock if nobody has to be waited for.
    pub(super) fn try_grant(
        &mut self,
        owner: i32,
        tag: LockTag,
        mode: LockMode,
        scope: LockScope,
    ) -> bool {
        let wanted = Grant { owner, mode, scope };
        let lock = self.locks.entry(tag).or_default();
        let is_free = lock.blockers(wanted, u64::MAX).is_empty();
        // A transaction keeps a lock once; a session counts.
        let has_it = scope == LockScope::Transaction && lock.granted.contains(&wanted);
        if is_free && !has_it {
            lock.granted.push(wanted);
            self.held.entry(owner).or_default().insert(tag);
        }
        is_free
    }

    /// Whether an owner has a lock in this mode.
    pub(super) fn holds(&self, owner: i32, tag: LockTag, mode: LockMode) -> bool {
        let is_own = |grant: &Grant| grant.owner == owner && grant.mode == mode;
        self.locks.get(&tag).is_some_and(|lock| lock.granted.iter().any(is_own))
    }

    /// How many locks an owner has.
    pub(super) fn count(&self, owner: i32) -> usize {
        self.held.get(&owner).map_or(0, HashSet::len)
    }

    /// Lets an owner wait until it has a lock. Its place.
    ///
    /// # Errors
    /// 40P01: those that it would wait for wait for it.
    pub(super) fn enqueue(&mut self, tag: LockTag, waiter: Waiter) -> Result<u64> {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let wanted = waiter.wanted;
        self.locks.entry(tag).or_default().waiting.insert(ticket, waiter);
        self.waits.insert((wanted.owner, ticket), tag);
        if let Some(circle) = self.circle(wanted.owner) {
            self.leave(tag, ticket, wanted);
            return Err(deadlock(&circle));
        }
        Ok(ticket)
    }

    /// Who wanted this lock waits no more. When it was given the lock meanwhile, it gives that back.
    pub(super) fn leave(&mut self, tag: LockTag, ticket: u64, wanted: Grant) {
        self.waits.remove(&(wanted.owner, ticket));
        let waited = self.locks.get_mut(&tag).and_then(|lock| lock.waiting.remove(&ticket));
        if waited.is_none() {
            self.take_back(tag, wanted);
        }
        self.hand_on(tag);
    }

    /// Takes one lock back; whether its owner had it.
    pub(super) fn take_back(&mut self, tag: LockTag, grant: Grant) -> bool {
        let Some(lock) = self.locks.get_mut(&tag) else { return false };
        let Some(at) = lock.granted.iter().position(|other| *other == grant) else { return false };
        lock.granted.swap_remove(at);
        if !lock.is_held_by(grant.owner)
            && let Some(held) = self.held.get_mut(&grant.owner)
        {
            held.remove(&tag);
            if held.is_empty() {
                self.held.remove(&grant.owner);
            }
        }
        self.hand_on(tag);
        true
    }

    /// Takes an owner's locks back.
    pub(super) fn release(&mut self, owner: i32, which: impl Fn(LockTag, LockScope) -> bool) {
        let mut kept = HashSet::new();
        for tag in self.held.remove(&owner).unwrap_or_default() {
            let Some(lock) = self.locks.get_mut(&tag) else { continue };
            lock.granted.retain(|grant| grant.owner != owner || !which(tag, grant.scope));
            if lock.is_held_by(owner) {
                kept.insert(tag);
            }
            self.hand_on(tag);
        }
        if !kept.is_empty() {
            self.held.entry(owner).or_default().extend(kept);
        }
    }

    /// Somebody has left a lock: others may have it now.
    fn hand_on(&mut self, tag: LockTag) {
        let Some(lock) = self.locks.get_mut(&tag) else { return };
        for (owner, ticket, has_it) in lock.grant_waiting() {
            self.waits.remove(&(owner, ticket));
            if has_it {
                self.held.entry(owner).or_default().insert(tag);
            }
        }
        self.tidy(tag);
    }

    fn tidy(&mut self, tag: LockTag) {
        if self.locks.get(&tag).is_some_and(Lock::is_free) {
            self.locks.remove(&tag);
        }
    }

    /// What an owner waits for: a lock, its mode, and whom.
    fn waits_of(&self, owner: i32) -> impl Iterator<Item = Wait> {
        let waits = self.waits.range((owner, 0)..=(owner, u64::MAX));
        waits.flat_map(move |((_, ticket), tag)| {
            let lock = self.locks.get(tag);
            let found = lock.and_then(|lock| Some((lock, lock.waiting.get(ticket)?.wanted)));
            let blockers =
                found.map(|(lock, wanted)| (wanted.mode, lock.blockers(wanted, *ticket)));
            let blockers =
                blockers.into_iter().flat_map(|(mode, by)| by.into_iter().zip(repeat(mode)));
            blockers.map(move |(by, mode)| Wait { owner, tag: *tag, mode, by })
        })
    }

    /// The waits that lead from an owner back to itself, if there are any.
    fn circle(&self, owner: i32) -> Option<Vec<Wait>> {
        let mut seen = HashSet::from([owner]);
        let mut paths: Vec<Vec<Wait>> = self.waits_of(owner).map(|wait| vec![wait]).collect();
        while let Some(path) = paths.pop() {
            let Some(last) = path.last() else { continue };
            if last.by == owner {
                return Some(path);
            }
            if !seen.insert(last.by) {
                continue;
            }
            let next = self.waits_of(last.by);
            paths.extend(next.map(|wait| path.iter().copied().chain([wait]).collect()));
        }
        None
    }

    /// All that is held and waited for, in a fixed order. A lock that an owner holds several times in
    /// one mode is there once.
    pub(super) fn facts(&self) -> Vec<LockFacts> {
        let of = |tag: &LockTag, grant: &Grant, waiting_since| LockFacts {
            tag: *tag,
            process_id: grant.owner,
            mode: grant.mode,
            waiting_since,
        };
        let mut facts = Vec::new();
        for (tag, lock) in &self.locks {
            facts.extend(lock.granted.iter().map(|grant| of(tag, grant, None)));
            let waiting = lock.waiting.values();
            facts.extend(waiting.map(|waiter| of(tag, &waiter.wanted, Some(waiter.since))));
        }
        facts.sort_unstable();
        facts.dedup();
        facts
    }

    /// How many locks there are, and waits.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.locks.len() + self.waits.len()
    }
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    owner: i32,
    tag: LockTag,
    mode: LockMode,
    by: i32,
}

fn deadlock(circle: &[Wait]) -> ErrorReport {
    let lines = circle.iter().map(|wait| {
        let Wait { owner, tag, mode, by } = wait;
        let what = match tag {
            LockTag::Table(id) | LockTag::RowChanges(id) | LockTag::Keys(id) => {
                format!("relation {id}")
            }
            LockTag::Key(id, _) => format!("tuple of relation {id}"),
            LockTag::Ddl => {
                let LockIdentity { class, object, .. } = tag.identity();
                format!("object {} of class {}", object.unwrap_or(0), class.unwrap_or(0))
            }
            LockTag::Advisory(key) => format!("advisory lock {key}"),
            LockTag::AdvisoryPair(a, b) => format!("advisory lock ({a}, {b})"),
        };
        format!("Process {owner} waits for {} on {what}; blocked by process {by}.", mode.name())
    });
    ErrorReport::new(SqlState::DEADLOCK_DETECTED, "deadlock detected")
        .detail(lines.collect::<Vec<_>>().join("\n"))
}
