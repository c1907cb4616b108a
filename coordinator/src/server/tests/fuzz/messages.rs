//! The client's bytes, cut into messages and read.

use bytes::BytesMut;
use rand::Rng;

use super::corpus::{self, FIRST_PACKETS};
use super::driver::{Random, Target, fuzz};
use super::expect_no_bug;
use super::mutations::{mutate, one_of};
use crate::server::frontend::{FirstPacket, Frame};

/// A server that takes no longer ones.
const MAX_MESSAGE_BYTES: usize = 2048;

#[test]
fn messages() {
    fuzz(Target { test: "messages", make, one_in: 1 }, || check);
}

fn make(random: &mut Random) -> Vec<u8> {
    if random.random_ratio(1, 8) {
        let mut packet = one_of(FIRST_PACKETS, random).to_vec();
        mutate(&mut packet, random);
        return corpus::first_packet(&packet);
    }
    corpus::messages(random)
}

fn check(input: &[u8], _: &mut Random) {
    let mut first = BytesMut::from(input);
    if let Err(error) = FirstPacket::take(&mut first) {
        expect_no_bug(&error);
    }
    let mut buffer = BytesMut::from(input);
    loop {
        let before = buffer.len();
        match Frame::take(&mut buffer, MAX_MESSAGE_BYTES) {
            Ok(Some(frame)) => {
                assert_eq!(before, 5 + frame.body.len() + buffer.len(), "all bytes are there");
                if let Err(error) = read(frame) {
                    expect_no_bug(&error);
                }
            }
            Ok(None) => {
                assert_eq!(buffer.len(), before, "what is not whole is left");
                break;
            }
            Err(error) => {
                expect_no_bug(&error);
                break;
            }
        }
    }
}

/// What a message holds is in it: none has more items than bytes.
fn read(frame: Frame) -> kestrel_proto::Result<()> {
    let bytes = frame.body.len();
    match frame.kind {
        b'Q' => assert!(frame.query()?.len() < bytes),
        b'P' => assert!(frame.parse()?.type_oids.len() * 4 < bytes),
        b'B' => {
            let bind = frame.bind()?;
            let values = bind.parameters.iter().flatten().map(|value| value.len() + 4);
            let formats = bind.parameter_format_codes.len() + bind.result_column_format_codes.len();
            assert!(values.sum::<usize>() + formats * 2 + 6 < bytes);
        }
        b'D' => drop(frame.describe()?),
        b'C' => drop(frame.close()?),
        b'E' => drop(frame.execute()?),
        b'f' => drop(frame.copy_fail()?),
        b'p' => assert!(frame.sasl_initial_response()?.data.len() < bytes),
        _ => {}
    }
    Ok(())
}
