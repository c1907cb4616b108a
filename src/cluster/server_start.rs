//! The start of a local database server: whether another one has the directory still, and when the
//! new one can be used.

use std::{
    fs,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use kestrel_proto::{ErrorReport, Result, SqlState};
use tokio_postgres::{Config, Error, NoTls, error::SqlState as Code};

use super::servers::{LocalServer, NAME};
use crate::{
    server_user::{self, ServerUser},
    shards::{SOCKET_PORT, ServerLayout, ServerPrograms, is_server},
};

/// How long a start may take, with the recovery after a crash.
const READY_WAIT_MAX: Duration = Duration::from_secs(120);
/// A server that has not come by then, and has said why, does not come.
const REFUSAL_WAIT: Duration = Duration::from_secs(5);
const READY_POLL: Duration = Duration::from_millis(50);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For one that was left by a run that was killed.
const LEFTOVER_STOP_SECONDS: &str = "60";
/// Of a log, from where a start began.
const LOG_BYTES_READ_MAX: u64 = 64 << 10;
/// A server's `postmaster.pid`, in PostgreSQL's and KingbaseES's words.
const PID_FILES: [&str; 2] = ["postmaster.pid", "kingbase.pid"];

/// Stops the server that an earlier run has left in this directory, if there is one. What remains
/// is found by the new server, which refuses to share.
pub(super) fn stop_leftover(
    layout: &ServerLayout,
    programs: &ServerPrograms,
    user: Option<&ServerUser>,
) {
    let data = layout.data();
    let text = PID_FILES.iter().find_map(|file| fs::read_to_string(data.join(file)).ok());
    let Some(pid) = text.as_deref().and_then(process_id) else { return };
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        // After a crash of the machine the number is another process's, which must not be stopped.
        Ok(stat) if !is_running_server(&stat) => return,
        Err(_) if Path::new("/proc/self/stat").exists() => return,
        // It is one; or nobody can say, and then the program looks by itself.
        Ok(_) | Err(_) => {}
    }
    tracing::warn!(pid, data = %data.display(), "stopping the server that was left here");
    let mut stop = server_user::command(&programs.control(), &layout.directory, user);
    stop.args(["stop", "-s", "-w", "-m", "fast", "-t", LEFTOVER_STOP_SECONDS, "-D"]).arg(&data);
    stop.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // It may have stopped by itself meanwhile: the end of the run that left it tells it to.
    let _ = stop.status();
}

/// Waits until the server takes sessions, and its database is there.
///
/// # Errors
/// 58000 with what it said.
pub(super) async fn ready(server: &LocalServer) -> Result<()> {
    let layout = &server.layout;
    let password = fs::read_to_string(layout.password()).map_err(|error| {
        let file = layout.password();
        let message = format!("cannot read the password file \"{}\": {error}", file.display());
        ErrorReport::new(SqlState::IO_ERROR, message)
    })?;
    let mut config = Config::new();
    config.host_path(&server.sockets).port(SOCKET_PORT).user(NAME).password(password.trim());
    config.connect_timeout(CONNECT_TIMEOUT);
    let started = Instant::now();
    loop {
        let error = match connect(&config, NAME).await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let elapsed = started.elapsed();
        let refusal = match error.code() {
            // A new data directory: it has only what every one has.
            Some(code) if *code == Code::INVALID_CATALOG_NAME => {
                create_database(&config).await.err().map(|error| said(&error))
            }
            Some(code) if *code == Code::CANNOT_CONNECT_NOW => None,
            Some(_) => Some(said(&error)),
            None if elapsed > REFUSAL_WAIT => refusal(layout, server.log_bytes),
            None => None,
        };
        if refusal.is_some() || elapsed > READY_WAIT_MAX {
            return Err(not_ready(layout, refusal.unwrap_or_else(|| said(&error))));
        }
        tokio::time::sleep(READY_POLL).await;
    }
}

async fn create_database(config: &Config) -> Result<(), Error> {
    let client = connect(config, "template1").await?;
    client.batch_execute(&format!("CREATE DATABASE {NAME} TEMPLATE template0")).await
}

async fn connect(config: &Config, database: &str) -> Result<tokio_postgres::Client, Error> {
    let mut config = config.clone();
    let (client, connection) = config.dbname(database).connect(NoTls).await?;
    // Ends with the client.
    tokio::spawn(connection);
    Ok(client)
}

fn said(error: &Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_string())
}

fn not_ready(layout: &ServerLayout, why: String) -> ErrorReport {
    let message =
        format!("the database server of \"{}\" does not start", layout.directory.display());
    ErrorReport::new(SqlState::SYSTEM_ERROR, message)
        .detail(why)
        .hint(format!("See \"{}\".", layout.log().display()))
}

/// Why the server does not come, in its own words.
fn refusal(layout: &ServerLayout, from: u64) -> Option<String> {
    let read = || -> io::Result<String> {
        let mut file = fs::File::open(layout.log())?;
        file.seek(SeekFrom::Start(from))?;
        let mut text = Vec::new();
        file.take(LOG_BYTES_READ_MAX).read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    };
    fatal(&read().ok()?)
}

/// The first line of a log that says why a server has not come.
fn fatal(log: &str) -> Option<String> {
    log.lines().find_map(|line| {
        let said = ["FATAL:", "PANIC:"].iter().find_map(|word| line.split_once(*word))?.1.trim();
        // Told to a client that came too early.
        (!said.starts_with("the database system is")).then(|| said.to_string())
    })
}

/// The first line of `postmaster.pid`; negative for a server of one user, which is nobody's here.
fn process_id(text: &str) -> Option<u32> {
    text.lines().next()?.trim().parse().ok().filter(|pid| *pid > 0)
}

/// `123 (postgres) S …`: not another program, and not the body of a dead one.
fn is_running_server(stat: &str) -> bool {
    let Some((head, rest)) = stat.rsplit_once(')') else { return false };
    let name = head.split_once('(').map_or("", |(_, name)| name);
    is_server(name) && !rest.trim_start().starts_with('Z')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_that_runs_is_one() {
        for (stat, expected) in [
            ("123 (postgres) S 1 123 123 0", true),
            ("123 (kingbase) R 1 123 123 0", true),
            ("123 (postgres) Z 1 123 123 0", false),
            ("123 (sh) S 1 123 123 0", false),
            ("123 (a) (postgres) S 1", false),
            ("", false),
        ] {
            assert_eq!(is_running_server(stat), expected, "{stat}");
        }
        assert_eq!(process_id("4711\n/d/postgres\n"), Some(4711));
        for text in ["", "-4711\n", "0\n", "x\n"] {
            assert_eq!(process_id(text), None, "{text}");
        }
    }

    #[test]
    fn a_servers_refusal_is_found_in_its_log() {
        let log = "2026-01-01 LOG:  starting\n\
                   2026-01-01 FATAL:  the database system is starting up\n\
                   2026-01-01 FATAL:  could not map anonymous shared memory: Cannot allocate\n\
                   2026-01-01 HINT:  less\n";
        assert_eq!(
            fatal(log).as_deref(),
            Some("could not map anonymous shared memory: Cannot allocate")
        );
        assert_eq!(fatal("LOG:  ready\n"), None);
    }
}
