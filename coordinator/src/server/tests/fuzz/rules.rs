//! The rule file, and what passwords are stored as.

use kestrel_proto::SqlState;
use rand::Rng;

use super::driver::{Random, Target, fuzz};
use super::mutations::{mutate, one_of};
use crate::access::{HbaRules, LoginAttempt, Method, ScramKeys};

const LINES: &[&str] = &[
    "host all all 127.0.0.1/32 trust\n",
    "hostssl kestrel ann,bob 10.0.0.0/8 scram-sha-256\n",
    "hostnossl \"all\" \"a b\" 192.168.0.0 255.255.0.0 md5 # why\n",
    "host sameuser all fd00::/8 reject\n",
    "host all \\\n  all \\\n ::1/128 trust\r\n",
    "local all all peer\n",
    "hostgssenc all all all trust\n",
    "host all +staff samenet ident map=x\n",
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$AAAA:AAAA",
    "\u{2003}host\u{a0}all,é all all trust\n",
];

#[test]
fn rules() {
    fuzz(Target { test: "rules", make, one_in: 1 }, || check);
}

fn make(random: &mut Random) -> Vec<u8> {
    let lines = (0..random.random_range(1..5)).map(|_| one_of(LINES, random));
    let mut file = lines.collect::<String>().into_bytes();
    mutate(&mut file, random);
    file
}

fn check(input: &[u8], random: &mut Random) {
    let text = String::from_utf8_lossy(input);
    // Whatever it is, it is no password that takes for ever to check.
    let _ = ScramKeys::parse(&text);
    let rules = match HbaRules::parse(&text) {
        Ok(rules) => rules,
        Err(error) => {
            assert_eq!(error.sqlstate, SqlState::CONFIG_FILE_ERROR, "{error}");
            return;
        }
    };
    assert!(rules.rules.len() <= text.lines().count());
    let peer = one_of(&["127.0.0.1", "10.1.2.3", "::1", "::ffff:10.1.2.3", "fd00::1"], random);
    let user = one_of(&["ann", "all", "a b", ""], random);
    let attempt = LoginAttempt {
        peer: peer.parse().unwrap(),
        user,
        database: "kestrel",
        is_encrypted: random.random(),
        member_of: &[user.to_string(), "staff".to_string()].into(),
    };
    match rules.method(&attempt) {
        Ok(method) => assert_ne!(method, Method::Reject),
        Err(error) => {
            assert_eq!(error.sqlstate, SqlState::INVALID_AUTHORIZATION_SPECIFICATION, "{error}");
        }
    }
}
