//! CREATE VIEW, once the query's columns are known.

use std::{collections::BTreeSet, ops::ControlFlow};

use datafusion::sql::sqlparser::ast::{
    Expr, Join, JoinConstraint, JoinOperator, Query, Select, SelectItem, SetExpr, TableFactor,
    Visitor,
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{DdlPlan, columns, create_table::missing_schema, names::already_exists};
use crate::{
    catalog::{
        Catalog, CatalogChange, ColumnDef, NamedRelation, RelationKind, SqlType, ViewColumn,
        ViewDef, ViewRelation, creation_schema, is_temporary_schema, relation_kind,
    },
    parse::{CreateView, Walk, fold_ident},
};

/// Plans a view whose query has these columns and names these relations.
///
/// Errors: as [`super::plan`]'s for CREATE TABLE; 42601 for more column names than columns; 42P16
/// where a replaced view's columns would change; 42P17 for a view that reads itself.
pub fn create_view(
    statement: &CreateView,
    columns: &[(String, SqlType)],
    relations: &[NamedRelation],
    catalog: &Catalog,
    search_path: &[String],
) -> Result<DdlPlan> {
    refuse(statement)?;
    let mut plan = DdlPlan::new("CREATE VIEW");
    if statement.column_names.len() > columns.len() {
        let message = "CREATE VIEW specifies more column names than columns";
        return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message));
    }
    let mut columns = columns.to_vec();
    for (column, name) in columns.iter_mut().zip(&statement.column_names) {
        column.0 = name.name.clone();
    }
    let columns = columns::of_query(&columns)?;
    let reads_temporary = relations.iter().any(|named| catalog.is_temporary(named.id));
    let temporary = statement.temporary || reads_temporary;
    let name = statement.name.name.as_str();
    if reads_temporary && !statement.temporary {
        let message = format!("view \"{name}\" will be a temporary view");
        plan.notices.push(ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message));
    }
    let schema = creation_schema(catalog, search_path, &statement.name, temporary)?;
    let id = match relation_kind(catalog, schema, name) {
        None => catalog.next_oid,
        Some(RelationKind::View) if statement.or_replace => {
            replaced(catalog, schema, name, &columns)?
        }
        Some(_) if statement.or_replace => {
            let message = format!("\"{name}\" is not a view");
            return Err(ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        Some(_) => return Err(already_exists(name)),
    };
    check_not_itself(id, name, relations, catalog)?;
    let used = Used::by(&statement.query);
    let relations = relations.iter().map(|named| of_view(named, &used, catalog)).collect();
    plan.changes.extend(missing_schema(catalog, schema, || catalog.next_oid + 1));
    let search_path = search_path.iter().filter(|s| temporary || !is_temporary_schema(s));
    plan.changes.push(CatalogChange::CreateView(ViewDef {
        id,
        schema_name: schema.into(),
        name: name.into(),
        columns,
        query: statement.text.clone(),
        search_path: search_path.cloned().collect(),
        relations,
    }));
    Ok(plan)
}

fn refuse(statement: &CreateView) -> Result<()> {
    if statement.recursive {
        let error = ErrorReport::unsupported("recursive views are not supported");
        return Err(statement.name.locate(error));
    }
    statement.unsupported.as_ref().map_or(Ok(()), |clause| Err(clause.error()))
}

/// The id of the view that is replaced. As in PostgreSQL (`checkViewTupleDesc`, commands/view.c)
/// its columns must stay; new ones may follow.
fn replaced(catalog: &Catalog, schema: &str, name: &str, columns: &[ColumnDef]) -> Result<u64> {
    let view = catalog
        .view(schema, name)
        .ok_or_else(|| ErrorReport::internal(format!("view {name} is not there")))?;
    let error = |message: String| ErrorReport::new(SqlState::INVALID_TABLE_DEFINITION, message);
    if columns.len() < view.columns.len() {
        return Err(error("cannot drop columns from view".into()));
    }
    for (old, new) in view.columns.iter().zip(columns) {
        if old.name != new.name {
            let message =
                format!("cannot change name of view column \"{}\" to \"{}\"", old.name, new.name);
            let hint =
                "Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead.";
            return Err(error(message).hint(hint));
        }
        if old.sql_type != new.sql_type {
            return Err(error(format!(
                "cannot change data type of view column \"{}\" from {} to {}",
                old.name, old.sql_type, new.sql_type
            )));
        }
    }
    Ok(view.id)
}

fn check_not_itself(
    id: u64,
    name: &str,
    relations: &[NamedRelation],
    catalog: &Catalog,
) -> Result<()> {
    let mut waiting: Vec<u64> = relations.iter().map(|named| named.id).collect();
    let mut seen = BTreeSet::new();
    while let Some(read) = waiting.pop() {
        if read == id {
            let message = format!("infinite recursion detected in rules for relation \"{name}\"");
            return Err(ErrorReport::new(SqlState::INVALID_OBJECT_DEFINITION, message));
        }
        if seen.insert(read) {
            let view = catalog.view_by_id(read);
            waiting.extend(view.iter().flat_map(|v| &v.relations).map(|r| r.named.id));
        }
    }
    Ok(())
}

fn of_view(named: &NamedRelation, used: &Used, catalog: &Catalog) -> ViewRelation {
    let columns = catalog.columns_by_id(named.id).unwrap_or_default();
    let columns = columns.iter().map(|column| ViewColumn {
        id: column.id,
        name: column.name.clone(),
        is_used: used.all || used.names.contains(&column.name),
    });
    ViewRelation { named: named.clone(), columns: columns.collect() }
}

/// The names of columns that a query may need. A name counts for every relation that has such a
/// column: rather one dependency too many than a view that lost a column.
#[derive(Default)]
pub(super) struct Used {
    /// `*`, NATURAL JOIN and whole rows need all columns.
    pub(super) all: bool,
    pub(super) names: BTreeSet<String>,
}

impl Used {
    pub(super) fn by(query: &Query) -> Self {
        let mut used = Self::default();
        let _ = query.walk(&mut used);
        used
    }
}

/// `TABLE t` is all of its columns.
fn has_table(body: &SetExpr) -> bool {
    match body {
        SetExpr::Table(_) => true,
        SetExpr::SetOperation { left, right, .. } => has_table(left) || has_table(right),
        _ => false,
    }
}

/// What a join is over, if it can say so.
pub(super) fn constraint(join: &Join) -> Option<&JoinConstraint> {
    match &join.join_operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint) => Some(constraint),
        _ => None,
    }
}

impl Used {
    fn add_joins(&mut self, joins: &[Join]) {
        for join in joins {
            match constraint(join) {
                Some(JoinConstraint::Natural) => self.all = true,
                Some(JoinConstraint::Using(names)) => {
                    let last = names.iter().filter_map(|name| name.0.last()?.as_ident());
                    self.names.extend(last.map(fold_ident));
                }
                Some(JoinConstraint::On(_) | JoinConstraint::None) | None => {}
            }
        }
    }
}

impl Visitor for Used {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.all |= has_table(&query.body);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let is_wildcard = |item: &SelectItem| {
            matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
        };
        self.all |= select.projection.iter().any(is_wildcard);
        select.from.iter().for_each(|from| self.add_joins(&from.joins));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::NestedJoin { table_with_joins, .. } = factor {
            self.add_joins(&table_with_joins.joins);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) => {
                self.names.insert(fold_ident(ident));
            }
            Expr::CompoundIdentifier(parts) => self.names.extend(parts.iter().map(fold_ident)),
            Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => self.all = true,
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
