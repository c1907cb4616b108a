//! Datanodes, and the local servers of their databases, as child processes: started, watched,
//! started again when they die.
//!
//! A child ends when its standard input does. So it also ends when this process is killed.

use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use kestrel_proto::DatanodeId;
use parking_lot::Mutex;
use tokio::{
    process::{Child, Command},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::server_user::{self, ServerUser};

/// Before one that has died is started again; doubled each time.
const RESTART_WAIT: Duration = Duration::from_millis(100);
const RESTART_WAIT_MAX: Duration = Duration::from_secs(5);
/// One that has lived for so long is started again at once.
const LIFE_OF_THE_WELL: Duration = Duration::from_secs(10);

/// A child's command line.
#[derive(Clone, Debug)]
pub(super) struct ChildCommand {
    pub(super) datanode: DatanodeId,
    /// What of the datanode it is, for the log.
    pub(super) what: &'static str,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) place: ChildPlace,
    /// How long it may take to stop; then it is killed.
    pub(super) stop_wait_max: Duration,
}

/// Where a child runs.
#[derive(Clone, Debug)]
pub(super) enum ChildPlace {
    /// As this process does, and its errors are ours.
    Here,
    /// In a directory, perhaps as another user, and what it says goes to the end of a file.
    Apart { directory: PathBuf, user: Option<ServerUser>, log: PathBuf },
}

/// One process for each datanode.
pub(super) struct Processes {
    /// By datanode id; `None`: it does not run now.
    pids: Arc<Mutex<Vec<Option<u32>>>>,
    tasks: JoinSet<()>,
    shutdown: CancellationToken,
    /// Cancelled: a datanode that dies is not started again.
    no_restarts: CancellationToken,
}

impl Processes {
    /// Starts them all.
    pub(super) fn start(commands: Vec<ChildCommand>) -> Self {
        let pids = Arc::new(Mutex::new(vec![None; commands.len()]));
        let shutdown = CancellationToken::new();
        let no_restarts = shutdown.child_token();
        let mut tasks = JoinSet::new();
        for command in commands {
            let (shutdown, no_restarts) = (shutdown.clone(), no_restarts.clone());
            tasks.spawn(keep_alive(command, Arc::clone(&pids), shutdown, no_restarts));
        }
        Self { pids, tasks, shutdown, no_restarts }
    }

    /// The process of a datanode, if it runs.
    pub(super) fn process_id(&self, datanode: DatanodeId) -> Option<u32> {
        self.pids.lock().get(datanode.0 as usize).copied().flatten()
    }

    /// From now on one that dies is not started again.
    pub(super) fn end_restarts(&self) {
        self.no_restarts.cancel();
    }

    /// Stops them all.
    pub(super) async fn stop(mut self) {
        self.shutdown.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn keep_alive(
    command: ChildCommand,
    pids: Arc<Mutex<Vec<Option<u32>>>>,
    shutdown: CancellationToken,
    no_restarts: CancellationToken,
) {
    let (datanode, what) = (command.datanode, command.what);
    let note = |pid| {
        if let Some(place) = pids.lock().get_mut(datanode.0 as usize) {
            *place = pid;
        }
    };
    let mut wait = RESTART_WAIT;
    while !no_restarts.is_cancelled() {
        let started = Instant::now();
        match spawn(&command) {
            Ok(mut child) => {
                note(child.id());
                // Waiting for a child would close its input, and with that stop it.
                let stdin = child.stdin.take();
                tokio::select! {
                    status = child.wait() => match status {
                        Ok(status) => tracing::error!(%datanode, %status, "the {what} has ended"),
                        Err(error) => tracing::error!(%datanode, %error, "the {what} was lost"),
                    },
                    () = shutdown.cancelled() => {
                        drop(stdin);
                        stop(child, &command).await;
                    }
                }
                note(None);
            }
            Err(error) => tracing::error!(%datanode, %error, "the {what} cannot be started"),
        }
        if started.elapsed() > LIFE_OF_THE_WELL {
            wait = RESTART_WAIT;
        }
        tokio::select! {
            () = no_restarts.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
        wait = (wait * 2).min(RESTART_WAIT_MAX);
    }
}

fn spawn(command: &ChildCommand) -> io::Result<Child> {
    let mut child = match &command.place {
        ChildPlace::Here => {
            let mut child = Command::new(&command.program);
            child.envs(crate::logging::variables_for_children());
            child
        }
        ChildPlace::Apart { directory, user, log } => {
            let child = server_user::command(&command.program, directory, user.as_ref());
            let log = OpenOptions::new().append(true).create(true).mode(0o600).open(log)?;
            let mut child = Command::from(child);
            child.stderr(log);
            child
        }
    };
    child
        .args(&command.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        // Ctrl-C is for this process, which stops its children when nothing needs them any more.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// The end of its input has told the child to stop in order.
async fn stop(mut child: Child, command: &ChildCommand) {
    if tokio::time::timeout(command.stop_wait_max, child.wait()).await.is_err() {
        // Dropped, and with that killed.
        let (pid, what) = (child.id(), command.what);
        tracing::warn!(pid, "a {what} does not stop: it is killed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);
    const DN1: DatanodeId = DatanodeId(0);

    /// A process that lives until its input ends.
    fn start() -> Processes {
        let command = ChildCommand {
            datanode: DN1,
            what: "cat",
            program: "cat".into(),
            arguments: Vec::new(),
            place: ChildPlace::Here,
            stop_wait_max: PATIENCE,
        };
        Processes::start(vec![command])
    }

    /// Waits for a process that is another one.
    async fn process_id(processes: &Processes, before: Option<u32>) -> u32 {
        let started = Instant::now();
        loop {
            match processes.process_id(DN1) {
                Some(id) if Some(id) != before => return id,
                _ => assert!(started.elapsed() < PATIENCE, "no process after {before:?}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn kill(id: u32) {
        let killed = Command::new("kill").args(["-s", "KILL", &id.to_string()]).status().await;
        assert!(killed.unwrap().success());
    }

    #[tokio::test]
    async fn signals_of_the_terminal_do_not_reach_it() {
        let processes = start();
        let id = process_id(&processes, None).await;
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        // 123 (cat) S <parent> <process group> …
        let group = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(2));
        assert_eq!(group, Some(id.to_string().as_str()), "{stat}");
        tokio::time::timeout(PATIENCE, processes.stop()).await.unwrap();
    }

    #[tokio::test]
    async fn one_that_runs_apart_has_a_log_and_hardly_any_environment() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        std::fs::write(&log, "before\n").unwrap();
        let place = ChildPlace::Apart {
            directory: directory.path().to_path_buf(),
            user: None,
            log: log.clone(),
        };
        let script = "echo \"$HOME $PWD ${CARGO_MANIFEST_DIR-none}\" >&2; cat";
        let command = ChildCommand {
            datanode: DN1,
            what: "script",
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            place,
            stop_wait_max: PATIENCE,
        };
        let processes = Processes::start(vec![command]);
        let started = Instant::now();
        let said = loop {
            let said = std::fs::read_to_string(&log).unwrap();
            if said.lines().count() == 2 {
                break said;
            }
            assert!(started.elapsed() < PATIENCE, "it says nothing: {said}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let place = directory.path().canonicalize().unwrap();
        let expected = format!("before\n{} {} none\n", directory.path().display(), place.display());
        assert_eq!(said, expected);
        tokio::time::timeout(PATIENCE, processes.stop()).await.unwrap();
    }

    #[tokio::test]
    async fn it_is_started_again_until_restarts_end() {
        let mut processes = start();
        let first = process_id(&processes, None).await;
        kill(first).await;
        let second = process_id(&processes, Some(first)).await;
        processes.end_restarts();
        kill(second).await;
        let ended = tokio::time::timeout(PATIENCE, processes.tasks.join_next()).await;
        assert!(ended.unwrap().unwrap().is_ok());
        assert_eq!(processes.process_id(DN1), None);
    }
}
