//! What `kestrel.print_dispatch` shows: where each slice of a plan runs, in Greenplum's words
//! (`test_print_direct_dispatch_info`).

use crate::{plan::Plan, slice::Slice};

/// A line for each slice that datanodes run, of a cluster of so many; those of init plans first.
pub fn dispatched(plan: &Plan, datanodes: usize) -> Vec<String> {
    let init = plan.init.iter().flat_map(|init| dispatched(init, datanodes));
    let slices = plan.slices.iter().filter(|slice| slice.id.0 != 0);
    init.chain(slices.map(|slice| line(slice, datanodes))).collect()
}

fn line(slice: &Slice, datanodes: usize) -> String {
    let names: Vec<_> = slice.executors.iter().map(|datanode| datanode.name()).collect();
    let to = match names.len() {
        all if all == datanodes => "ALL datanodes",
        1 => "SINGLE datanode",
        _ => "PARTIAL datanodes",
    };
    format!("(slice {}) Dispatch command to {to}: {}", slice.id.0, names.join(" "))
}
