//! The hash of a `numeric` (`hash_numeric_extended` in `src/backend/utils/adt/numeric.c`).
//!
//! PostgreSQL holds a numeric as digits of base 10000, counted from the decimal point:
//!
//! ```text
//! 12345.6  =  0001 2345 . 6000     digits 1, 2345, 6000; weight 1: the first stands for 10000^1
//!  0.0012  =            . 0012     digit  12;            weight -1
//! ```
//!
//! It hashes the digits between the zero digits at both ends, and the weight of the first of them.
//! Neither sign nor scale counts: 1, -1 and 1.00 hash alike.

use super::jenkins::hash_bytes;

const BASE: u64 = 10_000;

/// The most digits that an `i128` can have: 39 decimal digits, of which the lowest base-10000 digit
/// may hold only one, make 11.
const DIGITS_MAX: usize = 11;

/// Hashes decimals of one scale.
#[derive(Clone, Copy, Debug)]
pub(super) struct NumericHasher {
    /// The lowest digit stands for 10000 to the power of this.
    lowest_weight: i32,
    /// 10 to the power of the decimal digits that a decimal's integer has in its lowest digit: 10,
    /// 100, 1000, or 10000 where the decimal point is between two digits.
    lowest_base: u64,
}

impl NumericHasher {
    /// For decimals whose value is their integer times 10 to the power of `-scale`.
    pub(super) fn new(scale: i8) -> Self {
        let scale = i32::from(scale);
        match scale.rem_euclid(4) {
            0 => Self { lowest_weight: -scale.div_euclid(4), lowest_base: BASE },
            there => Self {
                lowest_weight: -scale.div_euclid(4) - 1,
                lowest_base: 10_u64.pow(there as u32),
            },
        }
    }

    /// The hash of the decimal with this integer.
    #[inline]
    pub(super) fn hash(self, value: i128, seed: u64) -> u64 {
        let mut digits = Digits { weight: self.lowest_weight, ..Digits::default() };
        let (mut rest, lowest) = divide(value.unsigned_abs(), self.lowest_base);
        digits.push(lowest * (BASE / self.lowest_base));
        while rest != 0 {
            let (quotient, digit) = divide(rest, BASE);
            digits.push(digit);
            rest = quotient;
        }
        if digits.count == 0 {
            return seed.wrapping_sub(1);
        }
        // PostgreSQL's weight is an int, widened with its sign.
        let first_weight = digits.weight + digits.count as i32 - 1;
        hash_bytes(digits.bytes(), seed) ^ i64::from(first_weight) as u64
    }
}

/// Quotient and remainder. Division of 128 bits is slow: it is avoided for what fits 64.
#[inline]
fn divide(value: u128, by: u64) -> (u128, u64) {
    match u64::try_from(value) {
        Ok(value) => (u128::from(value / by), value % by),
        Err(_) => (value / u128::from(by), (value % u128::from(by)) as u64),
    }
}

/// Base-10000 digits, pushed from the lowest up and held from the highest down, as PostgreSQL's
/// `int16` on a little-endian machine. No zero digits at the low end; the highest pushed must not be
/// zero.
#[derive(Default)]
struct Digits {
    held: [u8; 2 * DIGITS_MAX],
    count: usize,
    /// The lowest held digit stands for 10000 to the power of this.
    weight: i32,
}

impl Digits {
    #[inline]
    fn push(&mut self, digit: u64) {
        if digit == 0 && self.count == 0 {
            self.weight += 1;
            return;
        }
        self.count += 1;
        let at = self.held.len() - 2 * self.count;
        self.held[at..at + 2].copy_from_slice(&(digit as u16).to_le_bytes());
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        &self.held[self.held.len() - 2 * self.count..]
    }
}
