//! A crash of each process at each step of a commit on databases: kill -9 of the coordinator, a
//! datanode or a database, before its database gets a statement that ends a transaction, or before
//! the answer comes back. Afterwards the transaction is everywhere or nowhere.

mod cluster;
mod transaction;

use std::time::{Duration, Instant};

use cluster::{PATIENCE, Processes, Victim};
use tokio::time::timeout;
use transaction::{Found, Keys, Writes, find, prepare};

use crate::support::{Answer, Held, Moment, Session};

/// For the commit to get to the statement that is held.
const REACHED_WITHIN: Duration = Duration::from_secs(30);
/// So often in a row a settled cluster is found settled: nothing comes late.
const SETTLED_LOOKS: usize = 3;
/// With these the outcome is open.
const OPEN: [&str; 3] = ["08007", "08006", "CLOSED"];

/// A statement that ends a transaction in the database of a datanode, counted from 0.
#[derive(Clone, Copy, Debug)]
struct Step {
    statement: &'static str,
    datanode: usize,
    writes: Writes,
}

const BOTH: Writes = Writes::Both { ddl: false };
const STEPS: [Step; 6] = [
    Step { statement: "PREPARE TRANSACTION", datanode: 0, writes: BOTH },
    Step { statement: "PREPARE TRANSACTION", datanode: 1, writes: BOTH },
    Step { statement: "COMMIT PREPARED", datanode: 0, writes: BOTH },
    Step { statement: "COMMIT PREPARED", datanode: 1, writes: BOTH },
    Step { statement: "ROLLBACK PREPARED", datanode: 0, writes: Writes::Refused },
    Step { statement: "COMMIT", datanode: 0, writes: Writes::One },
];
const VICTIMS: [Victim; 5] = [
    Victim::Coordinator,
    Victim::Datanode(0),
    Victim::Datanode(1),
    Victim::Database(0),
    Victim::Database(1),
];

/// One crash.
#[derive(Clone, Copy, Debug)]
struct Case {
    number: i64,
    step: Step,
    moment: Moment,
    victim: Victim,
}

/// All of one step; every other one makes a table.
fn cases(place: usize, step: Step) -> Vec<Case> {
    let mut cases = Vec::new();
    for moment in [Moment::Before, Moment::After] {
        for victim in VICTIMS {
            let number = cases.len() + 1;
            let ddl = (number + place).is_multiple_of(2);
            let writes = if step.writes == BOTH { Writes::Both { ddl } } else { step.writes };
            let step = Step { writes, ..step };
            cases.push(Case { number: number as i64, step, moment, victim });
        }
    }
    cases
}

/// What must come of it, whatever the client was told; `None`: either.
fn certain(case: &Case) -> Option<Found> {
    let is_own = case.victim == Victim::Database(case.step.datanode);
    match (case.step.statement, case.moment) {
        // It is decided.
        ("COMMIT PREPARED", _) | ("COMMIT", Moment::After) => Some(Found::All),
        ("ROLLBACK PREPARED", _) => Some(Found::Nothing),
        // The database never got it, or nobody is there to decide.
        (_, Moment::Before) if is_own => Some(Found::Nothing),
        ("PREPARE TRANSACTION", _) if case.victim == Victim::Coordinator => Some(Found::Nothing),
        // It gets it, though its sender has died.
        ("COMMIT", Moment::Before) => Some(Found::All),
        _ => None,
    }
}

/// Whether the client may find so much after this answer.
fn agrees(answer: &Answer, found: Found) -> bool {
    match answer {
        Answer::Done(_) | Answer::Rows { .. } => found == Found::All,
        Answer::Error(failure) if OPEN.contains(&failure.sqlstate.as_str()) => true,
        Answer::Error(failure) => failure.sqlstate != "HANGS" && found == Found::Nothing,
    }
}

/// What is wrong with the case: afterwards the cluster can be used, unless that takes too long.
enum Wrong {
    Outcome(String),
    Cluster(String),
}

async fn crash(cluster: &mut Processes, keys: &mut Keys, case: &Case) -> Result<(), Wrong> {
    let client = begin(cluster, keys, case).await?;
    let proxy = &cluster.proxies[case.step.datanode];
    let reached = proxy.hold(case.step.statement, case.moment);
    let committing = tokio::spawn(async move { client.run("COMMIT").await });
    let held: Held = match timeout(REACHED_WITHIN, reached).await {
        Ok(Ok(held)) => held,
        _ => {
            proxy.let_pass();
            let answer = committing.await.unwrap();
            return Err(Wrong::Outcome(format!("it never came to that; COMMIT: {answer}")));
        }
    };
    cluster.kill(case.victim).await;
    // What is on its way arrives, unless it is from or for a server that is no more.
    if case.victim == Victim::Database(case.step.datanode) {
        drop(held);
    } else {
        held.pass_on();
    }
    cluster.start_again(case.victim).await;
    let answer = committing.await.unwrap();
    let found = settled(cluster, case).await.ok_or_else(|| {
        let seconds = PATIENCE.as_secs();
        Wrong::Cluster(format!("COMMIT: {answer}; not settled after {seconds} s"))
    })?;
    let is_certain = certain(case).is_none_or(|certain| certain == found);
    match found != Found::Half && is_certain && agrees(&answer, found) {
        true => Ok(()),
        false => {
            let certain = certain(case);
            let wrong = format!("COMMIT: {answer}; there is {found:?}, expected: {certain:?}");
            Err(Wrong::Outcome(wrong))
        }
    }
}

/// A session in which all but COMMIT is done. Sessions of a database that was killed before may fail
/// once more.
async fn begin(cluster: &Processes, keys: &mut Keys, case: &Case) -> Result<Session, Wrong> {
    let statements = keys.statements(case.number, case.step.writes);
    let started = Instant::now();
    loop {
        let client = cluster.ready().await;
        let mut failure = None;
        for statement in ["BEGIN"].into_iter().chain(statements.iter().map(String::as_str)) {
            if let Answer::Error(error) = client.run(statement).await {
                failure = Some(format!("{statement}: {error}"));
                break;
            }
        }
        let Some(failure) = failure else { return Ok(client) };
        if started.elapsed() > PATIENCE {
            return Err(Wrong::Cluster(failure));
        }
        let _ = client.run("ROLLBACK").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What is found when nothing is in doubt any more; a half that stays.
async fn settled(cluster: &Processes, case: &Case) -> Option<Found> {
    let started = Instant::now();
    let (mut last, mut looks) = (None, 0);
    while started.elapsed() < PATIENCE {
        let found = find(cluster, case.number, case.step.writes).await;
        looks = if found.is_some() && found == last { looks + 1 } else { 1 };
        last = found;
        // The client's answer may come before the last datanode's: a half can become whole.
        if looks >= SETTLED_LOOKS && matches!(found, Some(Found::All | Found::Nothing)) {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    last
}

/// All cases of one step, on a cluster of its own; `None`: the test is to be skipped.
async fn run(place: usize, step: Step) -> Option<Vec<String>> {
    let mut cluster = Processes::start().await?;
    let mut keys = prepare(&cluster).await;
    let mut failures = Vec::new();
    for case in cases(place, step) {
        let started = Instant::now();
        let result = crash(&mut cluster, &mut keys, &case).await;
        let Case { step: Step { statement, datanode, writes }, moment, victim, .. } = case;
        let datanode = datanode + 1;
        let name = format!("{moment:?} {statement} on dn{datanode}, kill {victim:?}, {writes:?}");
        eprintln!("{name}: {:.1?}, {}", started.elapsed(), result.is_ok());
        let (wrong, is_over) = match result {
            Ok(()) => continue,
            Err(Wrong::Outcome(wrong)) => (wrong, false),
            Err(Wrong::Cluster(wrong)) => (format!("{wrong}; cases after it are not tried"), true),
        };
        failures.push(format!("{name}\n{wrong}\n{}", cluster.logs()));
        if is_over {
            break;
        }
    }
    Some(failures)
}

// The threads wait for servers that start and stop.
#[tokio::test(flavor = "multi_thread", worker_threads = 16)]
async fn a_commit_is_everywhere_or_nowhere_whoever_is_killed_when() {
    let steps = STEPS.into_iter().enumerate().map(|(place, step)| tokio::spawn(run(place, step)));
    let steps: Vec<_> = steps.collect();
    let mut failures = Vec::new();
    for step in steps {
        match step.await {
            Ok(Some(failed)) => failures.extend(failed),
            Ok(None) => return,
            // Said above.
            Err(panicked) => failures.push(panicked.to_string()),
        }
    }
    let count = failures.len();
    assert!(failures.is_empty(), "{count} cases failed:\n{}", failures.join("\n\n"));
}
