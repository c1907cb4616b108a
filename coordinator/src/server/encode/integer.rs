//! Digits of integers.

use bytes::{BufMut, BytesMut};

/// Appends a number in decimal.
pub(super) fn put_signed(out: &mut BytesMut, value: i64) {
    if value < 0 {
        out.put_u8(b'-');
    }
    put(out, value.unsigned_abs(), 1);
}

/// The two digits of each number below 100, one behind the other.
const PAIRS: [u8; 200] = {
    let mut pairs = [0; 200];
    let mut i = 0;
    while i < 100 {
        pairs[2 * i] = b'0' + (i / 10) as u8;
        pairs[2 * i + 1] = b'0' + (i % 10) as u8;
        i += 1;
    }
    pairs
};

/// Appends a number in decimal with at least `width` digits (at most 20), zeros in front.
pub(super) fn put(out: &mut BytesMut, mut value: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    // Two digits for each division.
    while value >= 100 {
        let pair = 2 * (value % 100) as usize;
        value /= 100;
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    let pair = 2 * value as usize;
    at -= 2;
    digits[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    if value < 10 {
        at += 1;
    }
    out.extend_from_slice(&digits[at.min(digits.len() - width.min(digits.len()))..]);
}

/// Appends a 128-bit number in decimal with at least `width` digits (at most 39).
pub(super) fn put_wide(out: &mut BytesMut, value: u128, width: usize) {
    /// 10^19, the highest power of ten in 64 bits.
    const CHUNK: u128 = 10_000_000_000_000_000_000;
    // Most numbers fit 64 bits, where division is ten times faster.
    if let (Ok(value), 0..=19) = (u64::try_from(value), width) {
        return put(out, value, width);
    }
    let (high, low) = (value / CHUNK, (value % CHUNK) as u64);
    put_wide(out, high, width.saturating_sub(19).max(1));
    put(out, low, 19);
}
