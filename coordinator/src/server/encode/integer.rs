//! Digits of integers.

use bytes::{BufMut, BytesMut};

/// Appends a number in decimal.
pub(super) fn put_signed(out: &mut BytesMut, value: i64) {
    if value < 0 {
        out.put_u8(b'-');
    }
    put(out, value.unsigned_abs(), 1);
}

/// Appends a number in decimal with at least `width` digits (at most 20), zeros in front.
pub(super) fn put(out: &mut BytesMut, mut value: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 || at == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at.min(digits.len() - width.min(digits.len()))..]);
}

/// Appends a 128-bit number in decimal with at least `width` digits (at most 39).
pub(super) fn put_wide(out: &mut BytesMut, value: u128, width: usize) {
    /// 10^19, the highest power of ten in 64 bits.
    const CHUNK: u128 = 10_000_000_000_000_000_000;
    let (high, low) = (value / CHUNK, (value % CHUNK) as u64);
    if high == 0 && width <= 19 {
        return put(out, low, width);
    }
    put_wide(out, high, width.saturating_sub(19).max(1));
    put(out, low, 19);
}
