//! The messages that clients send.
//!
//! The messages are pgwire's; cutting and reading them is ours, because
//! `PgWireFrontendMessage::decode` reads on into the next message or panics when a message is
//! shorter than it says, and replaces bytes that are not UTF-8 instead of refusing them, which
//! would store other text than the client sent.

use bytes::{Buf, Bytes, BytesMut};
use kestrel_planner::wire_binary::utf8;
use kestrel_proto::{ErrorReport, Result};
use pgwire::messages::extendedquery::{Bind, Close, Describe, Execute, Parse};
use pgwire::messages::startup::Startup;

use super::error_response::{fatal, protocol_violation};

/// The longest message taken from a client unless it is told otherwise, in bytes (PostgreSQL's
/// PQ_LARGE_MESSAGE_LIMIT).
pub(super) const MAX_MESSAGE_BYTES: usize = 0x3fff_ffff;
/// Of messages that carry no data (PostgreSQL's PQ_SMALL_MESSAGE_LIMIT).
const MAX_SHORT_MESSAGE_BYTES: usize = 10_000;
/// The longest message of a client that has not shown yet who it is (PostgreSQL's
/// PG_MAX_SASL_MESSAGE_LENGTH).
pub(super) const MAX_SASL_BYTES: usize = 1024;
/// The longest startup packet (PostgreSQL's MAX_STARTUP_PACKET_LENGTH).
const MAX_STARTUP_BYTES: usize = 10_000;
/// The most settings in it. Each takes more memory than its bytes, and nobody knows yet whose they
/// are.
const MAX_STARTUP_PARAMETERS: usize = 128;

/// One message, not yet read.
#[derive(Debug)]
pub(super) struct Frame {
    /// The byte that says which message it is.
    pub(super) kind: u8,
    /// What follows the length.
    pub(super) body: Bytes,
}

impl Frame {
    /// Takes a whole message of at most `max_bytes` out of `buffer`; `None`: more bytes are
    /// needed.
    ///
    /// # Errors
    /// FATAL 08P01: not a message, or too long a one.
    pub(super) fn take(buffer: &mut BytesMut, max_bytes: usize) -> Result<Option<Self>> {
        let Some(kind) = buffer.first().copied() else { return Ok(None) };
        if !b"BCDEFHPQSXcdfp".contains(&kind) {
            return Err(fatal(protocol_violation(format!("invalid frontend message type {kind}"))));
        }
        let Some(length) = length(&buffer[1..]) else { return Ok(None) };
        let most = match kind {
            b'C' | b'D' | b'E' | b'H' | b'S' | b'X' | b'c' | b'f' => MAX_SHORT_MESSAGE_BYTES,
            b'p' => MAX_SASL_BYTES,
            _ => max_bytes,
        };
        if !(4..=most.min(max_bytes)).contains(&length) {
            return Err(fatal(protocol_violation("invalid message length")));
        }
        if buffer.len() <= length {
            return Ok(None);
        }
        buffer.advance(5);
        Ok(Some(Self { kind, body: buffer.split_to(length - 4).freeze() }))
    }

    /// Whether an error in it is followed by skipping up to Sync.
    pub(super) fn is_extended(&self) -> bool {
        b"PBDECHS".contains(&self.kind)
    }

    /// Query.
    pub(super) fn query(self) -> Result<String> {
        let mut body = Body(self.body);
        let sql = body.text()?;
        body.finish()?;
        Ok(sql)
    }

    /// Parse.
    pub(super) fn parse(self) -> Result<Parse> {
        let mut body = Body(self.body);
        let (name, query) = (body.name()?, body.text()?);
        let types = body.counted(4, |body| Ok(body.take(4)?.get_u32()))?;
        body.finish()?;
        Ok(Parse::new(name, query, types))
    }

    /// Bind.
    pub(super) fn bind(self) -> Result<Bind> {
        let mut body = Body(self.body);
        let (portal, statement) = (body.name()?, body.name()?);
        let formats = body.counted(2, Body::short)?;
        let parameters = body.counted(4, |body| match body.take(4)?.get_i32() {
            -1 => Ok(None),
            length => match usize::try_from(length) {
                Ok(length) => Ok(Some(body.take(length)?)),
                Err(_) => Err(insufficient()),
            },
        })?;
        let result_formats = body.counted(2, Body::short)?;
        body.finish()?;
        Ok(Bind::new(portal, statement, formats, parameters, result_formats))
    }

    /// Describe.
    pub(super) fn describe(self) -> Result<Describe> {
        let mut body = Body(self.body);
        let (target, name) = (body.take(1)?.get_u8(), body.name()?);
        body.finish()?;
        Ok(Describe::new(target, name))
    }

    /// Close.
    pub(super) fn close(self) -> Result<Close> {
        let mut body = Body(self.body);
        let (target, name) = (body.take(1)?.get_u8(), body.name()?);
        body.finish()?;
        Ok(Close::new(target, name))
    }

    /// Execute.
    pub(super) fn execute(self) -> Result<Execute> {
        let mut body = Body(self.body);
        let (name, rows) = (body.name()?, body.take(4)?.get_i32());
        body.finish()?;
        Ok(Execute::new(name, rows))
    }

    /// SASLInitialResponse.
    pub(super) fn sasl_initial_response(self) -> Result<SaslInitialResponse> {
        let mut body = Body(self.body);
        let mechanism = body.text()?;
        let length = usize::try_from(body.take(4)?.get_i32());
        let data = body.take(length.map_err(|_| insufficient())?)?;
        body.finish()?;
        Ok(SaslInitialResponse { mechanism, data })
    }

    /// CopyFail: why.
    pub(super) fn copy_fail(self) -> Result<String> {
        self.query()
    }
}

/// A client's choice of a mechanism, and its first message.
#[derive(Debug)]
pub(super) struct SaslInitialResponse {
    pub(super) mechanism: String,
    pub(super) data: Bytes,
}

/// What a connection may begin with.
#[derive(Debug)]
pub(super) enum FirstPacket {
    /// A wish for encryption by TLS.
    Tls,
    /// A wish for encryption by GSSAPI.
    Gssapi,
    /// Cancel the statement of another connection.
    Cancel {
        /// The other's number.
        process_id: i32,
        /// Its secret.
        secret: i32,
    },
    /// A session.
    Startup(Startup),
}

impl FirstPacket {
    /// Takes a whole packet out of `buffer`; `None`: more bytes are needed.
    ///
    /// # Errors
    /// FATAL 08P01: not such a packet; 0A000: a protocol that is not spoken here.
    pub(super) fn take(buffer: &mut BytesMut) -> Result<Option<Self>> {
        let Some(length) = length(buffer) else { return Ok(None) };
        if !(8..=MAX_STARTUP_BYTES).contains(&length) {
            return Err(fatal(protocol_violation("invalid length of startup packet")));
        }
        if buffer.len() < length {
            return Ok(None);
        }
        buffer.advance(4);
        let body = Body(buffer.split_to(length - 4).freeze());
        Self::read(body).map(Some).map_err(fatal)
    }

    fn read(mut body: Body) -> Result<Self> {
        const CANCEL: u32 = 80_877_102;
        const TLS: u32 = 80_877_103;
        const GSSAPI: u32 = 80_877_104;
        match body.take(4)?.get_u32() {
            TLS => body.finish().map(|()| Self::Tls),
            GSSAPI => body.finish().map(|()| Self::Gssapi),
            CANCEL => {
                let process_id = body.take(4)?.get_i32();
                let secret = body.take(4)?.get_i32();
                body.finish()?;
                Ok(Self::Cancel { process_id, secret })
            }
            version if version >> 16 == 3 => startup(body, (version & 0xffff) as u16),
            version => Err(ErrorReport::unsupported(format!(
                "unsupported frontend protocol {}.{}: server supports 3.0 to 3.0",
                version >> 16,
                version & 0xffff
            ))),
        }
    }
}

/// Names and values, and an empty name at the end (PostgreSQL's `ProcessStartupPacket`,
/// postmaster.c).
fn startup(mut body: Body, minor: u16) -> Result<FirstPacket> {
    let layout = |what: &str| protocol_violation(format!("invalid startup packet layout: {what}"));
    let no_end = || layout("expected terminator as last byte");
    let mut startup = Startup::new();
    startup.protocol_number_minor = minor;
    loop {
        if !body.0.contains(&0) {
            return Err(no_end());
        }
        let name = body.text()?;
        if name.is_empty() {
            break;
        }
        if !body.0.contains(&0) {
            return Err(no_end());
        }
        startup.parameters.insert(name, body.text()?);
        if startup.parameters.len() > MAX_STARTUP_PARAMETERS {
            return Err(layout(&format!("more than {MAX_STARTUP_PARAMETERS} settings")));
        }
    }
    body.finish().map_err(|_| no_end())?;
    Ok(FirstPacket::Startup(startup))
}

fn length(buffer: &[u8]) -> Option<usize> {
    let bytes = buffer.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*bytes) as usize)
}

fn insufficient() -> ErrorReport {
    protocol_violation("insufficient data left in message")
}

/// What is left to read of a message.
struct Body(Bytes);

impl Body {
    fn take(&mut self, count: usize) -> Result<Bytes> {
        if self.0.len() < count {
            return Err(insufficient());
        }
        Ok(self.0.split_to(count))
    }

    fn short(&mut self) -> Result<i16> {
        Ok(self.take(2)?.get_i16())
    }

    /// A text that ends with a zero byte.
    fn text(&mut self) -> Result<String> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let text =
            self.take(end.ok_or_else(|| protocol_violation("invalid string in message"))?)?;
        self.take(1)?;
        utf8(&text).map(str::to_string)
    }

    /// A name; `None`: the empty one.
    fn name(&mut self) -> Result<Option<String>> {
        Ok(Some(self.text()?).filter(|name| !name.is_empty()))
    }

    /// A list that begins with its length in 16 bits. An item has at least so many bytes: a count
    /// that the message has no room for is not believed.
    fn counted<T>(
        &mut self,
        least_bytes: usize,
        item: impl Fn(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let count = self.take(2)?.get_u16();
        if self.0.len() < usize::from(count) * least_bytes {
            return Err(insufficient());
        }
        (0..count).map(|_| item(self)).collect()
    }

    fn finish(self) -> Result<()> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(protocol_violation("invalid message format")),
        }
    }
}

#[cfg(test)]
mod tests {
    use kestrel_proto::SqlState;

    use super::*;

    fn frame(kind: u8, body: &[u8]) -> Frame {
        Frame { kind, body: Bytes::copy_from_slice(body) }
    }

    #[test]
    fn frames_are_cut_at_their_length() {
        let mut buffer = BytesMut::from(&b"Q\0\0\0\x06a\0S\0\0\0"[..]);
        let first = Frame::take(&mut buffer, MAX_MESSAGE_BYTES).unwrap().unwrap();
        assert_eq!(first.query().unwrap(), "a");
        assert!(Frame::take(&mut buffer, MAX_MESSAGE_BYTES).unwrap().is_none());
        buffer.extend_from_slice(&[4]);
        assert_eq!(Frame::take(&mut buffer, MAX_MESSAGE_BYTES).unwrap().unwrap().kind, b'S');
        assert!(buffer.is_empty());
    }

    #[test]
    fn broken_messages_are_refused() {
        for bytes in [&b"Q\0\0\0\x03"[..], b"Q\xff\xff\xff\xff", b"!\0\0\0\x04", b"\x16\x03\x01"] {
            let error = Frame::take(&mut BytesMut::from(bytes), MAX_MESSAGE_BYTES).unwrap_err();
            assert_eq!(error.sqlstate, SqlState::PROTOCOL_VIOLATION, "{bytes:?}");
        }
        let long = &b"S\0\0\x40\0"[..];
        assert!(Frame::take(&mut BytesMut::from(long), MAX_MESSAGE_BYTES).is_err(), "a long Sync");
        assert!(Frame::take(&mut BytesMut::from(&b"Q\0\0\x01\0"[..]), 255).is_err());
        assert!(Frame::take(&mut BytesMut::from(&b"Q\0\0\x01\0"[..]), 256).unwrap().is_none());
        let codes = [
            frame(b'p', b"SCRAM-SHA-256\0\xff\xff\xff\xff").sasl_initial_response().unwrap_err(),
            frame(b'p', b"SCRAM-SHA-256\0\0\0\0\x05a").sasl_initial_response().unwrap_err(),
            frame(b'Q', b"select 1").query().unwrap_err(),
            frame(b'Q', b"a\0b\0").query().unwrap_err(),
            frame(b'P', b"\0select\0\0\x02\0\0\0\x17").parse().unwrap_err(),
            frame(b'B', b"\0\0\0\0\0\x01\0\0\0\x09abc").bind().unwrap_err(),
            frame(b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0").bind().unwrap_err(),
            frame(b'E', b"\0\0").execute().unwrap_err(),
            frame(b'D', b"").describe().unwrap_err(),
        ];
        for error in codes {
            assert_eq!(error.sqlstate, SqlState::PROTOCOL_VIOLATION, "{error}");
        }
        let error = frame(b'Q', b"select '\xff\xfe'\0").query().unwrap_err();
        assert_eq!(error.sqlstate, SqlState::CHARACTER_NOT_IN_REPERTOIRE);
        let expected = "invalid byte sequence for encoding \"UTF8\": 0xff";
        assert_eq!(error.message, expected);
    }

    #[test]
    fn sasl_answers() {
        let answer = frame(b'p', b"SCRAM-SHA-256\0\0\0\0\x02n,").sasl_initial_response().unwrap();
        assert_eq!((answer.mechanism.as_str(), &answer.data[..]), ("SCRAM-SHA-256", &b"n,"[..]));
    }

    #[test]
    fn first_packets() {
        let mut buffer = BytesMut::from(&b"\0\0\0\x08\x04\xd2\x16\x2f"[..]);
        assert!(matches!(FirstPacket::take(&mut buffer), Ok(Some(FirstPacket::Tls))));
        let mut buffer = BytesMut::from(&b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x07\0\0\0\x09"[..]);
        let packet = FirstPacket::take(&mut buffer).unwrap();
        assert!(matches!(packet, Some(FirstPacket::Cancel { process_id: 7, secret: 9 })));
        let mut buffer = BytesMut::from(&b"\0\0\0\x10\0\x03\0\0user\0me\0\0"[..]);
        buffer[3] = buffer.len() as u8;
        let Ok(Some(FirstPacket::Startup(startup))) = FirstPacket::take(&mut buffer) else {
            panic!("no startup");
        };
        assert_eq!(startup.parameters["user"], "me");
        let mut buffer = BytesMut::from(&b"\0\0\0\x08\0\x02\0\0"[..]);
        let error = FirstPacket::take(&mut buffer).unwrap_err();
        assert_eq!(error.sqlstate, SqlState::FEATURE_NOT_SUPPORTED);
        let mut buffer = BytesMut::from(&b"GET / HTTP/1.1\r\n"[..]);
        let error = FirstPacket::take(&mut buffer).unwrap_err();
        assert_eq!(error.sqlstate, SqlState::PROTOCOL_VIOLATION);
    }
    #[test]
    fn counts_are_not_believed() {
        // 65535 types, formats, values: none of them is there.
        for (kind, body) in [(b'P', &b"\0\0\xff\xff"[..]), (b'B', b"\0\0\xff\xff\0\0\0\0")] {
            let error = match kind {
                b'P' => frame(kind, body).parse().unwrap_err(),
                _ => frame(kind, body).bind().unwrap_err(),
            };
            assert_eq!(error.message, "insufficient data left in message");
        }
    }

    #[test]
    fn short_messages_are_short() {
        for (kind, longest) in [(b'S', 10_000u32), (b'f', 10_000), (b'p', 1024), (b'Q', 20_000)] {
            let header = |length: u32| [&[kind][..], &length.to_be_bytes()].concat();
            let mut fits = BytesMut::from(&header(longest)[..]);
            assert!(Frame::take(&mut fits, 20_000).unwrap().is_none());
            let mut long = BytesMut::from(&header(longest + 1)[..]);
            let error = Frame::take(&mut long, 20_000).unwrap_err();
            assert_eq!(error.message, "invalid message length");
        }
    }

    #[test]
    fn startup_packets_end_where_they_say() {
        let packet = |body: &[u8]| {
            let length = (body.len() as u32 + 4).to_be_bytes();
            FirstPacket::take(&mut BytesMut::from(&[&length, body].concat()[..]))
        };
        let many: Vec<u8> = (1..=129u8).flat_map(|n| [1 + n % 100, 1 + n / 100, 0, 0]).collect();
        let many = [b"\0\x03\0\0", &many[..], b"\0"].concat();
        let no_end = "invalid startup packet layout: expected terminator as last byte";
        let cases: &[(&[u8], &str)] = &[
            (b"\0\x03\0\0user\0me\0\0", ""),
            (b"\0\x03\0\0\0", ""),
            (b"\0\x03\0\0user\0me\0", no_end),
            (b"\0\x03\0\0user\0me", no_end),
            (b"\0\x03\0\0user", no_end),
            (b"\0\x03\0\0user\0me\0\0x", no_end),
            (&many, "invalid startup packet layout: more than 128 settings"),
            (b"\x04\xd2\x16\x2e\0\0\0\x01", "insufficient data left in message"),
            (b"\x04\xd2\x16\x2fx", "invalid message format"),
        ];
        for (body, expected) in cases {
            match packet(body) {
                Ok(found) => assert!(found.is_some() && expected.is_empty(), "{body:?}"),
                Err(error) => assert_eq!(error.message, *expected, "{body:?}"),
            }
        }
    }
}
