//! Work that is uneven though the table may not be: one datanode gets many times more of a motion's rows
//! than the others.

use kestrel_proto::DatanodeId;

use super::{
    Carried, Delivery, Finding, MotionFacts, Object, PlanFacts, RunFacts, Thresholds,
    finding::{analyze, bytes, percent},
    plan_facts::MotionKey,
};

pub(super) fn decide(facts: &PlanFacts, run: &RunFacts, t: &Thresholds) -> Vec<Finding> {
    let motions = facts.motions.iter().filter(|motion| !motion.keys.is_empty());
    let carried = motions.filter_map(|motion| Some((motion, run.motion(motion.number)?)));
    carried.filter_map(|(motion, carried)| finding(facts, motion, carried, t)).collect()
}

fn finding(
    facts: &PlanFacts,
    motion: &MotionFacts,
    carried: &Carried,
    t: &Thresholds,
) -> Option<Finding> {
    // Those that have got nothing are not there.
    let nodes = facts.datanodes.max(carried.0.len());
    let mut sizes: Vec<f64> = carried.0.values().map(|(_, bytes)| *bytes as f64).collect();
    sizes.resize(nodes, 0.0);
    sizes.sort_by(f64::total_cmp);
    let (most, median) = (*sizes.last()?, sizes[(nodes - 1) / 2]);
    let mean = sizes.iter().sum::<f64>() / nodes as f64;
    let is_uneven = most > t.processing_skew_ratio * median;
    if nodes < 2 || !is_uneven || most - mean < t.processing_skew_min_size * 1024.0 {
        return None;
    }
    let (fullest, (rows, _)) = carried.0.iter().max_by_key(|(_, (_, bytes))| *bytes)?;
    let (datanode, total) = (DatanodeId(*fullest).name(), carried.rows());
    let keys: Vec<_> = motion.keys.iter().map(|key| key.text.as_str()).collect();
    let tables =
        motion.keys.iter().filter_map(|key| Some(key.column.as_ref()?.table.table.as_ref()));
    let object = Object::tables(tables.chain(motion.tables.iter().map(AsRef::as_ref)));
    let message = format!(
        "a {} is skewed: {datanode} gets {} of its rows",
        motion.consumer,
        percent(*rows as f64 / total.max(1) as f64)
    );
    let mut detail = format!(
        "{rows} of {total} rows, {} and {} on average, are redistributed there by {}.",
        bytes(most),
        bytes(mean),
        keys.join(", ")
    );
    detail.push_str(&heaviest(&motion.keys).unwrap_or_default());
    let mut columns = motion.keys.iter().filter_map(|key| key.column.as_ref());
    let unknown = columns.find(|origin| {
        let known = origin.table.statistics.as_ref();
        known.is_none_or(|known| known.column(origin.column).is_none())
    });
    let hint = unknown.map(|origin| analyze(&origin.table.table));
    Some(Finding { object, at_most: Delivery::Warning, message, detail, hint })
}

/// The value that most of the rows have, of a key of one column.
fn heaviest(keys: &[MotionKey]) -> Option<String> {
    let [key] = keys else { return None };
    let (origin, known) = (key.column.as_ref()?, key.statistics.as_ref()?);
    let column = origin.table.table.column_by_id(origin.column)?;
    let common = known.common.first().filter(|common| common.frequency > known.null_fraction);
    let (value, part) = match common {
        Some(common) => (common.value.quoted(column.sql_type), common.frequency),
        None if known.null_fraction > 0.0 => ("NULL".to_string(), known.null_fraction),
        None => return None,
    };
    Some(format!(" {} is {value} in about {} of them.", key.text, percent(part)))
}
