//! Random trees of slices over real hubs that may hold one batch per stream: whatever their
//! fragments read first, all must end, and every stream must carry what was sent, in order.
//!
//! ```text
//!   gather ── coordinator           a fragment reads its inputs one after the other, or together;
//!     slice 1   dn0 dn1 dn2         an input of several senders in any order, or merged: then it
//!       slice 2   dn1               needs a batch of each sender, and takes the smallest;
//!       slice 3   dn0 dn2           it may stop early, as LIMIT does
//! ```

use std::collections::{HashMap, VecDeque};

use futures::stream::{BoxStream, select_all};
use kestrel_proto::COORDINATOR;
use tokio::task::{JoinSet, yield_now};

use super::*;

const SEEDS: u64 = 400;
/// Batches that one fragment sends, at most.
const SENDS_MAX: u64 = 30;

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn split(&mut self) -> Self {
        Self(self.below(u64::MAX))
    }
}

/// How a slice sends.
#[derive(Clone, Copy, Debug)]
enum Routing {
    Broadcast,
    Even,
    /// Nine batches of ten go to one receiver.
    Skewed(usize),
}

/// A slice of the plan.
#[derive(Debug)]
struct Slice {
    motion: MotionId,
    datanodes: Vec<DatanodeId>,
    routing: Routing,
    inputs: Vec<Slice>,
}

/// A slice on one datanode; the one on the coordinator sends nothing.
struct Fragment {
    here: DatanodeId,
    sends: Option<(MotionId, Routing, Vec<DatanodeId>)>,
    /// The streams of each motion that it receives.
    inputs: Vec<Vec<StreamId>>,
    random: Random,
}

/// The hubs of all datanodes, and the query that runs over them.
#[derive(Clone)]
struct Cluster {
    hubs: Arc<Vec<ExchangeHub>>,
    query: QueryId,
}

/// Motion, sender and receiver.
type StreamId = (MotionId, DatanodeId, DatanodeId);

/// Batches per stream.
type Counts = HashMap<StreamId, i64>;

/// A batch: its stream, its number there, and the key by which to merge.
#[derive(Clone, Copy)]
struct Numbered {
    stream: StreamId,
    number: i64,
    key: i64,
}

impl Slice {
    fn random(random: &mut Random, datanodes: u32, depth: u64, motions: &mut u32) -> Self {
        let motion = MotionId(*motions);
        *motions += 1;
        let routing = match random.below(3) {
            0 => Routing::Broadcast,
            1 => Routing::Even,
            _ => Routing::Skewed(random.below(4) as usize),
        };
        let inputs = if depth == 0 { 0 } else { [0, 1, 2, 2, 2, 3][random.below(6) as usize] };
        let inputs =
            (0..inputs).map(|_| Self::random(random, datanodes, depth - 1, motions)).collect();
        let all = (0..datanodes).map(DatanodeId);
        let datanodes = if random.one_in(6) {
            vec![DatanodeId(random.below(u64::from(datanodes)) as u32)]
        } else {
            all.collect()
        };
        Self { motion, datanodes, routing, inputs }
    }

    fn streams_to(&self, receiver: DatanodeId) -> Vec<StreamId> {
        self.datanodes.iter().map(|sender| (self.motion, *sender, receiver)).collect()
    }

    /// Adds the fragments of this slice and those below, which send to `receivers`.
    fn add_fragments(
        &self,
        receivers: &[DatanodeId],
        random: &mut Random,
        fragments: &mut Vec<Fragment>,
    ) {
        fragments.extend(self.datanodes.iter().map(|here| Fragment {
            here: *here,
            sends: Some((self.motion, self.routing, receivers.to_vec())),
            inputs: self.inputs.iter().map(|input| input.streams_to(*here)).collect(),
            random: random.split(),
        }));
        for input in &self.inputs {
            input.add_fragments(&self.datanodes, random, fragments);
        }
    }
}

/// What a fragment sends.
struct Output {
    sender: Option<MotionSender>,
    routing: Routing,
    /// Those that have not closed.
    receivers: Vec<DatanodeId>,
    sends_left: u64,
    key: i64,
    sent: HashMap<DatanodeId, i64>,
}

impl Output {
    fn begin(fragment: &Fragment, cluster: &Cluster) -> Self {
        let begin = |motion| {
            let hub = &cluster.hubs[fragment.here.0 as usize];
            hub.begin(cluster.query, motion).unwrap()
        };
        let (sender, routing, receivers) = match &fragment.sends {
            Some((motion, routing, to)) => (Some(begin(*motion)), *routing, to.clone()),
            None => (None, Routing::Even, vec![]),
        };
        let sent = receivers.iter().map(|receiver| (*receiver, 0)).collect();
        Self { sender, routing, receivers, sends_left: SENDS_MAX, key: 0, sent }
    }

    fn is_wanted(&self) -> bool {
        self.sender.is_none() || !self.receivers.is_empty()
    }

    async fn send(&mut self, random: &mut Random) {
        let Some(sender) = self.sender.as_ref().filter(|_| self.sends_left > 0) else { return };
        self.sends_left -= 1;
        self.key += random.below(20) as i64;
        for receiver in route(self.routing, &self.receivers, random) {
            let number = self.sent[&receiver];
            let columns: [(&str, ArrayRef); 2] = [
                ("number", Arc::new(Int64Array::from(vec![number]))),
                ("key", Arc::new(Int64Array::from(vec![self.key]))),
            ];
            let batch = RecordBatch::try_from_iter(columns).unwrap();
            if sender.send(receiver, batch).await.unwrap() {
                self.sent.insert(receiver, number + 1);
            } else {
                self.receivers.retain(|open| *open != receiver);
            }
        }
    }
}

fn route(routing: Routing, to: &[DatanodeId], random: &mut Random) -> Vec<DatanodeId> {
    let Some(last) = to.len().checked_sub(1) else { return vec![] };
    match routing {
        Routing::Broadcast => to.to_vec(),
        Routing::Skewed(favourite) if !random.one_in(10) => vec![to[last.min(favourite)]],
        Routing::Even | Routing::Skewed(_) => vec![to[random.below(to.len() as u64) as usize]],
    }
}

/// Reads several streams.
enum Input {
    AnyOrder(BoxStream<'static, Numbered>),
    Merged(Vec<(Option<Numbered>, BoxStream<'static, Numbered>)>),
}

impl Input {
    async fn next(&mut self) -> Option<Numbered> {
        let streams = match self {
            Self::AnyOrder(batches) => return batches.next().await,
            Self::Merged(streams) => streams,
        };
        for (head, stream) in streams.iter_mut().filter(|(head, _)| head.is_none()) {
            *head = stream.next().await;
        }
        let heads = streams.iter_mut().map(|(head, _)| head).filter(|head| head.is_some());
        heads.min_by_key(|head| head.map(|numbered| numbered.key))?.take()
    }
}

impl Cluster {
    fn open(&self, stream: StreamId) -> BoxStream<'static, Numbered> {
        let (motion, sender, receiver) = stream;
        let request = ExchangeRequest { query: self.query, motion, sender, receiver };
        let batches = self.hubs[sender.0 as usize].open(request).unwrap();
        let value = |batch: &RecordBatch, column: usize| {
            batch.column(column).as_primitive::<Int64Type>().value(0)
        };
        let numbered = move |batch: Result<RecordBatch>| {
            let batch = batch.unwrap();
            Numbered { stream, number: value(&batch, 0), key: value(&batch, 1) }
        };
        batches.map(numbered).boxed()
    }
}

impl Fragment {
    /// Runs to the end: what it sent, and what it received, if it read all.
    async fn run(mut self, cluster: Cluster) -> (Counts, Counts) {
        let mut output = Output::begin(&self, &cluster);
        let received = if self.inputs.is_empty() {
            for _ in 0..self.random.below(SENDS_MAX) {
                output.send(&mut self.random).await;
            }
            Counts::new()
        } else {
            self.read(&cluster, &mut output).await
        };
        output.sender.iter().for_each(MotionSender::finish);
        let Some((motion, ..)) = self.sends else { return (Counts::new(), received) };
        let sent = output.sent.into_iter().map(|(to, sent)| ((motion, self.here, to), sent));
        (sent.collect(), received)
    }

    async fn read(&mut self, cluster: &Cluster, output: &mut Output) -> Counts {
        let random = &mut self.random;
        let (opens_late, sends_early) = (random.one_in(2), random.one_in(3));
        let mut limit = if random.one_in(8) { 1 + random.below(10) } else { u64::MAX };
        let mut turns = turns(std::mem::take(&mut self.inputs), random);
        let mut received = Counts::new();
        let open = |turn: &Turn| turn.open(cluster);
        let mut opened: VecDeque<_> =
            if opens_late { VecDeque::new() } else { turns.iter().map(open).collect() };
        let mut stopped = false;
        while let Some(turn) = turns.pop_front() {
            let mut input = opened.pop_front().unwrap_or_else(|| turn.open(cluster));
            received.extend(turn.streams.iter().map(|stream| (*stream, 0)));
            while !stopped && let Some(batch) = input.next().await {
                let count = received.entry(batch.stream).or_default();
                assert_eq!(batch.number, *count, "{:?}", batch.stream);
                *count += 1;
                if random.one_in(4) {
                    yield_now().await;
                }
                if sends_early || turns.is_empty() {
                    for _ in 0..random.below(3) {
                        output.send(random).await;
                    }
                }
                limit -= 1;
                stopped = limit == 0 || !output.is_wanted();
            }
        }
        if stopped { Counts::new() } else { received }
    }
}

/// Streams that are read together.
struct Turn {
    streams: Vec<StreamId>,
    merged: bool,
}

impl Turn {
    fn open(&self, cluster: &Cluster) -> Input {
        let streams = self.streams.iter().map(|stream| cluster.open(*stream));
        if self.merged {
            Input::Merged(streams.map(|stream| (None, stream)).collect())
        } else {
            Input::AnyOrder(select_all(streams).boxed())
        }
    }
}

/// All inputs at once, or one after the other, in any order.
fn turns(mut inputs: Vec<Vec<StreamId>>, random: &mut Random) -> VecDeque<Turn> {
    if random.one_in(4) {
        return [Turn { streams: inputs.concat(), merged: random.one_in(2) }].into();
    }
    let mut turns = VecDeque::new();
    while !inputs.is_empty() {
        let streams = inputs.swap_remove(random.below(inputs.len() as u64) as usize);
        turns.push_back(Turn { streams, merged: random.one_in(2) });
    }
    turns
}

/// Runs a random plan on a cluster without credit and budget; returns the batches that were spilled.
async fn run(seed: u64) -> u64 {
    let mut random = Random(seed);
    let (datanodes, mut motions) = (2 + random.below(3) as u32, 1);
    let depth = 1 + random.below(3);
    let plan = Slice::random(&mut random, datanodes, depth, &mut motions);
    let mut fragments = vec![];
    plan.add_fragments(&[COORDINATOR], &mut random, &mut fragments);
    fragments.push(Fragment {
        here: COORDINATOR,
        sends: None,
        inputs: vec![plan.streams_to(COORDINATOR)],
        random: random.split(),
    });
    let resources: Arc<RuntimeEnv> = Arc::default();
    let budget = if random.one_in(3) { 300 } else { 0 };
    let hub = |id| ExchangeHub::new(DatanodeId(id), settings(1, budget), Arc::clone(&resources));
    let hubs: Arc<Vec<_>> = Arc::new((0..datanodes).map(hub).collect());
    let cluster = Cluster { hubs: Arc::clone(&hubs), query: QueryId::random() };

    let mut tasks = JoinSet::new();
    while !fragments.is_empty() {
        let fragment = fragments.swap_remove(random.below(fragments.len() as u64) as usize);
        tasks.spawn(fragment.run(cluster.clone()));
    }
    let (mut sent, mut received) = (Counts::new(), Counts::new());
    for (s, r) in tasks.join_all().await {
        sent.extend(s);
        received.extend(r);
    }
    for (stream, count) in received {
        assert_eq!(count, sent[&stream], "seed {seed}, {stream:?}");
    }
    assert_eq!(hubs.iter().map(ExchangeHub::streams).sum::<u64>(), 0, "seed {seed}");
    assert_eq!(resources.memory_pool.reserved(), 0, "seed {seed}");
    hubs.iter().for_each(|hub| hub.end_query(cluster.query));
    let files = || resources.disk_manager.spilling_progress().active_files_count;
    for left in (0..1_000).rev() {
        if files() == 0 {
            break;
        }
        assert!(left > 0, "seed {seed} leaves {} files", files());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    hubs.iter().map(|hub| hub.counters().spilled_batches).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_plan_ends_with_one_batch_per_stream() {
    let mut spilled = 0;
    let mut runs = futures::stream::iter(0..SEEDS)
        .map(|seed| async move {
            let run = tokio::spawn(run(seed));
            match tokio::time::timeout(Duration::from_secs(30), run).await {
                Ok(spilled) => spilled.unwrap_or_else(|e| panic!("seed {seed}: {e}")),
                Err(_) => panic!("seed {seed} hangs"),
            }
        })
        .buffer_unordered(8);
    while let Some(batches) = runs.next().await {
        spilled += batches;
    }
    assert!(spilled > SEEDS, "{spilled} batches were spilled");
}
