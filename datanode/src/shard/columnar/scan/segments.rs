//! Which segments a scan opens: not those of which the catalog says enough to know that none of their
//! rows passes. The keys of a join's build side are often known by then, so that whole partitions of
//! its probe side stay closed.

use std::{collections::HashSet, sync::Arc};

use datafusion::common::ScalarValue;
use kestrel_planner::operators::ScanPartition;
use kestrel_proto::{TableId, message::SegmentRef};

use super::{conjuncts::Test, partition::ScanMetrics, prune, spec::ScanSpec};
use crate::{runtime_filter::KeySet, shard::columnar::files};

/// The segments that may have rows which pass all conjuncts, as far as they are known now; and notes
/// how many are left out.
pub(super) fn that_may_pass(spec: &ScanSpec, metrics: &ScanMetrics) -> Vec<Arc<SegmentRef>> {
    let closed =
        spec.table_partitions.iter().filter(|partition| !partition_may_pass(spec, partition));
    let closed: HashSet<TableId> = closed.map(|partition| partition.table_id).collect();
    let (mut opened, mut of_partitions) = (Vec::new(), HashSet::new());
    for segment in &spec.segments {
        let partition = files::table_of(&segment.file);
        let is_closed = partition.is_some_and(|partition| closed.contains(&partition));
        let all_pass = spec.conjuncts.list.is_empty();
        let may_pass = all_pass || prune::segment_may_pass(&spec.conjuncts, &spec.table, segment);
        if may_pass && !is_closed {
            opened.push(Arc::clone(segment));
            of_partitions.extend(partition);
        }
    }
    metrics.segments_pruned.add(spec.segments.len() - opened.len());
    let is_left_out = |partition: &&ScanPartition| !of_partitions.contains(&partition.table_id);
    let left_out = spec.table_partitions.iter().filter(is_left_out).count();
    metrics.table_partitions.add(spec.table_partitions.len() + spec.table_partitions_left_out);
    metrics.table_partitions_pruned.add(left_out + spec.table_partitions_left_out);
    opened
}

/// Whether some row of a partition may join, by the values that its bounds list.
fn partition_may_pass(spec: &ScanSpec, partition: &ScanPartition) -> bool {
    spec.conjuncts.list.iter().all(|conjunct| {
        let Test::Keys { slot, filter } = &conjunct.test else { return true };
        let Some(keys) = filter.keys() else { return true };
        let column = spec.conjuncts.columns.get(*slot);
        let mut lists = partition.values.iter().filter(|(of, _)| Some(of) == column);
        lists.all(|(_, values)| any_is_key(keys, values))
    })
}

fn any_is_key(keys: &KeySet, values: &[ScalarValue]) -> bool {
    if values.is_empty() {
        // Only NULL, which joins nothing.
        return false;
    }
    let Ok(values) = ScalarValue::iter_to_array(values.iter().cloned()) else { return true };
    match keys.select(&values) {
        Ok(Some(selected)) => selected.count_set_bits() > 0,
        // Of another type.
        Ok(None) | Err(_) => true,
    }
}
