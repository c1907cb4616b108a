//! What the catalog knows of the values in a segment's columns.

use kestrel_planner::catalog::Segment;
use kestrel_proto::message::ZoneSummary;
use prost::Message;

/// Of the columns of a key, in its order.
#[derive(Debug)]
pub(super) struct Zones(Vec<Zone>);

/// Of one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zone {
    /// Nothing is known.
    Any,
    /// There is no value.
    Nothing,
    /// All values lie between these, as the summary has them.
    Between(i64, i64),
}

impl Zones {
    /// Of these columns, by their ids.
    pub(super) fn of(segment: &Segment, columns: &[u32]) -> Self {
        let summary = ZoneSummary::decode(segment.zone_summary.as_slice()).unwrap_or_default();
        let zone = |id: &u32| {
            let column = summary.columns.iter().find(|column| column.column_id == *id);
            match column {
                // Of strings it is only known how many there are.
                Some(column) if column.distinct.is_none() => match column.min <= column.max {
                    true => Zone::Between(column.min, column.max),
                    false => Zone::Nothing,
                },
                _ => Zone::Any,
            }
        };
        Self(columns.iter().map(zone).collect())
    }

    /// That of the key's column at this position.
    pub(super) fn zone(&self, at: usize) -> Zone {
        self.0.get(at).copied().unwrap_or(Zone::Any)
    }

    /// Whether two segments, of which this is known, may have a key in common.
    pub(super) fn may_meet(&self, other: &Self) -> bool {
        let meets = |(one, other): (&Zone, &Zone)| match (one, other) {
            (Zone::Nothing, _) | (_, Zone::Nothing) => false,
            (Zone::Any, _) | (_, Zone::Any) => true,
            (Zone::Between(a, b), Zone::Between(c, d)) => a <= d && c <= b,
        };
        self.0.iter().zip(&other.0).all(meets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_meet_only_where_all_columns_do() {
        let (any, nothing) = (Zone::Any, Zone::Nothing);
        let at = |a, b| Zone::Between(a, b);
        for (one, other, expected) in [
            (vec![at(1, 5)], vec![at(5, 9)], true),
            (vec![at(1, 5)], vec![at(6, 9)], false),
            (vec![at(7, 7)], vec![at(1, 9)], true),
            (vec![any], vec![at(1, 9)], true),
            (vec![any], vec![nothing], false),
            (vec![at(1, 5), at(1, 1)], vec![at(2, 3), at(2, 2)], false),
            (vec![at(1, 5), any], vec![at(2, 3), at(2, 2)], true),
            (vec![at(i64::MIN, i64::MAX)], vec![at(i64::MAX, i64::MAX)], true),
        ] {
            let (one, other) = (Zones(one), Zones(other));
            assert_eq!(one.may_meet(&other), expected, "{one:?} {other:?}");
            assert_eq!(other.may_meet(&one), expected, "{other:?} {one:?}");
        }
    }
}
