//! All that a client sends, from its first packet to its last: each message has its answer, and
//! the server comes to an end.

use std::sync::Arc;

use kestrel_planner::catalog::Verifier;
use rand::Rng;
use tempfile::TempDir;

use super::answers::{Phase, answer, next};
use super::corpus::{self, FIRST_PACKETS};
use super::driver::{Random, Target, fuzz};
use super::mutations::{mutate, one_of};
use super::session::WordBackend;
use crate::access::{Gate, MockNonce, RuleSource};
use crate::server::ServeOptions;
use crate::server::tests::wire::{Wire, timers};

/// The server takes no longer messages.
const MAX_MESSAGE_BYTES: usize = 100_000;
/// What a client sends to be allowed to encrypt; the server, which cannot, answers `N`.
const WISHES: &[&[u8]] = &[b"\x04\xd2\x16\x2f", b"\x04\xd2\x16\x30"];
/// Asks for the answers that are ready.
const FLUSH: &[u8] = b"H\0\0\0\x04";

#[test]
fn conversations() {
    fuzz(Target { test: "conversations", make, one_in: 40 }, prepare);
}

fn prepare() -> impl FnMut(&[u8], &mut Random) {
    let runtime = timers();
    let directory = TempDir::new().unwrap();
    let rules = directory.path().join("rules");
    std::fs::write(&rules, "host all ann all scram-sha-256\nhost all all all trust\n").unwrap();
    let gate = Gate::new(RuleSource::Required(rules), None, MockNonce([1; 32])).unwrap();
    let max_message_bytes = MAX_MESSAGE_BYTES;
    let options =
        ServeOptions { gate: Arc::new(gate), max_message_bytes, ..ServeOptions::default() };
    let verifier = Verifier::new(format!("SCRAM-SHA-256$1:AAAA${0}=:{0}=", "A".repeat(43)));
    let backend = Arc::new(WordBackend { verifier });
    move |input: &[u8], random: &mut Random| {
        let _context = runtime.enter();
        let mut wire = Wire::new(Arc::clone(&backend), options.clone());
        match random.random_ratio(3, 4) {
            true => step_by_step(&mut wire, input),
            false => in_pieces(&mut wire, input, random),
        }
        let ended = answer(&wire.end(), wire.has_ended());
        assert!(ended.is_closed, "the client has gone, and the server is still there");
        assert!(options.clients.is_empty(), "the client has still a place");
    }
}

fn make(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    if random.random_ratio(1, 8) {
        bytes.extend(corpus::first_packet(one_of(WISHES, random)));
    }
    let is_usual = random.random_ratio(3, 4);
    let mut first =
        if is_usual { FIRST_PACKETS[0] } else { one_of(FIRST_PACKETS, random) }.to_vec();
    if random.random_ratio(1, 8) {
        mutate(&mut first, random);
    }
    bytes.extend(corpus::first_packet(&first));
    bytes.extend(corpus::messages(random));
    bytes
}

/// Message by message, each answered before the next is sent.
fn step_by_step(wire: &mut Wire, mut input: &[u8]) {
    let mut phase = Phase::Startup;
    let mut is_first = true;
    while phase != Phase::Closed {
        let Some((sent, rest)) = cut(input, is_first) else { break };
        input = rest;
        if is_first && WISHES.contains(&&sent[4..]) {
            let received = wire.exchange(sent);
            if wire.has_ended() {
                let last_words = received.strip_prefix(b"N").unwrap_or(&received);
                assert!(answer(last_words, true).is_fatal, "a wish too many");
                return;
            }
            assert_eq!(received, b"N", "no encryption");
            continue;
        }
        let kind = if is_first { 0 } else { sent[0] };
        let mut received = wire.exchange(sent);
        if b"PBDEC".contains(&kind) {
            received.extend(wire.exchange(FLUSH));
        }
        phase = next(phase, kind, &answer(&received, wire.has_ended()));
        is_first = false;
    }
    if phase != Phase::Closed {
        // What is no whole message.
        let received = wire.exchange(input);
        answer(&received, wire.has_ended());
    }
}

/// The first message, and what follows it; `None`: it is not whole.
fn cut(input: &[u8], is_first: bool) -> Option<(&[u8], &[u8])> {
    let kind_bytes = usize::from(!is_first);
    let length = input.get(kind_bytes..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))?;
    let least = if is_first { 8 } else { 4 };
    let length = usize::try_from(length).ok().filter(|length| *length >= least)?;
    input.split_at_checked(kind_bytes + length)
}

/// Everything, cut anywhere, without a look at the answers in between.
fn in_pieces(wire: &mut Wire, mut input: &[u8], random: &mut Random) {
    let mut received = Vec::new();
    while !input.is_empty() {
        let (piece, rest) = input.split_at(random.random_range(1..=input.len().min(100)));
        received.extend(wire.exchange(piece));
        input = rest;
    }
    // The first message of a server is no notice: an `N` before it is the answer to a wish.
    let wishes = received.iter().take_while(|byte| **byte == b'N').count();
    assert!(wishes <= 3);
    answer(&received[wishes..], wire.has_ended());
}
