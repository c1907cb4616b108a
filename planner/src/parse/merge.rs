//! MERGE, as PostgreSQL 15 has it.

use datafusion::sql::sqlparser::{
    ast,
    parser::{IsOptional, Parser},
    tokenizer::Token,
};
use kestrel_proto::{ErrorReport, Result};

use super::{cursor::Cursor, statement::StatementKind};

/// MERGE
#[derive(Clone, Debug, PartialEq)]
pub struct Merge {
    /// The table that is changed.
    pub target: ast::TableWithJoins,
    /// USING: the rows that say how.
    pub source: ast::TableWithJoins,
    /// ON
    pub on: ast::Expr,
    /// At least one; the first that fits a row counts.
    pub clauses: Vec<MergeClause>,
}

/// WHEN
#[derive(Clone, Debug, PartialEq)]
pub struct MergeClause {
    /// Of rows of the table, or NOT MATCHED: of rows of the source that meet none.
    pub is_matched: bool,
    /// AND
    pub condition: Option<ast::Expr>,
    /// THEN
    pub action: MergeAction,
}

/// What becomes of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum MergeAction {
    /// DO NOTHING
    Nothing,
    /// DELETE
    Delete,
    /// UPDATE SET
    Update(Vec<ast::Assignment>),
    /// INSERT
    Insert {
        /// The columns; empty: the first ones.
        columns: Vec<ast::Ident>,
        /// Their values; empty: DEFAULT VALUES.
        values: Vec<ast::Expr>,
    },
}

pub(super) fn merge(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.expect("MERGE")?;
    cursor.expect("INTO")?;
    let relation = cursor.parse_with(|p| p.parse_table_factor())?;
    let target = ast::TableWithJoins { relation, joins: Vec::new() };
    cursor.expect("USING")?;
    let source = cursor.parse_with(|p| p.parse_table_and_joins())?;
    cursor.expect("ON")?;
    let on = cursor.parse_with(|p| p.parse_expr())?;
    let mut clauses = Vec::new();
    while cursor.eat("WHEN") {
        clauses.push(clause(cursor)?);
    }
    if clauses.is_empty() {
        return cursor.fail();
    }
    Ok(StatementKind::Merge(Box::new(Merge { target, source, on, clauses })))
}

fn clause(cursor: &mut Cursor<'_>) -> Result<MergeClause> {
    let is_matched = !cursor.eat("NOT");
    cursor.expect("MATCHED")?;
    let condition = match cursor.eat("AND") {
        true => Some(cursor.parse_with(|p| p.parse_expr())?),
        false => None,
    };
    cursor.expect("THEN")?;
    let action = if cursor.eat("DO NOTHING") {
        MergeAction::Nothing
    } else if !is_matched {
        cursor.expect("INSERT")?;
        insert(cursor)?
    } else if cursor.eat("UPDATE SET") {
        let assignments =
            cursor.parse_with(|p| p.parse_comma_separated(Parser::parse_assignment))?;
        MergeAction::Update(assignments)
    } else if cursor.eat("DELETE") {
        MergeAction::Delete
    } else {
        return cursor.fail();
    };
    Ok(MergeClause { is_matched, condition, action })
}

fn insert(cursor: &mut Cursor<'_>) -> Result<MergeAction> {
    let columns =
        cursor.parse_with(|p| p.parse_parenthesized_column_list(IsOptional::Optional, false))?;
    if cursor.is_word("OVERRIDING") {
        return Err(ErrorReport::unsupported("MERGE with OVERRIDING is not supported"));
    }
    if columns.is_empty() && cursor.eat("DEFAULT VALUES") {
        return Ok(MergeAction::Insert { columns, values: Vec::new() });
    }
    cursor.expect("VALUES")?;
    let values = cursor.parse_with(|p| {
        p.expect_token(&Token::LParen)?;
        let values = p.parse_comma_separated(Parser::parse_expr)?;
        p.expect_token(&Token::RParen)?;
        Ok(values)
    })?;
    Ok(MergeAction::Insert { columns, values })
}
