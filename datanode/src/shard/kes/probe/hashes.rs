//! Whether the database's hash functions are PostgreSQL's: asked about values of which PostgreSQL's
//! hashes are known.

use kestrel_proto::{ErrorReport, Result};

use crate::shard::kes::{session::Session, sql::string};

/// Lines of `type|value|hash with seed 0|hash with the seed of hash partitions`.
const VECTORS: &str = include_str!("hash_vectors.txt");
/// `HASH_PARTITION_SEED` (src/include/catalog/partition.h).
const PARTITION_SEED: i64 = 0x7A5B_2236_7996_DCFD;

/// A value of a type, and its hashes.
struct Vector {
    function: &'static str,
    type_name: &'static str,
    value: &'static str,
    hashes: [i64; 2],
}

/// Whether all values have PostgreSQL's hashes. Where `''` is NULL, it has none.
///
/// # Errors
/// Those of the database: 42883 when it has no such function.
pub(super) async fn conform(session: &mut Session, empty_string_is_null: bool) -> Result<bool> {
    let has_hash = |vector: &Vector| !(empty_string_is_null && vector.value.is_empty());
    let vectors: Vec<_> = VECTORS.lines().filter_map(vector).filter(has_hash).collect();
    let calls: Vec<_> = vectors.iter().map(Vector::calls).collect::<Result<_>>()?;
    let answer = session.query(&format!("SELECT {}", calls.join(", "))).await?;
    let Some(row) = answer.rows.first() else {
        return Err(ErrorReport::internal("a SELECT without FROM gave no row"));
    };
    let expected = vectors.iter().flat_map(|vector| vector.hashes);
    let expected: Vec<_> = expected.map(|hash| Some(hash.to_string())).collect();
    Ok(*row == expected)
}

/// `None`: a comment.
fn vector(line: &'static str) -> Option<Vector> {
    let mut fields = line.split('|');
    let (function, type_name) = match fields.next()? {
        "i8" => ("hashint8extended", "int8"),
        "i4" => ("hashint4extended", "int4"),
        "t" => ("hashtextextended", "text"),
        "f8" => ("hashfloat8extended", "float8"),
        "n" => ("hash_numeric_extended", "numeric"),
        _ => return None,
    };
    let value = fields.next()?;
    let hashes = [fields.next()?.parse().ok()?, fields.next()?.parse().ok()?];
    Some(Vector { function, type_name, value, hashes })
}

impl Vector {
    fn calls(&self) -> Result<String> {
        let collation = if self.type_name == "text" { " COLLATE \"C\"" } else { "" };
        let value = format!("{}::pg_catalog.{}{collation}", string(self.value)?, self.type_name);
        let call = |seed: i64| format!("pg_catalog.{}({value}, '{seed}')", self.function);
        Ok(format!("{}, {}", call(0), call(PARTITION_SEED)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read() {
        let lines = VECTORS.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(VECTORS.lines().filter_map(vector).count(), lines);
        assert!(lines >= 39, "{lines}");
        let empty = VECTORS.lines().filter_map(vector).find(|v| v.value.is_empty()).unwrap();
        assert_eq!(
            empty.calls().unwrap(),
            "pg_catalog.hashtextextended(''::pg_catalog.text COLLATE \"C\", '0'), \
             pg_catalog.hashtextextended(''::pg_catalog.text COLLATE \"C\", '8816678312871386365')"
        );
    }
}
