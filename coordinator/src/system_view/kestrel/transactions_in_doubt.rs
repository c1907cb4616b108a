//! `kestrel.transactions_in_doubt`: what is prepared in the databases of datanodes, and is neither
//! committed nor undone there yet.

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut out = Rows::new("transaction_id, coordinator_epoch, datanode, age_ms, outcome");
    for doubt in context.in_doubt.iter() {
        out.push(row![
            doubt.prepared.transaction.0,
            doubt.prepared.epoch,
            doubt.datanode.name(),
            doubt.prepared.age.as_millis() as u64,
            if doubt.is_decided { "commit" } else { "rollback" },
        ]);
    }
    out
}
