//! CREATE VIEW and DROP VIEW.

use datafusion::sql::sqlparser::{
    ast::{self, SetExpr},
    tokenizer::Token,
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    create_table::UnsupportedClause,
    cursor::Cursor,
    ddl::{DdlStatement, cascade},
    name::{Identifier, QualifiedName},
    statement::StatementKind,
};

/// CREATE VIEW
#[derive(Clone, Debug, PartialEq)]
pub struct CreateView {
    /// OR REPLACE
    pub or_replace: bool,
    /// TEMPORARY
    pub temporary: bool,
    /// RECURSIVE
    pub recursive: bool,
    /// Its name.
    pub name: QualifiedName,
    /// Names for the first columns.
    pub column_names: Vec<Identifier>,
    /// The query.
    pub query: Box<ast::Query>,
    /// The query, as it was written.
    pub text: String,
    /// The first clause that Kestrel does not have.
    pub unsupported: Option<UnsupportedClause>,
}

/// DROP VIEW
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropView {
    /// IF EXISTS
    pub if_exists: bool,
    /// The views.
    pub views: Vec<QualifiedName>,
    /// CASCADE
    pub cascade: bool,
}

/// `CREATE [OR REPLACE] [TEMPORARY] [RECURSIVE] VIEW v [(a, …)] [WITH (…)] AS query`
pub(super) fn create_view(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("CREATE")?;
    let or_replace = cursor.eat("OR REPLACE");
    let temporary = cursor.eat("TEMPORARY") || cursor.eat("TEMP");
    let recursive = cursor.eat("RECURSIVE");
    cursor.expect("VIEW")?;
    let name = cursor.name()?;
    let has_list = cursor.token() == Some(&Token::LParen);
    let column_names = if has_list { cursor.identifiers()? } else { Vec::new() };
    let mut unsupported =
        if cursor.eat("WITH") { unsafe_option(&cursor.parenthesized()?)? } else { None };
    cursor.expect("AS")?;
    let rest = cursor.range();
    let mut end = rest.end;
    if let Some(clause) = find_check_option(cursor) {
        let hint = Some("Leave it out: nothing can be inserted into a view.");
        let position = clause.position();
        let what = "WITH CHECK OPTION";
        unsupported = unsupported.or(Some(UnsupportedClause { what, hint, position }));
        end = clause.range().start;
    }
    let mut of_query = cursor.over(rest.start..end);
    let text = of_query.text(of_query.range()).to_string();
    let query = of_query.parse_with(|p| p.parse_query())?;
    of_query.expect_end()?;
    check_query(&query)?;
    *cursor = cursor.over(rest.end..rest.end);
    Ok(StatementKind::CreateView(Box::new(CreateView {
        or_replace,
        temporary,
        recursive,
        name,
        column_names,
        query,
        text,
        unsupported,
    })))
}

/// The first of a view's options that would hide more than Kestrel does. `check_option` is about
/// writing into views, which there is not.
fn unsafe_option(options: &Cursor<'_>) -> Result<Option<UnsupportedClause>> {
    let mut found = None;
    for mut option in options.split_commas() {
        let (position, name) = (option.position(), option.word()?);
        let value = if option.eat_token(&Token::Eq) { option.text(option.range()) } else { "" };
        let value = value.trim_matches('\'').to_ascii_lowercase();
        let is_off = ["false", "off", "no", "0"].contains(&value.as_str());
        let (what, hint) = match name.as_str() {
            "security_invoker" => (
                "security_invoker",
                "Leave it out and grant the view's owner what it reads: views read as their owners.",
            ),
            "security_barrier" => (
                "security_barrier",
                "Leave it out: a condition of whoever reads the view may look at rows that the \
                 view leaves out.",
            ),
            _ => continue,
        };
        if !is_off && found.is_none() {
            found = Some(UnsupportedClause { what, hint: Some(hint), position });
        }
    }
    Ok(found)
}

/// `WITH [CASCADED | LOCAL] CHECK OPTION` at the end.
fn find_check_option<'a>(cursor: &Cursor<'a>) -> Option<Cursor<'a>> {
    let mut at = cursor.clone();
    while !at.at_end() {
        let mut clause = at.clone();
        let is_it = clause.eat("WITH")
            && (clause.eat("CASCADED") || clause.eat("LOCAL") || !clause.at_end())
            && clause.eat("CHECK OPTION")
            && clause.at_end();
        if is_it {
            return Some(at);
        }
        at.skip_group();
    }
    None
}

fn check_query(query: &ast::Query) -> Result<()> {
    let message = match query.body.as_ref() {
        SetExpr::Select(select) if select.into.is_some() => "views must not contain SELECT INTO",
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            "views must not contain data-modifying statements in WITH"
        }
        _ => return Ok(()),
    };
    Err(ErrorReport::new(SqlState::FEATURE_NOT_SUPPORTED, message))
}

pub(super) fn drop_view(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("DROP VIEW")?;
    let if_exists = cursor.eat("IF EXISTS");
    let views = cursor.names()?;
    let drop = DropView { if_exists, views, cascade: cascade(cursor) };
    Ok(StatementKind::Ddl(DdlStatement::DropView(drop)))
}
