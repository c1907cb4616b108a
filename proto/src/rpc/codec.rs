//! How messages stand in gRPC's: each is followed by its checksum, so that a byte that changed on
//! the way is an error and never a wrong answer.

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use crate::message;

/// Room for most messages.
const BUFFER_BYTES: usize = 32 << 10;
/// As soon as so much is encoded, it is sent.
const YIELD_BYTES: usize = 64 << 10;

/// A message with its own form on the wire.
pub trait WireMessage: Sized {
    /// Writes the message and its checksum.
    fn put(self, buf: &mut EncodeBuf<'_>);

    /// Reads all of `bytes`.
    ///
    /// # Errors
    /// `DATA_LOSS` when the checksum is wrong.
    fn take(bytes: Bytes) -> Result<Self, Status>;
}

/// prost's form, then crc32c of it (u32, little endian).
macro_rules! checked_messages {
    ($($message:ident),* $(,)?) => {$(
        impl WireMessage for message::$message {
            fn put(self, buf: &mut EncodeBuf<'_>) {
                let bytes = self.encode_to_vec();
                buf.reserve(bytes.len() + 4);
                buf.put_slice(&bytes);
                buf.put_u32_le(crc32c::crc32c(&bytes));
            }

            fn take(bytes: Bytes) -> Result<Self, Status> {
                Self::decode(checked(bytes)?)
                    .map_err(|error| Status::data_loss(format!("a message is broken: {error}")))
            }
        }
    )*};
}

checked_messages!(
    DeleteRowsReply,
    DeleteRowsRequest,
    DescribeRequest,
    Done,
    DropSegmentsRequest,
    EndQueryRequest,
    EndTransactionReply,
    EndTransactionRequest,
    ExchangeControl,
    ExecuteReply,
    ExecuteRequest,
    FilePiece,
    FragmentDescription,
    FragmentReport,
    HealthReply,
    HealthRequest,
    IngestReply,
    PreparedReply,
    PreparedRequest,
    QueryShardReply,
    QueryShardRequest,
    ReadFileRequest,
    RegisterReply,
    RegisterRequest,
    RewriteSegmentsReply,
    RewriteSegmentsRequest,
    RunRequest,
    ShardFactsReply,
    ShardFactsRequest,
    SnapshotRequest,
);

fn checked(mut bytes: Bytes) -> Result<Bytes, Status> {
    let Some(length) = bytes.len().checked_sub(4) else {
        return Err(Status::data_loss("a message is too short"));
    };
    let mut checksum = bytes.split_off(length);
    if crc32c::crc32c(&bytes) != checksum.get_u32_le() {
        return Err(Status::data_loss("a message's checksum is wrong"));
    }
    Ok(bytes)
}

/// The codec of all calls.
#[derive(Clone, Debug)]
pub struct CheckedCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for CheckedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// One direction of a [`CheckedCodec`].
#[derive(Clone, Debug)]
pub struct Checked<T>(PhantomData<T>);

impl<T, U> Codec for CheckedCodec<T, U>
where
    T: WireMessage + Send + 'static,
    U: WireMessage + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Checked<T>;
    type Decoder = Checked<U>;

    fn encoder(&mut self) -> Checked<T> {
        Checked(PhantomData)
    }

    fn decoder(&mut self) -> Checked<U> {
        Checked(PhantomData)
    }
}

impl<T: WireMessage> Encoder for Checked<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.put(buf);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}

impl<T: WireMessage> Decoder for Checked<T> {
    type Item = T;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<T>, Status> {
        T::take(buf.copy_to_bytes(buf.remaining())).map(Some)
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}
