//! The hashes of single values, by PostgreSQL type. Each function names the PostgreSQL function
//! whose value it returns.

use arrow::datatypes::IntervalMonthDayNano;

use super::jenkins::{hash_bytes, hash_u32};

/// The seed with which PostgreSQL hashes partition keys (`HASH_PARTITION_SEED` in
/// `src/include/catalog/partition.h`).
pub(super) const PARTITION_SEED: u64 = 0x7A5B_2236_7996_DCFD;

/// 1970-01-01 in days before PostgreSQL's epoch, 2000-01-01.
const EPOCH_DAYS: i32 = 10_957;
const DAY_US: i64 = 86_400_000_000;

/// `hashint2extended`, `hashint4extended`; also `date` as days and `boolean` as 0 or 1.
#[inline]
pub(super) const fn hash_int4(value: i32, seed: u64) -> u64 {
    hash_u32(value as u32, seed)
}

/// `hashint8extended`: equal to [`hash_int4`] for values that an `integer` can hold.
#[inline]
pub(super) const fn hash_int8(value: i64, seed: u64) -> u64 {
    let (low, high) = (value as u32, (value >> 32) as u32);
    let sign = (value >> 63) as u32;
    hash_u32(low ^ high ^ sign, seed)
}

/// `hashfloat8extended`, and `hashfloat4extended` of a `real` widened to `double precision`. Minus
/// zero hashes as zero, every NaN as the same one.
#[inline]
pub(super) fn hash_float8(value: f64, seed: u64) -> u64 {
    const QUIET_NAN: u64 = 0x7ff8_0000_0000_0000;
    if value == 0.0 {
        return seed;
    }
    let bits = if value.is_nan() { QUIET_NAN } else { value.to_bits() };
    hash_bytes(&bits.to_le_bytes(), seed)
}

/// `hashint4extended` of a `date`, given in days since 1970-01-01; the two extreme numbers are
/// `infinity` and `-infinity`, as in PostgreSQL.
#[inline]
pub(super) const fn hash_date(days: i32, seed: u64) -> u64 {
    let infinite = days == i32::MAX || days == i32::MIN;
    hash_int4(if infinite { days } else { days.wrapping_sub(EPOCH_DAYS) }, seed)
}

/// `timestamp_hash_extended`, for `timestamp with time zone` too, given in microseconds since
/// 1970-01-01 (UTC); the two extreme numbers are `infinity` and `-infinity`, as in PostgreSQL.
#[inline]
pub(super) const fn hash_timestamp(us: i64, seed: u64) -> u64 {
    const EPOCH_US: i64 = EPOCH_DAYS as i64 * DAY_US;
    let infinite = us == i64::MAX || us == i64::MIN;
    hash_int8(if infinite { us } else { us.wrapping_sub(EPOCH_US) }, seed)
}

/// `interval_hash_extended`: the length in microseconds, a month being 30 days of 24 hours, of which
/// PostgreSQL hashes the lower 64 bits. So `1 mon` hashes as `30 days` does, to which it is equal.
#[inline]
pub(super) const fn hash_interval(value: IntervalMonthDayNano, seed: u64) -> u64 {
    let days = value.months as i64 * 30 + value.days as i64;
    hash_int8(days.wrapping_mul(DAY_US).wrapping_add(value.nanoseconds / 1000), seed)
}

/// `hashtextextended` of a deterministic collation, `hashvarlenaextended`, `uuid_hash_extended`.
#[inline]
pub(super) fn hash_binary(value: &[u8], seed: u64) -> u64 {
    hash_bytes(value, seed)
}

/// `hashbpcharextended`: trailing blanks do not count.
#[inline]
pub(super) fn hash_char(value: &[u8], seed: u64) -> u64 {
    let blanks = value.iter().rev().take_while(|byte| **byte == b' ').count();
    hash_bytes(&value[..value.len() - blanks], seed)
}
