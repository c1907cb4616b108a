//! The types of a recursive query (`analyzeCTE` in PostgreSQL's `src/backend/parser/parse_cte.c`):
//! the static term's are those of the work table; what both terms have in common must not be more.
//!
//! In PostgreSQL a numeric has as many digits as it needs. Here the digits are the column's: where
//! the recursive term has more of them, the column gets them, up to those of a quotient.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::{
    catalog::cte_worktable::CteWorkTable,
    common::{
        DFSchema, Result, ScalarValue,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    datasource::{provider_as_source, source_as_provider},
    logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, RecursiveQuery, TableScan, expr::Cast},
};
use kestrel_proto::{ErrorReport, SqlState};

use super::{
    is_text,
    plan::{known_of, postgresql_plan, with_column},
    unify::common_type,
};
use crate::{
    catalog::SqlType,
    error::to_datafusion,
    functions::{
        cast::cast_always, literal::is_untyped_text, nullable::sql_nullable, operators::Known,
        sql_name,
    },
};

/// Fractional digits that a column gets at most because the recursive term has them.
const MAX_SCALE: i8 = 16;
/// A numeric grows in the first two; one more finds that nothing changes.
const PASSES: usize = 4;
/// Digits of a numeric.
const MAX_PRECISION: u8 = 38;

/// A recursive query with PostgreSQL's types, terms and all.
///
/// Errors: 42804.
pub(super) fn recursive_query(query: RecursiveQuery) -> Result<LogicalPlan> {
    let RecursiveQuery { name, static_term, recursive_term, is_distinct, .. } = query;
    let written = as_written(Arc::unwrap_or_clone(recursive_term));
    let mut first = postgresql_plan(Arc::unwrap_or_clone(static_term))?;
    let open: Vec<bool> =
        (0..first.schema().fields().len()).map(|at| is_open(&first, at)).collect();
    for pass in 0..PASSES {
        let next = postgresql_plan(over_work_table(written.clone(), &name, first.schema())?)?;
        let types = column_types(&name, (&first, &next), &open, pass)?;
        let (typed, is_settled) = with_types(first, &types)?;
        first = typed;
        if is_settled {
            let next = with_types(next, &types)?.0;
            let first = stated(first)?;
            let next = conformed(next, first.schema())?;
            let (first, next) = (Arc::new(first), Arc::new(next));
            return RecursiveQuery::try_new(name, first, next, is_distinct)
                .map(LogicalPlan::RecursiveQuery);
        }
    }
    let message = format!("the types of the recursive query \"{name}\" do not settle");
    Err(to_datafusion(ErrorReport::internal(message)))
}

/// The recursive term without the casts that DataFusion has put above it, and without the `OFFSET 0`
/// that tells where they begin.
fn as_written(term: LogicalPlan) -> LogicalPlan {
    let term = match term {
        LogicalPlan::Projection(casts) if matches!(*casts.input, LogicalPlan::Limit(_)) => {
            Arc::unwrap_or_clone(casts.input)
        }
        term => term,
    };
    match term {
        LogicalPlan::Limit(limit) => Arc::unwrap_or_clone(limit.input),
        term => term,
    }
}

/// The term with a work table of this schema, all of whose columns may be NULL.
fn over_work_table(term: LogicalPlan, name: &str, schema: &DFSchema) -> Result<LogicalPlan> {
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let source = provider_as_source(Arc::new(CteWorkTable::new(name, schema)));
    let term = term.transform_down(|plan| match plan {
        LogicalPlan::TableScan(scan) if is_work_table(&scan, name) => {
            let scan = LogicalPlanBuilder::scan(scan.table_name, Arc::clone(&source), None)?;
            scan.build().map(Transformed::yes)
        }
        // Within it, the name is its own.
        LogicalPlan::RecursiveQuery(ref query) if query.name == name => {
            Ok(Transformed::new(plan, false, TreeNodeRecursion::Jump))
        }
        plan => Ok(Transformed::no(plan)),
    })?;
    Ok(term.data)
}

fn is_work_table(scan: &TableScan, name: &str) -> bool {
    source_as_provider(&scan.source).is_ok_and(|provider| {
        provider.downcast_ref::<CteWorkTable>().is_some_and(|table| table.name() == name)
    })
}

/// Whether a column of the static term is a NULL or a quoted text without a type: as the work
/// table's it is a text, overall it is what the other term's is.
fn is_open(term: &LogicalPlan, column: usize) -> bool {
    let LogicalPlan::Projection(projection) = term else { return false };
    match projection.expr.get(column).map(|expr| expr.clone().unalias()) {
        // The query gives the columns other names.
        Some(Expr::Column(column)) => {
            let at = projection.input.schema().maybe_index_of_column(&column);
            at.is_some_and(|at| is_open(&projection.input, at))
        }
        // That of `recursive_queries`.
        Some(Expr::TryCast(cast)) => is_null(&cast.expr),
        Some(expr) => is_null(&expr) || is_untyped_text(&expr),
        None => false,
    }
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Null, _))
}

/// The types that the columns of both terms get. `open`: [`is_open`] of the static term's.
fn column_types(
    name: &str,
    (first, next): (&LogicalPlan, &LogicalPlan),
    open: &[bool],
    pass: usize,
) -> Result<Vec<DataType>> {
    let columns = first.schema().fields().iter().zip(next.schema().fields()).enumerate();
    let types = columns.map(|(at, (field, other))| {
        let own = plain(field.data_type());
        let known = match known_of(next, at) {
            Known::Typed(other) => Known::Typed(plain(&other)),
            Known::Untyped => Known::Untyped,
        };
        let common = common_type("UNION", &[Known::Typed(own.clone()), known.clone()]);
        let common = match open.get(at) {
            // Without a type of its own it has one in common with any.
            Some(true) => common.unwrap_or_default(),
            _ => common?,
        };
        let overall = common.unwrap_or_else(|| match &known {
            Known::Typed(other) => other.clone(),
            Known::Untyped => own.clone(),
        });
        if matches!((&own, &overall), (DataType::Decimal128(..), DataType::Decimal128(..))) {
            return Ok(widened(&own, &overall, pass));
        }
        if own != overall {
            return Err(mismatch(name, at, &sql_name_of(field), &sql_name(&overall)));
        }
        match (SqlType::of_field(field), SqlType::of_field(other), &known) {
            (Some(of_first), Some(of_next), Known::Typed(_)) => {
                match without_length(of_first).filter(|_| of_first != of_next) {
                    Some(overall) => Err(mismatch(name, at, &of_first.to_string(), overall)),
                    None => Ok(own),
                }
            }
            _ => Ok(own),
        }
    });
    types.collect()
}

/// The one Arrow type of a SQL type; a column without a type is a text.
fn plain(data_type: &DataType) -> DataType {
    SqlType::of_arrow(data_type).map_or_else(|| data_type.clone(), SqlType::arrow)
}

/// What a text of limited length and another text have in common.
fn without_length(sql_type: SqlType) -> Option<&'static str> {
    match sql_type {
        SqlType::Varchar(Some(_)) => Some("character varying"),
        SqlType::Char(_) => Some("bpchar"),
        _ => None,
    }
}

/// A numeric that has room for `overall`. Fractional digits grow once to what is asked for, then to
/// [`MAX_SCALE`]: with each multiplication there are more of them.
fn widened(own: &DataType, overall: &DataType, pass: usize) -> DataType {
    let (DataType::Decimal128(precision, scale), DataType::Decimal128(wanted, wanted_scale)) =
        (own, overall)
    else {
        return own.clone();
    };
    if wanted_scale <= scale && wanted <= precision {
        return own.clone();
    }
    let grown = if pass > 0 { MAX_SCALE } else { (*wanted_scale).min(MAX_SCALE) };
    let grown = if wanted_scale > scale { grown.max(*scale) } else { *scale };
    DataType::Decimal128(MAX_PRECISION, grown)
}

fn sql_name_of(field: &arrow::datatypes::Field) -> String {
    match SqlType::of_field(field) {
        Some(SqlType::Numeric(..)) | None => sql_name(field.data_type()),
        Some(sql_type) => sql_type.to_string(),
    }
}

fn mismatch(name: &str, at: usize, own: &str, overall: &str) -> datafusion::error::DataFusionError {
    let message = format!(
        "recursive query \"{name}\" column {} has type {own} in non-recursive term but type \
         {overall} overall",
        at + 1
    );
    let hint = "Cast the output of the non-recursive term to the correct type.";
    to_datafusion(ErrorReport::new(SqlState::DATATYPE_MISMATCH, message).hint(hint))
}

/// The plan with columns of these types, and whether it had them before.
fn with_types(plan: LogicalPlan, types: &[DataType]) -> Result<(LogicalPlan, bool)> {
    let (mut plan, mut had_them) = (plan, true);
    for (at, wanted) in types.iter().enumerate() {
        if plan.schema().field(at).data_type() != wanted {
            plan = with_type(plan, at, wanted)?;
            had_them = false;
        }
    }
    Ok((plan, had_them))
}

fn with_type(plan: LogicalPlan, at: usize, wanted: &DataType) -> Result<LogicalPlan> {
    let own = plan.schema().field(at).data_type();
    if *own != DataType::Null && !(is_text(own) && is_text(wanted)) {
        return with_column(Arc::new(plan), at, wanted);
    }
    let exprs = plan.schema().iter().enumerate().map(|(column, (qualifier, field))| {
        let expr = Expr::from((qualifier, field));
        if column != at {
            return expr;
        }
        Expr::Cast(Cast::new(Box::new(expr), wanted.clone()))
            .alias_qualified(qualifier.cloned(), field.name())
    });
    let exprs: Vec<_> = exprs.collect();
    LogicalPlanBuilder::from(plan).project(exprs)?.build()
}

/// The static term with fields that say their types in one way. DataFusion compares the fields of its
/// operators with those of its logical plan, and an expression's metadata is not the same in both.
fn stated(term: LogicalPlan) -> Result<LogicalPlan> {
    let exprs = term.schema().iter().map(|(qualifier, field)| {
        let column = Expr::from((qualifier, field));
        match SqlType::of_field(field) {
            Some(sql_type) if !field.metadata().is_empty() => {
                cast_always(sql_nullable(column), sql_type)
                    .alias_qualified(qualifier.cloned(), field.name())
            }
            _ => column,
        }
    });
    let exprs = exprs.collect();
    projected(term, exprs)
}

/// The recursive term with the static one's fields.
fn conformed(term: LogicalPlan, to: &DFSchema) -> Result<LogicalPlan> {
    let exprs = term.schema().iter().zip(to.fields()).map(|((qualifier, field), to)| {
        let column = Expr::from((qualifier, field));
        let is_plain = field.metadata().is_empty() && to.metadata().is_empty();
        let expr = match SqlType::of_field(to) {
            Some(sql_type) if !is_plain => cast_always(sql_nullable(column), sql_type),
            _ if field.is_nullable() => return column,
            _ => sql_nullable(column),
        };
        expr.alias_qualified(qualifier.cloned(), field.name())
    });
    let exprs = exprs.collect();
    projected(term, exprs)
}

fn projected(term: LogicalPlan, exprs: Vec<Expr>) -> Result<LogicalPlan> {
    if exprs.iter().all(|expr| matches!(expr, Expr::Column(_))) {
        return Ok(term);
    }
    LogicalPlanBuilder::from(term).project(exprs)?.build()
}
