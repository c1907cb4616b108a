//! The runtime of the fragments, beside the one that answers clients and heartbeats.

use kestrel_proto::{ErrorReport, Result, SqlState};
use tokio::runtime::{Handle, Runtime};

/// A runtime must not be dropped where that would block another one, so it ends in the background.
pub(super) struct FragmentRuntime {
    runtime: Option<Runtime>,
    handle: Handle,
}

impl FragmentRuntime {
    /// Twice as many threads as there are cores: a task that does not give way for long keeps only
    /// other tasks of its query waiting, see [`kestrel_datanode::Turns`].
    pub(super) fn start() -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(cores * 2)
            .enable_all()
            .thread_name("kestrel-fragment")
            .build()
            .map_err(|error| {
                ErrorReport::new(SqlState::SYSTEM_ERROR, format!("cannot start threads: {error}"))
            })?;
        let handle = runtime.handle().clone();
        Ok(Self { runtime: Some(runtime), handle })
    }

    /// Where to spawn.
    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Drop for FragmentRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
