//! Which relations a SELECT reads, and what a name in it means.

use std::collections::HashSet;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, JoinOperator, ObjectName, Select, TableFactor, TableWithJoins,
};

use super::super::definition::{ColumnDefinition, DEFINITIONS, Definition};

/// The relations of a FROM clause.
pub(super) struct Scope {
    /// Alias, and the system relation behind it; `None`: something else.
    relations: Vec<(String, Option<&'static Definition>)>,
}

impl Scope {
    pub(super) fn of(select: &Select) -> Self {
        let factors = select.from.iter().flat_map(factors);
        Self { relations: factors.filter_map(relation).collect() }
    }

    /// Whether all of it are system relations.
    pub(super) fn is_system(&self) -> bool {
        self.relations.iter().all(|(_, definition)| definition.is_some())
    }

    /// Whether a column's name means a column of this FROM clause, and not of a query around it.
    pub(super) fn has_column(&self, column: &[Ident]) -> bool {
        let [qualifier @ .., name] = column else { return false };
        match qualifier.last() {
            Some(alias) => self.relations.iter().any(|(a, _)| *a == folded(alias)),
            None => self.relations.iter().any(|(_, definition)| {
                definition.is_none_or(|d| d.columns.iter().any(|c| c.name == folded(name)))
            }),
        }
    }

    /// The system relations' column that a name means.
    pub(super) fn system_column(&self, column: &[Ident]) -> Option<&'static ColumnDefinition> {
        let [qualifier @ .., name] = column else { return None };
        let (alias, name) = (qualifier.last().map(folded), folded(name));
        let meant = |(a, definition): &(String, Option<&'static Definition>)| {
            definition.filter(|_| alias.as_ref().is_none_or(|alias| alias == a))
        };
        let definitions = self.relations.iter().filter_map(meant);
        definitions.flat_map(|definition| &definition.columns).find(|c| c.name == name)
    }

    /// The system relation that a column's qualifier means; without one: the only relation.
    pub(super) fn relation_of(&self, qualifier: Option<&Ident>) -> Option<&'static Definition> {
        match (qualifier, self.relations.as_slice()) {
            (Some(alias), relations) => {
                relations.iter().find(|(a, _)| *a == folded(alias)).and_then(|(_, d)| *d)
            }
            (None, [(_, only)]) => *only,
            (None, _) => None,
        }
    }
}

/// The column that an expression is, as a list of names.
pub(super) fn column(expr: &Expr) -> Option<&[Ident]> {
    match expr {
        Expr::Identifier(ident) => Some(std::slice::from_ref(ident)),
        Expr::CompoundIdentifier(idents) => Some(idents),
        Expr::Nested(inner) => column(inner),
        _ => None,
    }
}

/// Lower case, unless quoted.
pub(super) fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// The system relation of a name: qualified, or in `pg_catalog`, which is searched first.
pub(super) fn system_relation(
    name: &ObjectName,
    ctes: &HashSet<String>,
) -> Option<&'static Definition> {
    let parts: Option<Vec<String>> = name.0.iter().map(|p| p.as_ident().map(folded)).collect();
    let (schema, name) = match parts?.as_slice() {
        [name] if ctes.contains(name) => return None,
        [name] => ("pg_catalog".to_string(), name.clone()),
        [.., schema, name] => (schema.clone(), name.clone()),
        [] => return None,
    };
    DEFINITIONS.iter().find(|d| d.schema == schema && d.name == name)
}

/// Whether a FROM clause has no rows in any cluster: it joins a system relation that is empty.
pub(super) fn is_always_empty(select: &Select) -> bool {
    select.from.iter().any(|item| {
        let (mut empty, mut kept) = (is_empty_relation(&item.relation), false);
        for join in &item.joins {
            match join.join_operator {
                JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_) => {
                    empty |= is_empty_relation(&join.relation);
                }
                JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => {}
                // Rows of the right side survive.
                _ => kept = true,
            }
        }
        empty && !kept
    })
}

fn is_empty_relation(factor: &TableFactor) -> bool {
    let definition = relation(factor).and_then(|(_, definition)| definition);
    let view = definition.and_then(|d| super::super::system_view(d.schema, d.name));
    view.is_some_and(|v| v.is_always_empty())
}

fn factors(item: &TableWithJoins) -> impl Iterator<Item = &TableFactor> {
    std::iter::once(&item.relation).chain(item.joins.iter().map(|j| &j.relation))
}

/// The alias, or name, of a relation, and the system relation it is.
fn relation(factor: &TableFactor) -> Option<(String, Option<&'static Definition>)> {
    match factor {
        TableFactor::Table { name, alias, args: None, .. } => {
            let last = name.0.last().and_then(|p| p.as_ident());
            let alias = alias.as_ref().map(|a| &a.name).or(last)?;
            Some((folded(alias), system_relation(name, &HashSet::new())))
        }
        TableFactor::Table { alias, name, .. } => {
            let last = name.0.last().and_then(|p| p.as_ident());
            Some((folded(alias.as_ref().map(|a| &a.name).or(last)?), None))
        }
        TableFactor::Derived { alias, .. } | TableFactor::UNNEST { alias, .. } => {
            Some((alias.as_ref().map(|a| folded(&a.name)).unwrap_or_default(), None))
        }
        _ => Some((String::new(), None)),
    }
}
