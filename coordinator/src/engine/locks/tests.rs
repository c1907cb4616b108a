//! Locks of several owners.

use super::*;

const MODES: [LockMode; 8] = [
    LockMode::AccessShare,
    LockMode::RowShare,
    LockMode::RowExclusive,
    LockMode::ShareUpdateExclusive,
    LockMode::Share,
    LockMode::ShareRowExclusive,
    LockMode::Exclusive,
    LockMode::AccessExclusive,
];
const KEY: LockTag = LockTag::Advisory(1);
const OTHER: LockTag = LockTag::AdvisoryPair(1, 1);

/// The table of the PostgreSQL manual's section "Table-Level Locks".
#[test]
fn modes_conflict_as_postgresqls() {
    let expected = [
        ".......X", "......XX", "....XXXX", "...XXXXX", "..XX.XXX", "..XXXXXX", ".XXXXXXX",
        "XXXXXXXX",
    ];
    for (mode, expected) in MODES.into_iter().zip(expected) {
        let row: String =
            MODES.iter().map(|other| if mode.conflicts(*other) { 'X' } else { '.' }).collect();
        assert_eq!(row, expected, "{}", mode.name());
    }
}

/// Waits for a lock in the background; its result.
fn wait(
    owner: &Arc<LockOwner>,
    tag: LockTag,
    mode: LockMode,
) -> tokio::task::JoinHandle<Result<()>> {
    let owner = Arc::clone(owner);
    tokio::spawn(
        async move { owner.lock(tag, mode, LockScope::Session, &WaitLimits::default()).await },
    )
}

/// Lets the tasks that can go on do so.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_session_unlocks_as_often_as_it_locked() {
    let locks = Locks::default();
    let (a, b) = (locks.owner(1), locks.owner(2));
    let exclusive = LockMode::Exclusive;
    assert!(a.try_lock(KEY, exclusive, LockScope::Session));
    assert!(a.try_lock(KEY, exclusive, LockScope::Session));
    assert!(!b.try_lock(KEY, exclusive, LockScope::Session));
    assert!(b.try_lock(OTHER, exclusive, LockScope::Session));
    let waiting = wait(&b, KEY, exclusive);
    settle().await;
    assert!(a.unlock(KEY, exclusive, LockScope::Session));
    settle().await;
    assert!(!waiting.is_finished());
    assert!(a.unlock(KEY, exclusive, LockScope::Session));
    waiting.await.unwrap().unwrap();
    assert!(!a.unlock(KEY, exclusive, LockScope::Session));
    drop((a, b));
    assert_eq!(locks.table.lock().len(), 0);
}

#[tokio::test]
async fn transactions_end_their_own_locks() {
    let locks = Locks::default();
    let (a, b) = (locks.owner(1), locks.owner(2));
    assert!(a.try_lock(KEY, LockMode::Share, LockScope::Transaction));
    assert!(a.try_lock(KEY, LockMode::Share, LockScope::Transaction));
    assert!(a.try_lock(OTHER, LockMode::Share, LockScope::Session));
    assert!(
        !a.unlock(KEY, LockMode::Share, LockScope::Session),
        "only the transaction's end unlocks"
    );
    a.end_transaction();
    assert!(b.try_lock(KEY, LockMode::Exclusive, LockScope::Transaction));
    assert!(!b.try_lock(OTHER, LockMode::Exclusive, LockScope::Transaction));
    a.unlock_all();
    assert!(b.try_lock(OTHER, LockMode::Exclusive, LockScope::Transaction));
}

#[tokio::test]
async fn who_came_first_is_served_first() {
    let locks = Locks::default();
    let owners: Vec<_> = (1..=4).map(|id| locks.owner(id)).collect();
    assert!(owners[0].try_lock(KEY, LockMode::Share, LockScope::Session));
    let exclusive = wait(&owners[1], KEY, LockMode::Exclusive);
    settle().await;
    let shared = wait(&owners[2], KEY, LockMode::Share);
    settle().await;
    // It would not conflict with the holder, but with who waits.
    assert!(!owners[3].try_lock(KEY, LockMode::Share, LockScope::Session));
    // The holder itself does not wait for those behind it.
    assert!(owners[0].try_lock(KEY, LockMode::Share, LockScope::Session));
    owners[0].unlock_all();
    exclusive.await.unwrap().unwrap();
    assert!(!shared.is_finished());
    owners[1].unlock_all();
    shared.await.unwrap().unwrap();
}

#[tokio::test]
async fn waits_end_at_their_limits() {
    let locks = Locks::default();
    let (a, b) = (locks.owner(1), locks.owner(2));
    assert!(a.try_lock(KEY, LockMode::Exclusive, LockScope::Session));
    let soon = Duration::from_millis(20);
    let canceled = CancellationToken::new();
    canceled.cancel();
    for (limits, sqlstate, message) in [
        (
            WaitLimits { lock_timeout: Some(soon), ..WaitLimits::default() },
            SqlState::LOCK_NOT_AVAILABLE,
            "canceling statement due to lock timeout",
        ),
        (
            WaitLimits { deadline: Some(std::time::Instant::now()), ..WaitLimits::default() },
            SqlState::QUERY_CANCELED,
            "canceling statement due to statement timeout",
        ),
        (
            WaitLimits { cancel: canceled, ..WaitLimits::default() },
            SqlState::QUERY_CANCELED,
            "canceling statement due to user request",
        ),
    ] {
        let waited = b.lock(KEY, LockMode::Share, LockScope::Session, &limits).await.unwrap_err();
        assert_eq!((waited.sqlstate, waited.message.as_str()), (sqlstate, message));
    }
    // None of them stands in the queue any more.
    a.unlock_all();
    assert_eq!(locks.table.lock().len(), 0);
}

/// The client may know of the end before the wait does.
#[tokio::test]
async fn who_was_canceled_gets_no_lock() {
    let locks = Locks::default();
    let (a, b) = (locks.owner(1), locks.owner(2));
    let exclusive = LockMode::Exclusive;
    assert!(a.try_lock(KEY, exclusive, LockScope::Session));
    let limits = WaitLimits::default();
    let (waiter, waits) = (Arc::clone(&b), limits.clone());
    let waiting =
        tokio::spawn(async move { waiter.lock(KEY, exclusive, LockScope::Session, &waits).await });
    settle().await;
    limits.cancel.cancel();
    assert!(a.unlock(KEY, exclusive, LockScope::Session));
    assert!(a.try_lock(KEY, exclusive, LockScope::Session));
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.sqlstate, SqlState::QUERY_CANCELED);
    assert!(a.unlock(KEY, exclusive, LockScope::Session));
    assert!(b.try_lock(KEY, exclusive, LockScope::Session));
}

#[tokio::test]
async fn what_is_held_and_waited_for_is_shown_once() {
    let locks = Locks::default();
    let (a, b) = (locks.owner(1), locks.owner(2));
    for scope in [LockScope::Session, LockScope::Session, LockScope::Transaction] {
        assert!(a.try_lock(KEY, LockMode::Exclusive, scope));
    }
    let waiting = wait(&b, KEY, LockMode::Share);
    settle().await;
    let shown = |locks: &Locks| {
        let facts = locks.facts().into_iter();
        let show = |fact: LockFacts| {
            let LockFacts { process_id, mode, waiting_since, .. } = fact;
            format!("{process_id} {} {}", mode.name(), waiting_since.is_none())
        };
        facts.map(show).collect::<Vec<_>>()
    };
    assert_eq!(shown(&locks), ["1 ExclusiveLock true", "2 ShareLock false"]);
    a.end_session();
    waiting.await.unwrap().unwrap();
    assert_eq!(shown(&locks), ["2 ShareLock true"]);
}

#[tokio::test]
async fn a_transaction_gives_a_lock_back_early() {
    let locks = Locks::default();
    let (a, b) = (locks.owner(1), locks.owner(2));
    assert!(a.try_lock(LockTag::Ddl, LockMode::Exclusive, LockScope::Transaction));
    let waiting = wait(&b, LockTag::Ddl, LockMode::Exclusive);
    settle().await;
    assert!(a.unlock(LockTag::Ddl, LockMode::Exclusive, LockScope::Transaction));
    waiting.await.unwrap().unwrap();
    assert!(!a.unlock(LockTag::Ddl, LockMode::Exclusive, LockScope::Transaction));
}

#[tokio::test]
async fn a_circle_of_waits_is_a_deadlock() {
    let locks = Locks::default();
    let (a, b) = (locks.owner(1), locks.owner(2));
    assert!(a.try_lock(KEY, LockMode::Exclusive, LockScope::Session));
    assert!(b.try_lock(OTHER, LockMode::Exclusive, LockScope::Session));
    let waiting = wait(&a, OTHER, LockMode::Exclusive);
    settle().await;
    let limits = WaitLimits::default();
    let error = b.lock(KEY, LockMode::Exclusive, LockScope::Session, &limits).await.unwrap_err();
    assert_eq!(error.sqlstate, SqlState::DEADLOCK_DETECTED);
    assert_eq!(
        error.detail.as_deref(),
        Some(
            "Process 2 waits for ExclusiveLock on advisory lock 1; blocked by process 1.\n\
             Process 1 waits for ExclusiveLock on advisory lock (1, 1); blocked by process 2."
        )
    );
    b.unlock_all();
    waiting.await.unwrap().unwrap();
}

/// The end of a transaction hands on what it held, and nothing else.
#[tokio::test]
async fn owners_know_what_they_hold() {
    let locks = Locks::default();
    let (a, b) = (locks.owner(1), locks.owner(2));
    let (exclusive, scope) = (LockMode::Exclusive, LockScope::Transaction);
    for tag in [LockTag::Key(7, 1), LockTag::Key(7, 2)] {
        assert!(a.try_lock(tag, exclusive, scope));
    }
    assert!(a.try_lock(KEY, exclusive, LockScope::Session));
    assert!(b.try_lock(LockTag::Key(7, 3), exclusive, scope));
    assert_eq!((a.count(), b.count()), (3, 1));
    let waiting = wait(&b, LockTag::Key(7, 1), exclusive);
    settle().await;
    assert!(a.unlock(LockTag::Key(7, 2), exclusive, scope));
    assert_eq!((a.count(), b.count()), (2, 1));
    a.end_transaction();
    waiting.await.unwrap().unwrap();
    assert_eq!((a.count(), b.count()), (1, 2));
    assert!(b.holds(LockTag::Key(7, 1), exclusive));
    assert!(a.holds(KEY, exclusive) && !a.holds(LockTag::Key(7, 1), exclusive));
    b.end_session();
    assert!(a.unlock(KEY, exclusive, LockScope::Session));
    assert_eq!((a.count(), b.count(), locks.table.lock().len()), (0, 0, 0));
}
