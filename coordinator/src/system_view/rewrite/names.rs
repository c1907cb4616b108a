//! Names: of functions, operators, types, relations.

use std::{collections::HashSet, ops::ControlFlow};

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, DataType, ExactNumberInfo, Expr, FunctionArg, FunctionArgExpr,
    Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, Subscript, TableAlias,
    TableFactor, TimezoneInfo, VisitorMut,
};
use datafusion::sql::sqlparser::{dialect::PostgreSqlDialect, parser::Parser};
use kestrel_planner::parse::sql_type;

use super::{
    build::{array, array_elements, call, literal_text, number},
    scope::{Scope, column, folded, system_relation},
};

/// Takes PostgreSQL's qualified and internal names to those that the planner knows.
pub(super) struct Names {
    ctes: HashSet<String>,
    /// The FROM clauses around, innermost last.
    scopes: Vec<Scope>,
}

impl Names {
    pub(super) fn new(ctes: HashSet<String>) -> Self {
        Self { ctes, scopes: vec![] }
    }

    /// `c.tableoid`: the OID of the relation that a row is in.
    fn table_oid(&self, expr: &Expr) -> Option<i64> {
        let [qualifier @ .., name] = column(expr)? else { return None };
        if folded(name) != "tableoid" {
            return None;
        }
        let found = self.scopes.iter().rev().find_map(|s| s.relation_of(qualifier.last()));
        found.map(|definition| definition.oid)
    }

    /// Whether an expression is a column of type `int2vector` or `oidvector`.
    fn is_vector(&self, expr: &Expr) -> bool {
        let Some(name) = column(expr) else { return false };
        let found = self.scopes.iter().rev().find_map(|scope| scope.system_column(name));
        found.is_some_and(|definition| is_vector(definition.type_name))
    }

    /// The system relations' column that is subscripted. The parser takes `c.indkey[0]` for the
    /// field `indkey` of `c`, and the first element of that.
    fn subscripted(&self, root: &Expr, access: &[AccessExpr]) -> Option<Subscripted> {
        let mut name = column(root)?.to_vec();
        for dot in access {
            let AccessExpr::Dot(Expr::Identifier(field)) = dot else { break };
            name.push(field.clone());
        }
        let found = self.scopes.iter().rev().find_map(|scope| scope.system_column(&name))?;
        Some(Subscripted { name, type_name: found.type_name })
    }
}

/// A column that is subscripted.
struct Subscripted {
    name: Vec<Ident>,
    type_name: &'static str,
}

impl Subscripted {
    /// A subscript of a name gives a character; they begin with 0.
    fn access(self, access: &mut [AccessExpr]) -> Option<Expr> {
        let [.., AccessExpr::Subscript(Subscript::Index { index })] = access else { return None };
        (self.type_name == "name").then(|| {
            let from_one = plus_one(std::mem::replace(index, number(0)));
            let column = match <[Ident; 1]>::try_from(self.name) {
                Ok([name]) => Expr::Identifier(name),
                Err(qualified) => Expr::CompoundIdentifier(qualified),
            };
            call("substr", vec![column, from_one, number(1)])
        })
    }
}

impl VisitorMut for Names {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.scopes.push(Scope::of(select));
        for item in &mut select.projection {
            // A number would have no name.
            if let SelectItem::UnnamedExpr(expr) = item
                && self.table_oid(expr).is_some()
            {
                let expr = std::mem::replace(expr, number(0));
                *item = SelectItem::ExprWithAlias { expr, alias: Ident::new("tableoid") };
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &mut Select) -> ControlFlow<()> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        if relation.0.len() == 1 && system_relation(relation, &self.ctes).is_some() {
            relation.0.insert(0, ObjectNamePart::Identifier(Ident::new("pg_catalog")));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, args: Some(arguments), alias, with_ordinality, .. } = factor
        else {
            return ControlFlow::Continue(());
        };
        unqualify(name);
        if let Some(rows) = rows_of(&name.to_string().to_lowercase()) {
            *factor = TableFactor::Derived {
                lateral: false,
                subquery: Box::new(rows),
                alias: alias.take().or_else(|| alias_of(name)),
                sample: None,
            };
        } else if name.to_string().eq_ignore_ascii_case("unnest") {
            let arrays = arguments.args.iter().filter_map(|a| match a {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => Some(e.clone()),
                _ => None,
            });
            *factor = TableFactor::UNNEST {
                array_exprs: arrays.collect(),
                alias: alias.take(),
                with_offset: false,
                with_offset_alias: None,
                with_ordinality: *with_ordinality,
            };
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function) => unqualify(&mut function.name),
            Expr::BinaryOp { left, op, right } => {
                if let Some(named) = operator(op) {
                    *op = named;
                }
                if matches!(op, BinaryOperator::Eq | BinaryOperator::NotEq) {
                    array_literal(left, right);
                    array_literal(right, left);
                }
            }
            // CASE WHEN … THEN acldefault(…) ELSE '{}' END
            Expr::Case { conditions, else_result: Some(otherwise), .. }
                if conditions.iter().any(|case| is_default_privileges(&case.result)) =>
            {
                if let Some(elements) = literal_text(otherwise).and_then(array_elements) {
                    **otherwise = array(elements);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(oid) = self.table_oid(expr) {
            *expr = number(oid);
            return ControlFlow::Continue(());
        }
        let replacement = match expr {
            // Text has one collation.
            Expr::Collate { expr: inner, .. } => Some(std::mem::replace(&mut **inner, number(0))),
            Expr::Cast { expr: inner, data_type, .. } => match target(data_type) {
                Target::Unknown => None,
                Target::Type(known) => {
                    *data_type = known;
                    None
                }
                // An array of them is another type.
                Target::Array if self.is_vector(inner) && sql_type(data_type).is_ok() => None,
                Target::Array => match literal_text(inner).and_then(array_elements) {
                    Some(elements) => Some(array(elements)),
                    None => Some(std::mem::replace(&mut **inner, number(0))),
                },
            },
            Expr::CompoundFieldAccess { root, access_chain } => {
                let subscripted = self.subscripted(root, access_chain);
                subscripted.and_then(|column| column.access(access_chain))
            }
            _ => None,
        };
        if let Some(replacement) = replacement {
            *expr = replacement;
        }
        ControlFlow::Continue(())
    }
}

fn is_default_privileges(expr: &Expr) -> bool {
    let Expr::Function(function) = expr else { return false };
    let last = function.name.0.last().and_then(|part| part.as_ident());
    last.is_some_and(|name| folded(name) == "acldefault")
}

/// Functions that give rows, and the queries that stand for them. What they tell about is not
/// there: text search, options of foreign tables.
const ROWS: &[(&str, &str)] = &[
    (
        "pg_get_keywords",
        "SELECT word, 'U' AS catcode, true AS barelabel, 'unreserved' AS catdesc, 'can be bare label' \
         AS baredesc FROM (VALUES ('analyze'), ('distributed'), ('randomly'), ('replicated')) AS k(word)",
    ),
    (
        "pg_options_to_table",
        "SELECT NULL::text AS option_name, NULL::text AS option_value WHERE false",
    ),
    (
        "ts_token_type",
        "SELECT NULL::int AS tokid, NULL::text AS alias, NULL::text AS description WHERE false",
    ),
];

/// Whether a name in FROM is that of such a function.
pub(super) fn gives_rows(name: &ObjectName) -> bool {
    let last = name.0.last().and_then(|part| part.as_ident()).map(folded);
    last.is_some_and(|last| ROWS.iter().any(|(name, _)| *name == last))
}

fn rows_of(function: &str) -> Option<Query> {
    let (_, sql) = ROWS.iter().find(|(name, _)| *name == function)?;
    let mut parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).ok()?;
    parser.parse_query().ok().map(|query| *query)
}

/// A function's rows are called as it is.
fn alias_of(function: &ObjectName) -> Option<TableAlias> {
    let name = function.0.last()?.as_ident()?.clone();
    Some(TableAlias { explicit: true, name, columns: vec![], at: None })
}

/// `column = '{0}'`: the literal is an array.
fn array_literal(one: &Expr, literal: &mut Expr) {
    if column(one).is_some()
        && let Some(elements) = literal_text(literal).and_then(array_elements)
    {
        *literal = array(elements);
    }
}

fn plus_one(index: Expr) -> Expr {
    Expr::BinaryOp {
        left: Box::new(Expr::Nested(Box::new(index))),
        op: BinaryOperator::Plus,
        right: Box::new(number(1)),
    }
}

/// Whether a name says that it is in `pg_catalog` or `information_schema`.
pub(super) fn is_qualified(name: &ObjectName) -> bool {
    let [first, _] = name.0.as_slice() else { return false };
    first.as_ident().is_some_and(|i| ["pg_catalog", "information_schema"].contains(&&*folded(i)))
}

fn unqualify(name: &mut ObjectName) {
    if is_qualified(name) {
        name.0.remove(0);
    }
}

/// The operator that `OPERATOR(pg_catalog.~)` names.
fn operator(op: &BinaryOperator) -> Option<BinaryOperator> {
    let BinaryOperator::PGCustomBinaryOperator(parts) = op else { return None };
    Some(match parts.last()?.as_str() {
        "=" => BinaryOperator::Eq,
        "<>" | "!=" => BinaryOperator::NotEq,
        "<" => BinaryOperator::Lt,
        "<=" => BinaryOperator::LtEq,
        ">" => BinaryOperator::Gt,
        ">=" => BinaryOperator::GtEq,
        "+" => BinaryOperator::Plus,
        "-" => BinaryOperator::Minus,
        "*" => BinaryOperator::Multiply,
        "/" => BinaryOperator::Divide,
        "%" => BinaryOperator::Modulo,
        "||" => BinaryOperator::StringConcat,
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "~~*" => BinaryOperator::PGILikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "!~~*" => BinaryOperator::PGNotILikeMatch,
        _ => return None,
    })
}

/// `int2vector`, `oidvector`
fn is_vector(type_name: &str) -> bool {
    type_name.ends_with("vector")
}

/// What a cast goes to.
enum Target {
    /// A type that the planner knows by this name.
    Type(DataType),
    /// An array: those of the catalogs are held as what they are.
    Array,
    /// A type that needs no help from here.
    Unknown,
}

fn target(data_type: &DataType) -> Target {
    let written = data_type.to_string();
    let (is_qualified, name) = match written.to_ascii_lowercase().strip_prefix("pg_catalog.") {
        Some(name) => (true, name.to_string()),
        None => (false, written.to_ascii_lowercase()),
    };
    if let Some(element) = name.strip_suffix("[]") {
        let catalogs = ["oid", "int2", "name", "text", "\"char\"", "aclitem", "regtype"];
        return match is_qualified || catalogs.contains(&element) {
            true => Target::Array,
            false => Target::Unknown,
        };
    }
    Target::Type(match name.as_str() {
        "oid" | "xid" | "cid" => DataType::BigInt(None),
        "name" | "\"char\"" => DataType::Text,
        _ if !is_qualified => return Target::Unknown,
        "bool" => DataType::Boolean,
        "date" => DataType::Date,
        "float4" => DataType::Real,
        "float8" => DataType::DoublePrecision,
        "int2" => DataType::SmallInt(None),
        "int4" => DataType::Integer(None),
        "int8" => DataType::BigInt(None),
        "numeric" => DataType::Numeric(ExactNumberInfo::None),
        "text" | "varchar" | "bpchar" => DataType::Text,
        "timestamp" => DataType::Timestamp(None, TimezoneInfo::None),
        "timestamptz" => DataType::Timestamp(None, TimezoneInfo::Tz),
        _ => return Target::Unknown,
    })
}
