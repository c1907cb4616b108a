//! What the catalog knows of the values in a segment's columns.

use kestrel_planner::catalog::Segment;
use kestrel_proto::message::ColumnSummary;
use prost::{
    Message,
    encoding::{WireType, decode_key, decode_varint},
};

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

impl Zone {
    fn of(column: &ColumnSummary) -> Self {
        match (column.distinct, column.min <= column.max) {
            // Of strings it is only known how many there are.
            (Some(_), _) => Self::Any,
            (None, true) => Self::Between(column.min, column.max),
            (None, false) => Self::Nothing,
        }
    }
}

/// The first column of a `ZoneSummary`'s bytes, as bytes of a `ColumnSummary`, and the other columns.
fn first_column(mut summary: &[u8]) -> Option<(&[u8], &[u8])> {
    match decode_key(&mut summary).ok()? {
        (1, WireType::LengthDelimited) => {
            let length = decode_varint(&mut summary).ok()?;
            summary.split_at_checked(usize::try_from(length).ok()?)
        }
        _ => None,
    }
}

/// The id of the column that these bytes of a `ColumnSummary` are about.
fn column_id(mut column: &[u8]) -> Option<u32> {
    match decode_key(&mut column).ok()? {
        (1, WireType::Varint) => u32::try_from(decode_varint(&mut column).ok()?).ok(),
        _ => None,
    }
}

impl Zones {
    /// Of these columns, by their ids.
    pub(super) fn of(segment: &Segment, columns: &[u32]) -> Self {
        let mut zones = vec![Zone::Any; columns.len()];
        let mut rest = segment.zone_summary.as_slice();
        // A table may have many columns and many segments: what is not asked for is passed over.
        while let Some((column, others)) = first_column(rest) {
            rest = others;
            let id = column_id(column);
            let mut wanted =
                columns.iter().zip(&mut zones).filter(|(wanted, _)| Some(**wanted) == id);
            if let Some((_, zone)) = wanted.next() {
                *zone = ColumnSummary::decode(column).map_or(Zone::Any, |column| Zone::of(&column));
            }
        }
        Self(zones)
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
    use kestrel_proto::message::ZoneSummary;

    use super::*;

    #[test]
    fn only_the_columns_of_the_key_are_read() {
        let column = |column_id, min, max, distinct| ColumnSummary {
            column_id,
            min,
            max,
            nulls: 3,
            distinct,
        };
        let columns = vec![
            column(1, -5, 1 << 40, None),
            column(2, 0, 0, Some(7)),
            column(300, 1, 0, None),
            column(4, i64::MIN, i64::MAX, None),
        ];
        let mut segment = Segment {
            datanode: 0,
            id: 1,
            kind: 1,
            file: String::new(),
            offset: 0,
            length: 0,
            rows: 1,
            bytes: 1,
            zone_summary: ZoneSummary { columns, order: None }.encode_to_vec(),
            checksum: 0,
            deletes: None,
        };
        let (any, all) = (Zone::Any, Zone::Between(i64::MIN, i64::MAX));
        let expected = [all, Zone::Between(-5, 1 << 40), any, Zone::Nothing, any];
        assert_eq!(Zones::of(&segment, &[4, 1, 2, 300, 9]).0, expected);
        // What cannot be read may be anything.
        segment.zone_summary.truncate(20);
        assert_eq!(Zones::of(&segment, &[4]).0, [any]);
        assert_eq!(Zones::of(&segment, &[1]).0, [Zone::Between(-5, 1 << 40)]);
    }

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
