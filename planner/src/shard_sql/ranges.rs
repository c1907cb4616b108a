//! A table in pieces that several sessions read at once, each row in exactly one of them.

use crate::catalog::SqlType;
use kestrel_proto::Result;

use super::{Capabilities, bucket::value_hash};

/// The seed of the hash that deals out rows to pieces. With the seed of the placement hash, all rows
/// of a shard could be in one piece.
const PIECE_SEED: i64 = 0;
/// Fewer blocks than this, of 8 KiB, are not worth a piece.
const BLOCKS_MIN: u64 = 128;

/// A part of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece(Option<String>);

impl Piece {
    /// The whole table.
    pub const WHOLE: Self = Self(None);

    /// The condition that its rows have; `None`: all have it.
    pub fn condition(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

/// A column whose hash can deal out the rows.
#[derive(Clone, Copy, Debug)]
pub struct HashKey<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its type.
    pub sql_type: SqlType,
}

/// At most `most` pieces of a table of so many blocks of its main fork (`pg_relation_size` in
/// blocks):
///
/// - ranges of blocks, where the server reads a range without the rest of the table;
/// - else by the hash of `key`: each session reads the whole table and sends its part, which pays
///   because sending costs more than reading. Their number is a power of two;
/// - else one.
///
/// All sessions read with one snapshot. The last range is open, so that the number of blocks may be
/// older than the snapshot.
///
/// # Errors
/// Those of [`identifier`](super::identifier).
pub fn pieces(
    most: usize,
    blocks: u64,
    key: Option<HashKey<'_>>,
    capabilities: Capabilities,
) -> Result<Vec<Piece>> {
    let useful = usize::try_from(blocks / BLOCKS_MIN).unwrap_or(usize::MAX);
    let count = most.min(useful);
    if count <= 1 {
        return Ok(vec![Piece::WHOLE]);
    }
    if capabilities.tid_range_scan {
        return Ok(block_ranges(count as u64, blocks));
    }
    match key.filter(|key| capabilities.partition_hash && key.sql_type.hash_class().is_some()) {
        Some(key) => hash_pieces(count, key),
        None => Ok(vec![Piece::WHOLE]),
    }
}

/// Half-open ranges, the last without an end.
fn block_ranges(count: u64, blocks: u64) -> Vec<Piece> {
    let bound = |piece: u64| u128::from(blocks) * u128::from(piece) / u128::from(count);
    let range = |piece: u64| {
        let from = format!("ctid >= '({},0)'::pg_catalog.tid", bound(piece));
        let to = format!("ctid < '({},0)'::pg_catalog.tid", bound(piece + 1));
        Piece(Some(match piece {
            0 => format!("({to})"),
            last if last == count - 1 => format!("({from})"),
            _ => format!("({from} AND {to})"),
        }))
    };
    (0..count).map(range).collect()
}

fn hash_pieces(count: usize, key: HashKey<'_>) -> Result<Vec<Piece>> {
    let count = 1_usize << count.ilog2();
    let hash = value_hash(key.name, key.sql_type, PIECE_SEED)?;
    let piece = |number| {
        // NULL has no hash, and belongs to the first piece.
        Piece(Some(format!("(COALESCE({hash} & {}, 0) = {number})", count - 1)))
    };
    Ok((0..count).map(piece).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: HashKey<'_> = HashKey { name: "k", sql_type: SqlType::BigInt };

    fn conditions(
        most: usize,
        blocks: u64,
        key: Option<HashKey<'_>>,
        capabilities: Capabilities,
    ) -> Vec<String> {
        let pieces = pieces(most, blocks, key, capabilities).unwrap();
        pieces.iter().map(|p| p.condition().unwrap_or("all").to_string()).collect()
    }

    #[test]
    fn ranges_of_blocks_leave_no_gap() {
        assert_eq!(
            conditions(3, 1000, Some(KEY), Capabilities::POSTGRESQL_15),
            [
                "(ctid < '(333,0)'::pg_catalog.tid)",
                "(ctid >= '(333,0)'::pg_catalog.tid AND ctid < '(666,0)'::pg_catalog.tid)",
                "(ctid >= '(666,0)'::pg_catalog.tid)",
            ]
        );
    }

    #[test]
    fn where_there_are_no_ranges_a_hash_deals_out() {
        let capabilities = Capabilities { tid_range_scan: false, ..Capabilities::POSTGRESQL_15 };
        assert_eq!(
            conditions(3, 1000, Some(KEY), capabilities),
            [
                "(COALESCE(pg_catalog.hashint8extended(\"k\", 0) & 1, 0) = 0)",
                "(COALESCE(pg_catalog.hashint8extended(\"k\", 0) & 1, 0) = 1)",
            ]
        );
        assert_eq!(conditions(3, 1000, None, capabilities), ["all"]);
        assert_eq!(conditions(3, 1000, Some(KEY), Capabilities::default()), ["all"]);
    }

    #[test]
    fn small_tables_are_one_piece() {
        for blocks in [0, 1, 200] {
            assert_eq!(conditions(8, blocks, Some(KEY), Capabilities::POSTGRESQL_15), ["all"]);
        }
        assert_eq!(conditions(1, 1_000_000, Some(KEY), Capabilities::POSTGRESQL_15), ["all"]);
    }
}
