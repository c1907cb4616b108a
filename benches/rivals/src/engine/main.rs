//! The frame of an engine's `main`: a runtime with so many threads, and the error when it ends badly.

use std::{future::Future, process::ExitCode};

/// Whatever ends an engine.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Runs the engine until its input ends.
pub fn main(threads: usize, engine: impl Future<Output = Result<(), Error>>) -> ExitCode {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let ended = runtime.map_err(Error::from).and_then(|runtime| runtime.block_on(engine));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
