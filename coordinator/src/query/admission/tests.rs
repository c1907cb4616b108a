//! Who is next: tables, and many random histories.

use std::{collections::BTreeMap, time::Instant};

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::queue::{Full, OVERTAKEN_MAX, Priority, QueryLimits, Queue, REST, Request, Ticket};

fn limits(max_running: usize, max_queued: usize) -> QueryLimits {
    QueryLimits { max_running, max_queued, memory_bytes: 0 }
}

fn request(session: i32, role: &str, priority: Priority) -> Request {
    Request { session, role: role.into(), priority }
}

/// Queries as `session role priority`, that run and that wait; who is let in one after the other
/// when there is always room for one more.
#[track_caller]
fn check(running: &[(i32, &str)], waiting: &[(i32, &str, Priority)], expected: &[i32]) {
    let now = Instant::now();
    let mut queue = Queue::new(limits(running.len(), 100));
    for (session, role) in running {
        queue.come(request(*session, role, Priority::Normal), now).unwrap();
        assert!(queue.admit_next(now).is_some());
    }
    for (session, role, priority) in waiting {
        queue.come(request(*session, role, *priority), now).unwrap();
    }
    let mut order = vec![];
    for _ in waiting {
        assert_eq!(queue.admit_next(now), None);
        queue.limits.max_running += 1;
        let ticket = queue.admit_next(now).unwrap();
        let admitted = queue.running.iter().find(|r| r.ticket == ticket).unwrap();
        order.push(admitted.request.session);
    }
    assert_eq!(order, expected);
}

#[test]
fn first_come_first_served_but_for_priority_role_and_session() {
    use Priority::{High, Low, Normal};
    let x = [(1, "x")];
    check(&x, &[(2, "a", Normal), (3, "a", Normal), (4, "a", Normal)], &[2, 3, 4]);
    check(&x, &[(2, "a", Low), (3, "a", Normal), (4, "a", High)], &[4, 3, 2]);
    // Who has none running goes before who has.
    let busy = [(1, "a"), (2, "a")];
    check(&busy, &[(3, "a", Normal), (4, "a", Normal), (5, "b", Normal)], &[5, 3, 4]);
    // Roles take turns.
    let many = [(2, "a", Normal), (3, "a", Normal), (4, "b", Normal), (5, "b", Normal)];
    check(&x, &many, &[2, 4, 3, 5]);
    // Of one role, sessions do.
    check(&[(1, "a")], &[(1, "a", Normal), (1, "a", Normal), (2, "a", Normal)], &[2, 1, 1]);
}

#[test]
fn the_queue_has_an_end() {
    let now = Instant::now();
    let mut queue = Queue::new(limits(1, 1));
    let come = |queue: &mut Queue| queue.come(request(1, "a", Priority::Normal), now);
    let first = come(&mut queue).unwrap();
    assert_eq!(queue.admit_next(now), Some(first));
    let second = come(&mut queue).unwrap();
    assert_eq!(queue.admit_next(now), None);
    assert_eq!(come(&mut queue), Err(Full));
    queue.leave(second);
    assert_eq!(queue.waiting(), 0);
    let third = come(&mut queue).unwrap();
    queue.leave(first);
    assert_eq!(queue.admit_next(now), Some(third));
    // Without a queue, who need not wait comes in.
    let mut queue = Queue::new(limits(1, 0));
    let only = come(&mut queue).unwrap();
    assert_eq!(queue.admit_next(now), Some(only));
    assert_eq!(come(&mut queue), Err(Full));
}

#[test]
fn who_rests_does_not_count_and_goes_on_at_once() {
    let now = Instant::now();
    let mut queue = Queue::new(limits(1, 10));
    let cursor = queue.come(request(1, "a", Priority::Normal), now).unwrap();
    assert_eq!(queue.admit_next(now), Some(cursor));
    let other = queue.come(request(1, "a", Priority::Normal), now).unwrap();
    queue.rest(cursor, Some(now));
    assert_eq!(queue.admit_next(now), None);
    let later = now + REST;
    assert_eq!(queue.admit_next(later), Some(other));
    // Two run now, and none comes in before both are gone or rest.
    queue.rest(cursor, None);
    let third = queue.come(request(2, "b", Priority::Normal), later).unwrap();
    queue.leave(other);
    assert_eq!(queue.admit_next(later), None);
    queue.leave(cursor);
    assert_eq!(queue.admit_next(later), Some(third));
}

/// Random comings, goings and rests, seed by seed.
#[test]
fn limits_are_kept_no_place_is_lost_and_nobody_starves() {
    for seed in 0..300 {
        let mut rng = StdRng::seed_from_u64(seed);
        let limits = limits(rng.random_range(1..6), rng.random_range(0..20));
        let mut queue = Queue::new(limits);
        let mut now = Instant::now();
        // How often each that waits was overtaken, as seen from outside.
        let mut waiting: BTreeMap<Ticket, u32> = BTreeMap::new();
        let mut working: Vec<Ticket> = vec![];
        let mut resting: Vec<Ticket> = vec![];
        for step in 0..2000 {
            let what = format!("seed {seed}, step {step}");
            match rng.random_range(0..10) {
                0..=4 => {
                    let priority =
                        [Priority::High, Priority::Normal, Priority::Low][rng.random_range(0..3)];
                    let role = ["a", "a", "a", "b", "c"][rng.random_range(0..5)];
                    let asked = request(rng.random_range(0..8), role, priority);
                    match queue.come(asked, now) {
                        Ok(ticket) => assert_eq!(waiting.insert(ticket, 0), None, "{what}"),
                        Err(Full) => assert!(waiting.len() >= limits.max_queued, "{what}"),
                    }
                }
                5..=7 if !working.is_empty() => {
                    queue.leave(working.swap_remove(rng.random_range(0..working.len())));
                }
                8 if !working.is_empty() => {
                    let ticket = working.swap_remove(rng.random_range(0..working.len()));
                    queue.rest(ticket, Some(now));
                    resting.push(ticket);
                    now += REST;
                }
                9 => match (rng.random_range(0..3), waiting.keys().next().copied()) {
                    // One gives up.
                    (0, Some(ticket)) => {
                        waiting.remove(&ticket);
                        queue.leave(ticket);
                    }
                    (1, _) if !resting.is_empty() => {
                        let ticket = resting.swap_remove(0);
                        queue.rest(ticket, None);
                        working.push(ticket);
                    }
                    _ if !resting.is_empty() => queue.leave(resting.swap_remove(0)),
                    _ => {}
                },
                _ => {}
            }
            let before = working.len();
            while let Some(ticket) = queue.admit_next(now) {
                assert!(waiting.remove(&ticket).is_some(), "{what}: let in from nowhere");
                for (earlier, overtaken) in waiting.range_mut(..ticket) {
                    *overtaken += 1;
                    assert!(*overtaken <= OVERTAKEN_MAX, "{what}: {earlier:?} starves");
                }
                working.push(ticket);
            }
            let has_grown = working.len() > before;
            assert!(!has_grown || working.len() <= limits.max_running, "{what}: too many");
            // Nobody waits beside a free place.
            assert!(waiting.is_empty() || working.len() >= limits.max_running, "{what}: lost");
            assert_eq!(queue.waiting(), waiting.len(), "{what}");
            assert_eq!(queue.running.len(), working.len() + resting.len(), "{what}");
        }
    }
}
