//! Rules that say who may connect from where, and how they prove who they are: those of
//! PostgreSQL's `pg_hba.conf`. The first rule that fits a client decides.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use kestrel_proto::{ErrorReport, SqlState};

/// All rules, in the order in which they are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HbaRules {
    /// In order.
    pub rules: Vec<HbaRule>,
}

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HbaRule {
    /// Which connections it is about.
    pub transport: Transport,
    /// Which databases.
    pub databases: Names,
    /// Which roles.
    pub users: Names,
    /// Which clients.
    pub address: Address,
    /// What they have to do.
    pub method: Method,
}

/// `host`, `hostssl`, `hostnossl`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// With TLS or without.
    Any,
    /// With TLS.
    Tls,
    /// Without.
    Plain,
    /// None there is: what is written for Unix sockets or GSSAPI.
    Never,
}

/// A list of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// `all`
    All,
    /// These.
    Listed(Vec<Name>),
}

/// One of a list of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// This one.
    Exactly(String),
    /// `sameuser`: a database of the role's name.
    SameUser,
    /// `samerole`: a database of the name of a role that the role is a member of.
    SameRole,
    /// `+role`: its members.
    MembersOf(String),
}

/// Where a client may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// `all`
    All,
    /// The addresses that begin with the same bits.
    Network {
        /// One of them.
        base: IpAddr,
        /// How many bits are the same.
        bits: u8,
    },
}

/// What a client has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Nothing.
    Trust,
    /// Know the role's password.
    Scram,
    /// Go away.
    Reject,
}

/// A client that wants to come in.
#[derive(Clone, Copy, Debug)]
pub struct LoginAttempt<'a> {
    /// Where it is.
    pub peer: IpAddr,
    /// The role it wants to be.
    pub user: &'a str,
    /// The database it asks for.
    pub database: &'a str,
    /// Whether its connection is encrypted.
    pub is_encrypted: bool,
    /// The names of the roles that it is a member of, its own among them.
    pub member_of: &'a BTreeSet<String>,
}

impl HbaRules {
    /// Without a file: who is on this machine is trusted, and nobody else comes in.
    pub fn only_this_machine() -> Self {
        let rule = |base, bits| HbaRule {
            transport: Transport::Any,
            databases: Names::All,
            users: Names::All,
            address: Address::Network { base, bits },
            method: Method::Trust,
        };
        let v4 = rule(IpAddr::V4(Ipv4Addr::LOCALHOST), 8);
        let v6 = rule(IpAddr::V6(Ipv6Addr::LOCALHOST), 128);
        Self { rules: vec![v4, v6] }
    }

    /// What a client has to do: of the first rule that fits it.
    ///
    /// # Errors
    /// FATAL 28000 when no rule fits, or the one that does rejects it.
    pub fn method(&self, attempt: &LoginAttempt<'_>) -> Result<Method, ErrorReport> {
        match self.rules.iter().find(|rule| rule.fits(attempt)).map(|rule| rule.method) {
            Some(Method::Reject) => Err(refused("pg_hba.conf rejects connection", attempt)),
            Some(method) => Ok(method),
            None => Err(refused("no pg_hba.conf entry", attempt)),
        }
    }
}

/// In PostgreSQL's words (libpq/auth.c).
fn refused(what: &str, attempt: &LoginAttempt<'_>) -> ErrorReport {
    let LoginAttempt { peer, user, database, is_encrypted, .. } = attempt;
    let encryption = if *is_encrypted { "SSL encryption" } else { "no encryption" };
    ErrorReport::new(
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        format!(
            "{what} for host \"{}\", user \"{user}\", database \"{database}\", {encryption}",
            peer.to_canonical()
        ),
    )
}

impl HbaRule {
    fn fits(&self, attempt: &LoginAttempt<'_>) -> bool {
        let transport = match self.transport {
            Transport::Any => true,
            Transport::Tls => attempt.is_encrypted,
            Transport::Plain => !attempt.is_encrypted,
            Transport::Never => false,
        };
        transport
            && self.databases.contain(attempt.database, attempt)
            && self.users.contain(attempt.user, attempt)
            && self.address.contains(attempt.peer)
    }
}

impl Names {
    fn contain(&self, name: &str, attempt: &LoginAttempt<'_>) -> bool {
        let Self::Listed(names) = self else { return true };
        names.iter().any(|listed| match listed {
            Name::Exactly(listed) => listed == name,
            Name::SameUser => attempt.user == name,
            Name::SameRole => attempt.member_of.contains(name),
            Name::MembersOf(role) => attempt.member_of.contains(role),
        })
    }
}

impl Address {
    /// An IPv4 client of an IPv6 socket is an IPv4 client.
    fn contains(self, peer: IpAddr) -> bool {
        let Self::Network { base, bits } = self else { return true };
        match (base, peer.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(peer)) => {
                same(u128::from(base.to_bits()), u128::from(peer.to_bits()), 32, bits)
            }
            (IpAddr::V6(base), IpAddr::V6(peer)) => same(base.to_bits(), peer.to_bits(), 128, bits),
            _ => false,
        }
    }
}

/// Whether the first `bits` of `width` bits are the same.
fn same(a: u128, b: u128, width: u32, bits: u8) -> bool {
    let rest = width.saturating_sub(bits.into());
    // A shift by all bits is none: a network of no bits has everybody in it.
    (a ^ b).checked_shr(rest).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
host    kestrel   mallory      all              reject
hostssl kestrel   ann,bob      10.0.0.0/8       scram-sha-256
hostnossl all     carol        192.168.1.7/32   trust
host    sameuser  all          fd00::/8         scram-sha-256
host    all       \"all\"        10.1.0.0 255.255.0.0 trust
host    all       all          127.0.0.1/32     trust
host    all       zoe          0.0.0.0/0        trust
host    all       +staff       198.51.100.0/24  trust
host    samerole  all          198.51.101.0/24  trust
";

    /// Dan works here and is one of the `kestrel`s.
    fn member_of(user: &str) -> BTreeSet<String> {
        let more: &[&str] = if user == "dan" { &["staff", "kestrel"] } else { &[] };
        more.iter().chain([&user]).map(|name| name.to_string()).collect()
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = HbaRules::parse(FILE).unwrap();
        for (peer, user, database, is_encrypted, expected) in [
            ("127.0.0.1", "ann", "kestrel", false, Some(Method::Trust)),
            ("::ffff:127.0.0.1", "ann", "kestrel", false, Some(Method::Trust)),
            ("127.0.0.2", "ann", "kestrel", false, None),
            ("127.0.0.1", "mallory", "kestrel", true, None),
            ("10.9.9.9", "ann", "kestrel", true, Some(Method::Scram)),
            ("10.9.9.9", "bob", "kestrel", true, Some(Method::Scram)),
            ("10.9.9.9", "ann", "kestrel", false, None),
            ("10.9.9.9", "dan", "kestrel", true, None),
            ("192.168.1.7", "carol", "kestrel", false, Some(Method::Trust)),
            ("192.168.1.7", "carol", "kestrel", true, None),
            ("192.168.1.8", "carol", "kestrel", false, None),
            ("fd00::1", "kestrel", "kestrel", false, Some(Method::Scram)),
            ("fd00::1", "ann", "kestrel", false, None),
            ("fe80::1", "kestrel", "kestrel", false, None),
            ("10.1.2.3", "all", "kestrel", false, Some(Method::Trust)),
            ("10.1.2.3", "dan", "kestrel", false, None),
            ("203.0.113.9", "zoe", "kestrel", false, Some(Method::Trust)),
            ("2001:db8::1", "zoe", "kestrel", false, None),
            ("198.51.100.1", "dan", "kestrel", false, Some(Method::Trust)),
            ("198.51.100.1", "ann", "kestrel", false, None),
            ("198.51.101.1", "dan", "kestrel", false, Some(Method::Trust)),
            ("198.51.101.1", "ann", "kestrel", false, None),
        ] {
            let member_of = &member_of(user);
            let peer = peer.parse().unwrap();
            let attempt = LoginAttempt { peer, user, database, is_encrypted, member_of };
            assert_eq!(rules.method(&attempt).ok(), expected, "{attempt:?}");
        }
    }

    #[test]
    fn who_is_refused_is_told_so_as_in_postgresql() {
        let rules = HbaRules::parse(FILE).unwrap();
        let mut attempt = LoginAttempt {
            peer: "203.0.113.9".parse().unwrap(),
            user: "eve",
            database: "kestrel",
            is_encrypted: false,
            member_of: &BTreeSet::new(),
        };
        let error = rules.method(&attempt).unwrap_err();
        assert_eq!(error.sqlstate, SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
        assert_eq!(
            error.message,
            "no pg_hba.conf entry for host \"203.0.113.9\", user \"eve\", database \"kestrel\", \
             no encryption"
        );
        (attempt.user, attempt.is_encrypted) = ("mallory", true);
        assert_eq!(
            rules.method(&attempt).unwrap_err().message,
            "pg_hba.conf rejects connection for host \"203.0.113.9\", user \"mallory\", database \
             \"kestrel\", SSL encryption"
        );
    }

    #[test]
    fn without_a_file_only_this_machine_is_trusted() {
        let rules = HbaRules::only_this_machine();
        let method = |peer: &str| {
            let peer = peer.parse().unwrap();
            rules.method(&LoginAttempt {
                peer,
                user: "kestrel",
                database: "kestrel",
                is_encrypted: false,
                member_of: &BTreeSet::new(),
            })
        };
        for peer in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(method(peer).unwrap(), Method::Trust, "{peer}");
        }
        for peer in ["10.0.0.1", "::2", "::ffff:10.0.0.1"] {
            assert!(method(peer).is_err(), "{peer}");
        }
    }
}
