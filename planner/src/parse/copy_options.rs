//! COPY's options, in PostgreSQL's newer form `(FORMAT csv, …)` and its older one `CSV HEADER …`.
//! Checks and messages are those of `ProcessCopyOptions` (PostgreSQL 15, commands/copy.c).

use datafusion::sql::sqlparser::tokenizer::Token;
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    copy::CopyDirection,
    copy_rejects,
    cursor::Cursor,
    encoding::check_is_utf8,
    name::{self, Identifier},
};

/// How COPY's rows are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOptions {
    /// FORMAT
    pub format: CopyFormat,
    /// DELIMITER: between two values
    pub delimiter: u8,
    /// NULL: the text of a null value
    pub null: String,
    /// HEADER
    pub header: CopyHeader,
    /// QUOTE, of csv
    pub quote: u8,
    /// ESCAPE, of csv: before a quote inside of a quoted value
    pub escape: u8,
    /// FORCE_QUOTE, of csv to the client
    pub force_quote: ForceColumns,
    /// FORCE_NOT_NULL, of csv from the client: the null text is a string there.
    pub force_not_null: ForceColumns,
    /// FORCE_NULL, of csv from the client: the quoted null text is null there.
    pub force_null: ForceColumns,
}

/// FORMAT
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    /// One line per row, backslash escapes
    Text,
    /// Comma-separated values
    Csv,
    /// PostgreSQL's binary format
    Binary,
    /// Parquet files
    Parquet,
}

/// HEADER
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyHeader {
    /// No header line
    None,
    /// The first line is one.
    Skip,
    /// The first line is one, with the columns' names.
    Match,
}

/// Columns that a FORCE option names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForceColumns {
    /// These, perhaps none
    Listed(Vec<Identifier>),
    /// `*`
    All,
}

/// Options as they are read: what was not said stays open.
#[derive(Default)]
struct Given {
    format: Option<CopyFormat>,
    delimiter: Option<String>,
    null: Option<String>,
    header: Option<CopyHeader>,
    quote: Option<String>,
    escape: Option<String>,
    encoding: Option<String>,
    force_quote: Option<ForceColumns>,
    force_not_null: Option<ForceColumns>,
    force_null: Option<ForceColumns>,
    freeze: Option<bool>,
}

/// Reads the options up to the end, or to WHERE.
pub(super) fn read(
    cursor: &mut Cursor<'_>,
    direction: CopyDirection,
    binary: bool,
) -> Result<CopyOptions> {
    let mut given = Given { format: binary.then_some(CopyFormat::Binary), ..Given::default() };
    // `USING DELIMITERS` is older still.
    if cursor.eat("USING DELIMITERS") || cursor.eat("DELIMITERS") {
        given.delimiter = Some(cursor.string()?);
    }
    cursor.eat("WITH");
    if cursor.token() == Some(&Token::LParen) {
        for mut option in cursor.parenthesized()?.split_commas() {
            read_option(&mut option, &mut given)?;
            option.expect_end()?;
        }
    } else {
        while !cursor.at_end() && !cursor.is_word("WHERE") && !copy_rejects::is_here(cursor) {
            read_old_option(cursor, &mut given)?;
        }
    }
    given.check(direction)
}

fn read_option(cursor: &mut Cursor<'_>, given: &mut Given) -> Result<()> {
    let position = cursor.position();
    let option = cursor.word()?;
    let wants_value = matches!(
        option.as_str(),
        "format" | "delimiter" | "null" | "quote" | "escape" | "encoding"
    );
    if wants_value && cursor.at_end() {
        return Err(ErrorReport::new(
            SqlState::SYNTAX_ERROR,
            format!("{option} requires a parameter"),
        ));
    }
    match option.as_str() {
        "format" => once(&mut given.format, format(cursor)?, position),
        "delimiter" => once(&mut given.delimiter, text(cursor)?, position),
        "null" => once(&mut given.null, text(cursor)?, position),
        "header" => once(&mut given.header, header(cursor)?, position),
        "quote" => once(&mut given.quote, text(cursor)?, position),
        "escape" => once(&mut given.escape, text(cursor)?, position),
        "encoding" => once(&mut given.encoding, encoding(cursor, position)?, position),
        "freeze" => once(&mut given.freeze, header(cursor)? != CopyHeader::None, position),
        "force_quote" => {
            // Only here may `*` stand for all columns.
            let columns = match cursor.eat_token(&Token::Mul) {
                true => ForceColumns::All,
                false => listed(cursor, &option, position)?,
            };
            once(&mut given.force_quote, columns, position)
        }
        "force_not_null" => {
            once(&mut given.force_not_null, listed(cursor, &option, position)?, position)
        }
        "force_null" => once(&mut given.force_null, listed(cursor, &option, position)?, position),
        _ => Err(ErrorReport::new(
            SqlState::SYNTAX_ERROR,
            format!("option \"{option}\" not recognized"),
        )
        .position(position)),
    }
}

fn read_old_option(cursor: &mut Cursor<'_>, given: &mut Given) -> Result<()> {
    let position = cursor.position();
    if cursor.eat("BINARY") {
        return once(&mut given.format, CopyFormat::Binary, position);
    } else if cursor.eat("CSV") {
        return once(&mut given.format, CopyFormat::Csv, position);
    } else if cursor.eat("HEADER") {
        return once(&mut given.header, CopyHeader::Skip, position);
    } else if cursor.eat("FREEZE") {
        return once(&mut given.freeze, true, position);
    }
    let columns = |cursor: &mut Cursor<'_>| {
        let mut columns = vec![cursor.identifier()?];
        while cursor.eat_token(&Token::Comma) {
            columns.push(cursor.identifier()?);
        }
        Ok(ForceColumns::Listed(columns))
    };
    if cursor.eat("FORCE QUOTE") {
        let columns = match cursor.eat_token(&Token::Mul) {
            true => ForceColumns::All,
            false => columns(cursor)?,
        };
        return once(&mut given.force_quote, columns, position);
    } else if cursor.eat("FORCE NOT NULL") {
        return once(&mut given.force_not_null, columns(cursor)?, position);
    } else if cursor.eat("FORCE NULL") {
        return once(&mut given.force_null, columns(cursor)?, position);
    }
    let target = if cursor.eat("DELIMITER") {
        &mut given.delimiter
    } else if cursor.eat("NULL") {
        &mut given.null
    } else if cursor.eat("QUOTE") {
        &mut given.quote
    } else if cursor.eat("ESCAPE") {
        &mut given.escape
    } else if cursor.eat("ENCODING") {
        let encoding = encoding(cursor, position)?;
        return once(&mut given.encoding, encoding, position);
    } else {
        return cursor.fail();
    };
    cursor.eat("AS");
    let value = cursor.string()?;
    once(target, value, position)
}

fn once<T>(target: &mut Option<T>, value: T, position: u32) -> Result<()> {
    if target.replace(value).is_some() {
        let message = "conflicting or redundant options";
        return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message).position(position));
    }
    Ok(())
}

/// A string, or a word in its place.
fn text(cursor: &mut Cursor<'_>) -> Result<String> {
    match cursor.token() {
        Some(Token::Word(_)) => cursor.word(),
        _ => cursor.string(),
    }
}

fn format(cursor: &mut Cursor<'_>) -> Result<CopyFormat> {
    let position = cursor.position();
    let format = text(cursor)?;
    match format.as_str() {
        "text" => Ok(CopyFormat::Text),
        "csv" => Ok(CopyFormat::Csv),
        "binary" => Ok(CopyFormat::Binary),
        "parquet" => Ok(CopyFormat::Parquet),
        _ => Err(invalid(&format!("COPY format \"{format}\" not recognized")).position(position)),
    }
}

fn header(cursor: &mut Cursor<'_>) -> Result<CopyHeader> {
    let position = cursor.position();
    let value = match cursor.token() {
        None => return Ok(CopyHeader::Skip),
        Some(Token::Number(number, _)) => {
            cursor.advance();
            number.clone()
        }
        Some(_) => text(cursor)?,
    };
    match name::fold(&value).as_str() {
        "true" | "on" | "1" => Ok(CopyHeader::Skip),
        "false" | "off" | "0" => Ok(CopyHeader::None),
        "match" => Ok(CopyHeader::Match),
        _ => {
            let message = "header requires a Boolean value or \"match\"";
            Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message).position(position))
        }
    }
}

/// `(a, b)`
fn listed(cursor: &mut Cursor<'_>, option: &str, position: u32) -> Result<ForceColumns> {
    if cursor.token() != Some(&Token::LParen) {
        let message = format!("argument to option \"{option}\" must be a list of column names");
        return Err(invalid(&message).position(position));
    }
    cursor.identifiers().map(ForceColumns::Listed)
}

/// The name of the client's encoding, which is the only one.
fn encoding(cursor: &mut Cursor<'_>, position: u32) -> Result<String> {
    let name = text(cursor)?;
    check_is_utf8(&name).map_err(|error| error.position(position))?;
    Ok(name)
}

impl Given {
    fn check(self, direction: CopyDirection) -> Result<CopyOptions> {
        let format = self.format.unwrap_or(CopyFormat::Text);
        let csv = format == CopyFormat::Csv;
        self.check_text_options(format)?;
        let default_delimiter = if csv { "," } else { "\t" };
        let delimiter = self.delimiter.clone().unwrap_or_else(|| default_delimiter.into());
        let default_null = if csv { "" } else { "\\N" };
        let null = self.null.clone().unwrap_or_else(|| default_null.into());
        let delimiter = one_byte("delimiter", &delimiter)?;
        check_delimiter(delimiter, &null, csv)?;
        let (quote, escape) = self.quoting(csv)?;
        if csv && delimiter == quote {
            return Err(invalid("COPY delimiter and quote must be different"));
        }
        self.check_force(csv, direction)?;
        self.check_header(direction)?;
        let clash = match null.as_bytes() {
            null if null.contains(&delimiter) => "COPY delimiter",
            null if csv && null.contains(&quote) => "CSV quote character",
            _ => "",
        };
        if !clash.is_empty() {
            let message = format!("{clash} must not appear in the NULL specification");
            return Err(ErrorReport::unsupported(message));
        }
        let none = || ForceColumns::Listed(Vec::new());
        Ok(CopyOptions {
            format,
            delimiter,
            null,
            header: self.header.unwrap_or(CopyHeader::None),
            quote,
            escape,
            force_quote: self.force_quote.unwrap_or_else(none),
            force_not_null: self.force_not_null.unwrap_or_else(none),
            force_null: self.force_null.unwrap_or_else(none),
        })
    }

    fn check_text_options(&self, format: CopyFormat) -> Result<()> {
        let mode = match format {
            CopyFormat::Text | CopyFormat::Csv => return Ok(()),
            CopyFormat::Binary => "BINARY",
            CopyFormat::Parquet => "PARQUET",
        };
        let excluded = [("DELIMITER", self.delimiter.is_some()), ("NULL", self.null.is_some())];
        if let Some((option, _)) = excluded.iter().find(|(_, given)| *given) {
            let message = format!("cannot specify {option} in {mode} mode");
            return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message));
        }
        if self.header.is_some_and(|header| header != CopyHeader::None) {
            return Err(ErrorReport::unsupported(format!("cannot specify HEADER in {mode} mode")));
        }
        Ok(())
    }

    fn check_header(&self, direction: CopyDirection) -> Result<()> {
        match (self.header, direction) {
            (Some(CopyHeader::Match), CopyDirection::ToClient) => {
                Err(ErrorReport::unsupported("cannot use \"match\" with HEADER in COPY TO"))
            }
            _ => Ok(()),
        }
    }

    fn quoting(&self, csv: bool) -> Result<(u8, u8)> {
        if !csv && self.quote.is_some() {
            return Err(ErrorReport::unsupported("COPY quote available only in CSV mode"));
        }
        if !csv && self.escape.is_some() {
            return Err(ErrorReport::unsupported("COPY escape available only in CSV mode"));
        }
        let quote = self.quote.as_deref().map_or(Ok(b'"'), |q| one_byte("quote", q))?;
        let escape = self.escape.as_deref().map_or(Ok(quote), |e| one_byte("escape", e))?;
        Ok((quote, escape))
    }

    fn check_force(&self, csv: bool, direction: CopyDirection) -> Result<()> {
        let options = [
            ("force quote", &self.force_quote, CopyDirection::ToClient),
            ("force not null", &self.force_not_null, CopyDirection::FromClient),
            ("force null", &self.force_null, CopyDirection::FromClient),
        ];
        for (option, given, only) in options {
            let message = match only {
                _ if given.is_none() => continue,
                _ if !csv => format!("COPY {option} available only in CSV mode"),
                CopyDirection::ToClient if direction != only => {
                    format!("COPY {option} only available using COPY TO")
                }
                CopyDirection::FromClient if direction != only => {
                    format!("COPY {option} only available using COPY FROM")
                }
                _ => continue,
            };
            return Err(ErrorReport::unsupported(message));
        }
        Ok(())
    }
}

fn one_byte(what: &str, text: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err(ErrorReport::unsupported(format!(
            "COPY {what} must be a single one-byte character"
        ))),
    }
}

fn check_delimiter(delimiter: u8, null: &str, csv: bool) -> Result<()> {
    if matches!(delimiter, b'\r' | b'\n') {
        return Err(invalid("COPY delimiter cannot be newline or carriage return"));
    }
    if null.contains(['\r', '\n']) {
        return Err(invalid("COPY null representation cannot use newline or carriage return"));
    }
    // They would be read as part of a backslash escape, or of the end mark.
    let is_unsafe = matches!(delimiter, b'\\' | b'.' | b'a'..=b'z' | b'0'..=b'9');
    if !csv && is_unsafe {
        let delimiter = char::from(delimiter);
        return Err(invalid(&format!("COPY delimiter cannot be \"{delimiter}\"")));
    }
    Ok(())
}

fn invalid(message: &str) -> ErrorReport {
    ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message)
}
