//! Fail points, for tests of crashes: a process that is started with `KESTREL_FAIL_POINTS=DIR` ends
//! at the step that a file in DIR has the name of. The file says at which time it comes there, and
//! what the machine forgets: `2 all`.

use std::{fs, path::PathBuf, sync::OnceLock};

use kestrel_datanode::shard::{Loss, lose_unsynced};
use kestrel_proto::fail_point::{self, FailPoint, Hooks};
use parking_lot::Mutex;

const VARIABLE: &str = "KESTREL_FAIL_POINTS";

/// What can be lost, by the words for it.
const LOSSES: [(&str, Loss); 3] =
    [("nothing", Loss::Nothing), ("bytes", Loss::Bytes), ("all", Loss::All)];

static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
static TURN: Mutex<()> = Mutex::new(());

/// Looks for fail points from now on, if the environment says so.
pub(crate) fn start(variable: impl Fn(&str) -> Option<String>) {
    let Some(directory) = variable(VARIABLE) else { return };
    tracing::warn!(directory, "this process is for a test of crashes");
    DIRECTORY.get_or_init(|| directory.into());
    fail_point::set_hooks(Hooks { is_armed, reached });
}

fn order_of(point: FailPoint) -> Option<PathBuf> {
    DIRECTORY.get().map(|directory| directory.join(point.name()))
}

fn is_armed(point: FailPoint) -> bool {
    order_of(point).is_some_and(|order| order.exists())
}

fn reached(point: FailPoint) {
    let Some(file) = order_of(point) else { return };
    // Held until the end: then nobody else gets past a fail point.
    let _turn = TURN.lock();
    let Ok(order) = fs::read_to_string(&file) else { return };
    let Some((times, word, loss)) = parse(&order) else {
        tracing::error!(order, "this is no order for a fail point");
        return;
    };
    if times > 1 {
        if let Err(error) = fs::write(&file, format!("{} {word}", times - 1)) {
            tracing::error!(%error, "the order of a fail point cannot be written");
        }
        return;
    }
    lose_unsynced(loss);
    std::process::abort();
}

fn parse(order: &str) -> Option<(u32, &str, Loss)> {
    let (times, word) = order.trim().split_once(' ')?;
    let loss = LOSSES.iter().find(|(known, _)| *known == word)?.1;
    Some((times.parse().ok()?, word, loss))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read() {
        for (order, expected) in [
            ("1 nothing", Some((1, "nothing", Loss::Nothing))),
            ("2 all\n", Some((2, "all", Loss::All))),
            ("1 bytes", Some((1, "bytes", Loss::Bytes))),
            ("1", None),
            ("x all", None),
            ("1 some", None),
        ] {
            assert_eq!(parse(order), expected, "{order:?}");
        }
    }
}
