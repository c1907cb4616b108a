//! What a segment's summary tells of its clustering columns.

use kestrel_proto::message::ZoneSummary;
use prost::Message;

use super::KeyRange;
use crate::catalog::{Segment, TableDef};

impl KeyRange {
    /// The range of a segment in the order that its table has now. `None`: the segment was written
    /// when there was another one.
    pub fn of(segment: &Segment, table: &TableDef) -> Option<Self> {
        let summary = ZoneSummary::decode(segment.zone_summary.as_slice()).ok()?;
        let order = summary.order?;
        // In the order of more columns is in the order of the first of them, too.
        let is_of_table = order.column_ids.starts_with(&table.cluster_by)
            && table.cluster_by.iter().zip(&order.types).all(|(id, of_key)| {
                let now = table.column_by_id(*id).map(|column| column.sql_type.arrow());
                now.is_some_and(|now| now.to_string() == *of_key)
            });
        is_of_table.then(|| Self {
            first: order.first.to_vec(),
            last: order.last.to_vec(),
            is_sorted: order.is_sorted,
        })
    }
}

#[cfg(test)]
mod tests {
    use kestrel_proto::message::ClusterOrder;

    use super::*;
    use crate::catalog::{ColumnDef, Distribution, SqlType};

    fn table(cluster_by: &[u32]) -> TableDef {
        let column = |(id, sql_type)| ColumnDef {
            id,
            name: format!("c{id}"),
            sql_type,
            not_null: false,
            default: None,
            identity: None,
        };
        let columns = [(1, SqlType::Integer), (2, SqlType::Text)].map(column).to_vec();
        let table = TableDef::new(7, ("public", "t"), columns, Distribution::Random);
        TableDef { cluster_by: cluster_by.to_vec(), ..table }
    }

    fn segment(column_ids: &[u32], types: &[&str]) -> Segment {
        let order = ClusterOrder {
            column_ids: column_ids.to_vec(),
            types: types.iter().map(ToString::to_string).collect(),
            is_sorted: true,
            first: vec![1].into(),
            last: vec![2].into(),
        };
        let summary = ZoneSummary { columns: Vec::new(), order: Some(order) };
        Segment {
            datanode: 1,
            id: 1,
            kind: 0,
            file: "f".into(),
            offset: 0,
            length: 1,
            rows: 1,
            bytes: 1,
            zone_summary: summary.encode_to_vec(),
            deletes: None,
            checksum: 0,
        }
    }

    #[test]
    fn a_range_holds_in_the_order_that_it_was_noted_in() {
        let both = segment(&[1, 2], &["Int32", "Utf8View"]);
        let is_known = |segment: &Segment, by: &[u32]| KeyRange::of(segment, &table(by)).is_some();
        assert!(is_known(&both, &[1, 2]));
        assert!(is_known(&both, &[1]));
        assert!(!is_known(&both, &[2]));
        assert!(!is_known(&both, &[2, 1]));
        assert!(!is_known(&segment(&[1], &["Int32"]), &[1, 2]));
        // The column was a smallint then.
        assert!(!is_known(&segment(&[1], &["Int16"]), &[1]));
        let plain = Segment { zone_summary: Vec::new(), ..both };
        assert!(!is_known(&plain, &[1]));
    }
}
