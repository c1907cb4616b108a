//! In which bucket a row is, computed by the database: `crate::placement` in SQL.
//!
//! PostgreSQL has the hash functions of its hash partitions as SQL functions, but not the one that
//! combines the hashes of several columns (`hash_combine64` in `src/include/common/hashfn.h`):
//!
//! ```text
//! a ^= b + 0x49a0f4dd15e5a8e3 + (a << 54) + (a >> 7)          of 64 bits, NULL: a as it was
//! ```
//!
//! A bucket is the last 12 bits of the last a. They depend on the 12 + 7 last bits of the one before,
//! those on the 7 + 7 + 12 last bits of the one before that, and so on; `a << 54` reaches none of them
//! with up to eight columns. So all is computed with `bigint`s of few bits, which cannot overflow.
//! `#` is not used for "exclusive or": it begins a comment where MySQL's syntax is understood.

use crate::catalog::SqlType;
use kestrel_proto::{BUCKET_COUNT, ErrorReport, Result};

use super::quote::identifier;

/// `HASH_PARTITION_SEED` in `src/include/catalog/partition.h`.
const PARTITION_SEED: i64 = 0x7A5B_2236_7996_DCFD;
/// Of `hash_combine64`.
const GOLDEN: u64 = 0x49a0_f4dd_15e5_a8e3;
/// By how many bits a hash is shifted when the next is combined with it.
const SHIFT: u32 = 7;
/// The most columns whose first hash fits into a `bigint` with its sums.
const COLUMNS_MAX: u32 = 8;

/// An SQL expression, of type `bigint`: the bucket of a row whose key is these columns, in their
/// order. NULLs are counted as the placement counts them.
///
/// # Errors
/// 0A000: more than eight columns, or one of a type that has no hash. Those of [`identifier`].
/// XX000: no columns.
pub fn bucket(key: &[(&str, SqlType)]) -> Result<String> {
    let Some(((first, first_type), rest)) = key.split_first() else {
        return Err(ErrorReport::internal("a distribution key has no columns"));
    };
    let count = key.len() as u32;
    if count > COLUMNS_MAX {
        let message = format!("a database cannot compute the buckets of a key of {count} columns");
        return Err(ErrorReport::unsupported(message));
    }
    let bits_at_end = (BUCKET_COUNT as u32).ilog2();
    let mut bits = bits_at_end + SHIFT * (count - 1);
    let summand = summand(first, *first_type, bits)?;
    let mut combined = format!("COALESCE(({summand}) & {}, 0)", mask(bits));
    for (name, sql_type) in rest {
        bits -= SHIFT;
        let (summand, mask) = (self::summand(name, *sql_type, bits)?, mask(bits));
        let shifted = format!("(({combined} >> {SHIFT}) & {mask})");
        let change = format!("COALESCE(({summand} + {shifted}) & {mask}, 0)");
        combined = format!("pg_catalog.int8xor({combined} & {mask}, {change})");
    }
    Ok(match key.len() {
        1 => combined,
        _ => format!("({combined})"),
    })
}

/// The hash of a column's value and the constant, both in their last `bits` bits.
fn summand(name: &str, sql_type: SqlType, bits: u32) -> Result<String> {
    let hash = value_hash(name, sql_type, PARTITION_SEED)?;
    Ok(format!("({hash} & {}) + {}", mask(bits), GOLDEN & mask(bits)))
}

fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

/// An SQL expression, of type `bigint`: the hash of a column's value as in hash partitions; NULL for
/// NULL.
///
/// # Errors
/// 0A000: the type has no hash. Those of [`identifier`].
pub(super) fn value_hash(name: &str, sql_type: SqlType, seed: i64) -> Result<String> {
    let column = identifier(name)?;
    let (function, argument) = match sql_type {
        SqlType::SmallInt => ("hashint2extended", column),
        SqlType::Integer => ("hashint4extended", column),
        SqlType::BigInt => ("hashint8extended", column),
        SqlType::Real => ("hashfloat4extended", column),
        SqlType::Double => ("hashfloat8extended", column),
        SqlType::Numeric(..) => ("hash_numeric_extended", column),
        // Their functions take "char" and integer, which only the hash partition may give them.
        SqlType::Boolean => ("hashint4extended", format!("{column}::pg_catalog.int4")),
        SqlType::Date => ("hashint4extended", days_since_2000(&column)),
        SqlType::Text | SqlType::Varchar(_) | SqlType::Name => {
            ("hashtextextended", format!("{column}::pg_catalog.text COLLATE \"C\""))
        }
        SqlType::Char(_) => ("hashbpcharextended", format!("{column} COLLATE \"C\"")),
        SqlType::Time => ("time_hash_extended", column),
        SqlType::Timestamp => ("timestamp_hash_extended", column),
        SqlType::TimestampTz => {
            ("timestamp_hash_extended", format!("pg_catalog.timezone('UTC', {column})"))
        }
        SqlType::Interval => ("interval_hash_extended", column),
        SqlType::Uuid => ("uuid_hash_extended", column),
        SqlType::Bytea => return Ok(bytea_hash(&column, seed)),
        SqlType::Oid
        | SqlType::Json
        | SqlType::Jsonb
        | SqlType::Array(_)
        | SqlType::Int2Vector
        | SqlType::OidVector => {
            return Err(ErrorReport::unsupported(format!("type {sql_type} has no hash")));
        }
    };
    Ok(format!("pg_catalog.{function}({argument}, {seed})"))
}

/// A date as the integer that it is; the two that are no days are the ends of the integers.
fn days_since_2000(column: &str) -> String {
    format!(
        "CASE {column} WHEN 'infinity'::pg_catalog.date THEN '2147483647'::pg_catalog.int4 \
         WHEN '-infinity'::pg_catalog.date THEN '-2147483648'::pg_catalog.int4 \
         ELSE {column} - '2000-01-01'::pg_catalog.date END"
    )
}

/// `bytea` has no function of its own that SQL can call; an array of one element has the hash
/// `31 + element` (`hash_array_extended` in `src/backend/utils/adt/arrayfuncs.c`), of 64 bits. A
/// number of which 31 can be taken without leaving them has the same last 62.
fn bytea_hash(column: &str, seed: i64) -> String {
    let (mask, room) = (mask(62), mask(62) - 30);
    format!(
        "(CASE WHEN {column} IS NOT NULL THEN \
         ((pg_catalog.hash_array_extended(ARRAY[{column}], {seed}) & {mask}) + {room}) & {mask} END)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        for (key, expected) in [
            (
                vec![("k", SqlType::BigInt)],
                "COALESCE(((pg_catalog.hashint8extended(\"k\", 8816678312871386365) & 4095) + 2275) \
                 & 4095, 0)",
            ),
            (
                vec![("a", SqlType::Integer), ("b", SqlType::Text)],
                "(pg_catalog.int8xor(COALESCE(((pg_catalog.hashint4extended(\"a\", \
                 8816678312871386365) & 524287) + 370915) & 524287, 0) & 4095, \
                 COALESCE(((pg_catalog.hashtextextended(\"b\"::pg_catalog.text COLLATE \"C\", \
                 8816678312871386365) & 4095) + 2275 + \
                 ((COALESCE(((pg_catalog.hashint4extended(\"a\", 8816678312871386365) & 524287) + \
                 370915) & 524287, 0) >> 7) & 4095)) & 4095, 0)))",
            ),
        ] {
            assert_eq!(bucket(&key).unwrap(), expected);
        }
    }

    #[test]
    fn keys_that_have_no_bucket() {
        use kestrel_proto::SqlState;
        let nine = [("k", SqlType::Integer); 9];
        let unsupported = SqlState::FEATURE_NOT_SUPPORTED;
        assert_eq!(bucket(&nine).unwrap_err().sqlstate, unsupported);
        assert_eq!(bucket(&[("j", SqlType::Jsonb)]).unwrap_err().sqlstate, unsupported);
        assert_eq!(bucket(&[]).unwrap_err().sqlstate, SqlState::INTERNAL_ERROR);
    }
}
