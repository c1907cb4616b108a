//! CREATE TABLE … AS

use datafusion::sql::sqlparser::{ast, tokenizer::Token};
use kestrel_proto::Result;

use super::{
    create_table::{CreateTable, distributed_by},
    cursor::Cursor,
    name::Identifier,
    prepare::{self, Execute},
    statement::StatementKind,
};

/// CREATE TABLE … AS, or SELECT … INTO
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTableAs {
    /// The table; its columns are the query's.
    pub table: CreateTable,
    /// Names for the first columns.
    pub column_names: Vec<Identifier>,
    /// What its rows are.
    pub rows: TableRows,
    /// Not WITH NO DATA
    pub with_data: bool,
}

/// The rows of a new table.
#[derive(Clone, Debug, PartialEq)]
pub enum TableRows {
    /// Those of a query
    Query(Box<ast::Query>),
    /// Those of a prepared query
    Execute(Execute),
}

/// Reads what is behind AS: `query [WITH [NO] DATA] [DISTRIBUTED …]`. As in Greenplum, DISTRIBUTED
/// stands at the end; before AS will do, too.
pub(super) fn create_table_as(
    cursor: &mut Cursor<'_>,
    mut table: CreateTable,
    column_names: Option<Cursor<'_>>,
) -> Result<StatementKind> {
    let column_names = column_names.map_or(Ok(Vec::new()), names)?;
    // sqlparser would take DISTRIBUTED for the alias of a table: it gets the query alone.
    let rest = cursor.range();
    let mut query_end = rest.end;
    if let Some(mut clause) = find_distributed(cursor) {
        query_end = clause.range().start;
        let distributed = distributed_by(&mut clause)?;
        clause.expect_end()?;
        if table.distributed.is_some() {
            return cursor.over(query_end..rest.end).fail();
        }
        table.distributed = Some(distributed);
    }
    let mut query_cursor = cursor.over(rest.start..query_end);
    let rows = match query_cursor.is_word("EXECUTE") {
        true => TableRows::Execute(prepare::call(&mut query_cursor)?),
        false => TableRows::Query(query_cursor.parse_with(|p| p.parse_query())?),
    };
    let with_data = !query_cursor.eat("WITH NO DATA");
    if with_data {
        query_cursor.eat("WITH DATA");
    }
    query_cursor.expect_end()?;
    *cursor = cursor.over(rest.end..rest.end);
    Ok(StatementKind::CreateTableAs(Box::new(CreateTableAs {
        table,
        column_names,
        rows,
        with_data,
    })))
}

fn names(list: Cursor<'_>) -> Result<Vec<Identifier>> {
    let name = |mut part: Cursor<'_>| {
        let name = part.identifier()?;
        part.expect_end().map(|()| name)
    };
    list.split_commas().into_iter().map(name).collect()
}

/// The last `DISTRIBUTED BY (`, `DISTRIBUTED RANDOMLY` or `DISTRIBUTED REPLICATED` that stands
/// outside of parentheses. `distributed` alone is a name like any other.
fn find_distributed<'a>(cursor: &Cursor<'a>) -> Option<Cursor<'a>> {
    let mut found = None;
    let mut at = cursor.clone();
    while !at.at_end() {
        let is_by = at.are_words("DISTRIBUTED BY")
            && at.peek_nth(2).is_some_and(|l| l.token.token == Token::LParen);
        if is_by || at.are_words("DISTRIBUTED RANDOMLY") || at.are_words("DISTRIBUTED REPLICATED") {
            found = Some(at.clone());
        }
        at.skip_group();
    }
    found
}
