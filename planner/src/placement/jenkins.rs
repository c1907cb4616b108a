//! Bob Jenkins' lookup3 as PostgreSQL has it (`hash_bytes_extended`, `hash_bytes_uint32_extended`
//! and `hash_combine64` in `src/common/hashfn.c` and `src/include/common/hashfn.h`).
//!
//! Not the lookup3 of other libraries: a 64-bit seed is mixed in, the lowest byte of the third word
//! is kept free of the last bytes of the input, and the result has 64 bits.

/// The three words of the running state.
type State = [u32; 3];

/// The hash of some bytes.
#[inline]
pub(super) fn hash_bytes(bytes: &[u8], seed: u64) -> u64 {
    let mut state = start(bytes.len() as u32, seed);
    let (blocks, tail) = bytes.as_chunks::<12>();
    for block in blocks {
        state = mix(add(state, words(block)));
    }
    let mut last = [0; 12];
    last[..tail.len()].copy_from_slice(tail);
    let [a, b, c] = words(&last);
    // The lowest byte of the third word is reserved for the length, which `start` has put there.
    finish(add(state, [a, b, c << 8]))
}

/// The hash of four bytes, given as a number.
#[inline]
pub(super) const fn hash_u32(value: u32, seed: u64) -> u64 {
    finish(add(start(4, seed), [value, 0, 0]))
}

/// Folds the hash of one more column into the hash of a row.
#[inline]
pub(super) const fn combine(row: u64, column: u64) -> u64 {
    row ^ column.wrapping_add(0x49a0_f4dd_15e5_a8e3).wrapping_add(row << 54).wrapping_add(row >> 7)
}

#[inline]
const fn start(length: u32, seed: u64) -> State {
    let word = 0x9e37_79b9_u32.wrapping_add(length).wrapping_add(3_923_095);
    let state = [word, word, word];
    if seed == 0 { state } else { mix(add(state, [(seed >> 32) as u32, seed as u32, 0])) }
}

#[inline]
const fn words(block: &[u8; 12]) -> State {
    [
        u32::from_le_bytes([block[0], block[1], block[2], block[3]]),
        u32::from_le_bytes([block[4], block[5], block[6], block[7]]),
        u32::from_le_bytes([block[8], block[9], block[10], block[11]]),
    ]
}

#[inline]
const fn add([a, b, c]: State, [x, y, z]: State) -> State {
    [a.wrapping_add(x), b.wrapping_add(y), c.wrapping_add(z)]
}

/// Jenkins' `mix`: reversible, so that no input bit is lost.
#[inline]
const fn mix([mut a, mut b, mut c]: State) -> State {
    a = a.wrapping_sub(c) ^ c.rotate_left(4);
    c = c.wrapping_add(b);
    b = b.wrapping_sub(a) ^ a.rotate_left(6);
    a = a.wrapping_add(c);
    c = c.wrapping_sub(b) ^ b.rotate_left(8);
    b = b.wrapping_add(a);
    a = a.wrapping_sub(c) ^ c.rotate_left(16);
    c = c.wrapping_add(b);
    b = b.wrapping_sub(a) ^ a.rotate_left(19);
    a = a.wrapping_add(c);
    c = c.wrapping_sub(b) ^ b.rotate_left(4);
    b = b.wrapping_add(a);
    [a, b, c]
}

/// Jenkins' `final`, and the 64 bits that PostgreSQL takes of its state.
#[inline]
const fn finish([mut a, mut b, mut c]: State) -> u64 {
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    c = (c ^ b).wrapping_sub(b.rotate_left(24));
    ((b as u64) << 32) | c as u64
}
