//! Datanodes as child processes: started, watched, started again when they die.
//!
//! A child ends when its standard input does. So it also ends when this process is killed.

use std::{
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

/// Before a datanode that has died is started again; doubled each time.
const RESTART_WAIT: Duration = Duration::from_millis(100);
const RESTART_WAIT_MAX: Duration = Duration::from_secs(5);
/// One that has lived for so long is started again at once.
const LIFE_OF_THE_WELL: Duration = Duration::from_secs(10);
/// Then a child that does not stop is killed.
const STOP_WAIT_MAX: Duration = Duration::from_secs(5);

/// One datanode's command line.
#[derive(Clone, Debug)]
pub(super) struct ChildCommand {
    pub(super) datanode: DatanodeId,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
}

/// The datanodes' processes.
pub(super) struct Processes {
    /// By datanode id; `None`: it does not run now.
    pids: Arc<Mutex<Vec<Option<u32>>>>,
    tasks: JoinSet<()>,
    shutdown: CancellationToken,
}

impl Processes {
    /// Starts them all.
    pub(super) fn start(commands: Vec<ChildCommand>) -> Self {
        let pids = Arc::new(Mutex::new(vec![None; commands.len()]));
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for command in commands {
            tasks.spawn(keep_alive(command, Arc::clone(&pids), shutdown.clone()));
        }
        Self { pids, tasks, shutdown }
    }

    /// The process of a datanode, if it runs.
    pub(super) fn process_id(&self, datanode: DatanodeId) -> Option<u32> {
        self.pids.lock().get(datanode.0 as usize).copied().flatten()
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
) {
    let datanode = command.datanode;
    let note = |pid| {
        if let Some(place) = pids.lock().get_mut(datanode.0 as usize) {
            *place = pid;
        }
    };
    let mut wait = RESTART_WAIT;
    while !shutdown.is_cancelled() {
        let started = Instant::now();
        match spawn(&command) {
            Ok(mut child) => {
                note(child.id());
                // Waiting for a child would close its input, and with that stop it.
                let stdin = child.stdin.take();
                tokio::select! {
                    status = child.wait() => match status {
                        Ok(status) => tracing::error!(%datanode, %status, "the process has ended"),
                        Err(error) => tracing::error!(%datanode, %error, "the process was lost"),
                    },
                    () = shutdown.cancelled() => {
                        drop(stdin);
                        stop(child).await;
                    }
                }
                note(None);
            }
            Err(error) => tracing::error!(%datanode, %error, "the process cannot be started"),
        }
        if started.elapsed() > LIFE_OF_THE_WELL {
            wait = RESTART_WAIT;
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
        wait = (wait * 2).min(RESTART_WAIT_MAX);
    }
}

fn spawn(command: &ChildCommand) -> std::io::Result<Child> {
    Command::new(&command.program)
        .args(&command.arguments)
        .envs(crate::logging::variables_for_children())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
}

/// The end of its input has told the child to stop in order.
async fn stop(mut child: Child) {
    if tokio::time::timeout(STOP_WAIT_MAX, child.wait()).await.is_err() {
        // Dropped, and with that killed.
        tracing::warn!(pid = child.id(), "a datanode does not stop: it is killed");
    }
}
