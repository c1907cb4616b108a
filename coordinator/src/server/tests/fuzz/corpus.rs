//! Valid conversations, as data: what a client sends, message by message.

use rand::Rng;

use super::driver::Random;
use super::mutations::{mutate, one_of};

/// A message: its kind and what follows the length.
pub(super) type Message = (u8, &'static [u8]);

/// Packets that a connection may begin with, without their length.
pub(super) const FIRST_PACKETS: &[&[u8]] = &[
    b"\0\x03\0\0user\0me\0\0",
    b"\0\x03\0\0user\0me\0database\0kestrel\0application_name\0psql\0client_encoding\0UTF8\0\0",
    b"\0\x03\0\0user\0me\0options\0-c TimeZone=UTC\0DateStyle\0ISO\0\0",
    b"\0\x03\0\x02user\0me\0_pq_.x\0y\0\0",
    b"\0\x03\0\0user\0ann\0\0",
    b"\x04\xd2\x16\x2f",
    b"\x04\xd2\x16\x30",
    b"\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x02",
];

/// What may follow them.
pub(super) const CONVERSATIONS: &[&[Message]] = &[
    // Simple queries.
    &[(b'Q', b"rows 5\0"), (b'Q', b"\0"), (b'Q', b"begin; rows 2; commit\0"), (b'X', b"")],
    &[(b'Q', b"fail\0"), (b'Q', b"begin; fail; done\0"), (b'Q', b"late\0"), (b'Q', b"syntax\0")],
    // COPY both ways.
    &[(b'Q', b"copy\0"), (b'd', b"1\ta\n2\t"), (b'd', b"\\N\n"), (b'c', b""), (b'Q', b"done\0")],
    &[(b'Q', b"csv; done\0"), (b'd', b"1,\"a\nb\"\n"), (b'H', b""), (b'S', b""), (b'c', b"")],
    &[(b'Q', b"copy; copy\0"), (b'c', b""), (b'd', b"1\tx\n"), (b'f', b"no more\0"), (b'S', b"")],
    &[
        (b'Q', b"binary\0"),
        (b'd', b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x04\0\0\0\x07\xff\xff\xff\xff"),
        (b'd', b"\xff\xff"),
        (b'c', b""),
    ],
    &[(b'Q', b"copy\0"), (b'd', b"x\ty\n"), (b'd', b"1\ta\n"), (b'c', b""), (b'Q', b"rows 1\0")],
    &[(b'Q', b"out 7\0"), (b'Q', b"copy\0"), (b'Q', b"done\0"), (b'S', b"")],
    // The extended protocol.
    &[
        (b'P', b"s\0echo 2\0\0\x02\0\0\0\x17\0\0\0\x19"),
        (b'D', b"Ss\0"),
        (b'B', b"p\0s\0\0\x02\0\x01\0\0\0\x02\0\0\0\x04\0\0\0\x07\0\0\0\x03abc\0\x01\0\x01"),
        (b'D', b"Pp\0"),
        (b'E', b"p\0\0\0\0\0"),
        (b'C', b"Pp\0"),
        (b'C', b"Ss\0"),
        (b'S', b""),
    ],
    &[
        (b'P', b"\0rows 9\0\0\0"),
        (b'B', b"\0\0\0\0\0\0\0\0"),
        (b'E', b"\0\0\0\0\x02"),
        (b'H', b""),
        (b'E', b"\0\0\0\0\x04"),
        (b'E', b"\0\0\0\0\0"),
        (b'E', b"\0\0\0\0\0"),
        (b'S', b""),
    ],
    &[
        (b'P', b"\0copy\0\0\0"),
        (b'B', b"\0\0\0\0\0\0\0\0"),
        (b'E', b"\0\0\0\0\0"),
        (b'S', b""),
        (b'd', b"1\tone\n"),
        (b'c', b""),
        (b'S', b""),
    ],
    &[
        (b'P', b"\0copy\0\0\0"),
        (b'B', b"\0\0\0\0\0\0\0\0"),
        (b'E', b"\0\0\0\0\0"),
        (b'd', b"one\n"),
        (b'c', b""),
        (b'Q', b"done\0"),
        (b'S', b""),
        (b'Q', b"done\0"),
    ],
    &[
        (b'P', b"\0echo 1\0\0\x01\0\0\x06\xa4"),
        (b'B', b"\0\0\0\x01\0\x01\0\x01\0\0\0\x0a\0\x01\0\0\0\0\0\0\0\x07\0\0"),
        (b'E', b"nothere\0\0\0\0\0"),
        (b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xff\0\0"),
        (b'S', b""),
        (b'S', b""),
        (b'P', b"\0\0\0\0"),
        (b'B', b"\0\0\0\0\0\0\0\0"),
        (b'E', b"\0\0\0\0\0"),
        (b'S', b""),
    ],
    // Not in their place, or not at all.
    &[(b'F', b"\0\0\x04\xd2\0\0\0\0\0\0"), (b'c', b""), (b'd', b"x"), (b'f', b"x\0"), (b'S', b"")],
    &[(b'p', b"SCRAM-SHA-256\0\0\0\0\x08n,,n=,r=a"), (b'Q', b"done\0")],
    &[(b'p', b"SCRAM-SHA-256\0\0\0\0\x0cn,,n=,r=abcd"), (b'p', b"c=biws,r=abcd,p=AAAA")],
    &[(b'E', b"\0\0\0\0\0"), (b'P', b"\0rows 1\0\0\0"), (b'X', b""), (b'Q', b"rows 1\0")],
];

/// A message as it is sent.
pub(super) fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind], &length.to_be_bytes()[..], body].concat()
}

/// A first packet as it is sent.
pub(super) fn first_packet(body: &[u8]) -> Vec<u8> {
    framed(0, body).split_off(1)
}

/// Messages of one or two conversations, some of them changed, dropped, sent twice or too early:
/// most have a length that is true, so that what is in them is read.
pub(super) fn messages(random: &mut Random) -> Vec<u8> {
    let mut messages: Vec<(u8, Vec<u8>)> = Vec::new();
    for _ in 0..random.random_range(1..=2) {
        let conversation = one_of(CONVERSATIONS, random);
        messages.extend(conversation.iter().map(|(kind, body)| (*kind, body.to_vec())));
    }
    for _ in 0..random.random_range(0..=3) {
        let at = random.random_range(0..messages.len());
        match random.random_range(0..8) {
            0 if messages.len() > 1 => drop(messages.remove(at)),
            1 => messages.insert(at, messages[at].clone()),
            2 => messages.swap(0, at),
            3 => messages[at].0 = one_of(b"BCDEFHPQSXcdfp!\0\xff", random),
            _ => mutate(&mut messages[at].1, random),
        }
    }
    let mut bytes: Vec<u8> = messages.iter().flat_map(|(kind, body)| framed(*kind, body)).collect();
    if random.random_ratio(1, 4) {
        mutate(&mut bytes, random);
    }
    bytes
}
