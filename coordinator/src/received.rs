//! The bytes of one value in binary format, as PostgreSQL's receive functions read them
//! (`pq_getmsgbytes` and its like, libpq/pqformat.c).

use kestrel_proto::{ErrorReport, Result, SqlState};

/// What `jsonb_send` begins with.
pub(crate) const JSONB_VERSION: [u8; 1] = [1];

/// What is left to read of a value.
pub(crate) struct Received<'a>(&'a [u8]);

impl<'a> Received<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Errors: 08P01 when there are fewer.
    pub(crate) fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((head, rest)) = self.0.split_first_chunk() else {
            return Err(too_short("insufficient data left in message"));
        };
        self.0 = rest;
        Ok(*head)
    }

    /// As many as somebody has said; `None`: there are fewer.
    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    pub(crate) fn bool(&mut self) -> Result<bool> {
        let [byte] = self.take().map_err(|_| too_short("no data left in message"))?;
        Ok(byte != 0)
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        self.take().map(u16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32> {
        self.take().map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64> {
        self.take().map(i64::from_be_bytes)
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// All of them must have been read (22P03); `place` ends the error's message.
    pub(crate) fn end(&self, place: &str) -> Result<()> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(malformed(format!("incorrect binary data format{place}"))),
        }
    }
}

/// 22P03
pub(crate) fn malformed(message: impl Into<String>) -> ErrorReport {
    ErrorReport::new(SqlState::INVALID_BINARY_REPRESENTATION, message)
}

/// 08P01
fn too_short(message: &str) -> ErrorReport {
    ErrorReport::new(SqlState::PROTOCOL_VIOLATION, message)
}
