//! A PostgreSQL 15 of one's own: the oracle of right answers, in tests and for the stored answers
//! of TPC-H.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::{CommandError, Result, server_user::ServerUser};

/// The major version whose answers count.
const MAJOR_VERSION: &str = "15";
/// In the name of the socket.
pub const SOCKET_PORT: u16 = 5432;
/// A socket's path may have about 100 bytes.
const SOCKET_DIRECTORY_LEN_MAX: usize = 80;

/// PostgreSQL 15's programs.
#[derive(Clone, Debug)]
pub struct Programs {
    directory: PathBuf,
}

impl Programs {
    /// Looks in `directory` when it is given, else in `PATH` and where distributions put them.
    pub fn find(directory: Option<&Path>) -> Result<Self> {
        let candidates = match directory {
            Some(directory) => vec![directory.to_path_buf()],
            None => usual_directories(),
        };
        let found = candidates.into_iter().find(|directory| is_right_version(directory));
        found.map(|directory| Self { directory }).ok_or_else(|| {
            CommandError::failure(format!(
                "PostgreSQL {MAJOR_VERSION}'s initdb, postgres and pg_ctl are not in PATH nor in \
                 /usr/lib/postgresql/{MAJOR_VERSION}/bin; Debian and Ubuntu: \
                 apt-get install postgresql-{MAJOR_VERSION}"
            ))
        })
    }

    /// For a test that needs them: `None` means that the test is to be skipped, because
    /// `KESTREL_TEST_SKIP=postgres` says so. When they are missing it is an error: a test must not
    /// pass because it did not run.
    pub fn for_tests() -> Result<Option<Self>> {
        let skip = std::env::var("KESTREL_TEST_SKIP").unwrap_or_default();
        if skip.split(',').any(|what| what.trim() == "postgres") {
            return Ok(None);
        }
        let or_skip = "or set KESTREL_TEST_SKIP=postgres to leave such tests out";
        let found = Self::find(None).map_err(|e| CommandError::failure(format!("{e}; {or_skip}")));
        found.map(Some)
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// psql, see [`Self::client`].
    pub fn psql(&self) -> PathBuf {
        self.client("psql")
    }

    /// A client's program: beside the server's programs, or in PATH.
    pub fn client(&self, program: &str) -> PathBuf {
        let beside = self.directory.join(program);
        if beside.exists() { beside } else { program.into() }
    }

    fn command(&self, program: &str) -> Command {
        Command::new(self.directory.join(program))
    }
}

fn usual_directories() -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    directories.push(format!("/usr/lib/postgresql/{MAJOR_VERSION}/bin").into());
    directories.push(format!("/usr/pgsql-{MAJOR_VERSION}/bin").into());
    for prefix in ["/opt/homebrew", "/usr/local"] {
        directories.push(format!("{prefix}/opt/postgresql@{MAJOR_VERSION}/bin").into());
    }
    directories
}

/// `postgres --version` prints `postgres (PostgreSQL) 15.10 (Debian …)`.
fn is_right_version(directory: &Path) -> bool {
    if !["initdb", "pg_ctl", "postgres"].iter().all(|program| directory.join(program).is_file()) {
        return false;
    }
    let output = Command::new(directory.join("postgres")).arg("--version").output();
    output.is_ok_and(|output| {
        let text = String::from_utf8_lossy(&output.stdout);
        text.contains(&format!(" {MAJOR_VERSION}.")) && output.status.success()
    })
}

/// A server with an empty database in a temporary directory, listening on a unix socket there.
/// It ends, and the directory goes, when the value is dropped or this process dies.
pub struct TempPostgres {
    directory: TempDir,
    programs: Programs,
    user: Option<ServerUser>,
    /// As it is started.
    options: String,
    /// Waits for the end of its standard input, which is ours, and then stops the server: so it
    /// stops also when this process is killed.
    watchdog: Child,
}

impl TempPostgres {
    /// Starts one: about two seconds. Blocks the thread.
    pub fn start(programs: &Programs) -> Result<Self> {
        Self::start_with(programs, &[])
    }

    /// The same, with more settings; their values have no spaces.
    pub fn start_with(programs: &Programs, settings: &[(&str, &str)]) -> Result<Self> {
        let failed = |e: io::Error| CommandError::failure(format!("starting PostgreSQL: {e}"));
        let user = ServerUser::unprivileged()?;
        let mut place = std::env::temp_dir();
        // Another user may not get to where our temporary files are.
        if user.is_some() || place.as_os_str().len() > SOCKET_DIRECTORY_LEN_MAX {
            place = "/tmp".into();
        }
        let directory =
            tempfile::Builder::new().prefix("kestrel-pg.").tempdir_in(place).map_err(failed)?;
        let path = directory.path();
        if let Some(user) = &user {
            chown(path, Some(user.uid), Some(user.gid)).map_err(failed)?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)?;

        let mut initdb = programs.command("initdb");
        initdb.args(["--username=postgres", "--auth=trust", "--no-locale", "--encoding=UTF8"]);
        initdb.args(["--no-sync", "--pgdata=data"]);
        run_in(path, user.as_ref(), initdb)?;

        let mut options = String::from(
            "-c listen_addresses='' -c unix_socket_directories=.. -c fsync=off \
             -c max_connections=50 -c timezone=UTC -c log_timezone=UTC",
        );
        for (name, value) in settings {
            options.push_str(&format!(" -c {name}={value}"));
        }
        start_server(programs, path, user.as_ref(), &options)?;

        let mut watchdog = Command::new("/bin/sh");
        let stop = "trap '' INT TERM HUP; cat >/dev/null; \
            \"$1\" stop --silent --mode=immediate --pgdata=data; rm -rf \"$2\"";
        watchdog.args(["-c", stop, "sh"]).arg(programs.directory.join("pg_ctl")).arg(path);
        run_as(path, user.as_ref(), &mut watchdog);
        watchdog.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let watchdog = watchdog.spawn().map_err(failed)?;
        let programs = programs.clone();
        Ok(Self { directory, programs, user, options, watchdog })
    }

    /// The directory of its socket, whose port is [`SOCKET_PORT`].
    pub fn socket_directory(&self) -> &Path {
        self.directory.path()
    }

    /// Runs SQL, one statement or several, in a database.
    pub fn run_sql(&self, database: &str, sql: &str) -> Result<()> {
        let path = self.directory.path();
        let mut psql = Command::new(self.programs.psql());
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database]);
        psql.arg("-h").arg(path).args(["-c", sql]);
        run_in(path, None, psql)
    }

    /// Stops it in order: sessions end.
    pub fn stop(&self) -> Result<()> {
        let mut stop = self.programs.command("pg_ctl");
        stop.args(["stop", "--silent", "--wait", "--mode=fast", "--pgdata=data"]);
        run_in(self.directory.path(), self.user.as_ref(), stop)
    }

    /// kill -9 of the server and all of its sessions.
    pub fn kill(&self) -> Result<()> {
        let file = self.directory.path().join("data/postmaster.pid");
        let text = fs::read_to_string(&file)
            .map_err(|e| CommandError::failure(format!("PostgreSQL does not run: {e}")))?;
        let pid = text.lines().next().unwrap_or_default().trim().to_string();
        // Its sessions see at once that it is gone, and end.
        let mut kill = Command::new("kill");
        kill.args(["-s", "KILL", &pid]);
        run_in(self.directory.path(), None, kill)
    }

    /// Starts it again, after a stop or a kill; not yet when what was killed is still ending.
    pub fn start_again(&self) -> Result<()> {
        let path = self.directory.path();
        let file = path.join("data/postmaster.pid");
        let pid = fs::read_to_string(&file).unwrap_or_default();
        let pid = pid.lines().next().unwrap_or_default().trim();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // In a container nobody may take notice of its death; then it would seem to be alive.
        if stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')) {
            let _ = fs::remove_file(&file);
        }
        start_server(&self.programs, path, self.user.as_ref(), &self.options)
    }

    /// For [`crate::client::Client::connect`], tokio-postgres and libpq.
    pub fn connection_string(&self) -> String {
        format!("host={} user=postgres dbname=postgres", self.directory.path().display())
    }
}

impl Drop for TempPostgres {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

fn start_server(
    programs: &Programs,
    path: &Path,
    user: Option<&ServerUser>,
    options: &str,
) -> Result<()> {
    let mut start = programs.command("pg_ctl");
    start.args(["start", "--silent", "--wait", "--pgdata=data", "--log=log"]);
    start.arg(format!("--options={options}"));
    run_in(path, user, start)
}

/// In its directory (ours may be closed to the user), and away from Ctrl-C.
fn run_as(directory: &Path, user: Option<&ServerUser>, command: &mut Command) {
    command.current_dir(directory).env("HOME", directory).process_group(0);
    command.env_remove("PGHOST").env_remove("PGPORT").env_remove("PGDATA");
    if let Some(user) = user {
        command.uid(user.uid).gid(user.gid);
    }
}

/// Runs to the end. The server inherits no pipe of ours, or we would wait for its end.
fn run_in(directory: &Path, user: Option<&ServerUser>, mut command: Command) -> Result<()> {
    run_as(directory, user, &mut command);
    let (errors, program) = (directory.join("stderr"), command.get_program().to_os_string());
    let status = fs::File::create(&errors)
        .and_then(|file| command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).status());
    let why = match status {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => {
            let read = |file: &Path| fs::read_to_string(file).unwrap_or_default();
            let (said, log) = (read(&errors), read(&directory.join("log")));
            let last = log.lines().last().or(said.lines().last()).unwrap_or_default().to_string();
            format!("{status}: {last}")
        }
        Err(e) => e.to_string(),
    };
    Err(CommandError::failure(format!("{} failed: {why}", program.display())))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::client::Client;

    #[tokio::test]
    async fn it_starts_answers_and_goes() {
        let Some(programs) = Programs::for_tests().unwrap() else { return };
        let (first, second) =
            (TempPostgres::start(&programs).unwrap(), TempPostgres::start(&programs).unwrap());
        let mut client = Client::connect(&first.connection_string()).await.unwrap();
        let version = client.query("SHOW server_version_num").await.unwrap();
        assert!(version.rows[0][0].as_deref().unwrap().starts_with("15"), "{version:?}");

        let (path, connection) = (first.directory.path().to_path_buf(), first.connection_string());
        first
            .run_sql("postgres", "CREATE TABLE kept (a int); INSERT INTO kept VALUES (7)")
            .unwrap();
        assert!(first.run_sql("postgres", "SELECT nothing").is_err());
        for end in [TempPostgres::stop, TempPostgres::kill] {
            end(&first).unwrap();
            let started = Instant::now();
            while let Err(error) = first.start_again() {
                assert!(started.elapsed() < Duration::from_secs(60), "{error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let mut client = Client::connect(&connection).await.unwrap();
            let kept = client.query("SELECT a FROM kept").await.unwrap();
            assert_eq!(kept.rows[0][0].as_deref(), Some("7"));
        }
        drop(first);
        assert!(!path.exists(), "the directory is left");
        let error = Client::connect(&connection).await.err().unwrap().to_string();
        assert!(error.contains("cannot connect"), "{error}");
        Client::connect(&second.connection_string()).await.unwrap();
    }

    #[test]
    fn missing_programs_are_one_clear_line() {
        let error = Programs::find(Some(Path::new("/nowhere"))).unwrap_err().to_string();
        assert!(error.contains("apt-get install postgresql-15"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}
