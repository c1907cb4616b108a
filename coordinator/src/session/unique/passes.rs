//! Many keys are looked at part by part: each part has the values of one column between two bounds,
//! so that equal keys are in the same one.

use std::{collections::BTreeMap, sync::Arc};

use kestrel_planner::catalog::{Segment, SqlType};

use super::{
    search::Search,
    zones::{Zone, Zones},
};
use crate::session::rules::quoted;

/// So many keys a datanode has in a hash table at once, if they are spread evenly. Where they are not,
/// or no column has bounds, the table goes to disk like that of any query.
const PASS_ROWS: u64 = 4 << 20;

/// Rows of these segments on the datanode that has most of them.
pub(super) fn most_rows(segments: &[Arc<Segment>]) -> u64 {
    let mut rows: BTreeMap<u32, u64> = BTreeMap::new();
    for segment in segments {
        *rows.entry(segment.datanode).or_default() += segment.live_rows();
    }
    rows.into_values().max().unwrap_or(0)
}

/// The condition of each pass over so many rows in these segments; `None`: all rows pass.
pub(super) fn passes(
    search: &Search<'_>,
    rows: u64,
    segments: &[Arc<Segment>],
) -> Vec<Option<String>> {
    let passes = rows.div_ceil(PASS_ROWS);
    if passes < 2 {
        return vec![None];
    }
    let ids: Vec<u32> = search.columns.iter().map(|column| column.id).collect();
    let zones: Vec<_> = segments.iter().map(|segment| Zones::of(segment, &ids)).collect();
    let widest = search.columns.iter().enumerate().filter_map(|(at, column)| {
        let (min, max) = bounds(column.sql_type, &zones, at)?;
        Some((max.abs_diff(min), (column, min, max)))
    });
    let Some((_, (column, min, max))) = widest.max_by_key(|(width, _)| *width) else {
        return vec![None];
    };
    let (name, sql_type) = (quoted(&column.name), column.sql_type);
    let condition = |(from, to): (i64, i64)| {
        Some(format!("{name} BETWEEN '{from}'::{sql_type} AND '{to}'::{sql_type}"))
    };
    parts(min, max, passes).into_iter().map(condition).collect()
}

/// What all values of a key's column lie between, if it is one of integers.
fn bounds(sql_type: SqlType, zones: &[Zones], at: usize) -> Option<(i64, i64)> {
    if !matches!(sql_type, SqlType::SmallInt | SqlType::Integer | SqlType::BigInt) {
        return None;
    }
    let mut all: Option<(i64, i64)> = None;
    for zones in zones {
        match zones.zone(at) {
            Zone::Any => return None,
            Zone::Nothing => {}
            Zone::Between(min, max) => {
                let (least, greatest) = all.unwrap_or((min, max));
                all = Some((least.min(min), greatest.max(max)));
            }
        }
    }
    all
}

/// So many parts of equal width, or fewer.
fn parts(min: i64, max: i64, count: u64) -> Vec<(i64, i64)> {
    let width = max.abs_diff(min) / count + 1;
    let mut parts = Vec::new();
    let mut from = min;
    loop {
        let to = from.saturating_add_unsigned(width - 1).min(max);
        parts.push((from, to));
        if to >= max {
            return parts;
        }
        from = to + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_whole() {
        assert_eq!(parts(1, 10, 2), [(1, 5), (6, 10)]);
        assert_eq!(parts(-3, 3, 3), [(-3, -1), (0, 2), (3, 3)]);
        assert_eq!(parts(7, 7, 5), [(7, 7)]);
        assert_eq!(parts(0, 1, 5), [(0, 0), (1, 1)]);
        assert_eq!(parts(i64::MIN, i64::MAX, 2), [(i64::MIN, -1), (0, i64::MAX)]);
        assert_eq!(parts(i64::MAX - 1, i64::MAX, 1), [(i64::MAX - 1, i64::MAX)]);
    }
}
