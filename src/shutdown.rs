//! SIGTERM and Ctrl-C end a command in order.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{CommandError, Result};

/// Waits for SIGTERM and Ctrl-C.
pub(crate) struct Shutdown {
    interrupt: Signal,
    terminate: Signal,
}

impl Shutdown {
    /// From now on the two signals no longer kill the process. Needs a tokio runtime.
    pub(crate) fn install() -> Result<Self> {
        let catch = |kind| {
            signal(kind).map_err(|e| CommandError::failure(format!("cannot catch signals: {e}")))
        };
        let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
        Ok(Self { interrupt: catch(interrupt)?, terminate: catch(terminate)? })
    }

    /// Returns when one of the signals has come.
    pub(crate) async fn requested(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Does the work, or drops it when a signal comes.
    pub(crate) async fn unless_requested<T>(
        &mut self,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        tokio::select! {
            result = work => result,
            () = self.requested() => Err(CommandError::Stopped),
        }
    }
}
