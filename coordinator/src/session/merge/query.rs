//! The queries that a MERGE is.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::{
    common::Column,
    logical_expr::{Case, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder},
    scalar::ScalarValue,
    sql::sqlparser::ast,
};
use kestrel_planner::{
    bind::CHANGED_TABLE,
    catalog::TableDef,
    error::report,
    functions::assign_to,
    operators::Address,
    parse::{Merge, Walk, quote},
};
use kestrel_proto::{ErrorReport, Result};

use super::{
    super::{
        change_rows::{WithoutSchema, without_aliases},
        insert::mismatch,
        own_query::own_query,
        returning::alias_of,
    },
    Kind,
    clauses::{Action, Clause},
};

/// Which clause a row falls under: its number from 1, and 0 for none that does anything.
const ACTION: &str = "kestrel merge action";
/// Its position in the query, behind the row's address.
pub(super) const ACTION_AT: usize = Address::ALL.len();

/// `SELECT values and conditions FROM source LEFT JOIN table ON …`, over the table itself; without the
/// table for rows that meet none.
pub(super) fn plain_query(
    merge: &Merge,
    clauses: &[Clause],
    is_joined: bool,
) -> Result<ast::Query> {
    let of_rows = |clause: &&Clause| is_joined || !clause.is_matched;
    let values = clauses.iter().filter(of_rows).flat_map(|clause| clause.action.values());
    let conditions = clauses.iter().filter(of_rows).filter_map(|clause| clause.condition.as_ref());
    let outputs = values.map(|(_, value)| value).chain(conditions).cloned();
    let outputs: Vec<_> = outputs.enumerate().map(|(at, expr)| output(expr, at)).collect();
    let from = match is_joined {
        true => joined(merge, merge.target.relation.clone(), true)?,
        false => merge.source.clone(),
    };
    select(from, outputs)
}

/// The rows' addresses, their action, the table's columns, and the values of each clause in their
/// order.
pub(super) fn addressed_query(
    merge: &Merge,
    clauses: &[Clause],
    table: &TableDef,
) -> Result<ast::Query> {
    let (alias, is_aliased) = alias_of(&merge.target)?;
    let mut target = merge.target.relation.clone();
    if let ast::TableFactor::Table { name, alias: given, .. } = &mut target {
        *name = ast::ObjectName::from(vec![quoted(CHANGED_TABLE)]);
        *given = Some(ast::TableAlias {
            explicit: true,
            name: quoted(&alias),
            columns: given.take().map(|given| given.columns).unwrap_or_default(),
            at: None,
        });
    }
    let of_target = |name: &str| ast::Expr::CompoundIdentifier(vec![quoted(&alias), quoted(name)]);
    let mut outputs: Vec<_> = Address::ALL.into_iter().map(|part| of_target(part.name())).collect();
    outputs.push(action(clauses, &alias)?);
    outputs.extend(table.columns.iter().map(|column| of_target(&column.name)));
    let values = clauses.iter().flat_map(|clause| clause.action.values());
    outputs.extend(values.map(|(_, value)| value.clone()));
    let outputs = outputs.into_iter().enumerate().map(|(at, expr)| output(expr, at)).collect();
    let inserts = clauses.iter().any(|clause| matches!(clause.action, Action::Insert(_)));
    let mut query = select(joined(merge, target, inserts)?, outputs)?;
    if !is_aliased {
        // It does not break off.
        let _ = query.walk_mut(&mut WithoutSchema(table));
    }
    Ok(query)
}

/// `source LEFT JOIN target ON …`; without rows that meet none a plain join.
fn joined(
    merge: &Merge,
    target: ast::TableFactor,
    keeps_others: bool,
) -> Result<ast::TableWithJoins> {
    let kind = if keeps_others { "LEFT JOIN" } else { "JOIN" };
    let model = own_query(&format!("SELECT 1 FROM a {kind} b ON true"))?;
    let ast::SetExpr::Select(mut model) = *model.body else { return Err(malformed()) };
    let join = model.from.pop().and_then(|mut from| from.joins.pop());
    let mut join = join.ok_or_else(malformed)?;
    join.relation = target;
    match &mut join.join_operator {
        ast::JoinOperator::Join(ast::JoinConstraint::On(on))
        | ast::JoinOperator::Inner(ast::JoinConstraint::On(on))
        | ast::JoinOperator::Left(ast::JoinConstraint::On(on))
        | ast::JoinOperator::LeftOuter(ast::JoinConstraint::On(on)) => *on = merge.on.clone(),
        _ => return Err(malformed()),
    }
    let mut from = merge.source.clone();
    from.joins.push(join);
    Ok(from)
}

/// The number of the first clause that fits a row.
fn action(clauses: &[Clause], alias: &str) -> Result<ast::Expr> {
    let of_rows = |is_matched: bool| -> Result<ast::Expr> {
        let mut cases = String::from("CASE");
        let fitting = clauses.iter().enumerate().filter(|(_, c)| c.is_matched == is_matched);
        let fitting: Vec<_> = fitting.collect();
        for (at, clause) in &fitting {
            let number = match clause.action {
                Action::Nothing => 0,
                _ => at + 1,
            };
            cases += &format!(" WHEN true THEN {number}");
        }
        let mut expr = parsed(&format!("{cases} WHEN true THEN 0 ELSE 0 END"))?;
        if let ast::Expr::Case { conditions, .. } = &mut expr {
            for (case, (_, clause)) in conditions.iter_mut().zip(&fitting) {
                if let Some(condition) = &clause.condition {
                    case.condition = ast::Expr::Nested(Box::new(condition.clone()));
                }
            }
        }
        Ok(expr)
    };
    let address = quote(Address::Datanode.name());
    let model = format!("CASE WHEN {}.{address} IS NULL THEN 0 ELSE 1 END", quote(alias));
    let mut expr = parsed(&model)?;
    if let ast::Expr::Case { conditions, else_result, .. } = &mut expr {
        for case in conditions {
            case.result = of_rows(false)?;
        }
        *else_result = Some(Box::new(of_rows(true)?));
    }
    Ok(expr)
}

fn parsed(sql: &str) -> Result<ast::Expr> {
    let ast::SetExpr::Select(mut select) = *own_query(&format!("SELECT {sql}"))?.body else {
        return Err(malformed());
    };
    match select.projection.pop() {
        Some(ast::SelectItem::UnnamedExpr(expr)) => Ok(expr),
        _ => Err(malformed()),
    }
}

fn select(from: ast::TableWithJoins, outputs: Vec<ast::SelectItem>) -> Result<ast::Query> {
    let mut query = own_query("SELECT 1")?;
    let ast::SetExpr::Select(select) = query.body.as_mut() else { return Err(malformed()) };
    select.from = vec![from];
    if !outputs.is_empty() {
        select.projection = outputs;
    }
    Ok(query)
}

fn output(expr: ast::Expr, at: usize) -> ast::SelectItem {
    ast::SelectItem::ExprWithAlias { expr, alias: quoted(&format!("kestrel merge {at}")) }
}

fn quoted(name: &str) -> ast::Ident {
    ast::Ident::with_quote('"', name)
}

fn malformed() -> ErrorReport {
    ErrorReport::internal("a query of our own about MERGE has another form")
}

/// The bound query in parts: its rows, each with the number of its action, computed once.
pub(super) struct Merged<'a> {
    table: &'a TableDef,
    clauses: &'a [Clause],
    rows: LogicalPlan,
    action_type: DataType,
    address: Vec<Expr>,
    columns: Vec<Expr>,
    /// By clause.
    values: Vec<Vec<(usize, Expr)>>,
}

impl<'a> Merged<'a> {
    /// Of [`addressed_query`].
    ///
    /// # Errors
    /// 42804 for a value that a column does not take.
    pub(super) fn of(
        query: LogicalPlan,
        table: &'a TableDef,
        clauses: &'a [Clause],
    ) -> Result<Self> {
        let LogicalPlan::Projection(projection) = query else { return Err(malformed()) };
        let input = Arc::unwrap_or_clone(projection.input);
        let schema = Arc::clone(input.schema());
        let mut exprs = projection.expr.into_iter().map(without_aliases);
        let address = exprs.by_ref().take(ACTION_AT).collect();
        let action = exprs.next().ok_or_else(malformed)?;
        let action_type = action.get_type(&schema).map_err(report)?;
        let columns = exprs.by_ref().take(table.columns.len()).collect();
        let mut values = Vec::with_capacity(clauses.len());
        for clause in clauses {
            let of_clause = clause.action.values().iter().map(|(at, _)| {
                let value = exprs.next().ok_or_else(malformed)?;
                let (column, from) =
                    (&table.columns[*at], value.get_type(&schema).map_err(report)?);
                let value = assign_to(value, &from, column.sql_type)
                    .map_err(|error| mismatch(error, column, &from, "expression"))?;
                Ok((*at, value))
            });
            values.push(of_clause.collect::<Result<_>>()?);
        }
        let all = schema.columns().into_iter().map(Expr::Column);
        let outputs: Vec<_> = all.chain([action.alias(ACTION)]).collect();
        let rows = LogicalPlanBuilder::from(input)
            .project(outputs)
            .and_then(LogicalPlanBuilder::build)
            .map_err(report)?;
        Ok(Self { table, clauses, rows, action_type, address, columns, values })
    }

    /// The rows of these actions: addresses, the action's number if it is wanted, and the table's
    /// columns as they are to be.
    pub(super) fn rows_of(&self, kinds: &[Kind], with_action: bool) -> Result<LogicalPlan> {
        let numbers = self.numbers_of(kinds).map(|number| self.number(number));
        let numbers = numbers.collect::<Result<Vec<_>>>()?;
        let mut outputs = Vec::new();
        for (part, expr) in Address::ALL.into_iter().zip(&self.address) {
            outputs.push(expr.clone().alias(part.name()));
        }
        outputs.extend(with_action.then(|| self.action()));
        for (at, column) in self.columns.iter().enumerate() {
            outputs.push(self.column(at, column, kinds)?.alias(&self.table.columns[at].name));
        }
        LogicalPlanBuilder::from(self.rows.clone())
            .filter(self.action().in_list(numbers, false))
            .and_then(|rows| rows.project(outputs))
            .and_then(LogicalPlanBuilder::build)
            .map_err(report)
    }

    /// The numbers of the clauses of these kinds.
    pub(super) fn numbers_of(&self, kinds: &[Kind]) -> impl Iterator<Item = usize> {
        let is_wanted =
            move |clause: &Clause| Kind::of(&clause.action).is_some_and(|k| kinds.contains(&k));
        let numbers = self.clauses.iter().enumerate().filter(move |(_, clause)| is_wanted(clause));
        numbers.map(|(at, _)| at + 1)
    }

    fn column(&self, at: usize, column: &Expr, kinds: &[Kind]) -> Result<Expr> {
        let mut cases = Vec::new();
        for number in self.numbers_of(kinds) {
            let value = self.values[number - 1].iter().find(|(of, _)| *of == at);
            if let Some((_, value)) = value {
                cases.push((Box::new(self.number(number)?), Box::new(value.clone())));
            }
        }
        if cases.is_empty() {
            return Ok(column.clone());
        }
        let (action, rest) = (Box::new(self.action()), Box::new(column.clone()));
        Ok(Expr::Case(Case::new(Some(action), cases, Some(rest))))
    }

    fn action(&self) -> Expr {
        Expr::Column(Column::from_name(ACTION))
    }

    fn number(&self, number: usize) -> Result<Expr> {
        let number = ScalarValue::Int64(i64::try_from(number).ok());
        let number = number.cast_to(&self.action_type).map_err(report)?;
        Ok(Expr::Literal(number, None))
    }
}
