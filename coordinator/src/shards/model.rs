//! Every crash of a two-phase commit: a coordinator or a datanode dies before or after each step,
//! then recovery runs, and the transaction is everywhere or nowhere.
//!
//! A *step* is one call to a datanode, or the decision. A run with no crash counts them; then there
//! is one run per step, victim and side of the step. What the catalog and a database have on disk
//! survives; what is open there does not.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use kestrel_planner::catalog::DecisionDef;
use kestrel_proto::{
    BatchStream, Datanode, DatanodeHealth, DatanodeId, DropSegments, ErrorReport, ExchangeRequest,
    Ingest, IngestStream, PreparedTransaction, QueryId, Result, SqlState, TransactionEnd,
    TransactionId,
    message::{FragmentReport, SegmentRef},
};
use parking_lot::Mutex;

use super::{Commit, ShardSettings, Shards, commit::Decided, recover};

const TRANSACTION: TransactionId = TransactionId(77);
const DATANODES: u32 = 3;

/// What dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Coordinator,
    Datanode(u32),
    /// The call fails on the datanode, which lives: the database refuses.
    Refusal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Crash {
    step: usize,
    victim: Victim,
    side: Side,
}

/// The transaction in one database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InDatabase {
    Open,
    Prepared,
    Committed,
    Gone,
}

/// All that there is: databases, the catalog's disk, who lives.
#[derive(Debug)]
struct World {
    databases: Vec<InDatabase>,
    datanode_is_up: Vec<bool>,
    coordinator_is_up: bool,
    decided: Option<DecisionDef>,
    crash: Option<Crash>,
    steps: usize,
}

type Shared = Arc<Mutex<World>>;

/// What happens to a step.
enum Fate {
    Goes,
    Fails,
    /// It is done, and nobody hears of it.
    Unheard,
    /// Its caller is dead.
    Never,
    Refused,
}

impl World {
    fn new(crash: Option<Crash>) -> Self {
        Self {
            databases: vec![InDatabase::Open; DATANODES as usize],
            datanode_is_up: vec![true; DATANODES as usize],
            coordinator_is_up: true,
            decided: None,
            crash,
            steps: 0,
        }
    }

    /// The next step, on this datanode or in the catalog.
    fn step(&mut self, on: Option<u32>) -> Fate {
        if !self.coordinator_is_up {
            return Fate::Never;
        }
        let crash = self.crash.filter(|crash| crash.step == self.steps);
        self.steps += 1;
        match crash {
            Some(Crash { victim: Victim::Coordinator, side, .. }) => {
                self.coordinator_is_up = false;
                if side == Side::Before { Fate::Never } else { Fate::Unheard }
            }
            Some(Crash { victim: Victim::Datanode(victim), side, .. }) => {
                let is_here = on == Some(victim);
                match (is_here, side) {
                    (true, Side::After) => Fate::Unheard,
                    (_, _) => {
                        self.crash_datanode(victim);
                        if is_here { Fate::Fails } else { self.fate(on) }
                    }
                }
            }
            Some(Crash { victim: Victim::Refusal, .. }) => Fate::Refused,
            None => self.fate(on),
        }
    }

    fn fate(&self, on: Option<u32>) -> Fate {
        match on {
            Some(datanode) if !self.datanode_is_up[datanode as usize] => Fate::Fails,
            _ => Fate::Goes,
        }
    }

    fn crash_datanode(&mut self, datanode: u32) {
        let at = datanode as usize;
        self.datanode_is_up[at] = false;
        if self.databases[at] == InDatabase::Open {
            self.databases[at] = InDatabase::Gone;
        }
    }

    /// What the database does.
    fn end(&mut self, datanode: u32, end: TransactionEnd) -> Result<bool> {
        use InDatabase::{Committed, Gone, Open, Prepared};
        let state = &mut self.databases[datanode as usize];
        let (next, was_there) = match (end, *state) {
            (TransactionEnd::Prepare, Open) => (Prepared, true),
            (TransactionEnd::Commit, Open) => (Committed, true),
            (TransactionEnd::Prepare | TransactionEnd::Commit, _) => {
                return Err(ErrorReport::new(SqlState::SERIALIZATION_FAILURE, "it is lost"));
            }
            (TransactionEnd::Rollback, Open) => (Gone, true),
            (TransactionEnd::CommitPrepared, Prepared) => (Committed, true),
            (TransactionEnd::RollbackPrepared, Prepared) => (Gone, true),
            (_, same) => (same, false),
        };
        *state = next;
        Ok(was_there)
    }
}

#[derive(Debug)]
struct Fake {
    id: u32,
    world: Shared,
}

#[async_trait]
impl Datanode for Fake {
    fn id(&self) -> DatanodeId {
        DatanodeId(self.id)
    }

    async fn end_transaction(
        &self,
        transaction: TransactionId,
        epoch: u64,
        end: TransactionEnd,
    ) -> Result<bool> {
        assert_eq!((transaction, epoch), (TRANSACTION, 1));
        let lost = || Err(ErrorReport::datanode_lost(DatanodeId(self.id), "lost"));
        let fate = self.world.lock().step(Some(self.id));
        match fate {
            Fate::Goes => self.world.lock().end(self.id, end),
            Fate::Fails => lost(),
            Fate::Refused => Err(ErrorReport::new(SqlState::DISK_FULL, "refused")),
            Fate::Unheard => {
                let is_over = {
                    let mut world = self.world.lock();
                    let _ = world.end(self.id, end);
                    if world.coordinator_is_up {
                        world.crash_datanode(self.id);
                    }
                    !world.coordinator_is_up
                };
                if is_over { pending().await } else { lost() }
            }
            Fate::Never => pending().await,
        }
    }

    async fn prepared(&self) -> Result<Vec<PreparedTransaction>> {
        let world = self.world.lock();
        if !world.datanode_is_up[self.id as usize] {
            return Err(ErrorReport::datanode_lost(DatanodeId(self.id), "lost"));
        }
        let is_prepared = world.databases[self.id as usize] == InDatabase::Prepared;
        let prepared =
            PreparedTransaction { transaction: TRANSACTION, epoch: 1, age: Duration::ZERO };
        Ok(is_prepared.then_some(prepared).into_iter().collect())
    }

    async fn run(&self, _: Bytes) -> Result<FragmentReport> {
        Err(ErrorReport::internal("not asked for"))
    }

    fn open_exchange(&self, _: ExchangeRequest, _: u64) -> Result<BatchStream> {
        Err(ErrorReport::internal("not asked for"))
    }

    async fn end_query(&self, _: QueryId) {}

    async fn ingest(&self, _: Ingest, _: IngestStream) -> Result<Vec<SegmentRef>> {
        Err(ErrorReport::internal("not asked for"))
    }

    async fn drop_segments(&self, _: DropSegments) -> Result<()> {
        Ok(())
    }

    async fn health(&self) -> Result<DatanodeHealth> {
        Ok(DatanodeHealth::default())
    }
}

/// What the client hears.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Committed,
    Error(SqlState),
    /// The coordinator has died.
    Nothing,
}

fn datanodes(world: &Shared) -> Vec<Arc<dyn Datanode>> {
    let fake = |id| Arc::new(Fake { id, world: Arc::clone(world) }) as Arc<dyn Datanode>;
    (0..DATANODES).map(fake).collect()
}

fn all() -> BTreeSet<DatanodeId> {
    (0..DATANODES).map(DatanodeId).collect()
}

/// The catalog's decision is a step, too.
async fn decide(world: Shared, decision: DecisionDef) -> Decided<()> {
    let fate = world.lock().step(None);
    match fate {
        Fate::Goes => {
            world.lock().decided = Some(decision);
            Decided::Done(())
        }
        Fate::Unheard => {
            world.lock().decided = Some(decision);
            pending().await
        }
        Fate::Refused | Fate::Fails => {
            Decided::Failed(ErrorReport::new(SqlState::DISK_FULL, "refused"))
        }
        Fate::Never => pending().await,
    }
}

/// One commit up to its answer or the coordinator's death.
async fn commit(world: &Shared, shards: &Arc<Shards>) -> Answer {
    let commit = Commit {
        datanodes: datanodes(world),
        shards: Arc::clone(shards),
        transaction: TRANSACTION,
        epoch: 1,
    };
    let participants = all();
    let deciding = Arc::clone(world);
    let committed = commit.in_two_phases(&participants, |decision| decide(deciding, decision));
    let death = async {
        while world.lock().coordinator_is_up {
            tokio::task::yield_now().await;
        }
        // What is on its way arrives.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        committed = committed => match committed {
            Ok(()) => Answer::Committed,
            Err(error) => Answer::Error(error.sqlstate),
        },
        () = death => Answer::Nothing,
    }
}

/// Everything is up again, in a new start if the coordinator had died; two rounds of recovery.
async fn recovered(world: &Shared, shards: &Arc<Shards>) -> (Vec<InDatabase>, bool) {
    let (shards, epoch) = {
        let mut world = world.lock();
        world.crash = None;
        world.datanode_is_up = vec![true; DATANODES as usize];
        let had_died = !std::mem::replace(&mut world.coordinator_is_up, true);
        match had_died {
            true => {
                let decided = world.decided.clone().map(|d| (d.transaction, d));
                let decided = decided.into_iter().collect();
                (Arc::new(Shards::new(ShardSettings::default(), &decided)), 2)
            }
            false => (Arc::clone(shards), 1),
        }
    };
    let decided = || -> BTreeMap<u64, DecisionDef> {
        world.lock().decided.clone().map(|d| (d.transaction, d)).into_iter().collect()
    };
    let mut forgotten = Vec::new();
    for _ in 0..2 {
        forgotten = recover(&datanodes(world), &shards, epoch, decided).await;
    }
    assert!(shards.in_doubt().is_empty());
    assert!(shards.latch.in_doubt().is_empty(), "{:?}", shards.latch.in_doubt());
    let is_forgotten = decided().is_empty() || !forgotten.is_empty();
    (world.lock().databases.clone(), is_forgotten)
}

/// Runs one; says what is wrong.
async fn check(crash: Option<Crash>) -> usize {
    let world = Arc::new(Mutex::new(World::new(crash)));
    let shards = Arc::new(Shards::default());
    let answer = commit(&world, &shards).await;
    let steps = world.lock().steps;
    let (databases, is_forgotten) = recovered(&world, &shards).await;
    let (committed, gone) = (InDatabase::Committed, InDatabase::Gone);
    // A transaction that nobody has ended is rolled back when its coordinator is gone.
    let databases: Vec<_> = databases
        .into_iter()
        .map(|state| if state == InDatabase::Open { gone } else { state })
        .collect();
    let is_everywhere = databases.iter().all(|state| *state == committed);
    let is_nowhere = databases.iter().all(|state| *state == gone);
    assert!(is_everywhere || is_nowhere, "{crash:?}: {databases:?}, the client: {answer:?}");
    match answer {
        Answer::Committed => assert!(is_everywhere, "{crash:?}: {databases:?}"),
        Answer::Error(state) => assert!(is_nowhere, "{crash:?}: {state:?}, {databases:?}"),
        Answer::Nothing => {}
    }
    assert!(is_forgotten, "{crash:?}: the decision is kept");
    steps
}

#[tokio::test]
async fn every_crash_leaves_it_everywhere_or_nowhere() {
    let steps = check(None).await;
    // Three prepare, the decision, three commit.
    assert_eq!(steps, 7);
    let victims =
        (0..DATANODES).map(Victim::Datanode).chain([Victim::Coordinator, Victim::Refusal]);
    for victim in victims {
        // Undoing takes more steps than a commit without crashes.
        for step in 0..steps + 2 * DATANODES as usize {
            for side in [Side::Before, Side::After] {
                check(Some(Crash { step, victim, side })).await;
            }
        }
    }
}

#[tokio::test]
async fn a_datanode_that_is_refused_undoes_the_others() {
    let crash = Crash { step: 1, victim: Victim::Refusal, side: Side::Before };
    let world = Arc::new(Mutex::new(World::new(Some(crash))));
    let shards = Arc::new(Shards::default());
    assert_eq!(commit(&world, &shards).await, Answer::Error(SqlState::DISK_FULL));
    // Without recovery.
    assert!(world.lock().databases.iter().all(|state| *state == InDatabase::Gone));
    assert!(world.lock().decided.is_none());
}
