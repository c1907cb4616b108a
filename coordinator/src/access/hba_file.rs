//! The grammar of `pg_hba.conf` (libpq/hba.c), as far as there is something behind it here.

use std::net::IpAddr;

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::hba::{Address, HbaRule, HbaRules, Method, Name, Names, Transport};

/// One word of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    text: String,
    /// In double quotes: a name, whatever it says.
    is_quoted: bool,
}

/// The words between two blanks: a list, separated by commas.
type Field = Vec<Word>;

impl HbaRules {
    /// Reads a whole file.
    ///
    /// # Errors
    /// F0000 with the line of the first mistake. Rules that are only half understood would let in
    /// others than were meant, so then there are none.
    pub fn parse(text: &str) -> Result<Self> {
        let mut rules = Vec::new();
        let mut lines = text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let mut line = line.to_string();
            while line.ends_with('\\') {
                line.pop();
                line.push_str(lines.next().map_or("", |(_, next)| next));
            }
            let at_line = |message: String| {
                let message = format!("line {} of the rule file: {message}", index + 1);
                ErrorReport::new(SqlState::CONFIG_FILE_ERROR, message)
            };
            let fields = fields(&line).map_err(at_line)?;
            if !fields.is_empty() {
                rules.extend(rule(fields).map_err(at_line)?);
            }
        }
        Ok(Self { rules })
    }
}

/// Cuts a line into fields.
fn fields(line: &str) -> Result<Vec<Field>, String> {
    let mut fields: Vec<Field> = Vec::new();
    // After a comma the next word belongs to the same list.
    let mut continues = false;
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next().filter(|c| *c != '#') {
        if first == ',' {
            continues = true;
            rest = rest[1..].trim_start();
            continue;
        }
        let (word, after) = word(rest)?;
        match fields.last_mut().filter(|_| continues) {
            Some(field) => field.push(word),
            None => fields.push(vec![word]),
        }
        continues = false;
        rest = after.trim_start();
    }
    Ok(fields)
}

/// The word that the text begins with, and what follows it.
fn word(text: &str) -> Result<(Word, &str), String> {
    let mut word = Word { text: String::new(), is_quoted: text.starts_with('"') };
    let mut in_quotes = false;
    for (index, c) in text.char_indices() {
        match c {
            '"' => in_quotes = !in_quotes,
            ',' | '#' if !in_quotes => return Ok((word, &text[index..])),
            c if c.is_whitespace() && !in_quotes => return Ok((word, &text[index..])),
            c => word.text.push(c),
        }
    }
    if in_quotes {
        return Err("a quoted name does not end".into());
    }
    Ok((word, ""))
}

/// The rule of a line; `None`: it is about connections that do not exist here.
fn rule(fields: Vec<Field>) -> Result<Option<HbaRule>, String> {
    let mut fields = fields.into_iter();
    let mut next = |what: &str| {
        fields.next().ok_or_else(|| format!("end-of-line before {what} specification"))
    };
    let kind = one(next("connection type")?, "connection type")?;
    let transport = match kind.text.as_str() {
        // There are no Unix sockets.
        "local" => return Ok(None),
        "host" | "hostnogssenc" => Transport::Any,
        "hostssl" => Transport::Tls,
        "hostnossl" => Transport::Plain,
        "hostgssenc" => Transport::Never,
        other => return Err(format!("invalid connection type \"{other}\"")),
    };
    let databases = databases(next("database")?)?;
    let users = users(next("role")?)?;
    let address = one(next("IP address")?, "IP address")?;
    let address = match address.text.as_str() {
        "all" if !address.is_quoted => Address::All,
        "samehost" | "samenet" if !address.is_quoted => {
            return Err(format!("\"{}\" is not supported: give an IP address range", address.text));
        }
        text if text.contains('/') => network(text)?,
        text => {
            let base = ip(text)?;
            let mask = one(next("netmask")?, "netmask")?;
            let bits = mask_bits(ip(&mask.text)?).filter(|(is_v4, _)| *is_v4 == base.is_ipv4());
            let (_, bits) = bits.ok_or_else(|| format!("invalid IP mask \"{}\"", mask.text))?;
            Address::Network { base, bits }
        }
    };
    let method = one(next("authentication method")?, "authentication method")?;
    let method = match method.text.as_str() {
        "trust" => Method::Trust,
        "reject" => Method::Reject,
        // As in PostgreSQL, md5 is SCRAM for a password that is stored for SCRAM, and all are.
        "scram-sha-256" | "md5" => Method::Scram,
        other => {
            return Err(format!(
                "invalid authentication method \"{other}\": use trust, scram-sha-256 or reject"
            ));
        }
    };
    match fields.next().and_then(|field| field.into_iter().next()) {
        None => Ok(Some(HbaRule { transport, databases, users, address, method })),
        Some(option) => Err(format!("unrecognized authentication option \"{}\"", option.text)),
    }
}

fn one(field: Field, what: &str) -> Result<Word, String> {
    match <[Word; 1]>::try_from(field) {
        Ok([word]) => Ok(word),
        Err(_) => Err(format!("multiple values specified for {what}")),
    }
}

fn databases(field: Field) -> Result<Names, String> {
    let mut names = Vec::new();
    for word in field {
        match word.text.as_str() {
            _ if word.is_quoted => names.push(Name::Exactly(word.text)),
            "all" => return Ok(Names::All),
            "sameuser" => names.push(Name::SameUser),
            "samerole" | "samegroup" => names.push(Name::SameRole),
            text => {
                check_file(text)?;
                names.push(Name::Exactly(word.text));
            }
        }
    }
    Ok(Names::Listed(names))
}

fn users(field: Field) -> Result<Names, String> {
    let mut names = Vec::new();
    for word in field {
        match word.text.as_str() {
            _ if word.is_quoted => {}
            "all" => return Ok(Names::All),
            text => {
                if let Some(role) = text.strip_prefix('+') {
                    names.push(Name::MembersOf(role.into()));
                    continue;
                }
                check_file(text)?;
            }
        }
        names.push(Name::Exactly(word.text));
    }
    Ok(Names::Listed(names))
}

fn check_file(text: &str) -> Result<(), String> {
    match text.starts_with('@') {
        true => Err(format!("a file of names (\"{text}\") is not supported")),
        false => Ok(()),
    }
}

/// `10.0.0.0/8`
fn network(text: &str) -> Result<Address, String> {
    let wrong = || format!("invalid CIDR mask in address \"{text}\"");
    let (base, bits) = text.split_once('/').ok_or_else(wrong)?;
    let base = ip(base)?;
    let most = if base.is_ipv4() { 32 } else { 128 };
    let bits = bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(wrong)?;
    Ok(Address::Network { base, bits })
}

fn ip(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| {
        format!("\"{text}\" is no IP address: host names are not supported, give an address range")
    })
}

/// Whether a netmask is one of IPv4, and its bits; `None`: it has a zero before a one.
fn mask_bits(mask: IpAddr) -> Option<(bool, u8)> {
    let (is_v4, bits) = match mask {
        IpAddr::V4(mask) => (true, u128::from(mask.to_bits()) << 96),
        IpAddr::V6(mask) => (false, mask.to_bits()),
    };
    let ones = bits.leading_ones();
    (ones == bits.count_ones()).then_some((is_v4, ones as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_as_postgresql_cuts_them() {
        let words = |line: &str| -> Vec<Vec<String>> {
            let fields = fields(line).unwrap();
            fields.into_iter().map(|f| f.into_iter().map(|w| w.text).collect()).collect()
        };
        assert!(words("  # only a comment").is_empty());
        assert_eq!(words("a b#c"), [["a"], ["b"]]);
        assert_eq!(words("a,b , c\td"), [vec!["a", "b", "c"], vec!["d"]]);
        assert_eq!(words("\"a b\" \"x,#\""), [["a b"], ["x,#"]]);
        assert!(fields("\"a b").is_err());
    }

    #[test]
    fn rules_may_be_long_or_not_ours() {
        let text = "local all all peer\n# nothing\n\nhost all all \\\n  all reject\n\
                    hostssl all \"all\", bob ::1/128 md5\nhostgssenc all all all trust\n";
        let rules = HbaRules::parse(text).unwrap().rules;
        assert_eq!(rules.len(), 3);
        assert_eq!((rules[0].address, rules[0].method), (Address::All, Method::Reject));
        let names = ["all", "bob"].map(|name| Name::Exactly(name.to_string()));
        assert_eq!(rules[1].users, Names::Listed(names.into()));
        assert_eq!((rules[1].transport, rules[1].method), (Transport::Tls, Method::Scram));
        assert_eq!(rules[2].transport, Transport::Never);
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (line, message) in [
            ("host", "end-of-line before database specification"),
            ("host all all", "end-of-line before IP address specification"),
            ("host all all 10.0.0.0/8", "end-of-line before authentication method specification"),
            ("host all all 10.0.0.0 trust", "\"trust\" is no IP address"),
            ("host all all 10.0.0.0 255.0.255.0 trust", "invalid IP mask \"255.0.255.0\""),
            ("host all all 10.0.0.0 ffff:: trust", "invalid IP mask \"ffff::\""),
            ("host all all 10.0.0.0/33 trust", "invalid CIDR mask in address \"10.0.0.0/33\""),
            ("host all all db0/8 trust", "\"db0\" is no IP address"),
            ("host all all samenet trust", "\"samenet\" is not supported"),
            ("host @file all all trust", "a file of names (\"@file\") is not supported"),
            ("host all all all peer", "invalid authentication method \"peer\""),
            ("host all all all trust map=x", "unrecognized authentication option \"map=x\""),
            ("host,hostssl all all all trust", "multiple values specified for connection type"),
            ("socket all all all trust", "invalid connection type \"socket\""),
            ("host \"all all all trust", "a quoted name does not end"),
        ] {
            let error = HbaRules::parse(&format!("# rules\n\n{line}\n")).unwrap_err();
            assert_eq!(error.sqlstate, SqlState::CONFIG_FILE_ERROR, "{line}");
            let expected = format!("line 3 of the rule file: {message}");
            assert!(error.message.starts_with(&expected), "{line}: {}", error.message);
        }
    }
}
