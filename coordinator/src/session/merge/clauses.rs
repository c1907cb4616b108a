//! The WHEN clauses of a MERGE: which columns they give which values.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, VisitorMut};
use kestrel_planner::{
    catalog::{Identity, TableDef},
    parse::{Merge, MergeAction, MergeClause, Walk, fold_ident},
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::super::{
    change_rows::Change,
    identity_columns::not_default,
    insert::{all_columns, check_column_count, default_expr, target_columns},
    returning::OtherRelation,
    serial::is_default,
};

/// WHEN, over the columns of a table.
pub(super) struct Clause {
    pub(super) is_matched: bool,
    pub(super) condition: Option<ast::Expr>,
    pub(super) action: Action,
}

/// THEN; values by the positions of their columns.
pub(super) enum Action {
    Nothing,
    Delete,
    Update(Vec<(usize, ast::Expr)>),
    /// Of all columns.
    Insert(Vec<(usize, ast::Expr)>),
}

impl Action {
    /// The values that it gives to columns.
    pub(super) fn values(&self) -> &[(usize, ast::Expr)] {
        match self {
            Self::Nothing | Self::Delete => &[],
            Self::Update(values) | Self::Insert(values) => values,
        }
    }
}

/// The clauses of a MERGE; those about rows that meet none name the source's columns in full.
///
/// # Errors
/// 42601, 42703, 428C9: of the columns and their values; 42601 for a clause that cannot be reached.
pub(super) fn clauses(
    merge: &Merge,
    table: &TableDef,
    source: &[OtherRelation],
) -> Result<Vec<Clause>> {
    check_reached(&merge.clauses)?;
    merge.clauses.iter().map(|clause| of_table(clause, merge, table, source)).collect()
}

fn check_reached(clauses: &[MergeClause]) -> Result<()> {
    for is_matched in [true, false] {
        let same = clauses.iter().filter(|clause| clause.is_matched == is_matched);
        let from_unconditional = same.skip_while(|clause| clause.condition.is_some());
        if from_unconditional.count() > 1 {
            let message = "unreachable WHEN clause specified after unconditional WHEN clause";
            return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message));
        }
    }
    Ok(())
}

fn of_table(
    clause: &MergeClause,
    merge: &Merge,
    table: &TableDef,
    source: &[OtherRelation],
) -> Result<Clause> {
    let mut condition = clause.condition.clone();
    let mut action = match &clause.action {
        MergeAction::Nothing => Action::Nothing,
        MergeAction::Delete => Action::Delete,
        MergeAction::Update(assignments) => {
            let mut change = Change::of_conflict(&merge.target, assignments, (&[], None))?;
            let targets = change.targets(table)?;
            change.fill_defaults(table)?;
            Action::Update(targets.into_iter().zip(change.values().cloned()).collect())
        }
        MergeAction::Insert { columns, values } => inserted(columns, values, table)?,
    };
    if !clause.is_matched {
        let mut names = OfSource { source, depth: 0 };
        let values = match &mut action {
            Action::Insert(values) => values.iter_mut().map(|(_, value)| value).collect(),
            _ => Vec::new(),
        };
        for expr in values.into_iter().chain(&mut condition) {
            // It does not break off.
            let _ = expr.walk_mut(&mut names);
        }
    }
    Ok(Clause { is_matched: clause.is_matched, condition, action })
}

/// As INSERT names columns.
pub(super) fn names(columns: &[ast::Ident]) -> Vec<ast::ObjectName> {
    columns.iter().map(|name| ast::ObjectName::from(vec![name.clone()])).collect()
}

/// The values of all columns of a new row.
fn inserted(columns: &[ast::Ident], values: &[ast::Expr], table: &TableDef) -> Result<Action> {
    let given = match columns.is_empty() {
        true => all_columns(table).into_iter().take(values.len().max(1)).collect(),
        false => target_columns(table, &names(columns))?,
    };
    if !values.is_empty() {
        check_column_count(values.len(), given.len())?;
    }
    let value = |at: usize| {
        let column = &table.columns[at];
        let position = given.iter().position(|column| *column == at);
        let value = position.and_then(|position| values.get(position));
        match value.filter(|value| !is_default(value)) {
            Some(_) if column.identity == Some(Identity::Always) => Err(not_default(&column.name)),
            Some(value) => Ok((at, value.clone())),
            None => Ok((at, default_expr(column.default.as_deref().unwrap_or("NULL"))?)),
        }
    };
    Ok(Action::Insert((0..table.columns.len()).map(value).collect::<Result<_>>()?))
}

/// Puts the name of its relation before a column of the source: a row that meets none has no others.
struct OfSource<'a> {
    source: &'a [OtherRelation],
    depth: usize,
}

impl VisitorMut for OfSource<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<()> {
        if let (ast::Expr::Identifier(name), 0) = (&*expr, self.depth) {
            let column = fold_ident(name);
            let mut having = self.source.iter().filter(|relation| relation.has(&column));
            if let (Some(relation), None) = (having.next(), having.next()) {
                let relation = ast::Ident::with_quote('"', relation.alias.clone());
                *expr = ast::Expr::CompoundIdentifier(vec![relation, name.clone()]);
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use kestrel_planner::parse::{StatementKind, parse};

    use super::*;

    #[test]
    fn what_comes_after_an_unconditional_clause_is_not_reached() {
        let is_reached = |clauses: &str| {
            let sql = format!("MERGE INTO t USING s ON t.a = s.a {clauses}");
            let statement = parse(&sql).unwrap().remove(0);
            let StatementKind::Merge(merge) = statement.kind else { panic!("{sql}") };
            check_reached(&merge.clauses).is_ok()
        };
        let (delete, insert) = ("WHEN MATCHED THEN DELETE", "WHEN NOT MATCHED THEN DO NOTHING");
        let conditional = "WHEN MATCHED AND t.a > 1 THEN DO NOTHING";
        assert!(is_reached(&format!("{conditional} {delete} {insert}")));
        assert!(is_reached(&format!("{delete} {insert}")));
        assert!(!is_reached(&format!("{delete} {insert} {conditional}")));
        assert!(!is_reached(&format!("{insert} {insert}")));
    }
}
