//! The database servers of a cluster that has none of its own: made, started and stopped with it.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown},
    path::{Path, PathBuf},
    time::Duration,
};

use futures::future::try_join_all;
use kestrel_datanode::shard::kes::session::Address;
use kestrel_proto::{DatanodeId, ErrorReport, Result, SqlState};
use tempfile::TempDir;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::{
    processes::{ChildCommand, ChildPlace, Processes},
    server_start::{ready, stop_leftover},
};
use crate::{
    server_user::{self, ServerUser},
    shards::{
        PasswordSource, SOCKET_PORT, ServerLayout, ServerPrograms, ServerSize, ShardDatabase,
        server_settings,
    },
};

/// The database, and its owner.
pub(super) const NAME: &str = "kestrel";
/// A server that has not stopped by then is left to stop by itself.
const STOP_WAIT_MAX: Duration = Duration::from_secs(15);
/// A log that is longer makes room for a new one.
const LOG_BYTES_MAX: u64 = 10 << 20;
const ONLY_OWNER: u32 = 0o700;

/// Runs the server, and stops it (fast: it ends its sessions) when standard input ends: so it stops
/// also when the process that started it is killed. Ends when the server does.
const SUPERVISE: &str = "\
umask 077
exec 3<&0
\"$@\" </dev/null 3<&- & server=$!
(cat <&3 >/dev/null; kill -INT $server) </dev/null 2>/dev/null & watcher=$!
wait $server; status=$?
kill $watcher 2>/dev/null
exit $status";

/// Servers that run, one for each datanode.
pub(super) struct Servers {
    processes: Processes,
    servers: Vec<LocalServer>,
}

/// A server that is ready to be started.
pub(super) struct LocalServer {
    pub(super) layout: ServerLayout,
    pub(super) sockets: PathBuf,
    /// What the log had before this start.
    pub(super) log_bytes: u64,
    database: ShardDatabase,
    command: ChildCommand,
    /// Of the sockets, where their own place has too long a path; goes with this.
    _temporary: Option<TempDir>,
}

/// What the servers of one directory have in common.
#[derive(Clone)]
struct Site {
    data: PathBuf,
    user: Option<ServerUser>,
    programs: ServerPrograms,
    memory_bytes: usize,
}

impl Servers {
    /// Makes what is missing in `data`, starts all, and waits until they can be used.
    ///
    /// # Errors
    /// 58P01 without PostgreSQL's programs; 42501 when their user cannot get to `data`; 58000 with
    /// what a server said; 58030.
    pub(super) async fn start(data: &Path, count: u32, memory_bytes: usize) -> Result<Self> {
        let data = data.to_path_buf();
        let site = blocking(move || Site::of(&data, memory_bytes)).await?;
        let prepare = |id| {
            let site = site.clone();
            blocking(move || site.prepare(id).map_err(|e| e.on_datanode(id.name())))
        };
        let servers = try_join_all((0..count).map(DatanodeId).map(prepare)).await?;
        let commands = servers.iter().map(|server| server.command.clone()).collect();
        let started = Self { processes: Processes::start(commands), servers };
        match try_join_all(started.servers.iter().map(ready)).await {
            Ok(_) => Ok(started),
            Err(error) => {
                started.stop().await;
                Err(error)
            }
        }
    }

    /// Where they are, in the order of the datanodes' ids.
    pub(super) fn databases(&self) -> Vec<ShardDatabase> {
        self.servers.iter().map(|server| server.database.clone()).collect()
    }

    /// From now on one that dies is not started again.
    pub(super) fn end_restarts(&self) {
        self.processes.end_restarts();
    }

    /// Stops them all.
    pub(super) async fn stop(self) {
        self.processes.stop().await;
    }
}

impl Site {
    fn of(data: &Path, memory_bytes: usize) -> Result<Self> {
        let data = data.canonicalize().map_err(|e| failed("find", data, &e))?;
        let first = ServerLayout::new(&data, DatanodeId(0));
        let version = fs::read_to_string(first.data().join("PG_VERSION")).ok();
        let major = version.and_then(|version| version.trim().parse().ok());
        let (user, programs) = (ServerUser::unprivileged()?, ServerPrograms::find(major)?);
        let from = programs.directory().display();
        tracing::info!(%from, "the shards are in databases of local servers");
        Ok(Self { data, user, programs, memory_bytes })
    }

    fn prepare(&self, datanode: DatanodeId) -> Result<LocalServer> {
        let layout = ServerLayout::new(&self.data, datanode);
        make_directory(&layout.directory)?;
        if let Some(user) = &self.user {
            user.let_into(&[self.data.clone(), layout.directory.clone()])?;
        }
        if !layout.data().exists() {
            self.make_data(&layout)?;
        }
        stop_leftover(&layout, &self.programs, self.user.as_ref());
        let (sockets, temporary) = self.make_sockets(&layout)?;
        let password = PasswordSource::File(layout.password());
        let address = Address::Unix(sockets.clone(), SOCKET_PORT);
        let database = ShardDatabase::new(address, NAME, NAME, password);
        let command = self.command(datanode, &layout, &sockets, &database);
        let log_bytes = make_room(&layout)?;
        Ok(LocalServer { layout, sockets, log_bytes, database, command, _temporary: temporary })
    }

    /// A new data directory, which has its name only when it is whole.
    fn make_data(&self, layout: &ServerLayout) -> Result<()> {
        let unfinished = layout.unfinished_data();
        match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(failed("remove", &unfinished, &error));
            }
            _ => {}
        }
        self.make_own_directory(&unfinished)?;
        let password = Uuid::new_v4().simple().to_string();
        write_password(&layout.password(), &password)?;
        // The same for the programs' user, who may not read ours.
        let theirs = layout.password().with_extension("new");
        write_password(&theirs, &password)?;
        self.give(&theirs)?;
        let mut initdb = self.program(&self.programs.initdb(), layout);
        initdb.args(["-U", NAME, "-A", "scram-sha-256", "-E", "UTF8", "--no-locale", "-k", "-D"]);
        initdb.arg(&unfinished).arg("--pwfile").arg(&theirs);
        let output = initdb.output();
        let _ = fs::remove_file(&theirs);
        let output = output.map_err(|e| failed("run", &self.programs.initdb(), &e))?;
        if !output.status.success() {
            let message = format!("initdb failed in \"{}\"", layout.directory.display());
            let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
            return Err(ErrorReport::new(SqlState::SYSTEM_ERROR, message).detail(said));
        }
        let (data, directory) = (layout.data(), &layout.directory);
        fs::rename(&unfinished, &data)
            .and_then(|()| fs::File::open(directory)?.sync_all())
            .map_err(|e| failed("make", &data, &e))
    }

    fn make_sockets(&self, layout: &ServerLayout) -> Result<(PathBuf, Option<TempDir>)> {
        if let Some(sockets) = layout.sockets() {
            self.make_own_directory(&sockets)?;
            return Ok((sockets, None));
        }
        // Not where TMPDIR says: that may be as long, or closed to the user.
        let short = Path::new("/tmp");
        let temporary = tempfile::Builder::new().prefix("kestrel-").tempdir_in(short);
        let temporary = temporary.map_err(|e| failed("make a directory in", short, &e))?;
        self.give(temporary.path())?;
        Ok((temporary.path().to_path_buf(), Some(temporary)))
    }

    fn make_own_directory(&self, path: &Path) -> Result<()> {
        make_directory(path)?;
        self.give(path)
    }

    /// To the user that the programs run as.
    fn give(&self, path: &Path) -> Result<()> {
        let Some(user) = &self.user else { return Ok(()) };
        chown(path, Some(user.uid), Some(user.gid)).map_err(|e| failed("give away", path, &e))
    }

    fn program(&self, program: &Path, layout: &ServerLayout) -> std::process::Command {
        server_user::command(program, &layout.directory, self.user.as_ref())
    }

    fn command(
        &self,
        datanode: DatanodeId,
        layout: &ServerLayout,
        sockets: &Path,
        database: &ShardDatabase,
    ) -> ChildCommand {
        let text = |path: PathBuf| path.display().to_string();
        let sessions_max = database.settings().sessions_max;
        let size = ServerSize { memory_bytes: self.memory_bytes, sessions_max };
        let mut arguments: Vec<String> =
            ["-c", SUPERVISE, "kestrel-shard"].map(String::from).to_vec();
        arguments.extend([text(self.programs.server()), "-D".into(), text(layout.data())]);
        for (name, value) in server_settings(&size, SOCKET_PORT, sockets) {
            arguments.extend(["-c".into(), format!("{name}={value}")]);
        }
        ChildCommand {
            datanode,
            what: "database server",
            program: "/bin/sh".into(),
            arguments,
            place: ChildPlace::Apart {
                directory: layout.directory.clone(),
                user: self.user.clone(),
                log: layout.log(),
            },
            stop_wait_max: STOP_WAIT_MAX,
        }
    }
}

/// Its owner's alone, unless it is there already.
fn make_directory(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(ONLY_OWNER).create(path);
    made.map_err(|e| failed("create directory", path, &e))
}

fn write_password(path: &Path, password: &str) -> Result<()> {
    let _ = fs::remove_file(path);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| {
        writeln!(file, "{password}")?;
        file.sync_all()
    })
    .map_err(|e| failed("write", path, &e))
}

/// How long the log is, once it is short enough.
fn make_room(layout: &ServerLayout) -> Result<u64> {
    let log = layout.log();
    let length = match fs::metadata(&log) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(error) => return Err(failed("look at", &log, &error)),
    };
    if length <= LOG_BYTES_MAX {
        return Ok(length);
    }
    fs::rename(&log, layout.old_log()).map_err(|e| failed("rename", &log, &e))?;
    Ok(0)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(ErrorReport::internal(format!("a task was lost: {error}"))))
}

fn failed(what: &str, path: &Path, error: &io::Error) -> ErrorReport {
    let message = format!("cannot {what} \"{}\": {error}", path.display());
    ErrorReport::new(SqlState::IO_ERROR, message)
}
