//! RETURNING: a query over the rows that a statement has changed, which the coordinator has gathered
//! on their way. So what is volatile in them is computed once.
//!
//! ```text
//!   INSERT, UPDATE, DELETE: the rows, with what their FROM or USING has     gathered
//!   SELECT what stands behind RETURNING FROM those rows                     the client's
//! ```
//!
//! The rows of each relation that RETURNING can name are a relation of their own then; where there are
//! several, a number in all of them says what belongs together.

mod given;
mod items;

use std::{ops::ControlFlow, sync::Arc};

use datafusion::sql::sqlparser::ast::{self, Visitor};
use futures::stream;
use kestrel_planner::{
    bind::{Origin, bind_query, locate, origins, prepare_query},
    catalog::{Catalog, SqlType, TableDef},
    parse::{QualifiedName, Walk, fold_ident, quote},
};
use kestrel_proto::{ErrorReport, Result};

use super::{
    ClientSession, Outcome, RowsTag, Statement,
    change_rows::WithoutSchema,
    facts::plannable,
    own_query::own_query,
    select::{bind_within, output_fields, result_fields},
};
use crate::server::{Description, Parameter};
use items::{check_items, mentioned, written_out};

pub(super) use given::{Gathered, numbered};
pub(super) use items::OtherRelation;

/// The column by which the rows of several relations find one another.
pub(super) const ROW_NUMBER: &str = "kestrel row number";

/// What stands behind RETURNING, and what it can name.
pub(super) struct Clause<'a> {
    pub(super) items: &'a [ast::SelectItem],
    pub(super) with: Option<&'a ast::With>,
    /// The table that is changed, by the name that the statement gives it.
    pub(super) target: ast::TableWithJoins,
    /// FROM of UPDATE, USING of DELETE.
    pub(super) others: &'a [ast::TableWithJoins],
}

/// RETURNING of a statement whose names are known.
pub(super) struct Returning {
    table: Arc<TableDef>,
    /// Without `*`, where that stands for columns of several relations.
    items: Vec<ast::SelectItem>,
    with: Option<ast::With>,
    /// The name of the changed table's rows.
    alias: String,
    /// Whether the statement gave it that name.
    is_aliased: bool,
    others: Vec<OtherRelation>,
    /// The columns of tables that its outputs are.
    origins: Vec<Option<Origin>>,
}

impl ClientSession {
    /// Binds RETURNING as it stands: over the tables themselves, which the role must be allowed to read.
    pub(super) fn bind_returning(
        &mut self,
        clause: &Clause<'_>,
        table: &Arc<TableDef>,
        statement: &Statement,
        parameters: &[Parameter],
    ) -> Result<Returning> {
        let types: Vec<_> = parameters.iter().map(|p| Some(p.sql_type)).collect();
        let mut returning = self.named_returning(clause, table, statement, &types)?;
        let (bound, _) = self.bind(&returning.over_tables(clause)?, statement, parameters)?;
        returning.origins = origins(&bound.plan);
        Ok(returning)
    }

    /// What its names mean, before it is bound.
    fn named_returning(
        &mut self,
        clause: &Clause<'_>,
        table: &Arc<TableDef>,
        statement: &Statement,
        types: &[Option<SqlType>],
    ) -> Result<Returning> {
        let view = self.transaction.view(&self.engine);
        let context = self.bind_context(&view, Some(statement));
        check_items(clause.items, &context.functions, statement)?;
        let (alias, is_aliased) = alias_of(&clause.target)?;
        let mut others = Vec::new();
        if !clause.others.is_empty() {
            let mut query = own_query("SELECT * FROM t")?;
            query.with = clause.with.cloned();
            select_of(&mut query)?.from = clause.others.to_vec();
            let bound = bind_query(&plannable(&query), &context, types)?;
            others = OtherRelation::all(bound.plan.schema());
        }
        let items = written_out(clause.items, table, &alias, &others);
        mentioned(&items, (table, &alias), &mut others)?;
        let with = clause.with.filter(|_| has_subquery(&items)).cloned();
        let table = Arc::clone(table);
        Ok(Returning { table, items, with, alias, is_aliased, others, origins: Vec::new() })
    }

    /// The description of a statement with RETURNING; `types`: what the rest of it says of its
    /// parameters.
    pub(super) async fn description_of_returning(
        &mut self,
        clause: &Clause<'_>,
        table: &Arc<TableDef>,
        statement: &Statement,
        types: Vec<Option<SqlType>>,
    ) -> Result<Description> {
        let located = |error| locate(error, statement);
        let returning = self.named_returning(clause, table, statement, &types).map_err(located)?;
        let view = self.transaction.view(&self.engine);
        let context = self.bind_context(&view, Some(statement));
        let query = plannable(&returning.over_tables(clause)?);
        let bound = prepare_query(&query, &context, &types).map_err(located)?;
        let parameters = bound.parameter_types()?;
        let plan = self.plan_for_types(&bound.plan, &view, &parameters).await.map_err(located)?;
        Ok(Description { fields: Some(result_fields(&bound, &plan)?), parameters })
    }

    /// What a statement gives back that has changed these rows. `view`: the snapshot that it has read.
    pub(super) async fn return_rows(
        &mut self,
        returning: &Returning,
        rows: &Gathered,
        (statement, parameters): (&Statement, &[Parameter]),
        view: &Arc<Catalog>,
        tag: String,
    ) -> Result<Outcome> {
        let mut context = self.bind_context(view, Some(statement));
        context.given = returning.given(rows)?;
        let bound = bind_within(&returning.over_given()?, &context, parameters)?;
        let plan = self.plan(&bound.plan, view).await?;
        let mut fields = output_fields(&bound, &plan)?;
        for (field, origin) in fields.iter_mut().zip(&returning.origins) {
            if let Some(Origin { table_oid, column_number }) = origin {
                (field.table_oid, field.column_number) = (*table_oid, *column_number);
            }
        }
        let environment = self.environment(view, self.cancel.clone());
        let running = crate::query::run(&self.engine, &plan, &environment).await?;
        let (batches, _) = running.collect().await?;
        let rows = Box::pin(stream::iter(batches.into_iter().map(Ok)));
        Ok(Outcome::Rows { fields, rows, tag: RowsTag::Changed(tag) })
    }
}

impl Returning {
    /// What the query that finds the rows has behind their columns: of the other relations.
    pub(super) fn outputs(&self) -> Vec<ast::SelectItem> {
        let columns = self.others.iter().flat_map(OtherRelation::columns);
        let output = |(at, expr)| ast::SelectItem::ExprWithAlias {
            expr,
            alias: ast::Ident::with_quote('"', format!("kestrel other column {at}")),
        };
        columns.enumerate().map(output).collect()
    }

    /// `SELECT items FROM table, others`
    fn over_tables(&self, clause: &Clause<'_>) -> Result<ast::Query> {
        let mut query = own_query("SELECT 1")?;
        // Of an INSERT it could hide the table.
        let with = clause.with.filter(|_| !clause.others.is_empty() || self.with.is_some());
        query.with = with.cloned();
        let select = select_of(&mut query)?;
        select.projection = self.items.clone();
        let target = std::iter::once(clause.target.clone());
        select.from = target.chain(clause.others.iter().cloned()).collect();
        Ok(query)
    }

    /// The same over the rows that were gathered.
    fn over_given(&self) -> Result<ast::Query> {
        let first = quote(&self.alias);
        let mut sql = format!("SELECT 1 FROM {} AS {first}", quote(&given_name(0)));
        for (at, other) in self.others.iter().enumerate() {
            let (name, alias) = (quote(&given_name(at + 1)), quote(&other.alias));
            let number = quote(ROW_NUMBER);
            sql += &format!(" JOIN {name} AS {alias} ON {alias}.{number} = {first}.{number}");
        }
        let mut query = own_query(&sql)?;
        query.with = self.with.clone();
        select_of(&mut query)?.projection = self.items.clone();
        if !self.is_aliased {
            // It does not break off.
            let _ = query.walk_mut(&mut WithoutSchema(&self.table));
        }
        Ok(query)
    }
}

/// The relations of gathered rows: of the changed table, then of the others.
fn given_name(at: usize) -> String {
    format!("kestrel gathered rows {at}")
}

/// RETURNING of an INSERT.
pub(super) fn inserted_clause(insert: &ast::Insert) -> Result<Option<Clause<'_>>> {
    let Some(items) = insert.returning.as_deref() else { return Ok(None) };
    let with = insert.source.as_ref().and_then(|source| source.with.as_ref());
    Ok(Some(Clause { items, with, target: inserted_table(insert)?, others: &[] }))
}

/// The table that an INSERT names, as one that a query reads.
pub(super) fn inserted_table(insert: &ast::Insert) -> Result<ast::TableWithJoins> {
    let ast::TableObject::TableName(table) = &insert.table else {
        return Err(ErrorReport::unsupported("INSERT INTO a function"));
    };
    let mut query = own_query("SELECT 1 FROM t")?;
    let target = select_of(&mut query)?.from.pop();
    let mut target = target.ok_or_else(|| ErrorReport::internal("a query without FROM"))?;
    if let ast::TableFactor::Table { name, alias, .. } = &mut target.relation {
        *name = table.clone();
        *alias = insert.table_alias.as_ref().map(|given| ast::TableAlias {
            explicit: true,
            name: given.alias.clone(),
            columns: Vec::new(),
            at: None,
        });
    }
    Ok(target)
}

/// The name that a statement has for the table it changes, and whether it has given it.
pub(super) fn alias_of(target: &ast::TableWithJoins) -> Result<(String, bool)> {
    match &target.relation {
        ast::TableFactor::Table { alias: Some(alias), .. } => Ok((fold_ident(&alias.name), true)),
        ast::TableFactor::Table { name, .. } => Ok((QualifiedName::of_ast(name)?.name, false)),
        _ => Err(ErrorReport::internal("what is changed is no table")),
    }
}

fn select_of(query: &mut ast::Query) -> Result<&mut ast::Select> {
    match query.body.as_mut() {
        ast::SetExpr::Select(select) => Ok(select),
        _ => Err(ErrorReport::internal("a query of our own is none")),
    }
}

fn has_subquery(items: &[ast::SelectItem]) -> bool {
    struct Search;
    impl Visitor for Search {
        type Break = ();

        fn pre_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    items.iter().any(|item| item.walk(&mut Search).is_break())
}
