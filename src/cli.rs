//! The command line: what it may say, and who does it.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::backup::{BackupArguments, RestoreArguments, run_backup, run_restore};
use crate::check::{CheckArguments, run_check};
use crate::config::{CoordinatorSettings, DatanodeProcessSettings};
use crate::coordinator::run_coordinator;
use crate::datanode::run_datanode;
use crate::demo::{DemoArguments, run_demo};
use crate::fail_points;
use crate::logging::{LogFormat, Logging};
use crate::output::{Console, error_line};
use crate::shutdown::Shutdown;
use crate::status::{StatusArguments, run_status};
use crate::tpch::{TpchCommand, run_command};
use crate::up::{UpArguments, run_up};
use crate::{CommandError, Result};

/// An MPP SQL engine for KingbaseES and PostgreSQL shards.
#[derive(Debug, Parser)]
#[command(name = "kestrel", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How the log is written [default: text, or KESTREL_LOG_FORMAT]
    #[arg(long, global = true, value_enum, hide_possible_values = true, value_name = "text|json")]
    log_format: Option<LogFormat>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a cluster, load TPC-H, run and check its 22 queries, and stay up
    Demo(DemoArguments),
    /// Start a cluster on a directory and serve it
    Up(Box<UpArguments>),
    /// Start a coordinator, whose datanodes are started elsewhere
    Coordinator(Box<CoordinatorSettings>),
    /// Start one datanode of a cluster
    Datanode(Box<DatanodeProcessSettings>),
    /// Load TPC-H into a cluster, run its queries, print them
    #[command(subcommand)]
    Tpch(TpchCommand),
    /// Show the datanodes of a cluster
    Status(StatusArguments),
    /// Copy a running cluster's catalog and segments into a directory
    Backup(BackupArguments),
    /// Make data directories of a backup
    Restore(RestoreArguments),
    /// Look whether the data of a cluster that does not run are as they must be
    Check(CheckArguments),
}

impl Command {
    /// What is logged when `KESTREL_LOG` does not say: servers tell of every query.
    fn default_log_filter(&self) -> &'static str {
        match self {
            Self::Up(_) | Self::Coordinator(_) | Self::Datanode(_) => "info",
            Self::Demo(_)
            | Self::Tpch(_)
            | Self::Status(_)
            | Self::Backup(_)
            | Self::Restore(_)
            | Self::Check(_) => "warn",
        }
    }
}

/// Threads that are still busy then end with the process.
const RUNTIME_STOP_WAIT_MAX: Duration = Duration::from_secs(1);

/// The whole command: does what the command line says. `KESTREL_LOG` says what is logged.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    // Each file that a query spills into stays open, and shells and systemd allow 1024 open files
    // at first. Without more it works, too, for a while.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            error_line(&format!("kestrel: cannot start threads: {e}"));
            return ExitCode::FAILURE;
        }
    };
    let status = runtime.block_on(run(arguments));
    runtime.shutdown_timeout(RUNTIME_STOP_WAIT_MAX);
    ExitCode::from(status)
}

/// The exit status. An error is one line on standard error.
async fn run(arguments: Vec<OsString>) -> u8 {
    let cli = match parse(arguments) {
        Ok(Parsed::Command(cli)) => cli,
        Ok(Parsed::Help(text)) => {
            Console::silent().result(text.trim_end());
            return 0;
        }
        Err(error) => return report(&error),
    };
    let variable = |name: &str| std::env::var(name).ok();
    let logging = Logging::choose(cli.log_format, cli.command.default_log_filter(), variable);
    if let Err(error) = logging.and_then(Logging::start) {
        return report(&error);
    }
    fail_points::start(variable);
    match execute(cli.command).await {
        Ok(()) => 0,
        Err(error) => report(&error),
    }
}

fn report(error: &CommandError) -> u8 {
    error_line(&format!("kestrel: {error}"));
    error.exit_status()
}

enum Parsed {
    Command(Cli),
    /// `--help`, `--version`.
    Help(String),
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Parsed> {
    Cli::try_parse_from(arguments).map(Parsed::Command).or_else(|error| {
        let text = error.render().to_string();
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(Parsed::Help(text)),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                Err(CommandError::usage("no command given; try 'kestrel --help'"))
            }
            _ => Err(CommandError::usage(format!("{}; try '--help'", first_paragraphs(&text)))),
        }
    })
}

/// clap's message up to its usage lines, as one line.
fn first_paragraphs(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let lines: Vec<_> = lines
        .filter(|line| !line.is_empty() && !line.starts_with("For more information"))
        .collect();
    lines.join(" ").replace(" tip: ", "; ")
}

async fn execute(command: Command) -> Result<()> {
    let mut shutdown = Shutdown::install()?;
    match command {
        Command::Demo(arguments) => run_demo(arguments, &mut shutdown).await,
        Command::Up(arguments) => run_up(*arguments, &mut shutdown).await,
        Command::Coordinator(settings) => run_coordinator(*settings, &mut shutdown).await,
        Command::Datanode(settings) => run_datanode(*settings, &mut shutdown).await,
        Command::Tpch(command) => shutdown.unless_requested(run_command(command)).await,
        Command::Status(arguments) => shutdown.unless_requested(run_status(arguments)).await,
        Command::Backup(arguments) => shutdown.unless_requested(run_backup(arguments)).await,
        Command::Restore(arguments) => shutdown.unless_requested(run_restore(arguments)).await,
        Command::Check(arguments) => shutdown.unless_requested(run_check(arguments)).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Parsed> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn what_the_readme_says_is_understood() {
        for line in [
            "kestrel demo",
            "kestrel demo --datanodes 5 --scale 0.01 --data d --listen 127.0.0.1:0 --exit",
            "kestrel up --data d",
            "kestrel up --data d --datanodes 3 --memory-limit 4GB --cache-size 1GB",
            "kestrel up --data d --cache-size 0",
            "kestrel datanode --name dn1 --data d --memory-limit 4GB --cache-size 1GB",
            "kestrel up --data d --log-format json",
            "kestrel up --data d --shards kes --processes",
            "kestrel demo --shards kes --scale 0.01 --exit",
            "kestrel coordinator --data d --shards kes",
            "kestrel datanode --name dn1 --shard-kind kes --shard-host db1 --shard-password-env P",
            "kestrel --log-format text status",
            "kestrel up --data d --processes --metrics-listen 127.0.0.1:0",
            "kestrel coordinator --config c.toml --datanodes 3 --heartbeat-interval 200ms",
            "kestrel datanode --name dn1 --data d --listen 127.0.0.1:5441 --coordinator db0:5434",
            "kestrel datanode --config dn1.toml --compression lz4 --remote-credit 2MB",
            "kestrel tpch load --scale 1 --layout wrong-key",
            "kestrel tpch run --scale 0.01 --url postgres://kestrel@127.0.0.1:5433/kestrel --json",
            "kestrel tpch queries 3 5",
            "kestrel tpch queries --scale 1 --json",
            "kestrel tpch answers --directory d",
            "kestrel status --url host=/tmp",
            "kestrel backup b --url host=/tmp --keep 7",
            "kestrel backup b --list",
            "kestrel backup b --verify --backup 20261127T203301Z",
            "kestrel restore b --directory d",
            "kestrel restore b --directory d --backup 20261127T203301Z --coordinator",
            "kestrel restore b --directory d --datanode dn2 --incomplete",
            "kestrel restore b --directory d --datanode dn2 --coordinator-data c",
            "kestrel restore b --directory d --datanode dn2 --backup 20261127T203301Z",
            "kestrel check --data d",
            "kestrel check --data d --datanode dn1=/x --datanode dn2=/y --json --files-only",
        ] {
            assert!(matches!(parsed(line), Ok(Parsed::Command(_))), "{line}");
        }
        for line in ["kestrel --help", "kestrel --version", "kestrel tpch load --help"] {
            assert!(matches!(parsed(line), Ok(Parsed::Help(_))), "{line}");
        }
    }

    #[test]
    fn a_wrong_command_line_is_one_line_and_status_2() {
        for (line, text) in [
            ("kestrel", "no command given"),
            ("kestrel tpch", "no command given"),
            ("kestrel fly", "unrecognized subcommand 'fly'"),
            ("kestrel demo --scales 1", "'--scales' found; a similar argument exists: '--scale'"),
            ("kestrel demo --scale nine", "a scale is a number from 0.01"),
            ("kestrel demo --scale 0", "a scale is a number from 0.01"),
            ("kestrel demo --scale NaN", "a scale is a number from 0.01"),
            ("kestrel demo --datanodes 0", "0 is not in 1..=64"),
            ("kestrel up --data d --datanodes none", "'none' is not a number"),
            ("kestrel coordinator --datanodes 65", "65 is not in 1..=64"),
            ("kestrel datanode --listen here", "'here' is not an address with a port"),
            ("kestrel up", "--data <DATA>"),
            ("kestrel up --data d --listen here", "'here' is not an address with a port"),
            ("kestrel up --data d --memory-limit much", "'much' is not an amount of memory"),
            ("kestrel up --data d --shards oracle", "invalid value 'oracle'"),
            ("kestrel coordinator --retry-wait soon", "'soon' is not a time such as 500ms or 2s"),
            ("kestrel up --data d --log-format xml", "invalid value 'xml'"),
            ("kestrel tpch run", "--scale <SCALE>"),
            ("kestrel tpch load --scale 1 --layout round", "invalid value 'round'"),
            ("kestrel tpch queries 23", "23 is not in 1..=22"),
            ("kestrel backup", "<DIR>"),
            ("kestrel backup b --keep 0", "'0' is no number from 1"),
            ("kestrel backup b --list --verify", "cannot be used with"),
            ("kestrel restore b", "--directory <DIRECTORY>"),
            ("kestrel restore b --directory d --coordinator", "--backup <NAME>"),
            ("kestrel restore b --directory d --incomplete", "--datanode <NAME>"),
            ("kestrel check", "--data <DATA>"),
            ("kestrel check --data d --datanode dn1", "a datanode's name and its directory"),
        ] {
            let Err(error) = parsed(line) else { panic!("accepted: {line}") };
            assert_eq!(error.exit_status(), 2, "{line}");
            let error = error.to_string();
            assert!(error.contains(text), "{line}: {error}");
            assert!(!error.contains('\n'), "{line}: {error}");
        }
    }

    #[tokio::test]
    async fn what_is_understood_but_refused_is_status_2() {
        for (line, text) in [
            ("kestrel coordinator", "--data is missing"),
            ("kestrel coordinator --data d --listen 0.0.0.0:5433", "refusing to listen on"),
            ("kestrel coordinator --config /does/not/exist", "cannot read \"/does/not/exist\""),
            ("kestrel datanode --name dn1 --data d", "--secret-file is missing"),
            ("kestrel datanode --name node1 --data d", "'node1' is not the name of a datanode"),
            (
                "kestrel datanode --name dn1 --data d --secret-file s --shard-host h",
                "--shard-kind kes only",
            ),
            ("kestrel up --data d --listen 0.0.0.0:5433", "refusing to listen on 0.0.0.0:5433"),
            ("kestrel demo --listen [::]:5433", "refusing to listen on [::]:5433"),
            ("kestrel up --data d --memory-limit 1GB --cache-size 2GB", "cannot be larger"),
            (
                "kestrel datanode --name dn1 --data d --secret-file s --memory-limit 1GB --cache-size 2GB",
                "cannot be larger",
            ),
            ("kestrel status --url nonsense", "not a connection URL: 'nonsense'"),
        ] {
            let Ok(Parsed::Command(cli)) = parsed(line) else { panic!("refused: {line}") };
            let error = execute(cli.command).await.unwrap_err();
            assert_eq!(error.exit_status(), 2, "{line}");
            assert!(error.to_string().contains(text), "{line}: {error}");
        }
    }
}
