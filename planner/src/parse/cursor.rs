//! A place in a statement's tokens, from which our own words are read by hand and everything else
//! by sqlparser.

use std::ops::Range;

use datafusion::sql::sqlparser::{
    parser::{Parser, ParserError},
    tokenizer::{Location, Span, Token, TokenWithSpan, Whitespace, Word},
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    dialect::KestrelDialect,
    lexer::{Lexed, Lexeme, to_position},
    name::{self, Identifier, QualifiedName},
};

/// Levels of nested expressions and queries; the parser's stack grows with them.
const MAX_NESTING: usize = 300;

/// Reads lexemes `index..end`, always standing on one that is no space.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    lexed: &'a Lexed<'a>,
    index: usize,
    end: usize,
    /// Where the statement begins: the spans in its syntax tree count from here.
    base: Location,
}

impl<'a> Cursor<'a> {
    /// Over one statement.
    pub(super) fn new(lexed: &'a Lexed<'a>, statement: Range<usize>) -> Self {
        let base = lexed.lexemes[statement.start].token.span.start;
        Self { lexed, index: statement.start, end: statement.end, base }
    }

    /// Over what is left, as a statement of its own (the one inside EXPLAIN).
    pub(super) fn rebased(&self) -> Self {
        let base = self.peek().map_or(self.base, |l| l.token.span.start);
        Self { base, ..self.clone() }
    }

    /// What is left, as lexeme indices.
    pub(super) fn range(&self) -> Range<usize> {
        self.index..self.end
    }

    /// Over `range` of the same statement.
    pub(super) fn over(&self, range: Range<usize>) -> Self {
        let mut cursor = Self { index: range.start, end: range.end, ..self.clone() };
        cursor.skip_space();
        cursor
    }

    pub(super) fn peek(&self) -> Option<&'a Lexeme> {
        self.lexed.lexemes[..self.end].get(self.index)
    }

    /// The token behind the next `n` ones.
    pub(super) fn peek_nth(&self, n: usize) -> Option<&'a Lexeme> {
        self.lexed.lexemes[self.index.min(self.end)..self.end]
            .iter()
            .filter(|l| !l.is_space())
            .nth(n)
    }

    pub(super) fn advance(&mut self) {
        self.index = (self.index + 1).min(self.end);
        self.skip_space();
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(Lexeme::is_space) {
            self.index += 1;
        }
    }

    pub(super) fn at_end(&self) -> bool {
        self.peek().is_none()
    }

    /// The next token, unless at the end.
    pub(super) fn token(&self) -> Option<&'a Token> {
        self.peek().map(|l| &l.token.token)
    }

    /// 1-based position of the next token, or of the end, in the whole text.
    pub(super) fn position(&self) -> u32 {
        match self.following() {
            Some(lexeme) => lexeme.position(),
            None => to_position(self.lexed.characters),
        }
    }

    /// The next token, even if it is no longer ours (the `;` or `)` that ends our range).
    fn following(&self) -> Option<&'a Lexeme> {
        self.lexed.lexemes[self.index..].iter().find(|l| !l.is_space())
    }

    /// Characters of the whole text before the next token.
    pub(super) fn character(&self) -> usize {
        self.peek().map_or(self.lexed.characters, |l| l.character)
    }

    /// The text of these lexemes, without the space around them.
    pub(super) fn text(&self, range: Range<usize>) -> &'a str {
        let lexemes = &self.lexed.lexemes[range];
        match (lexemes.first(), lexemes.last()) {
            (Some(first), Some(last)) => self.lexed.text[first.bytes.start..last.bytes.end].trim(),
            _ => "",
        }
    }

    /// The next token's text.
    pub(super) fn here(&self) -> &'a str {
        self.peek().map_or("", |l| &self.lexed.text[l.bytes.clone()])
    }

    /// Is the token behind the next `n` ones this word, unquoted?
    pub(super) fn is_word_at(&self, n: usize, word: &str) -> bool {
        self.peek_nth(n).is_some_and(|l| is_word(&l.token.token, word))
    }

    /// Is the next token this word, unquoted?
    pub(super) fn is_word(&self, word: &str) -> bool {
        self.token().is_some_and(|t| is_word(t, word))
    }

    /// Are the next tokens these words, separated by spaces in `words`?
    pub(super) fn are_words(&self, words: &str) -> bool {
        words.split(' ').enumerate().all(|(n, word)| self.is_word_at(n, word))
    }

    /// Skips these words if they are next.
    pub(super) fn eat(&mut self, words: &str) -> bool {
        let found = self.are_words(words);
        if found {
            words.split(' ').for_each(|_| self.advance());
        }
        found
    }

    /// The first of these phrases that is next; skipped.
    pub(super) fn eat_one_of<T: Copy>(&mut self, phrases: &[(&str, T)]) -> Option<T> {
        phrases.iter().find(|(phrase, _)| self.eat(phrase)).map(|(_, value)| *value)
    }

    /// Skips these words, which must be next.
    pub(super) fn expect(&mut self, words: &str) -> Result<()> {
        words.split(' ').try_for_each(|word| if self.eat(word) { Ok(()) } else { self.fail() })
    }

    /// Skips this token if it is next.
    pub(super) fn eat_token(&mut self, token: &Token) -> bool {
        let found = self.token() == Some(token);
        if found {
            self.advance();
        }
        found
    }

    /// Skips this token, which must be next.
    pub(super) fn expect_token(&mut self, token: &Token) -> Result<()> {
        if self.eat_token(token) { Ok(()) } else { self.fail() }
    }

    /// Nothing may be left.
    pub(super) fn expect_end(&self) -> Result<()> {
        if self.at_end() { Ok(()) } else { self.fail() }
    }

    /// `syntax error at or near` the next token.
    pub(super) fn fail<T>(&self) -> Result<T> {
        Err(self.syntax_error())
    }

    /// `syntax error at or near` the next token.
    pub(super) fn syntax_error(&self) -> ErrorReport {
        syntax_error(self.lexed, self.following())
    }

    /// A name of a column, constraint, …: quoted, or not reserved; in lower case unless quoted.
    pub(super) fn identifier(&mut self) -> Result<Identifier> {
        let position = self.position();
        match self.token() {
            Some(Token::Word(w)) if w.quote_style.is_some() || !name::is_reserved(&w.value) => {
                let name = folded(w);
                self.advance();
                Ok(Identifier { name, position })
            }
            _ => self.fail(),
        }
    }

    /// Any word: quoted, or not; in lower case unless quoted.
    pub(super) fn word(&mut self) -> Result<String> {
        let Some(Token::Word(word)) = self.token() else { return self.fail() };
        self.advance();
        Ok(folded(word))
    }

    /// `table`, `schema.table`, or `kestrel.schema.table`.
    pub(super) fn name(&mut self) -> Result<QualifiedName> {
        let mut parts = vec![self.identifier()?];
        while self.eat_token(&Token::Period) {
            let position = self.position();
            // After a dot every word is a name.
            parts.push(Identifier { name: self.word()?, position });
        }
        QualifiedName::of_parts(parts)
    }

    /// A string in quotes of any kind.
    pub(super) fn string(&mut self) -> Result<String> {
        let value = match self.token() {
            Some(Token::SingleQuotedString(s) | Token::EscapedStringLiteral(s)) => s.clone(),
            Some(Token::UnicodeStringLiteral(s)) => s.clone(),
            Some(Token::DollarQuotedString(s)) => s.value.clone(),
            _ => return self.fail(),
        };
        self.advance();
        Ok(value)
    }

    /// The inside of the parentheses that open here; this cursor goes behind them.
    pub(super) fn parenthesized(&mut self) -> Result<Self> {
        if self.token() != Some(&Token::LParen) {
            return self.fail();
        }
        let mut depth = 0;
        for index in self.range() {
            match self.lexed.lexemes[index].token.token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let inside = self.over(self.index + 1..index);
                self.index = index;
                self.advance();
                return Ok(inside);
            }
        }
        Err(self.over(self.end..self.end).syntax_error())
    }

    /// Goes behind the next token, or behind the whole group that it opens.
    pub(super) fn skip_group(&mut self) {
        let mut depth = 0;
        while let Some(token) = self.token() {
            depth += depth_change(token);
            self.advance();
            if depth <= 0 {
                break;
            }
        }
    }

    /// What is between the commas that stand outside of parentheses.
    pub(super) fn split_commas(&self) -> Vec<Self> {
        let (mut parts, mut start, mut depth) = (Vec::new(), self.index, 0);
        for index in self.range() {
            let token = &self.lexed.lexemes[index].token.token;
            depth += depth_change(token);
            if *token == Token::Comma && depth == 0 {
                parts.push(self.over(start..index));
                start = index + 1;
            }
        }
        parts.push(self.over(start..self.end));
        parts
    }

    /// `(a, b, …)`
    pub(super) fn identifiers(&mut self) -> Result<Vec<Identifier>> {
        let inside = self.parenthesized()?;
        let one = |mut part: Self| {
            let identifier = part.identifier()?;
            part.expect_end().map(|()| identifier)
        };
        inside.split_commas().into_iter().map(one).collect()
    }

    /// `a.b, c, …` up to something that is no comma.
    pub(super) fn names(&mut self) -> Result<Vec<QualifiedName>> {
        let mut names = vec![self.name()?];
        while self.eat_token(&Token::Comma) {
            names.push(self.name()?);
        }
        Ok(names)
    }

    /// Lets sqlparser read as far as `read` goes. Spans in the result count from the statement's
    /// first character.
    pub(super) fn parse_with<T>(
        &mut self,
        read: impl FnOnce(&mut Parser<'_>) -> Result<T, ParserError>,
    ) -> Result<T> {
        self.parse_without(0..0, read)
    }

    /// The same, as if some of the tokens were spaces.
    pub(super) fn parse_without<T>(
        &mut self,
        hidden: Range<usize>,
        read: impl FnOnce(&mut Parser<'_>) -> Result<T, ParserError>,
    ) -> Result<T> {
        let first = self.index;
        let lexemes = &self.lexed.lexemes[self.range()];
        let tokens = lexemes.iter().enumerate().map(|(at, lexeme)| {
            let token = self.relative(&lexeme.token);
            match hidden.contains(&(first + at)) {
                true => TokenWithSpan { token: Token::Whitespace(Whitespace::Space), ..token },
                false => token,
            }
        });
        let tokens: Vec<_> = tokens.collect();
        let dialect = KestrelDialect::new(tokens.len());
        let mut parser = Parser::new(&dialect)
            .with_recursion_limit(MAX_NESTING)
            .with_tokens_with_locations(tokens);
        let outcome = read(&mut parser).map_err(|e| self.report(&e));
        let read = self.index..(self.index + parser.index()).min(self.end);
        // Of two errors the first one counts.
        let value = match (self.check_table_names(&read), outcome) {
            (Err(a), Err(b)) if b.position.is_some_and(|b| Some(b) < a.position) => return Err(b),
            (Err(e), _) => return Err(e),
            (Ok(()), outcome) => outcome?,
        };
        self.index = read.end;
        self.skip_space();
        Ok(value)
    }

    /// `FROM WHERE`: sqlparser takes every word for a table's name.
    fn check_table_names(&self, read: &Range<usize>) -> Result<()> {
        let mut before = None;
        for lexeme in self.lexed.lexemes[read.clone()].iter().filter(|l| !l.is_space()) {
            let token = &lexeme.token.token;
            let follows_table_word = before
                .is_some_and(|b| ["from", "join", "into"].iter().any(|word| is_word(b, word)));
            if follows_table_word
                && !["only", "table"].iter().any(|word| is_word(token, word))
                && matches!(token, Token::Word(w)
                    if w.quote_style.is_none() && name::begins_clause(&w.value))
            {
                return Err(syntax_error(self.lexed, Some(lexeme)));
            }
            before = Some(token);
        }
        Ok(())
    }

    fn relative(&self, token: &TokenWithSpan) -> TokenWithSpan {
        let span = &token.span;
        let span = Span::new(self.relative_location(span.start), self.relative_location(span.end));
        TokenWithSpan::new(token.token.clone(), span)
    }

    fn relative_location(&self, location: Location) -> Location {
        let line = location.line + 1 - self.base.line;
        let first_column = if line == 1 { self.base.column - 1 } else { 0 };
        Location::new(line, location.column - first_column)
    }

    /// sqlparser's error in PostgreSQL's words.
    fn report(&self, error: &ParserError) -> ErrorReport {
        let message = match error {
            ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
            ParserError::RecursionLimitExceeded => {
                return ErrorReport::new(
                    SqlState::STATEMENT_TOO_COMPLEX,
                    "statement is nested too deeply",
                )
                .hint("Split the statement, or put its inner parts into tables.");
            }
        };
        let at = location_of(message);
        let is_there = |l: &&Lexeme| Some(self.relative_location(l.token.span.start)) == at;
        let found = self.lexed.lexemes[self.range()].iter().find(is_there);
        match found {
            Some(lexeme) => syntax_error(self.lexed, Some(lexeme)),
            None => self.over(self.end..self.end).syntax_error(),
        }
    }
}

/// The location that sqlparser appends to its messages.
fn location_of(message: &str) -> Option<Location> {
    let (_, place) = message.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    Some(Location::new(line.parse().ok()?, column.parse().ok()?))
}

fn syntax_error(lexed: &Lexed<'_>, near: Option<&Lexeme>) -> ErrorReport {
    let (message, position) = match near {
        Some(lexeme) => {
            let text = &lexed.text[lexeme.bytes.clone()];
            (format!("syntax error at or near \"{text}\""), lexeme.position())
        }
        None => ("syntax error at end of input".to_string(), to_position(lexed.characters)),
    };
    ErrorReport::new(SqlState::SYNTAX_ERROR, message).position(position)
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

fn folded(word: &Word) -> String {
    match word.quote_style {
        Some(_) => word.value.clone(),
        None => name::fold(&word.value),
    }
}

fn depth_change(token: &Token) -> i64 {
    match token {
        Token::LParen | Token::LBracket => 1,
        Token::RParen | Token::RBracket => -1,
        _ => 0,
    }
}
