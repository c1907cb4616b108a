//! SCRAM messages: who does not know the password is not let in.

use rand::Rng;

use super::driver::{Random, Target, fuzz};
use super::expect_no_bug;
use super::mutations::{mutate, one_of};
use crate::access::{ChannelBinding, MockNonce, ScramExchange, ScramKeys};

const MECHANISMS: &[&str] = &["SCRAM-SHA-256", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "PLAIN", ""];

/// First messages and last ones; `~` stands for the server's nonce.
const MESSAGES: &[(&str, &str)] = &[
    ("n,,n=,r=rOprNGfwEbeRWgbNEkqO", "c=biws,r=~,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
    ("y,,n=user,r=abc", "c=eSws,r=~,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
    ("p=tls-server-end-point,,n=,r=abc", "c=cD10bHM=,r=~,p=AAAA"),
    ("n,a=other,n=,r=abc", "c=biws,r=~,x=y,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
    ("n,,m=ext,n=,r=abc", "r=~,c=biws,p="),
    ("n,,n=,r=", "p="),
];

/// RFC 7677, section 3: of the password "pencil".
const VERIFIER: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
                        WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
                        wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

#[test]
fn logins() {
    fuzz(Target { test: "logins", make, one_in: 1 }, || check);
}

/// The first message, a line's end, the last one.
fn make(random: &mut Random) -> Vec<u8> {
    let (first, last) = one_of(MESSAGES, random);
    let mut messages = [first.as_bytes(), b"\n", last.as_bytes()].concat();
    mutate(&mut messages, random);
    messages
}

fn check(input: &[u8], random: &mut Random) {
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    let (first, last) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let keys = if random.random() { ScramKeys::parse(VERIFIER) } else { None };
    let binding = random.random::<bool>().then(|| ChannelBinding(b"hash".to_vec()));
    let mut exchange = ScramExchange::new("ann", keys, &MockNonce([7; 32]), binding);
    if random.random_ratio(1, 16) {
        // Out of order: that would be a bug of the caller, and is told so.
        assert!(exchange.finish(last).is_err());
    }
    let challenge = match exchange.begin(one_of(MECHANISMS, random), first) {
        Ok(challenge) => challenge,
        Err(error) => return expect_no_bug(&error),
    };
    let nonce = challenge.split(',').next().and_then(|nonce| nonce.strip_prefix("r="));
    let nonce = nonce.unwrap().as_bytes();
    let last: Vec<u8> = last
        .iter()
        .flat_map(|byte| if *byte == b'~' { nonce.to_vec() } else { vec![*byte] })
        .collect();
    expect_no_bug(&exchange.finish(&last).expect_err("nobody knows the password"));
    assert!(exchange.finish(&last).is_err(), "there is one attempt");
}
