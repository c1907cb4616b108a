//! Values and COPY's framing as PostgreSQL's receive functions read them in binary format: what a
//! coordinator reads of its clients, and a datanode of the database that holds its shard.

mod copy_header;
mod datetime;
mod input;
mod numeric;
mod numeric_digits;
mod text;

pub use copy_header::{COPY_SIGNATURE, CopyHeader, read_copy_header};
pub use datetime::{
    MICROS_PER_DAY, POSTGRES_EPOCH_DAYS, POSTGRES_EPOCH_MICROS, out_of_range, received_date,
    received_interval, received_time, received_timestamp, sent_date, sent_timestamp,
};
pub use input::{Input, malformed};
pub use numeric::{NumericReader, Received, read_shown};
pub use numeric_digits::{put_numeric, sent_numeric};
pub use text::utf8;

/// What `jsonb_send` begins with (jsonb.c).
pub const JSONB_VERSION: u8 = 1;
