//! What one client can make the server hold.

use std::sync::Arc;

use futures::FutureExt;
use kestrel_planner::catalog::RoleDef;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

use super::super::clients::Admission;
use super::super::connection::Connection;
use super::super::failure::Failure;
use super::super::frontend::FirstPacket;
use super::super::socket::sides_in_memory;
use super::fake::{FakeBackend, Log};
use super::wire::{PIPE_BYTES, Wire, timers};
use super::*;

/// Before it has shown who it is.
const MAX_STRANGER_BYTES: usize = 16 * 1024;
/// The longest message in these tests.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
/// Of what is read at once.
const ROOM_BYTES: usize = 64 * 1024;

fn connection() -> (DuplexStream, Connection) {
    let (client, server) = duplex(PIPE_BYTES);
    let connection = Connection::over(sides_in_memory(server), Clients::new())
        .with_max_message_bytes(MAX_MESSAGE_BYTES);
    (client, connection)
}

/// Sends bytes, or as many as there is room for.
fn send(client: &mut DuplexStream, bytes: &[u8]) {
    let _ = client.write(bytes).now_or_never();
}

fn packet(length: u32, body: &[u8]) -> Vec<u8> {
    [&length.to_be_bytes(), body].concat()
}

#[test]
fn a_stranger_is_not_given_memory() {
    let runtime = timers();
    let _context = runtime.enter();
    let start: &[u8] = b"\0\x03\0\0user\0";
    let long = [start, &[b'x'; 9_980], b"\0\0"].concat();
    let whole = packet(long.len() as u32 + 4, &long);
    assert!(whole.len() <= 10_000);
    let wishes = packet(8, b"\x04\xd2\x16\x2f").repeat(2);
    for (sent, piece) in [
        (whole.clone(), 10_000),
        (whole.clone(), 4_096),
        (whole.clone(), 1_000),
        (packet(10_000, b"\0\x03\0\0"), 8),
        (packet(0xffff_ffff, &[0; 40_000]), 40_004),
        ([&wishes[..], &whole[..9_000], &[1; 40_000]].concat(), 4_097),
        ([&wishes[..], &whole, &[b'p'; 40_000]].concat(), 60_000),
    ] {
        let (mut client, mut connection) = connection();
        let mut is_over = false;
        for piece in sent.chunks(piece) {
            send(&mut client, piece);
            while !is_over && let Some(first) = connection.read_first().now_or_never() {
                let is_wish = matches!(first, Ok(FirstPacket::Tls));
                is_over = !is_wish;
            }
            let held = connection.held_bytes();
            assert!(held <= MAX_STRANGER_BYTES, "{held} bytes for {} of a stranger", sent.len());
        }
        // Then it is asked for its password, and may answer with anything.
        send(&mut client, b"p\0\0\x04\0");
        for _ in 0..40 {
            send(&mut client, &[b'x'; 1_000]);
            let _ = connection.read_sasl().now_or_never();
            let held = connection.held_bytes();
            assert!(held <= MAX_STRANGER_BYTES, "{held} bytes for a password");
        }
    }
}

#[test]
fn a_message_takes_what_has_come_of_it() {
    let runtime = timers();
    let _context = runtime.enter();
    let clients = Clients::new();
    let role = RoleDef::initial();
    let admission = Admission { role: &role, max_connections: 1, reserved_connections: 0 };
    let running = clients.register(&admission).unwrap().idle();
    // It says that it is long, and is not there.
    let (mut client, mut connection) = connection();
    send(&mut client, &[b"d", &packet(MAX_MESSAGE_BYTES as u32, b"abc")[..]].concat());
    assert!(connection.read(&running).now_or_never().is_none());
    assert!(connection.held_bytes() <= ROOM_BYTES, "{}", connection.held_bytes());
    // It comes.
    let mut left = MAX_MESSAGE_BYTES - 4 - 3;
    let frame = loop {
        let piece = left.min(10_000);
        send(&mut client, &vec![b'x'; piece]);
        left -= piece;
        let read = connection.read(&running).now_or_never();
        // A buffer that grows has up to twice the room it needs.
        let held = connection.held_bytes();
        assert!(held <= 2 * (MAX_MESSAGE_BYTES + ROOM_BYTES), "{held}");
        if let Some(read) = read {
            break read.unwrap();
        }
        assert!(left > 0);
    };
    assert_eq!(frame.body.len(), MAX_MESSAGE_BYTES - 4);
    drop(frame);
    // Nothing of that stays.
    send(&mut client, b"S\0\0\0\x04");
    assert_eq!(connection.read(&running).now_or_never().unwrap().unwrap().kind, b'S');
    assert!(connection.read(&running).now_or_never().is_none());
    assert!(connection.held_bytes() <= MAX_MESSAGE_BYTES, "{}", connection.held_bytes());
    // A longer one is refused before it comes.
    send(&mut client, &[b"d", &packet(MAX_MESSAGE_BYTES as u32 + 1, b"")[..]].concat());
    match connection.read(&running).now_or_never().unwrap() {
        Err(Failure::Report(report)) => assert_eq!(report.message, "invalid message length"),
        other => panic!("{other:?}"),
    }
}

/// Who asks without reading the answers has to wait, too, without a Sync.
#[test]
fn answers_that_nobody_reads_do_not_grow() {
    let runtime = timers();
    let _context = runtime.enter();
    let backend = Arc::new(FakeBackend { log: Arc::new(Log::default()) });
    let mut wire = Wire::new(backend, ServeOptions::default());
    let startup = b"\0\x03\0\0user\0me\0\0";
    let welcome = wire.exchange(&packet(startup.len() as u32 + 4, startup));
    assert!(welcome.ends_with(b"Z\0\0\0\x05I"), "{welcome:?}");
    wire.exchange(b"P\0\0\0\x0e\0rows 1\0\0\0");
    let describe = b"D\0\0\0\x06S\0".repeat(1_000_000);
    let taken = wire.push(&describe);
    assert!(taken < 1_000_000, "{taken} bytes were taken of a client that does not read");
    // It can go on as soon as it reads.
    let answers = wire.exchange(&describe[taken..taken + 7_000]);
    assert!(answers.len() > taken, "{} bytes", answers.len());
    assert!(!wire.has_ended());
}
