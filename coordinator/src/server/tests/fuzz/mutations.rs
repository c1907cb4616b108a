//! Small changes of bytes, one after another.

#![allow(clippy::ptr_arg, reason = "some mutations change the length, and all have one type")]

use rand::Rng;

use super::driver::Random;

type Mutation = fn(&mut Vec<u8>, &mut Random);

/// All of them; none fails, whatever the bytes are.
const MUTATIONS: &[Mutation] = &[
    flip_bit,
    set_byte,
    insert_byte,
    remove_range,
    repeat_range,
    cut_off,
    set_count,
    set_length,
    swap_ranges,
];

/// Bytes at which readers decide something.
const BYTES: &[u8] =
    b"\0\x01\x7f\x80\xbf\xc0\xc3\xe4\xf0\xff \t\r\n'\"\\$,;:.=()[]{}<>-+*/#@0123456789eExXnNdQSBPE";
/// Counts of which there is never so much.
const COUNTS: &[u16] = &[0, 1, 2, 0x7fff, 0x8000, 0xfffe, 0xffff];
/// The same for lengths.
const LENGTHS: &[u32] = &[
    0,
    1,
    3,
    4,
    5,
    0x3fff_ffff,
    0x4000_0000,
    0x7fff_fffb,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
];
/// No input grows beyond this.
const MOST_BYTES: usize = 4096;

/// Changes bytes in one to four places.
pub(super) fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..random.random_range(1..=4) {
        one_of(MUTATIONS, random)(bytes, random);
    }
    bytes.truncate(MOST_BYTES);
}

/// One of several.
pub(super) fn one_of<T: Copy>(items: &[T], random: &mut Random) -> T {
    items[random.random_range(0..items.len())]
}

/// A range within the bytes, not a long one.
fn range(bytes: &[u8], random: &mut Random) -> std::ops::Range<usize> {
    let start = random.random_range(0..=bytes.len());
    let end = random.random_range(start..=bytes.len().min(start + 16));
    start..end
}

fn flip_bit(bytes: &mut Vec<u8>, random: &mut Random) {
    if !bytes.is_empty() {
        let at = random.random_range(0..bytes.len());
        bytes[at] ^= 1u8 << random.random_range(0..8u32);
    }
}

fn set_byte(bytes: &mut Vec<u8>, random: &mut Random) {
    if !bytes.is_empty() {
        let at = random.random_range(0..bytes.len());
        bytes[at] = one_of(BYTES, random);
    }
}

fn insert_byte(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.random_range(0..=bytes.len());
    bytes.insert(at, one_of(BYTES, random));
}

fn remove_range(bytes: &mut Vec<u8>, random: &mut Random) {
    let range = range(bytes, random);
    bytes.drain(range);
}

fn repeat_range(bytes: &mut Vec<u8>, random: &mut Random) {
    let range = range(bytes, random);
    let copy = bytes[range.clone()].repeat(random.random_range(1..=8));
    bytes.splice(range.end..range.end, copy);
}

fn cut_off(bytes: &mut Vec<u8>, random: &mut Random) {
    bytes.truncate(random.random_range(0..=bytes.len()));
}

fn set_count(bytes: &mut Vec<u8>, random: &mut Random) {
    overwrite(bytes, &one_of(COUNTS, random).to_be_bytes(), random);
}

fn set_length(bytes: &mut Vec<u8>, random: &mut Random) {
    overwrite(bytes, &one_of(LENGTHS, random).to_be_bytes(), random);
}

fn overwrite(bytes: &mut [u8], with: &[u8], random: &mut Random) {
    if let Some(last) = bytes.len().checked_sub(with.len()) {
        let at = random.random_range(0..=last);
        bytes[at..at + with.len()].copy_from_slice(with);
    }
}

fn swap_ranges(bytes: &mut Vec<u8>, random: &mut Random) {
    let middle = random.random_range(0..=bytes.len());
    let (head, tail) = bytes.split_at_mut(middle);
    let count = head.len().min(tail.len()).min(8);
    let at = head.len() - count;
    head[at..].swap_with_slice(&mut tail[..count]);
}

#[test]
fn no_change_fails_or_grows_for_ever() {
    use rand::SeedableRng;

    let mut random = Random::seed_from_u64(1);
    for start in [&b""[..], b"a", b"abcdefgh"] {
        let mut bytes = start.to_vec();
        let mut different = 0;
        for _ in 0..10_000 {
            let before = bytes.clone();
            mutate(&mut bytes, &mut random);
            different += usize::from(before != bytes);
            assert!(bytes.len() <= MOST_BYTES);
        }
        assert!(different > 1_000, "{different} of 10000 changes changed anything");
    }
}
