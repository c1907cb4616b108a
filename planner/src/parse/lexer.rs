//! The text as tokens that know their places, cut into statements.

use std::ops::Range;

use datafusion::sql::sqlparser::{
    dialect::PostgreSqlDialect,
    keywords::Keyword,
    tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace},
};
use kestrel_proto::{ErrorReport, Result, SqlState};

/// PostgreSQL's NAMEDATALEN - 1: longer identifiers are cut, in bytes.
pub(crate) const MAX_IDENTIFIER_BYTES: usize = 63;

/// A token and its place in the whole text.
pub(super) struct Lexeme {
    /// Line and column are those of the whole text.
    pub(super) token: TokenWithSpan,
    /// Its own text.
    pub(super) bytes: Range<usize>,
    /// Characters before it.
    pub(super) character: usize,
}

impl Lexeme {
    pub(super) fn is_space(&self) -> bool {
        matches!(self.token.token, Token::Whitespace(_))
    }

    /// 1-based, in the whole text.
    pub(super) fn position(&self) -> u32 {
        to_position(self.character)
    }
}

/// The whole text, tokenized.
pub(super) struct Lexed<'a> {
    pub(super) text: &'a str,
    pub(super) lexemes: Vec<Lexeme>,
    /// Of the whole text.
    pub(super) characters: usize,
    /// Identifiers that were cut, and where: each gives a NOTICE.
    truncated: Vec<(usize, ErrorReport)>,
}

/// Tokenizes the text. Errors are PostgreSQL's (scan.l), with the position where the token began.
pub(super) fn lex(text: &str) -> Result<Lexed<'_>> {
    let mut tokens = Vec::new();
    let outcome = Tokenizer::new(&PostgreSqlDialect {}, text)
        .tokenize_with_location_into_buf(&mut tokens)
        .map_err(|e| e.message);
    let mut places = Places::new(text);
    let mut lexemes = Vec::with_capacity(tokens.len());
    for token in tokens {
        let (start, character) = places.advance(token.span.start);
        let (end, _) = places.advance(token.span.end);
        lexemes.push(Lexeme { token, bytes: start..end, character });
    }
    if let Err(message) = outcome {
        let rest = &text[places.byte..];
        return Err(bad_token(rest, &message).position(to_position(places.character)));
    }
    let mut lexed =
        Lexed { text, lexemes, characters: text.chars().count(), truncated: Vec::new() };
    lexed.check_identifiers()?;
    lexed.unwrap_operators();
    Ok(lexed)
}

/// 0-based characters to a 1-based position.
pub(super) fn to_position(characters: usize) -> u32 {
    u32::try_from(characters.saturating_add(1)).unwrap_or(u32::MAX)
}

impl Lexed<'_> {
    /// The lexemes of each statement, without the space around them; empty statements are left out.
    pub(super) fn statements(&self) -> Vec<Range<usize>> {
        let mut statements = Vec::new();
        let mut start = 0;
        let is_end = |l: &Lexeme| l.token.token == Token::SemiColon;
        let ends = (0..self.lexemes.len()).filter(|i| is_end(&self.lexemes[*i]));
        for end in ends.chain([self.lexemes.len()]) {
            let is_word = |i: &usize| !self.lexemes[*i].is_space();
            if let Some(first) = (start..end).find(is_word) {
                let last = (first..end).rev().find(is_word).unwrap_or(first);
                statements.push(first..last + 1);
            }
            start = end + 1;
        }
        statements
    }

    /// The NOTICEs about the identifiers of one statement.
    pub(super) fn notices(&self, statement: &Range<usize>) -> Vec<ErrorReport> {
        // They are in order. Looking through all of them for every statement would be quadratic.
        let before = |end: usize| self.truncated.partition_point(|(index, _)| *index < end);
        let of_statement = self.truncated.get(before(statement.start)..before(statement.end));
        of_statement.unwrap_or_default().iter().map(|(_, notice)| notice.clone()).collect()
    }

    /// `OPERATOR(pg_catalog.=)`, as clients write to be safe from search paths, is `=`: there are
    /// no other operators.
    fn unwrap_operators(&mut self) {
        for index in 0..self.lexemes.len() {
            let Some((count, at)) = qualified_operator(&self.lexemes, index) else { continue };
            let operator = self.lexemes[at].token.token.clone();
            for lexeme in &mut self.lexemes[index..index + count] {
                lexeme.token.token = Token::Whitespace(Whitespace::Space);
            }
            self.lexemes[index].token.token = operator;
        }
    }

    /// Cuts long identifiers as PostgreSQL's scanner does, wherever they stand.
    fn check_identifiers(&mut self) -> Result<()> {
        for (index, lexeme) in self.lexemes.iter_mut().enumerate() {
            let position = lexeme.position();
            let Token::Word(word) = &mut lexeme.token.token else { continue };
            if word.value.is_empty() {
                let message = "zero-length delimited identifier at or near \"\"\"\"";
                return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message).position(position));
            }
            let kept = clip(&word.value, MAX_IDENTIFIER_BYTES);
            if kept.len() < word.value.len() {
                let message =
                    format!("identifier \"{}\" will be truncated to \"{kept}\"", word.value);
                self.truncated.push((index, ErrorReport::notice(SqlState::NAME_TOO_LONG, message)));
                word.value = kept.to_string();
                word.keyword = Keyword::NoKeyword;
            }
        }
        Ok(())
    }
}

/// The number of lexemes of `OPERATOR(pg_catalog.=)` at `index`, and the one of the operator.
fn qualified_operator(lexemes: &[Lexeme], index: usize) -> Option<(usize, usize)> {
    if !matches!(&lexemes[index].token.token, Token::Word(w) if w.keyword == Keyword::OPERATOR) {
        return None;
    }
    let rest: Vec<_> = (index..lexemes.len())
        .filter(|i| !lexemes[*i].is_space())
        .take(6)
        .map(|i| (i, &lexemes[i].token.token))
        .collect();
    let is = |token: &Token, word: &str| matches!(token, Token::Word(w) if w.value.eq_ignore_ascii_case(word));
    match rest.as_slice() {
        [
            (_, operator),
            (_, Token::LParen),
            (_, schema),
            (_, Token::Period),
            (at, symbol),
            (end, Token::RParen),
        ] if is(operator, "operator")
            && is(schema, "pg_catalog")
            && !matches!(symbol, Token::Word(_)) =>
        {
            Some((end + 1 - index, *at))
        }
        _ => None,
    }
}

/// The longest prefix of at most `bytes` bytes that ends between characters.
pub(crate) fn clip(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The error for text that is no token.
fn bad_token(rest: &str, message: &str) -> ErrorReport {
    let what = match rest.chars().next() {
        Some('/') if rest.starts_with("/*") => "unterminated /* comment",
        Some('"') => "unterminated quoted identifier",
        Some('$') => "unterminated dollar-quoted string",
        _ if message.starts_with("Unterminated") && rest.contains('\'') => {
            "unterminated quoted string"
        }
        Some(_) => "syntax error",
        None => {
            return ErrorReport::new(SqlState::SYNTAX_ERROR, "syntax error at end of input");
        }
    };
    // Such a token runs to the end of the text; so does PostgreSQL's message, but a line is enough.
    let near = rest.lines().next().unwrap_or(rest);
    ErrorReport::new(SqlState::SYNTAX_ERROR, format!("{what} at or near \"{near}\""))
}

/// Lines and columns, visited in order, as bytes and characters.
struct Places<'a> {
    rest: std::str::Chars<'a>,
    location: Location,
    byte: usize,
    character: usize,
}

impl<'a> Places<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text.chars(), location: Location::new(1, 1), byte: 0, character: 0 }
    }

    /// Bytes and characters before `to`, which is not before where the last call went.
    fn advance(&mut self, to: Location) -> (usize, usize) {
        while (self.location.line, self.location.column) < (to.line, to.column) {
            let Some(c) = self.rest.next() else { break };
            self.byte += c.len_utf8();
            self.character += 1;
            if c == '\n' {
                self.location = Location::new(self.location.line + 1, 1);
            } else {
                self.location.column += 1;
            }
        }
        (self.byte, self.character)
    }
}
