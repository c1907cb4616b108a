//! Where in a statement an error of binding is, when the error itself does not know: the first
//! place that names what the message names.

use std::{cmp::Ordering, ops::ControlFlow};

use datafusion::sql::sqlparser::{
    ast::{
        Expr, Ident, Insert, ObjectName, OrderByKind, Query, SetExpr, Spanned, TableObject, Value,
        ValueWithSpan, Visitor,
    },
    tokenizer::Location,
};
use kestrel_proto::{ErrorReport, SqlState};

use crate::parse::{CopyTarget, Statement, StatementKind, TableRows, Walk, fold_ident};

/// The report with its position in the whole text, if the statement has a place for it.
pub fn locate(report: ErrorReport, statement: &Statement) -> ErrorReport {
    if report.position.is_some() {
        return report;
    }
    let inner = match &statement.kind {
        StatementKind::Explain(explain) => Some(explain.statement.as_ref()),
        StatementKind::Prepare(prepare) => Some(&prepare.statement),
        StatementKind::DeclareCursor(declare) => Some(&declare.query),
        _ => None,
    };
    if let Some(inner) = inner {
        return locate(report, inner);
    }
    let place = Culprit::of(&report).and_then(|culprit| culprit.find(statement));
    let position = place.and_then(|place| statement.position(place));
    ErrorReport { position, ..report }
}

/// Where the query's output of this position (from 0) is written.
pub fn output_place(query: &Query, at: usize) -> Option<Location> {
    place_in(&query.body, at)
}

fn place_in(body: &SetExpr, at: usize) -> Option<Location> {
    let span = match body {
        SetExpr::Values(values) => values.rows.first()?.get(at)?.span(),
        SetExpr::Select(select) => select.projection.get(at)?.span(),
        _ => return None,
    };
    Some(span.start)
}

/// What a message names.
enum Culprit<'a> {
    Relation(&'a str),
    /// Of a column reference: `t` of `t.c`.
    Qualifier(&'a str),
    Column {
        qualifier: Option<&'a str>,
        name: &'a str,
    },
    /// In the column list of an INSERT.
    Target(&'a str),
    Function(&'a str),
    Operator(&'a str),
    /// The text of a string literal.
    Literal(&'a str),
    /// A number in ORDER BY.
    OrderBy(&'a str),
    /// A column, from 0, of the static term of a recursive query.
    StaticTerm {
        query: &'a str,
        column: usize,
    },
}

impl<'a> Culprit<'a> {
    fn of(report: &'a ErrorReport) -> Option<Self> {
        let message = report.message.as_str();
        let quoted = || Some(message.split_once('"')?.1.rsplit_once('"')?.0);
        match report.sqlstate {
            SqlState::UNDEFINED_TABLE if message.contains("FROM-clause entry") => {
                quoted().map(Self::Qualifier)
            }
            SqlState::UNDEFINED_TABLE => {
                quoted().map(|name| Self::Relation(name.rsplit('.').next().unwrap_or(name)))
            }
            SqlState::UNDEFINED_COLUMN if message.contains("\" of relation \"") => {
                Some(Self::Target(message.split('"').nth(1)?))
            }
            SqlState::UNDEFINED_COLUMN | SqlState::AMBIGUOUS_COLUMN | SqlState::GROUPING_ERROR => {
                let name = message.strip_prefix("column ")?;
                let name = name.strip_prefix("reference ").unwrap_or(name);
                let name = match name.strip_prefix('"') {
                    Some(name) => name.split_once('"')?.0,
                    None => name.split_once(' ')?.0,
                };
                Some(match name.rsplit_once('.') {
                    Some((qualifier, name)) => Self::Column { qualifier: Some(qualifier), name },
                    None => Self::Column { qualifier: None, name },
                })
            }
            SqlState::UNDEFINED_FUNCTION => match message.strip_prefix("function ") {
                Some(call) => Some(Self::Function(call.split(['(', ' ']).next()?)),
                None => message
                    .strip_prefix("operator does not exist: ")?
                    .split(' ')
                    .find(|word| word.chars().all(|c| "+-*/<>=~!@#%^&|`?".contains(c)))
                    .map(Self::Operator),
            },
            SqlState::INVALID_TEXT_REPRESENTATION
            | SqlState::INVALID_DATETIME_FORMAT
            | SqlState::DATETIME_FIELD_OVERFLOW
            | SqlState::NUMERIC_VALUE_OUT_OF_RANGE => quoted().map(Self::Literal),
            SqlState::DATATYPE_MISMATCH => {
                let rest = message.strip_prefix("recursive query \"")?;
                let (query, rest) = rest.split_once("\" column ")?;
                let number: usize = rest.split(' ').next()?.parse().ok()?;
                Some(Self::StaticTerm { query, column: number.checked_sub(1)? })
            }
            SqlState::INVALID_COLUMN_REFERENCE => {
                let rest = message.strip_prefix("ORDER BY position ")?;
                Some(Self::OrderBy(rest.split(' ').next()?))
            }
            _ => None,
        }
    }

    /// The first place in the text.
    fn find(&self, statement: &Statement) -> Option<Location> {
        let mut search = Search { culprit: self, sql: &statement.sql, found: None };
        match &statement.kind {
            StatementKind::Query(query) => search.visit(query.as_ref()),
            StatementKind::CreateTableAs(create) => match &create.rows {
                TableRows::Query(query) => search.visit(query.as_ref()),
                TableRows::Execute(_) => {}
            },
            StatementKind::CreateView(create) => search.visit(create.query.as_ref()),
            StatementKind::Insert(insert) => search.insert(insert),
            StatementKind::Copy(copy) => {
                if let CopyTarget::Query(query) = &copy.target {
                    search.visit(query.as_ref());
                }
            }
            _ => {}
        }
        search.found
    }
}

struct Search<'a> {
    culprit: &'a Culprit<'a>,
    sql: &'a str,
    found: Option<Location>,
}

impl Search<'_> {
    fn visit(&mut self, query: &Query) {
        // It never breaks off: the tree's order is not the text's.
        let _ = query.walk(self);
    }

    fn offer(&mut self, place: Location) {
        let earlier = |a: Location, b: Location| (a.line, a.column).cmp(&(b.line, b.column));
        if place.line > 0 && self.found.is_none_or(|f| earlier(place, f) == Ordering::Less) {
            self.found = Some(place);
        }
    }

    fn insert(&mut self, insert: &Insert) {
        if let Culprit::Target(target) = self.culprit {
            let names = insert.columns.iter().filter_map(last_ident);
            let named = names.filter(|ident| fold_ident(ident) == *target);
            named.for_each(|ident| self.offer(ident.span.start));
        }
        if let TableObject::TableName(table) = &insert.table {
            let _ = self.pre_visit_relation(table);
        }
        insert.source.iter().for_each(|query| self.visit(query.as_ref()));
        for item in insert.returning.iter().flatten() {
            let _ = item.walk(self);
        }
    }

    /// An operator stands between its sides.
    fn operator(&mut self, operator: &str, left: &Expr, right: &Expr) {
        let (mut place, end) = (left.span().end, right.span().start);
        let Some(from) = byte_of(self.sql, place) else { return };
        let Some(between) = byte_of(self.sql, end).and_then(|to| self.sql.get(from..to)) else {
            return;
        };
        let Some(at) = between.find(operator) else { return };
        for c in between[..at].chars() {
            place = match c {
                '\n' => Location { line: place.line + 1, column: 1 },
                _ => Location { column: place.column + 1, ..place },
            };
        }
        self.offer(place);
    }
}

impl Visitor for Search<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let (Culprit::OrderBy(number), Some(order)) = (self.culprit, &query.order_by)
            && let OrderByKind::Expressions(keys) = &order.kind
        {
            for key in keys {
                if let Expr::Value(ValueWithSpan { value: Value::Number(n, _), span }) = &key.expr
                    && n == *number
                {
                    self.offer(span.start);
                }
            }
        }
        if let Culprit::StaticTerm { query: name, column } = self.culprit {
            let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
            for cte in ctes.filter(|cte| fold_ident(&cte.alias.name) == *name) {
                if let Some(place) = static_term(&cte.query.body, *column) {
                    self.offer(place);
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        if let (Culprit::Relation(name), Some(ident)) = (self.culprit, last_ident(relation))
            && fold_ident(ident) == *name
        {
            self.offer(relation.span().start);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match (self.culprit, expr) {
            (Culprit::Column { name, .. }, Expr::Identifier(ident))
                if fold_ident(ident) == *name =>
            {
                self.offer(ident.span.start);
            }
            (Culprit::Column { qualifier, name }, Expr::CompoundIdentifier(parts)) => {
                let folded: Vec<_> = parts.iter().map(fold_ident).collect();
                if let [.., table, column] = folded.as_slice()
                    && column == name
                    && qualifier.is_none_or(|q| q.rsplit('.').next() == Some(table))
                {
                    self.offer(parts[0].span.start);
                }
            }
            (Culprit::Qualifier(table), Expr::CompoundIdentifier(parts))
                if parts.len() > 1 && fold_ident(&parts[parts.len() - 2]) == *table =>
            {
                self.offer(parts[0].span.start);
            }
            (Culprit::Function(name), Expr::Function(function))
                if last_ident(&function.name).is_some_and(|i| fold_ident(i) == *name) =>
            {
                self.offer(function.name.span().start);
            }
            (Culprit::Operator(operator), Expr::BinaryOp { left, op, right })
                if op.to_string() == *operator =>
            {
                self.operator(operator, left, right);
            }
            (Culprit::Literal(text), Expr::Value(value)) if is_text(value, text) => {
                self.offer(value.span.start);
            }
            (Culprit::Literal(text), Expr::TypedString(typed)) if is_text(&typed.value, text) => {
                self.offer(typed.value.span.start);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Where the column is in the first query that is no set operation.
fn static_term(body: &SetExpr, column: usize) -> Option<Location> {
    match body {
        SetExpr::SetOperation { left, .. } => static_term(left, column),
        SetExpr::Query(query) => static_term(&query.body, column),
        body => place_in(body, column),
    }
}

fn is_text(value: &ValueWithSpan, text: &str) -> bool {
    match &value.value {
        Value::SingleQuotedString(s) | Value::EscapedStringLiteral(s) => s == text,
        Value::Number(n, _) => n == text,
        _ => false,
    }
}

fn last_ident(name: &ObjectName) -> Option<&Ident> {
    name.0.last().and_then(|part| part.as_ident())
}

fn byte_of(sql: &str, place: Location) -> Option<usize> {
    let line = usize::try_from(place.line.checked_sub(1)?).ok()?;
    let column = usize::try_from(place.column.checked_sub(1)?).ok()?;
    let start: usize = sql.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = sql.get(start..)?;
    Some(start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at))
}
