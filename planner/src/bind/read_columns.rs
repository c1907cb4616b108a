//! Which columns a query names, of which tables and views: what privileges on columns are about.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::{
    common::{
        Column, TableReference,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, LogicalPlan},
    sql::sqlparser::ast,
};
use kestrel_proto::Result;

use super::{BindContext, bind_names, parameter_fields, provider::Names, stated_parameter_types};
use crate::{
    catalog::{NamedRelation, SqlType},
    error::report,
};

/// By a relation's OID, the names of its columns.
pub type ReadColumns = BTreeMap<u64, BTreeSet<String>>;

/// The columns of tables and views that a query names, `*` written out; those that a view's own
/// query names are not among them. Where one alias stands for two tables in two subqueries, what
/// is named of one counts for both.
pub fn read_columns(
    query: &ast::Query,
    context: &BindContext,
    parameter_types: &[Option<SqlType>],
) -> Result<ReadColumns> {
    let parameter_types = stated_parameter_types(query, parameter_types, &[]);
    let parameters = parameter_fields(&parameter_types);
    let bound = bind_names(query.clone(), Names::of_reader(context), parameters)?;
    let mut search = Search { relations: &bound.relations, ..Search::default() };
    let visit = |plan: &LogicalPlan| {
        search.plan(plan);
        Ok(TreeNodeRecursion::Continue)
    };
    bound.plan.apply_with_subqueries(visit).map_err(report)?;
    Ok(search.found())
}

#[derive(Default)]
struct Search<'a> {
    relations: &'a [NamedRelation],
    /// What a qualifier stands for.
    meanings: BTreeMap<TableReference, BTreeSet<u64>>,
    columns: Vec<Column>,
}

impl Search<'_> {
    fn plan(&mut self, plan: &LogicalPlan) {
        match plan {
            LogicalPlan::TableScan(scan) => self.means(&scan.table_name, &scan.table_name),
            LogicalPlan::SubqueryAlias(alias) => {
                if let LogicalPlan::TableScan(scan) = alias.input.as_ref() {
                    self.means(&alias.alias, &scan.table_name);
                }
            }
            _ => {}
        }
        let columns = &mut self.columns;
        for expr in plan.expressions() {
            // It cannot fail: no visit does.
            let _ = expr.apply(|expr| {
                if let Expr::Column(column) | Expr::OuterReferenceColumn(_, column) = expr {
                    columns.push(column.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            });
        }
    }

    fn means(&mut self, qualifier: &TableReference, name: &TableReference) {
        let is_it = |relation: &&NamedRelation| {
            relation.name == name.table() && relation.schema.as_deref() == name.schema()
        };
        if let Some(relation) = self.relations.iter().find(is_it) {
            self.meanings.entry(qualifier.clone()).or_default().insert(relation.id);
        }
    }

    fn found(self) -> ReadColumns {
        let mut found = ReadColumns::new();
        for Column { relation, name, .. } in self.columns {
            let meanings = relation.and_then(|qualifier| self.meanings.get(&qualifier));
            for id in meanings.into_iter().flatten() {
                found.entry(*id).or_default().insert(name.clone());
            }
        }
        found
    }
}
