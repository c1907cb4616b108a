//! What a server may answer to each message, seen from outside: a machine that follows a
//! conversation and says where it goes wrong.

use kestrel_proto::SqlState;

/// Where a conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Before the first ReadyForQuery.
    Startup,
    /// Any message may come.
    Open,
    /// After an error in the extended protocol: only Sync is answered.
    Skipping,
    /// COPY data is awaited.
    Copying(Protocol),
    /// The server has closed.
    Closed,
}

/// What a COPY was begun in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Query
    Simple,
    /// Execute
    Extended,
}

/// The server's messages since the last one of the client.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Their kinds, in order; not those that may come at any time: notices, settings.
    pub(super) kinds: Vec<u8>,
    /// One of them was a FATAL error.
    pub(super) is_fatal: bool,
    /// The server has closed.
    pub(super) is_closed: bool,
}

/// Takes the server's bytes apart.
///
/// # Panics
/// When they are not whole messages of a server, or tell of a bug.
pub(super) fn answer(mut bytes: &[u8], is_closed: bool) -> Answer {
    let mut answer = Answer { is_closed, ..Answer::default() };
    while let Some((kind, rest)) = bytes.split_first() {
        let length = rest.first_chunk().map(|length| u32::from_be_bytes(*length) as usize);
        let length = length.expect("a message without a length");
        assert!(b"123ACDEGHIKNRSTZcdnstvV".contains(kind), "a message of kind {kind}");
        assert!(
            (4..=rest.len()).contains(&length),
            "a message of {length} bytes in {}",
            rest.len()
        );
        let (body, next) = rest[4..].split_at(length - 4);
        assert!(!answer.is_fatal, "a message after FATAL");
        match kind {
            b'E' => {
                answer.is_fatal = check_error(body);
                answer.kinds.push(*kind);
            }
            b'N' => assert!(!check_error(body)),
            b'S' | b'A' => {}
            _ => answer.kinds.push(*kind),
        }
        bytes = next;
    }
    answer
}

/// Whether an error is FATAL.
fn check_error(body: &[u8]) -> bool {
    let text = String::from_utf8(body.to_vec()).expect("an error that is no text");
    let fields: Vec<&str> = text.strip_suffix("\0\0").expect("no end").split('\0').collect();
    let field = |code: char| fields.iter().find_map(|field| field.strip_prefix(code));
    assert!(field('M').is_some_and(|message| !message.is_empty()), "{text:?}");
    assert_ne!(field('C').expect("no SQLSTATE"), SqlState::INTERNAL_ERROR.as_str(), "{text:?}");
    field('S').expect("no severity") == "FATAL"
}

/// Where the conversation stands after a message of the client and the answer to it.
///
/// # Panics
/// When that is no answer to it.
pub(super) fn next(phase: Phase, message: u8, answer: &Answer) -> Phase {
    let Answer { kinds, is_fatal, is_closed } = answer;
    let readies = kinds.iter().filter(|kind| **kind == b'Z').count();
    let told = || format!("{phase:?}: {} is answered by {answer:?}", message as char);
    assert!(
        readies <= 1 && kinds[..kinds.len() - readies].iter().all(|k| *k != b'Z'),
        "{}",
        told()
    );
    if *is_closed {
        let may_leave = phase != Phase::Closed && (*is_fatal || message == b'X' || is_login(phase));
        assert!(may_leave && readies == 0, "{}", told());
        return Phase::Closed;
    }
    assert!(!is_fatal, "open after FATAL: {}", told());
    let last = kinds.last().copied();
    let has_error = kinds.contains(&b'E');
    let copies = last == Some(b'G');
    match (phase, message) {
        (Phase::Startup, _) if readies == 1 => Phase::Open,
        (Phase::Startup, _) => Phase::Startup,
        (Phase::Open, b'Q') if copies => Phase::Copying(Protocol::Simple),
        (Phase::Open, b'Q' | b'F' | b'S') | (Phase::Skipping, b'S') => {
            assert_eq!(readies, 1, "{}", told());
            Phase::Open
        }
        (Phase::Open, b'E') if copies => Phase::Copying(Protocol::Extended),
        (Phase::Open, b'P' | b'B' | b'D' | b'E' | b'C' | b'H') => {
            assert_eq!(readies, 0, "{}", told());
            if has_error { Phase::Skipping } else { Phase::Open }
        }
        (Phase::Copying(_), b'd' | b'H' | b'S') if kinds.is_empty() => phase,
        (Phase::Copying(Protocol::Simple), b'c') if copies => phase,
        (Phase::Copying(Protocol::Simple), b'd' | b'c' | b'f') => {
            assert_eq!(readies, 1, "{}", told());
            assert!(has_error || message == b'c', "{}", told());
            Phase::Open
        }
        (Phase::Copying(Protocol::Extended), b'd' | b'c' | b'f') => {
            assert!(readies == 0 && (has_error || message == b'c'), "{}", told());
            if has_error { Phase::Skipping } else { Phase::Open }
        }
        (Phase::Skipping, _) | (Phase::Open, b'd' | b'c' | b'f') => {
            assert!(kinds.is_empty(), "{}", told());
            phase
        }
        _ => panic!("{}", told()),
    }
}

/// Who has not shown who it is may be left alone without a word.
fn is_login(phase: Phase) -> bool {
    phase == Phase::Startup
}

#[test]
fn wrong_answers_are_found() {
    use std::panic::catch_unwind;

    let error = |severity: &str| {
        let body = format!("S{severity}\0C42601\0Mno\0\0");
        [b"E", &(body.len() as u32 + 4).to_be_bytes()[..], body.as_bytes()].concat()
    };
    let ready = b"Z\0\0\0\x05I".to_vec();
    let one_error = [error("ERROR"), ready.clone()].concat();
    let after = |phase, message, bytes: &[u8], is_closed| {
        let bytes = bytes.to_vec();
        catch_unwind(move || next(phase, message, &answer(&bytes, is_closed))).ok()
    };
    let open = Phase::Open;
    assert_eq!(after(open, b'Q', &one_error, false), Some(open));
    assert_eq!(after(open, b'P', &error("ERROR"), false), Some(Phase::Skipping));
    assert_eq!(after(Phase::Skipping, b'S', &ready, false), Some(open));
    assert_eq!(after(open, b'!', &error("FATAL"), true), Some(Phase::Closed));
    // Never ready, twice ready, ready too early, open after FATAL, closed without a word, no frame.
    assert_eq!(after(open, b'Q', &error("ERROR"), false), None);
    assert_eq!(after(open, b'S', &[ready.clone(), ready.clone()].concat(), false), None);
    assert_eq!(after(open, b'P', &one_error, false), None);
    assert_eq!(after(open, b'Q', &error("FATAL"), false), None);
    assert_eq!(after(open, b'Q', &ready, true), None);
    assert_eq!(after(open, b'S', &ready[..5], false), None);
    assert_eq!(after(open, b'Q', b"Z\0\0\0\x03", false), None);
}
