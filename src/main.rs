//! The `kestrel` command.

use std::process::ExitCode;
use std::time::Duration;

use kestrel::output::error_line;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Threads that are still busy then end with the process.
const RUNTIME_STOP_WAIT_MAX: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("KESTREL_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            error_line(&format!("kestrel: cannot start threads: {e}"));
            return ExitCode::FAILURE;
        }
    };
    let status = runtime.block_on(kestrel::cli::run(std::env::args_os()));
    runtime.shutdown_timeout(RUNTIME_STOP_WAIT_MAX);
    ExitCode::from(status)
}
