//! PostgreSQL's names of output columns (`FigureColname` in `src/backend/parser/parse_target.c`):
//! `count` for `count(*)`, `?column?` for `1 + 1`.
//!
//! DataFusion names columns after their expressions and wants them unique in a SELECT. So every
//! unnamed output gets PostgreSQL's name as an alias, and names are made unique where they occur
//! twice; the client sees them without that.

use std::{collections::HashSet, ops::ControlFlow};

use datafusion::{
    common::DFSchema,
    sql::sqlparser::ast::{self, Expr, Query, Select, SelectItem, SetExpr, VisitorMut},
};

use crate::parse::Walk;

/// Separates a name from the number that makes it unique; in no name that a user writes.
const UNIQUE: char = '\u{1f}';

/// The output names of a query, wildcards not yet expanded.
#[derive(Debug)]
pub struct OutputNames(Vec<Option<String>>);

impl OutputNames {
    /// One name per column of the bound query.
    pub fn resolve(self, schema: &DFSchema) -> Vec<String> {
        let of_schema = || {
            let bare = |name: &str| name.split(UNIQUE).next().unwrap_or_default().to_string();
            schema.fields().iter().map(|f| bare(f.name())).collect::<Vec<_>>()
        };
        let all: Option<Vec<_>> = self.0.iter().cloned().collect();
        match all {
            Some(names) if names.len() == schema.fields().len() => names,
            _ => of_schema(),
        }
    }
}

/// Gives every unnamed output of every SELECT in `query` PostgreSQL's name.
pub fn name_outputs(query: &mut Query) -> OutputNames {
    let _ = query.walk_mut(&mut Namer);
    OutputNames(top_level_names(&query.body))
}

struct Namer;

impl VisitorMut for Namer {
    type Break = ();

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        name_set_expr(&mut query.body);
        ControlFlow::Continue(())
    }
}

fn name_set_expr(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => name_select(select),
        SetExpr::SetOperation { left, right, .. } => {
            name_set_expr(left);
            name_set_expr(right);
        }
        _ => {}
    }
}

fn name_select(select: &mut Select) {
    let mut taken: HashSet<String> = select
        .projection
        .iter()
        .filter_map(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(crate::parse::fold_ident(alias)),
            _ => None,
        })
        .collect();
    let has_wildcard = has_wildcard(select);
    let mut aliases = HashSet::new();
    for (position, item) in select.projection.iter_mut().enumerate() {
        if let SelectItem::ExprWithAlias { alias, .. } = item {
            let name = crate::parse::fold_ident(alias);
            if !aliases.insert(name.clone()) {
                *alias = unique(&name, position);
            }
        }
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        let name = column_name(expr);
        let is_column = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        // `SELECT id, *`: the wildcard may stand for that column, too.
        let first = taken.insert(name.clone()) && !(is_column && has_wildcard);
        if is_column && first {
            continue;
        }
        let alias = match first {
            true => ast::Ident::with_quote('"', name),
            false => unique(&name, position),
        };
        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
    }
}

/// Makes outputs of this name unique that stand beside a wildcard, which has a column of that name,
/// too; whether there were any. That a wildcard has one only the catalog tells.
pub(super) fn make_unique_beside_wildcard(query: &mut Query, name: &str) -> bool {
    let mut outputs = BesideWildcard { name, found: false };
    let _ = query.walk_mut(&mut outputs);
    outputs.found
}

struct BesideWildcard<'a> {
    name: &'a str,
    found: bool,
}

impl VisitorMut for BesideWildcard<'_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if has_wildcard(select) {
            for (position, item) in select.projection.iter_mut().enumerate() {
                if let SelectItem::ExprWithAlias { alias, .. } = item
                    && crate::parse::fold_ident(alias) == self.name
                {
                    *alias = unique(self.name, position);
                    self.found = true;
                }
            }
        }
        ControlFlow::Continue(())
    }
}

fn has_wildcard(select: &Select) -> bool {
    let is_wildcard = |item: &SelectItem| {
        matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
    };
    select.projection.iter().any(is_wildcard)
}

fn unique(name: &str, position: usize) -> ast::Ident {
    ast::Ident::with_quote('"', format!("{name}{UNIQUE}{position}"))
}

/// The names of a query's outputs; `None` in the place of a wildcard.
pub(crate) fn top_level_names(body: &SetExpr) -> Vec<Option<String>> {
    match body {
        SetExpr::Select(select) => select
            .projection
            .iter()
            .map(|item| match item {
                SelectItem::UnnamedExpr(expr) => Some(column_name(expr)),
                SelectItem::ExprWithAlias { alias, .. } => {
                    let name = crate::parse::fold_ident(alias);
                    Some(name.split(UNIQUE).next().unwrap_or_default().to_string())
                }
                _ => None,
            })
            .collect(),
        SetExpr::SetOperation { left, .. } => top_level_names(left),
        SetExpr::Query(query) => top_level_names(&query.body),
        _ => Vec::new(),
    }
}

/// `FigureColname`.
fn column_name(expr: &Expr) -> String {
    figure(expr).unwrap_or_else(|| "?column?".into())
}

fn figure(expr: &Expr) -> Option<String> {
    strong_name(expr).or_else(|| weak_name(expr))
}

/// The name of a column or function: a cast keeps it.
fn strong_name(expr: &Expr) -> Option<String> {
    let last = |parts: &[ast::Ident]| parts.last().map(crate::parse::fold_ident);
    match expr {
        Expr::Identifier(ident) => Some(crate::parse::fold_ident(ident)),
        Expr::CompoundIdentifier(parts) => last(parts),
        Expr::Function(function) => {
            let part = function.name.0.last()?.as_ident()?;
            Some(crate::parse::fold_ident(part))
        }
        Expr::Cast { expr, .. } => strong_name(expr),
        Expr::Nested(inner) => strong_name(inner),
        Expr::Collate { expr, .. } => strong_name(expr),
        Expr::Case { else_result, .. } => else_result.as_deref().and_then(strong_name),
        Expr::Extract { .. } => Some("extract".into()),
        Expr::Substring { .. } => Some("substring".into()),
        Expr::Trim { trim_where, .. } => Some(match trim_where {
            Some(ast::TrimWhereField::Leading) => "ltrim".into(),
            Some(ast::TrimWhereField::Trailing) => "rtrim".into(),
            Some(ast::TrimWhereField::Both) | None => "btrim".into(),
        }),
        Expr::Position { .. } => Some("position".into()),
        Expr::Overlay { .. } => Some("overlay".into()),
        Expr::Ceil { .. } => Some("ceil".into()),
        Expr::Floor { .. } => Some("floor".into()),
        Expr::Exists { .. } => Some("exists".into()),
        Expr::Array(_) => Some("array".into()),
        Expr::Subquery(query) => top_level_names(&query.body).into_iter().next().flatten(),
        // The last field's name; subscripts have none.
        Expr::CompoundFieldAccess { access_chain, root } => {
            let field = access_chain.iter().rev().find_map(|access| match access {
                ast::AccessExpr::Dot(field) => Some(field),
                ast::AccessExpr::Subscript(_) => None,
            });
            strong_name(field.unwrap_or(root))
        }
        _ => None,
    }
}

/// What stands in for a better name: that of the outermost type, or `case`.
fn weak_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Cast { data_type, .. } => Some(type_name(data_type)),
        Expr::TypedString(typed) => Some(type_name(&typed.data_type)),
        Expr::Interval(_) => Some("interval".into()),
        Expr::Value(value) if matches!(value.value, ast::Value::Boolean(_)) => Some("bool".into()),
        Expr::Case { .. } => Some("case".into()),
        Expr::Nested(inner) => weak_name(inner),
        Expr::Collate { expr, .. } => weak_name(expr),
        _ => None,
    }
}

/// The type's name as `pg_type` has it.
fn type_name(data_type: &ast::DataType) -> String {
    use crate::catalog::SqlType::*;
    let name = match crate::parse::sql_type(data_type) {
        Ok(SmallInt) => "int2",
        Ok(Integer) => "int4",
        Ok(BigInt) => "int8",
        Ok(Real) => "float4",
        Ok(Double) => "float8",
        Ok(Numeric(..)) => "numeric",
        Ok(Boolean) => "bool",
        Ok(Text) => "text",
        Ok(Varchar(_)) => "varchar",
        Ok(Char(_)) => "bpchar",
        Ok(Date) => "date",
        Ok(Time) => "time",
        Ok(Timestamp) => "timestamp",
        Ok(TimestampTz) => "timestamptz",
        Ok(Interval) => "interval",
        Ok(Uuid) => "uuid",
        Ok(Bytea) => "bytea",
        Ok(Oid) => "oid",
        Ok(Name) => "name",
        Ok(Json) => "json",
        Ok(Jsonb) => "jsonb",
        Ok(Int2Vector) => "int2vector",
        Ok(OidVector) => "oidvector",
        // An array is named after its elements' type.
        Ok(Array(_)) => match data_type {
            ast::DataType::Array(ast::ArrayElemTypeDef::SquareBracket(element, _)) => {
                return type_name(element);
            }
            _ => "array",
        },
        // The catalogs' types; a name is the last part of it.
        Err(_) => {
            let written = data_type.to_string().to_lowercase();
            let bare = written.rsplit_once('.').map_or(written.as_str(), |(_, name)| name);
            return bare.trim_end_matches("[]").into();
        }
    };
    name.into()
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::{dialect::PostgreSqlDialect, parser::Parser};

    use super::*;

    #[test]
    fn names_may_occur_twice() {
        let sql = "SELECT 1 AS a, b, 2 AS \"a\", b, 3, 4";
        let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap();
        let ast::Statement::Query(query) = &mut statements[0] else { panic!("{sql}") };
        let names: Vec<_> = name_outputs(query).0.into_iter().flatten().collect();
        assert_eq!(names, ["a", "b", "a", "b", "?column?", "?column?"]);
        let SetExpr::Select(select) = &*query.body else { panic!("{sql}") };
        let unique: HashSet<String> = select.projection.iter().map(ToString::to_string).collect();
        assert_eq!(unique.len(), names.len());
    }

    #[test]
    fn columns_are_named_as_postgresql_names_them() {
        // Expression, name.
        let cases = [
            ("a.b", "b"),
            ("1", "?column?"),
            ("1::text", "text"),
            ("1::int::text", "text"),
            ("b::int::text", "b"),
            ("lower(b)::text", "lower"),
            ("'t'::regclass", "regclass"),
            ("'t'::pg_catalog.regclass::oid", "oid"),
            ("true", "bool"),
            ("true::text", "text"),
            ("CASE WHEN a THEN 1 ELSE b END", "b"),
            ("CASE WHEN a THEN 1 ELSE 2::int END", "case"),
            ("(CASE WHEN a THEN 1 END)::text", "text"),
            ("(SELECT c FROM t)", "c"),
            ("date '2020-01-01'", "date"),
        ];
        for (expression, expected) in cases {
            let sql = format!("SELECT {expression}");
            let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, &sql).unwrap();
            let ast::Statement::Query(query) = &mut statements[0] else { panic!("{sql}") };
            assert_eq!(name_outputs(query).0, [Some(expected.to_string())], "{expression}");
        }
    }
}
