//! PostgreSQL's advanced regular expressions (`src/backend/regex`) as those of the `regex` crate.
//!
//! Both find the leftmost match; of alternatives that begin there PostgreSQL takes the longest and
//! the crate the first. Look-around and back references are refused: the crate's promise of linear
//! time excludes them. Classes (`\d`, `\w`, `[[:alpha:]]`) mean ASCII, as in collation `C`.

use kestrel_proto::{ErrorReport, Result, SqlState};

/// What flags (and `(?flags)` at the beginning) ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// i
    pub(super) ignore_case: bool,
    /// n, p: `.` and `[^x]` do not match a new line.
    newline_stops: bool,
    /// n, w: `^` and `$` match at lines.
    newline_anchors: bool,
    /// x
    expanded: bool,
    /// q
    literal: bool,
}

impl Options {
    /// Takes one flag; false: there is none of this letter.
    pub(super) fn set(&mut self, flag: char) -> bool {
        match flag {
            'i' => self.ignore_case = true,
            'c' => self.ignore_case = false,
            'n' | 'm' => (self.newline_stops, self.newline_anchors) = (true, true),
            'p' => (self.newline_stops, self.newline_anchors) = (true, false),
            'w' => (self.newline_stops, self.newline_anchors) = (false, true),
            's' => (self.newline_stops, self.newline_anchors) = (false, false),
            'x' => self.expanded = true,
            't' => self.expanded = false,
            'q' => self.literal = true,
            'e' => {}
            _ => return false,
        }
        true
    }
}

/// `invalid regular expression: …` (2201B).
pub(super) fn invalid(what: &str) -> ErrorReport {
    let message = format!("invalid regular expression: {what}");
    ErrorReport::new(SqlState::INVALID_REGULAR_EXPRESSION, message)
}

fn refused(what: &str) -> ErrorReport {
    ErrorReport::unsupported(format!("regular expressions with {what} are not supported"))
}

/// The pattern for the `regex` crate, its flags in front.
pub(super) fn translated(pattern: &str, mut options: Options) -> Result<String> {
    let mut pattern = pattern;
    if let Some(rest) = pattern.strip_prefix("***=") {
        (pattern, options.literal) = (rest, true);
    } else if let Some(rest) = pattern.strip_prefix("***:") {
        pattern = rest;
    }
    // `(?i)` counts only at the very beginning.
    if let Some((flags, rest)) = pattern.strip_prefix("(?").and_then(|p| p.split_once(')'))
        && !options.literal
        && !flags.is_empty()
        && flags.chars().all(|c| c.is_ascii_lowercase())
    {
        if !flags.chars().all(|flag| options.set(flag)) {
            return Err(invalid("invalid embedded option"));
        }
        pattern = rest;
    }
    let body = match options.literal {
        true => ::regex::escape(pattern),
        false => {
            let mut translator =
                Translator { chars: pattern.chars().collect(), at: 0, out: String::new(), options };
            translator.run()?;
            translator.out
        }
    };
    let mut flags = String::new();
    for (flag, is_set) in [
        ('i', options.ignore_case),
        ('m', options.newline_anchors),
        ('s', !options.newline_stops && body.contains('.')),
        ('x', options.expanded && !options.literal),
    ] {
        if is_set {
            flags.push(flag);
        }
    }
    Ok(if flags.is_empty() { body } else { format!("(?{flags}){body}") })
}

struct Translator {
    chars: Vec<char>,
    at: usize,
    out: String,
    options: Options,
}

impl Translator {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn starts_with(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(ahead, c)| self.peek(ahead) == Some(c))
    }

    fn run(&mut self) -> Result<()> {
        let mut depth = 0usize;
        while let Some(c) = self.peek(0) {
            match c {
                '(' => {
                    depth += 1;
                    self.group()?;
                }
                // A parenthesis too many stands for itself only where none is open.
                ')' if depth == 0 => return Err(invalid("parentheses () not balanced")),
                ')' => {
                    depth -= 1;
                    self.push(c);
                }
                '[' => self.bracket()?,
                '\\' => self.escape(false)?,
                '{' if !self.peek(1).is_some_and(|c| c.is_ascii_digit()) => {
                    self.out.push_str("\\{");
                    self.at += 1;
                }
                '}' => {
                    // That of a repetition is the one that has been opened.
                    let opened = self.out.rfind('{').map_or("", |at| &self.out[at + 1..]);
                    let is_count = !opened.is_empty()
                        && opened.chars().all(|c| c.is_ascii_digit() || c == ',');
                    self.out.push_str(if is_count { "}" } else { "\\}" });
                    self.at += 1;
                }
                '*' | '+' | '?' if self.begins_branch() => {
                    return Err(invalid("quantifier operand invalid"));
                }
                c => self.push(c),
            }
        }
        if depth > 0 {
            return Err(invalid("parentheses () not balanced"));
        }
        Ok(())
    }

    fn begins_branch(&self) -> bool {
        match self.at.checked_sub(1).and_then(|at| self.chars.get(at)) {
            None => true,
            Some('(' | '|') => self.at < 2 || self.chars.get(self.at - 2) != Some(&'\\'),
            Some(_) => false,
        }
    }

    fn push(&mut self, c: char) {
        self.out.push(c);
        self.at += 1;
    }

    fn group(&mut self) -> Result<()> {
        if self.starts_with("(?:") {
            self.out.push_str("(?:");
            self.at += 3;
            return Ok(());
        }
        for around in ["(?=", "(?!", "(?<=", "(?<!"] {
            if self.starts_with(around) {
                return Err(refused("look-ahead or look-behind"));
            }
        }
        if self.starts_with("(?") {
            return Err(invalid("quantifier operand invalid"));
        }
        self.push('(');
        Ok(())
    }

    /// `[…]`: the crate knows sets within sets, and `&&`, `--` and `~~` between them.
    fn bracket(&mut self) -> Result<()> {
        if self.starts_with("[[:<:]]") || self.starts_with("[[:>:]]") {
            self.out.push_str(if self.starts_with("[[:<:]]") { "\\b{start}" } else { "\\b{end}" });
            self.at += 7;
            return Ok(());
        }
        self.push('[');
        if self.peek(0) == Some('^') {
            self.push('^');
            if self.options.newline_stops {
                self.out.push_str("\\n");
            }
        }
        let mut is_first = true;
        loop {
            let Some(c) = self.peek(0) else {
                return Err(invalid("brackets [] not balanced"));
            };
            match c {
                ']' if !is_first => {
                    self.push(']');
                    return Ok(());
                }
                '[' if matches!(self.peek(1), Some(':' | '.' | '=')) => self.class()?,
                '[' | ']' | '&' | '~' => {
                    self.out.push('\\');
                    self.push(c);
                }
                '-' if is_first || self.peek(1) == Some(']') => {
                    self.out.push_str("\\-");
                    self.at += 1;
                }
                // Between two characters it makes a range of them; the second can be one, too.
                '-' => {
                    self.push('-');
                    if self.peek(0) == Some('-') {
                        self.out.push_str("\\-");
                        self.at += 1;
                    }
                }
                '\\' => self.escape(true)?,
                c if c.is_whitespace() || c == '#' => {
                    self.out.push('\\');
                    match c {
                        '\n' => self.out.push('n'),
                        '\t' => self.out.push('t'),
                        '\r' => self.out.push('r'),
                        ' ' | '#' => self.out.push(c),
                        c => self.out.push_str(&format!("x{{{:x}}}", u32::from(c))),
                    }
                    self.at += 1;
                }
                c => self.push(c),
            }
            is_first = false;
        }
    }

    /// `[:alpha:]`, `[.x.]`, `[=x=]`.
    fn class(&mut self) -> Result<()> {
        const CLASSES: &[&str] = &[
            "alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
            "space", "upper", "xdigit",
        ];
        let kind = self.peek(1).unwrap_or(':');
        let rest: String = self.chars[self.at + 2..].iter().collect();
        let Some((name, _)) = rest.split_once(&format!("{kind}]")) else {
            return Err(invalid("brackets [] not balanced"));
        };
        let mut characters = name.chars();
        match (kind, characters.next(), characters.next()) {
            (':', ..) if name == "word" => self.out.push_str("[:word:]"),
            (':', ..) if CLASSES.contains(&name) => self.out.push_str(&format!("[:{name}:]")),
            (':', ..) => return Err(invalid("invalid character class")),
            (_, Some(c), None) => self.out.push_str(&::regex::escape(&c.to_string())),
            _ => return Err(invalid("invalid collating element")),
        }
        self.at += 4 + name.chars().count();
        Ok(())
    }

    fn escape(&mut self, in_bracket: bool) -> Result<()> {
        let Some(c) = self.peek(1) else {
            return Err(invalid("invalid escape \\ sequence"));
        };
        self.at += 2;
        let simple = match c {
            'd' => {
                if in_bracket {
                    "0-9"
                } else {
                    "[0-9]"
                }
            }
            'w' => {
                if in_bracket {
                    "A-Za-z0-9_"
                } else {
                    "[A-Za-z0-9_]"
                }
            }
            's' => {
                if in_bracket {
                    " \\t\\n\\r\\x0b\\x0c"
                } else {
                    "[ \\t\\n\\r\\x0b\\x0c]"
                }
            }
            'D' if !in_bracket => "[^0-9]",
            'W' if !in_bracket => "[^A-Za-z0-9_]",
            'S' if !in_bracket => "[^ \\t\\n\\r\\x0b\\x0c]",
            'm' if !in_bracket => "\\b{start}",
            'M' if !in_bracket => "\\b{end}",
            'y' if !in_bracket => "\\b",
            'Y' if !in_bracket => "\\B",
            'A' if !in_bracket => "\\A",
            'Z' if !in_bracket => "\\z",
            'a' => "\\x07",
            'b' => "\\x08",
            'B' => "\\\\",
            'e' => "\\x1b",
            'f' => "\\x0c",
            'n' => "\\n",
            'r' => "\\r",
            't' => "\\t",
            'v' => "\\x0b",
            '0' => "\\x00",
            'u' => return self.code(4),
            'U' => return self.code(8),
            'x' => return self.code(usize::MAX),
            '1'..='9' if !in_bracket => return Err(refused("back references")),
            c if c.is_ascii_alphanumeric() => return Err(invalid("invalid escape \\ sequence")),
            c => {
                self.out.push_str(&::regex::escape(&c.to_string()));
                if in_bracket && matches!(c, '&' | '~' | '-' | '[' | ']' | '^') {
                    // Escaped already where the crate asks for it outside of brackets.
                    let last = self.out.pop();
                    if !self.out.ends_with('\\') {
                        self.out.push('\\');
                    }
                    self.out.extend(last);
                }
                return Ok(());
            }
        };
        self.out.push_str(simple);
        Ok(())
    }

    /// A character by its hexadecimal code of so many digits; `usize::MAX`: of any number.
    fn code(&mut self, digits: usize) -> Result<()> {
        let rest = self.chars.get(self.at..).unwrap_or_default().iter();
        let hex: String = rest.take_while(|c| c.is_ascii_hexdigit()).take(digits).collect();
        let code = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32);
        match code {
            Some(c) if digits == usize::MAX || hex.len() == digits => {
                self.at += hex.len();
                self.out.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
                Ok(())
            }
            _ => Err(invalid("invalid escape \\ sequence")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (pattern, flags, text, what PostgreSQL's `substring(text from pattern)` finds)
    const CASES: &[(&str, &str, &str, Option<&str>)] = &[
        ("a.c", "", "a\nc", Some("a\nc")),
        ("a.c", "n", "a\nc", None),
        ("^b", "", "a\nb", None),
        ("^b", "n", "a\nb", Some("b")),
        ("[^a]", "n", "a\nb", Some("b")),
        ("\\mfoo\\M", "", "a foo b", Some("foo")),
        ("\\yfoo\\y", "", "afoo", None),
        ("[[:<:]]foo", "", "a foo", Some("foo")),
        ("[[:digit:]]+", "", "ab12", Some("12")),
        ("[]a]+", "", "x]a", Some("]a")),
        ("[a[b]+", "", "x[ab", Some("[ab")),
        ("[a&&b]+", "", "x&&", Some("&&")),
        ("[a-]+", "", "x-a", Some("-a")),
        ("[+--]+", "", "a,b", Some(",")),
        ("a{2}", "", "aaa", Some("aa")),
        ("a{b", "", "xa{b", Some("a{b")),
        ("{a}", "", "x{a}", Some("{a}")),
        ("\\d+\\.\\d", "", "v12.5", Some("12.5")),
        ("\\x41", "", "xA", Some("A")),
        ("\\u00e9", "", "é", Some("é")),
        ("(?i)ABC", "", "xabc", Some("abc")),
        ("ABC", "i", "xabc", Some("abc")),
        ("***=a.b", "", "a.b axb", Some("a.b")),
        ("a b # x\n", "x", "ab", Some("ab")),
        ("[\\w.-]+@", "", "a.b-c@d", Some("a.b-c@")),
        ("\\Afoo\\Z", "", "foo", Some("foo")),
        ("colou?r", "", "color", Some("color")),
    ];

    #[test]
    fn patterns_find_what_postgresql_finds() {
        for (pattern, flags, text, expected) in CASES {
            let mut options = Options::default();
            assert!(flags.chars().all(|flag| options.set(flag)));
            let translated = translated(pattern, options).unwrap();
            let regex = ::regex::Regex::new(&translated).expect(&translated);
            let found = regex.find(text).map(|found| found.as_str());
            assert_eq!(found, *expected, "{pattern} as {translated}");
        }
    }

    #[test]
    fn wrong_patterns_get_postgresqls_errors() {
        for (pattern, message) in [
            ("(a", "parentheses () not balanced"),
            ("a)", "parentheses () not balanced"),
            ("[a", "brackets [] not balanced"),
            ("*a", "quantifier operand invalid"),
            ("a\\", "invalid escape \\ sequence"),
            ("[[:nope:]]", "invalid character class"),
        ] {
            let error = translated(pattern, Options::default()).unwrap_err();
            assert_eq!(
                error.message,
                format!("invalid regular expression: {message}"),
                "{pattern}"
            );
        }
        for pattern in ["(?=a)", "(a)\\1"] {
            let error = translated(pattern, Options::default()).unwrap_err();
            assert_eq!(error.sqlstate, SqlState::FEATURE_NOT_SUPPORTED, "{pattern}");
        }
    }
}
