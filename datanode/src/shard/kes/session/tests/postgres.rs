//! A PostgreSQL 15 for the tests: on a unix socket and a port of 127.0.0.1, with TLS, and a user for
//! each method of authentication.

use std::{
    env, fs, io,
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use tempfile::TempDir;

use super::{
    super::{Address, KesSettings, Password},
    connect,
};

/// The password of all users who have one.
pub(in crate::shard::kes) const PASSWORD: &str = "open-sesame";
/// Rules: the first that fits counts.
const RULES: &str = "\
    local   all  md5_user    md5\n\
    local   all  scram_user  scram-sha-256\n\
    local   all  clear_user  password\n\
    local   all  nobody      reject\n\
    local   all  all         trust\n\
    hostssl all  all         127.0.0.1/32  scram-sha-256\n\
    host    all  clear_user  127.0.0.1/32  password\n\
    host    all  postgres    127.0.0.1/32  trust\n\
    host    all  all         127.0.0.1/32  scram-sha-256\n";
/// The password of `clear_user` travels over TLS, too.
const TLS_RULE: &str = "hostssl all clear_user 127.0.0.1/32 password\n";
const USERS: &str = "
    SET password_encryption = 'md5';
    CREATE ROLE md5_user LOGIN PASSWORD 'open-sesame';
    SET password_encryption = 'scram-sha-256';
    CREATE ROLE scram_user LOGIN PASSWORD 'open-sesame';
    CREATE ROLE clear_user LOGIN PASSWORD 'open-sesame';
    CREATE ROLE nobody LOGIN;";

/// A running server. It ends, and its directory goes, with the value or with this process.
pub(in crate::shard::kes) struct TestPostgres {
    directory: TempDir,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    port: u16,
    /// Waits for the end of its standard input, which is ours, and stops the server then.
    watchdog: Child,
}

/// The server that tests share which do it no harm; `None`: the test is to be skipped.
pub(in crate::shard::kes) fn shared() -> Option<&'static TestPostgres> {
    static SHARED: OnceLock<Option<TestPostgres>> = OnceLock::new();
    SHARED.get_or_init(own).as_ref()
}

/// A server for one test alone.
pub(in crate::shard::kes) fn own() -> Option<TestPostgres> {
    let skip = env::var("KESTREL_TEST_SKIP").unwrap_or_default();
    if skip.split(',').any(|what| what.trim() == "postgres") {
        println!("skipped: KESTREL_TEST_SKIP has postgres");
        return None;
    }
    Some(TestPostgres::start())
}

impl TestPostgres {
    fn start() -> Self {
        let programs = programs();
        let user = unprivileged_user();
        let place = if user.is_some() { "/tmp".into() } else { env::temp_dir() };
        let directory = tempfile::Builder::new().prefix("kestrel-kes.").tempdir_in(place).unwrap();
        let path = directory.path();
        own_by(path, user, 0o700);
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        for (name, text) in [
            ("server.crt", certified.cert.pem()),
            ("server.key", certified.signing_key.serialize_pem()),
            ("hba.conf", format!("{TLS_RULE}{RULES}")),
        ] {
            fs::write(path.join(name), text).unwrap();
            own_by(&path.join(name), user, 0o600);
        }

        let mut initdb = Command::new(programs.join("initdb"));
        initdb.args(["--username=postgres", "--auth=trust", "--no-locale", "--encoding=UTF8"]);
        initdb.args(["--no-sync", "--pgdata=data"]);
        run(path, user, initdb);

        let mut watchdog = Command::new("/bin/sh");
        let stop = "trap '' INT TERM HUP; cat >/dev/null; \
            \"$1\" stop --silent --mode=immediate --pgdata=data; rm -rf \"$2\"";
        watchdog.args(["-c", stop, "sh"]).arg(programs.join("pg_ctl")).arg(path);
        prepare(path, user, &mut watchdog);
        watchdog.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let watchdog = watchdog.spawn().unwrap();

        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { directory, programs, user, port, watchdog };
        server.start_again();
        server.sql(USERS);
        server
    }

    /// Starts it, after it was stopped.
    pub(in crate::shard::kes) fn start_again(&self) {
        self.start_with("");
    }

    /// The same, with options that count more than the usual ones.
    pub(in crate::shard::kes) fn start_with(&self, more: &str) {
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories=.. -c fsync=off \
             -c hba_file=hba.conf -c ssl=on -c ssl_cert_file=../server.crt \
             -c ssl_key_file=../server.key -c timezone=Asia/Tokyo -c datestyle=German \
             -c max_connections=60 -c max_prepared_transactions=20 {more}",
            self.port
        );
        let mut start = Command::new(self.programs.join("pg_ctl"));
        start.args(["start", "--silent", "--wait", "--pgdata=data", "--log=log"]);
        start.arg(format!("--options={options}"));
        run(self.directory.path(), self.user, start);
    }

    /// Stops it; `mode`: smart, fast or immediate.
    pub(in crate::shard::kes) fn stop(&self, mode: &str) {
        let mut stop = Command::new(self.programs.join("pg_ctl"));
        stop.args(["stop", "--silent", "--wait", "--pgdata=data", "--mode", mode]);
        run(self.directory.path(), self.user, stop);
    }

    /// Kills it and all its processes with SIGKILL, and waits until they are gone: until then it
    /// cannot be started again.
    pub(in crate::shard::kes) fn kill(&self) {
        let pid_file = self.directory.path().join("data/postmaster.pid");
        let text = fs::read_to_string(&pid_file).unwrap();
        let postmaster = text.lines().next().unwrap().trim().to_string();
        let children = || {
            let output = Command::new("ps").args(["-o", "pid=", "--ppid", &postmaster]).output();
            String::from_utf8(output.unwrap().stdout).unwrap()
        };
        let children: Vec<_> = children().split_whitespace().map(str::to_string).collect();
        let processes = std::iter::once(&postmaster).chain(&children);
        for process in processes.clone() {
            // A child may have ended by itself.
            let _ =
                Command::new("kill").args(["-s", "KILL", process]).stderr(Stdio::null()).status();
        }
        // One that nobody has waited for yet counts: it holds the directory and the socket.
        let runs = |process: &String| Path::new("/proc").join(process).exists();
        let begin = std::time::Instant::now();
        while processes.clone().any(runs) {
            assert!(begin.elapsed().as_secs() < 60, "a killed process stays");
            Command::new("sleep").arg("0.02").status().unwrap();
        }
    }

    /// As the superuser, over the unix socket.
    pub(in crate::shard::kes) fn settings(&self) -> KesSettings {
        let address = Address::Unix(self.directory.path().into(), self.port);
        KesSettings::new(address, "postgres", "postgres")
    }

    /// The same as `user`, with the password.
    pub(in crate::shard::kes) fn settings_of(&self, user: &str) -> KesSettings {
        let password = Some(Password::new(PASSWORD));
        KesSettings { user: user.into(), password, ..self.settings() }
    }

    /// As `user` with the password, over TCP.
    pub(in crate::shard::kes) fn tcp_settings_of(&self, user: &str, host: &str) -> KesSettings {
        KesSettings { address: Address::new(host, self.port), ..self.settings_of(user) }
    }

    /// The server's certificate, which it has signed itself.
    pub(in crate::shard::kes) fn certificate(&self) -> PathBuf {
        self.directory.path().join("server.crt")
    }

    /// Sends a signal (its name) to a process of the server.
    pub(in crate::shard::kes) fn signal(signal: &str, process_id: &str) {
        let mut kill = Command::new("kill");
        assert!(kill.args(["-s", signal, process_id]).status().unwrap().success());
    }

    fn sql(&self, sql: &str) {
        // Not in the test's runtime: a shared server is made in whatever test comes first.
        let (settings, sql) = (self.settings(), sql.to_string());
        let run = async move { connect(settings).await?.execute(&sql).await };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        std::thread::spawn(move || runtime.block_on(run)).join().unwrap().unwrap();
    }
}

impl Drop for TestPostgres {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

fn programs() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = env::split_paths(&path).collect();
    directories.extend(["/usr/lib/postgresql/15/bin", "/usr/pgsql-15/bin"].map(PathBuf::from));
    let is_right = |directory: &PathBuf| {
        let version = Command::new(directory.join("postgres")).arg("--version").output();
        let is_15 = version.is_ok_and(|v| String::from_utf8_lossy(&v.stdout).contains(" 15."));
        is_15 && ["initdb", "pg_ctl"].iter().all(|program| directory.join(program).is_file())
    };
    directories.into_iter().find(is_right).expect(
        "PostgreSQL 15's programs are needed: apt-get install postgresql-15, or set \
         KESTREL_TEST_SKIP=postgres to leave such tests out",
    )
}

/// Who runs the server when we are root, which it refuses.
fn unprivileged_user() -> Option<(u32, u32)> {
    if id(&["-u"]) != Some(0) {
        return None;
    }
    let mut users = ["postgres", "nobody"].iter();
    Some(users.find_map(|user| Some((id(&["-u", user])?, id(&["-g", user])?))).unwrap())
}

fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).stderr(Stdio::null()).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

fn own_by(path: &Path, user: Option<(u32, u32)>, mode: u32) {
    if let Some((uid, gid)) = user {
        chown(path, Some(uid), Some(gid)).unwrap();
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn prepare(directory: &Path, user: Option<(u32, u32)>, command: &mut Command) {
    command.current_dir(directory).env("HOME", directory).process_group(0);
    command.env_remove("PGHOST").env_remove("PGPORT").env_remove("PGDATA");
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
}

/// Runs to the end. The server inherits no pipe of ours, or we would wait for its end.
fn run(directory: &Path, user: Option<(u32, u32)>, mut command: Command) {
    prepare(directory, user, &mut command);
    let said = directory.join("stderr");
    let status = fs::File::create(&said)
        .and_then(|file| command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).status());
    let read = |file: PathBuf| -> io::Result<String> { fs::read_to_string(file) };
    if !status.as_ref().is_ok_and(std::process::ExitStatus::success) {
        let (said, log) = (read(said).unwrap_or_default(), read(directory.join("log")));
        panic!("{command:?}: {status:?}\n{said}\n{}", log.unwrap_or_default());
    }
}
