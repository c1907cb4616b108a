//! Functions of texts that are computed row by row.

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::format::format;
use crate::functions::row::{
    Call, Datum, Function,
    Type::{Any, Bytea, Integer, Output, Text},
    lenient, strict, variadic,
};

pub(crate) const ROW_FUNCTIONS: &[Function] = &[
    Function { name: "format", overloads: &[variadic(&[Text, Output], Text, format)] },
    Function {
        name: "num_nonnulls",
        overloads: &[variadic(&[Any], Integer, |_, a| {
            Ok(Datum::Int(a.iter().filter(|value| !value.is_null()).count() as i64))
        })],
    },
    Function {
        name: "num_nulls",
        overloads: &[variadic(&[Any], Integer, |_, a| {
            Ok(Datum::Int(a.iter().filter(|value| value.is_null()).count() as i64))
        })],
    },
    Function {
        name: "quote_ident",
        overloads: &[strict(&[Text], Text, |_, a| Ok(Datum::Text(quoted_ident(a[0].text()))))],
    },
    Function {
        name: "quote_literal",
        overloads: &[strict(&[Output], Text, |_, a| Ok(Datum::Text(quoted_literal(a[0].text()))))],
    },
    Function {
        name: "quote_nullable",
        overloads: &[lenient(&[Output], Text, |_, a| {
            Ok(Datum::Text(match a[0].is_null() {
                true => "NULL".into(),
                false => quoted_literal(a[0].text()),
            }))
        })],
    },
    Function { name: "unistr", overloads: &[strict(&[Text], Text, unistr)] },
    Function { name: "encode", overloads: &[strict(&[Bytea, Text], Text, encode)] },
    Function { name: "decode", overloads: &[strict(&[Text, Text], Bytea, decode)] },
];

/// Whether a text is like a pattern (`MatchText` in like_match.c).
pub(crate) fn like(text: &str, pattern: &str, ignore_case: bool) -> bool {
    let folded = |s: &str| match ignore_case {
        true => s.to_lowercase().chars().collect::<Vec<_>>(),
        false => s.chars().collect(),
    };
    matches(&folded(text), &folded(pattern))
}

/// Where `%` has let too few characters pass, it lets one more: no other one need be tried again.
fn matches(text: &[char], pattern: &[char]) -> bool {
    let (mut t, mut p) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let (step, matched) = match (pattern.get(p), text.get(t)) {
            (Some('%'), _) => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            (None, None) => return true,
            (Some('_'), Some(_)) => (1, true),
            (Some('\\'), Some(c)) => (2, pattern.get(p + 1) == Some(c)),
            (Some(wanted), Some(c)) => (1, wanted == c),
            _ => (0, false),
        };
        if matched {
            (t, p) = (t + 1, p + step);
            continue;
        }
        match retry {
            Some((after, from)) if from < text.len() => {
                retry = Some((after, from + 1));
                (p, t) = (after, from + 1);
            }
            _ => return false,
        }
    }
}

/// PostgreSQL's words that cannot be names without quotes (all but the unreserved of kwlist.h).
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

/// `quote_identifier` (ruleutils.c)
pub(super) fn quoted_ident(name: &str) -> String {
    let first = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if first && name.chars().all(rest) && !RESERVED.contains(&name) {
        return name.into();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `quote_literal` (quote.c)
pub(super) fn quoted_literal(text: &str) -> String {
    let escape = if text.contains('\\') { "E" } else { "" };
    format!("{escape}'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// `unistr` (varlena.c): `\XXXX`, `\+XXXXXX`, `\uXXXX`, `\UXXXXXXXX`, `\\`.
fn unistr(_: &Call, arguments: &[Datum]) -> Result<Datum> {
    let invalid = || {
        ErrorReport::new(SqlState::SYNTAX_ERROR, "invalid Unicode escape")
            .hint("Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.")
    };
    let mut out = String::new();
    let mut rest = arguments[0].text();
    let mut high: Option<u32> = None;
    while let Some((before, after)) = rest.split_once('\\') {
        if high.is_some() && !before.is_empty() {
            return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, "invalid Unicode surrogate pair"));
        }
        out.push_str(before);
        if let Some(after) = after.strip_prefix('\\') {
            out.push('\\');
            rest = after;
            continue;
        }
        let (digits, length) = match after.chars().next() {
            Some('+') => (after.get(1..7), 7),
            Some('u') => (after.get(1..5), 5),
            Some('U') => (after.get(1..9), 9),
            _ => (after.get(..4), 4),
        };
        let code = digits.and_then(|d| u32::from_str_radix(d, 16).ok()).ok_or_else(invalid)?;
        let code = match (high.take(), code) {
            (None, 0xd800..=0xdbff) => {
                high = Some(code);
                rest = &after[length..];
                continue;
            }
            (Some(high), 0xdc00..=0xdfff) => 0x1_0000 + ((high - 0xd800) << 10) + (code - 0xdc00),
            (Some(_), _) | (None, 0xdc00..=0xdfff) => {
                let message = "invalid Unicode surrogate pair";
                return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message));
            }
            (None, code) => code,
        };
        out.push(char::from_u32(code).filter(|c| *c != '\0').ok_or_else(|| {
            ErrorReport::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid Unicode code point: {code:04X}"),
            )
        })?);
        rest = &after[length..];
    }
    if high.is_some() {
        return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, "invalid Unicode surrogate pair"));
    }
    out.push_str(rest);
    Ok(Datum::Text(out))
}

fn unknown_encoding(name: &str) -> ErrorReport {
    let message = format!("unrecognized encoding: \"{name}\"");
    ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `encode(bytes, 'hex' | 'base64' | 'escape')` (encode.c). Lines of base64 have 76 characters.
fn encode(_: &Call, arguments: &[Datum]) -> Result<Datum> {
    let Datum::Bytes(bytes) = &arguments[0] else { return Ok(Datum::Null) };
    let text: String = match arguments[1].text().to_ascii_lowercase().as_str() {
        "hex" => bytes.iter().map(|b| format!("{b:02x}")).collect(),
        "escape" => bytes
            .iter()
            .map(|b| match b {
                b'\\' => "\\\\".to_string(),
                0 | 128.. => format!("\\{b:03o}"),
                b => char::from(*b).to_string(),
            })
            .collect(),
        "base64" => {
            let mut out = String::new();
            for (at, chunk) in bytes.chunks(3).enumerate() {
                if at > 0 && at % 19 == 0 {
                    out.push('\n');
                }
                let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
                let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
                for place in 0..4 {
                    let digit = (bits >> (18 - 6 * place)) & 63;
                    out.push(match place > chunk.len() {
                        true => '=',
                        false => char::from(BASE64[digit as usize]),
                    });
                }
            }
            out
        }
        other => return Err(unknown_encoding(other)),
    };
    Ok(Datum::Text(text))
}

/// `decode(text, 'hex' | 'base64' | 'escape')`
fn decode(_: &Call, arguments: &[Datum]) -> Result<Datum> {
    let text = arguments[0].text();
    let read = crate::functions::cast::bytea;
    match arguments[1].text().to_ascii_lowercase().as_str() {
        "hex" => read(&format!("\\x{text}")).map(Datum::Bytes),
        "escape" if text.starts_with("\\x") => Err(ErrorReport::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            "invalid input syntax for type bytea",
        )),
        "escape" => read(text).map(Datum::Bytes),
        "base64" => base64(text).map(Datum::Bytes),
        other => Err(unknown_encoding(other)),
    }
}

fn base64(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut digits, mut padding) = (0u32, 0, 0);
    for c in text.chars().filter(|c| !c.is_ascii_whitespace()) {
        let digit = match BASE64.iter().position(|b| char::from(*b) == c) {
            Some(digit) if padding == 0 => digit as u32,
            None if c == '=' && digits >= 2 => {
                padding += 1;
                0
            }
            _ => {
                return Err(ErrorReport::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("invalid symbol \"{c}\" found while decoding base64 sequence"),
                ));
            }
        };
        bits = bits << 6 | digit;
        digits += 1;
        if digits == 4 {
            let all = [(bits >> 16) as u8, (bits >> 8) as u8, bits as u8];
            bytes.extend_from_slice(&all[..3usize.saturating_sub(padding)]);
            (bits, digits) = (0, 0);
        }
    }
    match digits {
        0 => Ok(bytes),
        _ => {
            Err(ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, "invalid base64 end sequence")
                .hint("Input data is missing padding, is truncated, or is otherwise corrupted."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_like_match_as_in_postgresql() {
        for (text, pattern, expected) in [
            ("abc", "a%", true),
            ("abc", "%c", true),
            ("abc", "a_c", true),
            ("abc", "_", false),
            ("", "%", true),
            ("", "_", false),
            ("a%c", "a\\%c", true),
            ("abc", "a\\%c", false),
            ("aXbXc", "a%b%c", true),
            ("abab", "%ab", true),
            ("abc", "abc%%", true),
            ("é", "_", true),
        ] {
            assert_eq!(like(text, pattern, false), expected, "{text} LIKE {pattern}");
        }
        assert!(like("ABC", "a%", true));
    }
}
