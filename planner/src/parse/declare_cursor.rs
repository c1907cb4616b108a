//! DECLARE, FETCH, MOVE, CLOSE: the statements about cursors.

use datafusion::sql::sqlparser::tokenizer::Token;
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    cursor::Cursor,
    statement::{Statement, StatementKind},
    statements,
};

/// The count of FETCH ALL, as PostgreSQL has it (`FETCH_ALL` in parsenodes.h).
pub const FETCH_ALL: i64 = i64::MAX;

/// DECLARE … CURSOR
#[derive(Clone, Debug, PartialEq)]
pub struct DeclareCursor {
    /// The cursor's name.
    pub name: String,
    /// BINARY: its rows are shown in binary format.
    pub binary: bool,
    /// SCROLL. Without the word a cursor goes forward only.
    pub scroll: bool,
    /// WITH HOLD: it outlives its transaction.
    pub hold: bool,
    /// The query.
    pub query: Statement,
}

/// FETCH, MOVE
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The cursor's name.
    pub name: String,
    /// What the count counts.
    pub direction: FetchDirection,
    /// How many rows, or which one; [`FETCH_ALL`] is all of them. May be negative.
    pub count: i64,
    /// MOVE: no rows are wanted.
    pub only_moves: bool,
}

/// Where FETCH goes. NEXT, PRIOR, FIRST and LAST are spelled with these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchDirection {
    /// So many rows from here.
    Forward,
    /// So many rows back from here.
    Backward,
    /// The row of this number; a negative one counts from the end.
    Absolute,
    /// The row that is so many away.
    Relative,
}

pub(super) fn declare(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("DECLARE")?;
    let name = cursor.identifier()?.name;
    let options = options(cursor)?;
    cursor.expect("CURSOR")?;
    let hold = cursor.eat("WITH HOLD");
    if !hold {
        cursor.eat("WITHOUT HOLD");
    }
    cursor.expect("FOR")?;
    let begins_query = cursor.token() == Some(&Token::LParen)
        || ["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|word| cursor.is_word(word));
    if !begins_query {
        return cursor.fail();
    }
    let query = statements::statement(cursor.rebased())?;
    match query.kind {
        StatementKind::Query(_) => {}
        StatementKind::CreateTableAs(_) => {
            let message = "SELECT ... INTO is not allowed here";
            return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message));
        }
        _ => return cursor.fail(),
    }
    let end = cursor.range().end;
    *cursor = cursor.over(end..end);
    Ok(StatementKind::DeclareCursor(Box::new(DeclareCursor {
        name,
        binary: options.binary,
        scroll: options.scroll,
        hold,
        query,
    })))
}

#[derive(Default)]
struct Options {
    binary: bool,
    scroll: bool,
    no_scroll: bool,
    insensitive: bool,
    asensitive: bool,
}

/// In any order, and as often as one likes. Every cursor here is insensitive: it sees what was
/// there when it was declared.
fn options(cursor: &mut Cursor<'_>) -> Result<Options> {
    let mut options = Options::default();
    loop {
        if cursor.eat("NO") {
            cursor.expect("SCROLL")?;
            options.no_scroll = true;
        } else if cursor.eat("SCROLL") {
            options.scroll = true;
        } else if cursor.eat("BINARY") {
            options.binary = true;
        } else if cursor.eat("ASENSITIVE") {
            options.asensitive = true;
        } else if cursor.eat("INSENSITIVE") {
            options.insensitive = true;
        } else {
            break;
        }
    }
    let both = |one: &str, other: &str| {
        let message = format!("cannot specify both {one} and {other}");
        Err(ErrorReport::new(SqlState::INVALID_CURSOR_DEFINITION, message))
    };
    match options {
        Options { scroll: true, no_scroll: true, .. } => both("SCROLL", "NO SCROLL"),
        Options { asensitive: true, insensitive: true, .. } => both("ASENSITIVE", "INSENSITIVE"),
        options => Ok(options),
    }
}

pub(super) fn fetch(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("FETCH")?;
    steps(cursor).map(StatementKind::Fetch)
}

pub(super) fn r#move(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("MOVE")?;
    let fetch = steps(cursor)?;
    Ok(StatementKind::Fetch(Fetch { only_moves: true, ..fetch }))
}

/// `[direction] [FROM | IN] name`
fn steps(cursor: &mut Cursor<'_>) -> Result<Fetch> {
    // The last word is a cursor's name, even if it could be a direction.
    let is_name_alone = cursor.peek_nth(1).is_none();
    let (direction, count) =
        if is_name_alone { (FetchDirection::Forward, 1) } else { direction(cursor)? };
    let _ = cursor.eat("FROM") || cursor.eat("IN");
    let name = cursor.identifier()?.name;
    Ok(Fetch { name, direction, count, only_moves: false })
}

fn direction(cursor: &mut Cursor<'_>) -> Result<(FetchDirection, i64)> {
    use FetchDirection::{Absolute, Backward, Forward, Relative};
    let whole = [
        ("NEXT", (Forward, 1)),
        ("PRIOR", (Backward, 1)),
        ("FIRST", (Absolute, 1)),
        ("LAST", (Absolute, -1)),
        ("ALL", (Forward, FETCH_ALL)),
        ("FORWARD ALL", (Forward, FETCH_ALL)),
        ("BACKWARD ALL", (Backward, FETCH_ALL)),
    ];
    if let Some(found) = cursor.eat_one_of(&whole) {
        return Ok(found);
    }
    if let Some(direction) = cursor.eat_one_of(&[("ABSOLUTE", Absolute), ("RELATIVE", Relative)]) {
        return Ok((direction, count(cursor)?));
    }
    let direction = cursor.eat_one_of(&[("FORWARD", Forward), ("BACKWARD", Backward)]);
    let direction = direction.unwrap_or(Forward);
    let begins_count =
        matches!(cursor.token(), Some(Token::Number(..) | Token::Minus | Token::Plus));
    Ok((direction, if begins_count { count(cursor)? } else { 1 }))
}

/// PostgreSQL's `SignedIconst`: what fits an integer.
fn count(cursor: &mut Cursor<'_>) -> Result<i64> {
    let is_negative = cursor.eat_token(&Token::Minus);
    if !is_negative {
        cursor.eat_token(&Token::Plus);
    }
    let number = match cursor.token() {
        Some(Token::Number(text, _)) => text.parse::<i32>().ok().map(i64::from),
        _ => None,
    };
    match number {
        Some(number) => {
            cursor.advance();
            Ok(if is_negative { -number } else { number })
        }
        None => cursor.fail(),
    }
}

pub(super) fn close(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("CLOSE")?;
    if cursor.eat("ALL") {
        return Ok(StatementKind::Close(None));
    }
    Ok(StatementKind::Close(Some(cursor.identifier()?.name)))
}
