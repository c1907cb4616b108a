//! Hand-made histories: each anomaly is found, and what is allowed passes.

use super::{Kind, Operation, Transaction, anomalies};

/// Transactions of a few words each: `a1` appends 1 to list `a`, `a:12` reads 1 and 2 in it, `a:`
/// nothing; the last word `!` is a rollback. All are at the same time, but for those after a `;`.
fn history(text: &str) -> Vec<Transaction> {
    let mut history = Vec::new();
    for (time, group) in text.split(';').enumerate() {
        for (session, words) in group.split('|').enumerate() {
            let words: Vec<&str> = words.split_whitespace().collect();
            history.push(Transaction {
                session,
                begin: time as u64 * 10,
                end: time as u64 * 10 + 5,
                is_committed: words.last() != Some(&"!"),
                operations: words.into_iter().filter(|w| *w != "!").map(operation).collect(),
            });
        }
    }
    history
}

fn operation(word: &str) -> Operation {
    let list = u32::from(word.as_bytes()[0] - b'a');
    let digits = |text: &str| text.chars().map(|c| c.to_digit(10).unwrap()).collect();
    match word[1..].strip_prefix(':') {
        Some(values) => Operation::Read { list, values: digits(values) },
        None => Operation::Append { list, value: word[1..].parse().unwrap() },
    }
}

fn check(text: &str, expected: Option<Kind>) {
    let found = anomalies(&history(text));
    let kinds: Vec<_> = found.iter().map(|anomaly| anomaly.kind).collect();
    match expected {
        None => assert!(found.is_empty(), "{text}: {found:?}"),
        Some(kind) => assert!(kinds.contains(&kind), "{text}: {found:?}"),
    }
}

#[test]
fn what_is_allowed_passes() {
    for text in [
        "",
        // One after the other.
        "a1 ; a:1 a2 ; a:12 a3 ; a:123",
        "a1 b1 ; a:1 b:1",
        // Own appends are seen, and others' that were there.
        "a1 ; a2 a:12 a3 a:123 ; a:123",
        "a: a1 a:1",
        // Readers before and after a writer.
        "a1 b1 | a: b: | a:1 b:1 ; a:1 b:1",
        // Write skew.
        "a: b1 | b: a1 ; a:1 b:1",
        "a: b: a1 | a: b: b1 ; a:1 b:1",
        // Write skew of three.
        "a: b1 | b: c1 | c: a1 ; a:1 b:1 c:1",
        // Rolled back: not there, whatever it saw of itself.
        "a1 a:1 ! ; a: ; a2 ; a:2",
        // Nobody has read what was committed at the end.
        "a1 ; a:1 | a2",
        // Readers of one order.
        "a1 | b1 | a:1 b: | a:1 b:1 | a: b: ; a:1 b:1",
    ] {
        check(text, None);
    }
}

#[test]
fn what_is_forbidden_is_found() {
    for (text, kind) in [
        // Not its own append, not the same twice, not in its place.
        ("a1 a:", Kind::Internal),
        ("a: a: | a1 a:1 ; a: a:1", Kind::Internal),
        ("a: a1 a:21 | a2 ; a:21", Kind::Internal),
        ("a1 a: !", Kind::Internal),
        ("a:7", Kind::Unwritten),
        ("a1 ; a:11", Kind::Duplicate),
        // G1a
        ("a1 ! ; a:1", Kind::AbortedRead),
        ("a1 ! | a2 ; a:12", Kind::AbortedRead),
        // G1b
        ("a1 a2 | a:1 ; a:12", Kind::IntermediateRead),
        ("a1 | a2 a3 | a:12 ; a:123", Kind::IntermediateRead),
        ("a1 | a2 | a:1 | a:2 ; a:12", Kind::OtherOrder),
        ("a1 | a2 ; a:12 | a:21", Kind::OtherOrder),
        ("a1 ; a2 ; a:2", Kind::Lost),
        ("a1 | a2 ; a:1", Kind::Lost),
        // G0
        ("a1 b1 | a2 b2 ; a:12 b:21", Kind::WriteCycle),
        ("a1 a3 | a2 ; a:123", Kind::WriteCycle),
        // G1c
        ("a1 b:1 | b1 a:1 ; a:1 b:1", Kind::CircularFlow),
        ("a1 b:1 | a2 b1 ; a:12 b:1", Kind::CircularFlow),
        // G-single: lost updates, half of a transaction.
        ("a: a1 | a: a2 ; a:12", Kind::SkewedRead),
        ("a1 ; a:1 a2 | a:1 a3 ; a:123", Kind::SkewedRead),
        ("a1 b1 | a:1 b: ; a:1 b:1", Kind::SkewedRead),
        ("a1 | a:1 b1 | b:1 a: ; a:1 b:1", Kind::SkewedRead),
        // Two who see two writes in another order each.
        ("a1 | b1 | a:1 b: | a: b:1 ; a:1 b:1", Kind::LongFork),
        // What had been acknowledged is not there.
        ("a1 ; a: ; a:1", Kind::StaleSnapshot),
        ("a1 | b1 ; a:1 b: | a:1 b:1 ; a:1 b:1", Kind::StaleSnapshot),
        ("a1 b1 ; a: b: | a:1 ; a:1 b:1", Kind::StaleSnapshot),
    ] {
        check(text, Some(kind));
    }
}
