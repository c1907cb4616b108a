//! What is stored of a password: PostgreSQL's SCRAM verifier (common/scram-common.c).

use std::num::NonZeroU32;

use base64::{Engine, engine::general_purpose::STANDARD};
use kestrel_planner::catalog::Verifier;
use kestrel_proto::{ErrorReport, Result};
use ring::{
    digest::{SHA256, digest},
    hmac, pbkdf2,
    rand::{SecureRandom, SystemRandom},
};

/// PostgreSQL's: how often a password is hashed.
pub(super) const ITERATIONS: u32 = 4096;
/// PostgreSQL's.
pub(super) const SALT_BYTES: usize = 16;
/// Of SHA-256.
pub(super) const KEY_BYTES: usize = 32;
/// A verifier with more would be a way to keep the server busy.
const MOST_ITERATIONS: u32 = 10_000_000;

/// A verifier, taken apart. None of it is the password.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    pub(super) iterations: u32,
    pub(super) salt: Vec<u8>,
    /// SHA-256 of the key that the client proves to know.
    pub(super) stored_key: [u8; KEY_BYTES],
    /// What the server proves to know.
    pub(super) server_key: [u8; KEY_BYTES],
}

/// The verifier of a password. A text that is a verifier already is taken as it is, so that roles
/// can be copied from one cluster, or from PostgreSQL, to another.
///
/// # Errors
/// 0A000: it is an MD5 hash, which would be a password itself. XX000: the system has no random bytes.
pub fn make_verifier(password: &str) -> Result<Verifier> {
    if ScramKeys::parse(password).is_some() {
        return Ok(Verifier::new(password));
    }
    if is_md5_hash(password) {
        return Err(ErrorReport::unsupported("passwords that are MD5 hashes are not supported")
            .hint("Give the password itself, or its SCRAM-SHA-256 verifier."));
    }
    let mut salt = [0; SALT_BYTES];
    SystemRandom::new()
        .fill(&mut salt)
        .map_err(|_| ErrorReport::internal("could not generate random salt"))?;
    Ok(Verifier::new(ScramKeys::of(password, &salt, ITERATIONS).to_text()))
}

/// As PostgreSQL's `get_password_type` (libpq/crypt.c) tells them from passwords.
fn is_md5_hash(password: &str) -> bool {
    let digits = password.strip_prefix("md5").filter(|digits| digits.len() == 32);
    digits.is_some_and(|digits| digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

impl ScramKeys {
    /// Those of a password.
    pub(super) fn of(password: &str, salt: &[u8], iterations: u32) -> Self {
        // As in PostgreSQL, what cannot be normalized is taken as it is.
        let normalized = stringprep::saslprep(password).unwrap_or(password.into());
        let mut salted = [0; KEY_BYTES];
        let rounds = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::derive(algorithm, rounds, salt, normalized.as_bytes(), &mut salted);
        let client_key = hmac_sha256(&salted, b"Client Key");
        Self {
            iterations,
            salt: salt.to_vec(),
            stored_key: sha256(&client_key),
            server_key: hmac_sha256(&salted, b"Server Key"),
        }
    }

    /// `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`; `None`: it is something else.
    pub fn parse(text: &str) -> Option<Self> {
        let (parameters, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = parameters.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let key = |text: &str| STANDARD.decode(text).ok()?.try_into().ok();
        let iterations = iterations.parse().ok();
        Some(Self {
            iterations: iterations.filter(|n| (1..=MOST_ITERATIONS).contains(n))?,
            salt: STANDARD.decode(salt).ok()?,
            stored_key: key(stored_key)?,
            server_key: key(server_key)?,
        })
    }

    fn to_text(&self) -> String {
        format!(
            "SCRAM-SHA-256${}:{}${}:{}",
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(self.stored_key),
            STANDARD.encode(self.server_key)
        )
    }
}

impl std::fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ScramKeys(…)")
    }
}

pub(super) fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; KEY_BYTES] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data);
    copied(tag.as_ref())
}

pub(super) fn sha256(data: &[u8]) -> [u8; KEY_BYTES] {
    copied(digest(&SHA256, data).as_ref())
}

fn copied(bytes: &[u8]) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    key
}

#[cfg(test)]
mod tests {
    use kestrel_proto::SqlState;

    use super::*;

    #[test]
    fn a_password_and_its_salt_give_the_keys_of_the_standard() {
        // RFC 7677, section 3: the password "pencil".
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let keys = ScramKeys::of("pencil", &salt, 4096);
        let text = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
                    WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
                    wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        assert_eq!(keys.to_text(), text);
        assert_eq!(ScramKeys::parse(text), Some(keys));
    }

    #[test]
    fn a_verifier_is_taken_as_it_is() {
        let made = make_verifier("secret").unwrap();
        assert_ne!(made, make_verifier("secret").unwrap(), "the salt is another");
        assert_eq!(make_verifier(made.as_str()).unwrap(), made);
        assert!(!made.as_str().contains("secret"));
        for other in ["SCRAM-SHA-256$", "SCRAM-SHA-256$0:AA==$AA==:AA==", "md5abc", ""] {
            assert_eq!(ScramKeys::parse(other), None, "{other}");
            assert_ne!(make_verifier(other).unwrap().as_str(), other);
        }
        let hash = make_verifier("md5b7bc4d3a4b0e5c2f9d8a1e6f7c3b2a19").unwrap_err();
        assert_eq!(hash.sqlstate, SqlState::FEATURE_NOT_SUPPORTED);
        assert!(!hash.to_string().contains("b7bc4d"), "{hash}");
    }

    #[test]
    fn equivalent_passwords_are_one() {
        // U+00A0 is a blank, U+00AD is nothing (RFC 4013, section 3).
        let keys = |password: &str| ScramKeys::of(password, b"salt", 1);
        assert_eq!(keys("I\u{ad}X"), keys("IX"));
        assert_eq!(keys("a\u{a0}b"), keys("a b"));
        assert_ne!(keys("user"), keys("USER"));
    }
}
