//! The server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), with PostgreSQL's checks and errors
//! (libpq/auth-scram.c):
//!
//! ```text
//! client   n,,n=,r=<its nonce>                 or p=tls-server-end-point,,n=,r=…
//! server   r=<both nonces>,s=<salt>,i=<iterations>
//! client   c=<header and binding>,r=<both nonces>,p=<proof>
//! server   v=<signature>
//! ```
//!
//! A role that is not there, or has no password, gets the same conversation with a salt of its
//! own that stays the same: who is there cannot be told from outside.

use base64::{Engine, engine::general_purpose::STANDARD};
use kestrel_proto::{ErrorReport, Result, SqlState};
use ring::rand::{SecureRandom, SystemRandom};

use super::verifier::{ITERATIONS, KEY_BYTES, SALT_BYTES, ScramKeys, hmac_sha256, sha256};

/// Without channel binding.
const PLAIN: &str = "SCRAM-SHA-256";
/// With it: whoever stands between client and server is found.
const PLUS: &str = "SCRAM-SHA-256-PLUS";
/// PostgreSQL's.
const NONCE_BYTES: usize = 18;

/// The hash of the server's certificate that both sides must agree on (RFC 5929,
/// `tls-server-end-point`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelBinding(pub Vec<u8>);

/// A cluster's secret from which salts of roles are made that are not there.
#[derive(Clone)]
pub struct MockNonce(pub [u8; KEY_BYTES]);

/// The mechanisms to offer, the best first.
pub fn mechanisms(binding: Option<&ChannelBinding>) -> Vec<String> {
    let plus = binding.map(|_| PLUS.to_string());
    plus.into_iter().chain([PLAIN.to_string()]).collect()
}

impl std::fmt::Debug for MockNonce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MockNonce(…)")
    }
}

/// One client's conversation.
pub struct ScramExchange {
    user: String,
    keys: ScramKeys,
    /// It fails at its end, whatever the client proves.
    is_doomed: bool,
    binding: Option<ChannelBinding>,
    state: State,
}

enum State {
    Begun,
    /// The server's first message is out.
    Challenged {
        /// What the client's first message began with.
        header: String,
        uses_binding: bool,
        /// `n=,r=…`
        client_first: String,
        /// `r=…,s=…,i=…`
        server_first: String,
        /// Both.
        nonce: String,
    },
    Ended,
}

/// What the client's first message says.
struct ClientFirst<'a> {
    header: &'a str,
    uses_binding: bool,
    bare: &'a str,
    nonce: &'a str,
}

impl ScramExchange {
    /// With a client that says it is `user`. `None` keys: no password is right.
    pub fn new(
        user: &str,
        keys: Option<ScramKeys>,
        mock: &MockNonce,
        binding: Option<ChannelBinding>,
    ) -> Self {
        let is_doomed = keys.is_none();
        let keys = keys.unwrap_or_else(|| mock_keys(user, mock));
        Self { user: user.into(), keys, is_doomed, binding, state: State::Begun }
    }

    /// The client has chosen a mechanism and sent its first message; the answer.
    ///
    /// # Errors
    /// 08P01 for what is no such message, 28000 for bindings that do not fit, 0A000 for what
    /// PostgreSQL cannot do either.
    pub fn begin(&mut self, mechanism: &str, message: &[u8]) -> Result<String> {
        let mut nonce = [0; NONCE_BYTES];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_| ErrorReport::internal("could not generate random nonce"))?;
        self.begin_with(mechanism, message, &STANDARD.encode(nonce))
    }

    fn begin_with(&mut self, mechanism: &str, message: &[u8], nonce: &str) -> Result<String> {
        let is_plus = match mechanism {
            PLAIN => false,
            PLUS if self.binding.is_some() => true,
            _ => {
                let message = "client selected an invalid SASL authentication mechanism";
                return Err(ErrorReport::new(SqlState::PROTOCOL_VIOLATION, message));
            }
        };
        let first = ClientFirst::read(text(message)?)?;
        self.check_binding(is_plus, &first)?;
        let nonce = format!("{}{nonce}", first.nonce);
        let salt = STANDARD.encode(&self.keys.salt);
        let server_first = format!("r={nonce},s={salt},i={}", self.keys.iterations);
        self.state = State::Challenged {
            header: first.header.into(),
            uses_binding: first.uses_binding,
            client_first: first.bare.into(),
            server_first: server_first.clone(),
            nonce,
        };
        Ok(server_first)
    }

    fn check_binding(&self, is_plus: bool, first: &ClientFirst<'_>) -> Result<()> {
        match (is_plus, first.uses_binding) {
            (true, false) => Err(malformed(
                "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include \
                 channel binding data.",
            )),
            (false, true) => Err(malformed(
                "The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message \
                 includes channel binding data.",
            )),
            // Somebody has taken PLUS out of our list on its way.
            (false, false) if first.header.starts_with('y') && self.binding.is_some() => {
                Err(ErrorReport::new(
                    SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
                    "SCRAM channel binding negotiation error",
                )
                .detail(
                    "The client supports SCRAM channel binding but thinks the server does not.  \
                     However, this server does support channel binding.",
                ))
            }
            _ => Ok(()),
        }
    }

    /// The client's proof; the server's own, and with that the client is in.
    ///
    /// # Errors
    /// 28P01 when the password is wrong or there is none; 08P01 for what is no such message; 28000
    /// when the client sees another certificate than ours.
    pub fn finish(&mut self, message: &[u8]) -> Result<String> {
        let State::Challenged { header, uses_binding, client_first, server_first, nonce } =
            std::mem::replace(&mut self.state, State::Ended)
        else {
            return Err(ErrorReport::internal("a SCRAM exchange out of order"));
        };
        let message = text(message)?;
        let (without_proof, proof) =
            message.rsplit_once(",p=").ok_or_else(|| malformed("A proof is missing."))?;
        let mut attributes = without_proof.split(',');
        let binding = attribute(attributes.next(), 'c')?;
        let expected = match self.binding.as_ref().filter(|_| uses_binding) {
            Some(ChannelBinding(hash)) => [header.as_bytes(), hash].concat(),
            None => header.into_bytes(),
        };
        if binding != STANDARD.encode(expected) {
            let message = if uses_binding {
                "SCRAM channel binding check failed"
            } else {
                "unexpected SCRAM channel-binding attribute in client-final-message"
            };
            return Err(ErrorReport::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message));
        }
        if attribute(attributes.next(), 'r')? != nonce {
            let error = ErrorReport::new(SqlState::PROTOCOL_VIOLATION, "invalid SCRAM response");
            return Err(error.detail("Nonce does not match."));
        }
        let proof: [u8; KEY_BYTES] = STANDARD
            .decode(proof)
            .ok()
            .and_then(|proof| proof.try_into().ok())
            .ok_or_else(|| malformed("Malformed proof in client-final-message."))?;
        let signed = format!("{client_first},{server_first},{without_proof}");
        if !self.proves(&proof, signed.as_bytes()) || self.is_doomed {
            return Err(wrong_password(&self.user));
        }
        let signature = hmac_sha256(&self.keys.server_key, signed.as_bytes());
        Ok(format!("v={}", STANDARD.encode(signature)))
    }

    fn proves(&self, proof: &[u8; KEY_BYTES], signed: &[u8]) -> bool {
        let mut client_key = hmac_sha256(&self.keys.stored_key, signed);
        client_key.iter_mut().zip(proof).for_each(|(key, proof)| *key ^= proof);
        // As long for a wrong proof as for a right one.
        let differ =
            sha256(&client_key).iter().zip(&self.keys.stored_key).fold(0, |d, (a, b)| d | (a ^ b));
        differ == 0
    }
}

/// In PostgreSQL's words.
fn wrong_password(user: &str) -> ErrorReport {
    let message = format!("password authentication failed for user \"{user}\"");
    ErrorReport::new(SqlState::INVALID_PASSWORD, message)
}

/// What a role that is not there shows: the same salt each time, which nobody can foretell.
fn mock_keys(user: &str, mock: &MockNonce) -> ScramKeys {
    let hash = hmac_sha256(&mock.0, user.as_bytes());
    ScramKeys {
        iterations: ITERATIONS,
        salt: hash[..SALT_BYTES].to_vec(),
        stored_key: [0; KEY_BYTES],
        server_key: [0; KEY_BYTES],
    }
}

impl<'a> ClientFirst<'a> {
    fn read(message: &'a str) -> Result<Self> {
        let mut parts = message.splitn(3, ',');
        let (flag, authorization) = (parts.next().unwrap_or(""), parts.next());
        let uses_binding = match flag.split_once('=') {
            None if ["n", "y"].contains(&flag) => false,
            Some(("p", "tls-server-end-point")) => true,
            Some(("p", other)) => {
                let message = format!("unsupported SCRAM channel-binding type \"{other}\"");
                return Err(ErrorReport::new(SqlState::PROTOCOL_VIOLATION, message));
            }
            _ => return Err(malformed("Unexpected channel-binding flag.")),
        };
        match authorization {
            Some("") => {}
            Some(name) if name.starts_with("a=") => {
                let message = "client uses authorization identity, but it is not supported";
                return Err(ErrorReport::unsupported(message));
            }
            _ => return Err(malformed("Unexpected attribute in client-first-message.")),
        }
        let bare = parts.next().ok_or_else(|| malformed("Message ends too early."))?;
        if bare.starts_with("m=") {
            let message = "client requires an unsupported SCRAM extension";
            return Err(ErrorReport::unsupported(message));
        }
        let mut attributes = bare.split(',');
        // The name is that of the startup packet; libpq leaves this one empty.
        attribute(attributes.next(), 'n')?;
        let nonce = attribute(attributes.next(), 'r')?;
        if nonce.is_empty() || !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = "non-printable characters in SCRAM nonce";
            return Err(ErrorReport::new(SqlState::PROTOCOL_VIOLATION, message));
        }
        let header = &message[..message.len() - bare.len()];
        Ok(Self { header, uses_binding, bare, nonce })
    }
}

fn attribute(part: Option<&str>, name: char) -> Result<&str> {
    let value = part.and_then(|part| part.strip_prefix(name)).and_then(|v| v.strip_prefix('='));
    value.ok_or_else(|| malformed(format!("Expected attribute \"{name}\" but found another.")))
}

fn text(message: &[u8]) -> Result<&str> {
    if message.contains(&0) {
        return Err(malformed("Message length does not match input length."));
    }
    std::str::from_utf8(message).map_err(|_| malformed("The message is no UTF-8."))
}

fn malformed(detail: impl Into<String>) -> ErrorReport {
    ErrorReport::new(SqlState::PROTOCOL_VIOLATION, "malformed SCRAM message").detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677, section 3.
    const CLIENT_FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                                s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                                p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn keys(password: &str) -> ScramKeys {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        ScramKeys::of(password, &salt, 4096)
    }

    fn exchange(keys: Option<ScramKeys>, binding: Option<&str>) -> ScramExchange {
        let binding = binding.map(|hash| ChannelBinding(hash.as_bytes().to_vec()));
        ScramExchange::new("user", keys, &MockNonce([7; 32]), binding)
    }

    #[test]
    fn the_example_of_the_standard() {
        let mut exchange = exchange(Some(keys("pencil")), None);
        let first = exchange.begin_with(PLAIN, CLIENT_FIRST, SERVER_NONCE).unwrap();
        assert_eq!(first, SERVER_FIRST);
        assert_eq!(exchange.finish(CLIENT_FINAL.as_bytes()).unwrap(), SERVER_FINAL);
        assert!(exchange.finish(CLIENT_FINAL.as_bytes()).is_err(), "it has ended");
    }

    #[test]
    fn wrong_proofs_are_refused() {
        let wrong = CLIENT_FINAL.replace("p=dH", "p=dI");
        let nonce = CLIENT_FINAL.replace("r=rO", "r=rP");
        let binding = CLIENT_FINAL.replace("c=biws", "c=eSws");
        let short = CLIENT_FINAL.replace("dHzbZapW", "");
        for (password, message, sqlstate) in [
            (Some("pencil"), wrong.as_str(), "28P01"),
            (Some("Pencil"), CLIENT_FINAL, "28P01"),
            (None, CLIENT_FINAL, "28P01"),
            (Some("pencil"), nonce.as_str(), "08P01"),
            (Some("pencil"), binding.as_str(), "28000"),
            (Some("pencil"), short.as_str(), "08P01"),
            (Some("pencil"), "c=biws", "08P01"),
        ] {
            let mut exchange = exchange(password.map(keys), None);
            exchange.begin_with(PLAIN, CLIENT_FIRST, SERVER_NONCE).unwrap();
            let error = exchange.finish(message.as_bytes()).unwrap_err();
            assert_eq!(error.sqlstate.as_str(), sqlstate, "{password:?} {message}: {error}");
        }
    }

    #[test]
    fn who_is_not_there_has_a_salt_too() {
        let salt = |user: &str, nonce: u8| {
            let mut exchange = ScramExchange::new(user, None, &MockNonce([nonce; 32]), None);
            let first = exchange.begin_with(PLAIN, CLIENT_FIRST, "").unwrap();
            first.split(',').nth(1).unwrap().to_string()
        };
        assert_eq!(salt("a", 1), salt("a", 1), "asked again it is the same");
        assert_ne!(salt("a", 1), salt("b", 1));
        assert_ne!(salt("a", 1), salt("a", 2), "each cluster has others");
        assert_eq!(STANDARD.decode(&salt("a", 1)[2..]).unwrap().len(), SALT_BYTES);
    }

    #[test]
    fn a_binding_binds() {
        let bound = b"p=tls-server-end-point,,n=,r=abc";
        type Case<'a> = (Option<&'a str>, &'a str, &'a [u8], &'a str);
        let cases: &[Case<'_>] = &[
            (None, PLUS, bound, "08P01"),
            (None, PLAIN, bound, "08P01"),
            (None, PLAIN, b"y,,n=,r=abc", "ok"),
            (Some("hash"), PLAIN, b"n,,n=,r=abc", "ok"),
            (Some("hash"), PLAIN, b"y,,n=,r=abc", "28000"),
            (Some("hash"), PLUS, b"n,,n=,r=abc", "08P01"),
            (Some("hash"), PLUS, b"p=tls-unique,,n=,r=abc", "08P01"),
            (Some("hash"), PLUS, bound, "ok"),
            (None, "PLAIN", b"n,,n=,r=abc", "08P01"),
            (None, PLAIN, b"n,a=root,n=,r=abc", "0A000"),
            (None, PLAIN, b"n,,m=x,n=,r=abc", "0A000"),
            (None, PLAIN, b"n,,n=,r=a c", "08P01"),
            (None, PLAIN, b"n,,r=abc", "08P01"),
            (None, PLAIN, b"", "08P01"),
        ];
        for (binding, mechanism, message, sqlstate) in cases {
            let begun = exchange(None, *binding).begin_with(mechanism, message, "s");
            let found = begun.as_ref().map_or_else(|e| e.sqlstate.as_str(), |_| "ok");
            assert_eq!(found, *sqlstate, "{binding:?} {mechanism} {message:?}: {begun:?}");
        }
        let finish = |hash: &str| {
            let mut exchange = exchange(None, Some("hash"));
            exchange.begin_with(PLUS, bound, "s").unwrap();
            let data = STANDARD.encode(format!("p=tls-server-end-point,,{hash}"));
            let proof = STANDARD.encode([0; 32]);
            exchange.finish(format!("c={data},r=abcs,p={proof}").as_bytes()).unwrap_err().message
        };
        assert_eq!(finish("other"), "SCRAM channel binding check failed");
        assert_eq!(finish("hash"), "password authentication failed for user \"user\"");
    }
}
