//! What binary COPY data begin with ("Binary Format" of COPY's documentation; PostgreSQL's
//! `ReceiveCopyBinaryHeader`, src/backend/commands/copyfromparse.c).

/// The first bytes.
pub const COPY_SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Flags that a reader must know are the upper 16 bits; this one was for OIDs of rows.
const HAS_OIDS: i32 = 1 << 16;

/// What was found of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyHeader {
    /// All of it but the extension, whose bytes say nothing to us.
    Whole {
        /// Its bytes so far.
        bytes: usize,
        /// The bytes of the extension behind it.
        extension_bytes: usize,
    },
    /// A part; what is wrong with it if no more comes, in PostgreSQL's words.
    Part(&'static str),
}

/// Reads a header, or the part of it that has come.
///
/// # Errors
/// What is wrong with it, in PostgreSQL's words.
pub fn read_copy_header(bytes: &[u8]) -> Result<CopyHeader, &'static str> {
    const UNKNOWN: &str = "COPY file signature not recognized";
    const NO_LENGTH: &str = "invalid COPY file header (missing length)";
    let Some((signature, rest)) = bytes.split_first_chunk() else {
        return Ok(CopyHeader::Part(UNKNOWN));
    };
    if signature != COPY_SIGNATURE {
        return Err(UNKNOWN);
    }
    let Some((flags, rest)) = rest.split_first_chunk() else {
        return Ok(CopyHeader::Part("invalid COPY file header (missing flags)"));
    };
    let flags = i32::from_be_bytes(*flags);
    if flags & HAS_OIDS != 0 {
        return Err("invalid COPY file header (WITH OIDS)");
    }
    if flags >> 16 != 0 {
        return Err("unrecognized critical flags in COPY file header");
    }
    let Some(extension) = rest.first_chunk() else {
        return Ok(CopyHeader::Part(NO_LENGTH));
    };
    let extension = usize::try_from(i32::from_be_bytes(*extension)).map_err(|_| NO_LENGTH)?;
    Ok(CopyHeader::Whole { bytes: COPY_SIGNATURE.len() + 8, extension_bytes: extension })
}
