//! What makes rows: UNION, VALUES, arrays taken apart.

use std::sync::Arc;

use datafusion::{
    common::{Column, Result},
    logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Union, Unnest, Values},
};

use super::{Push, Pushed, columns, unsupported};

impl Push<'_> {
    /// The inputs' columns meet by their places.
    pub(super) fn union(&mut self, union: &Union) -> Result<Pushed> {
        let name = self.names.fresh("union");
        let column = |at: usize| format!("{name}_{at}");
        let key = |at: usize| format!("{name}_key{at}");
        let mut inputs = Vec::new();
        for input in &union.inputs {
            let Pushed { plan, keys } = self.node(input)?;
            let own = input.schema().iter().map(Expr::from).enumerate();
            let mut exprs: Vec<_> = own.map(|(at, expr)| expr.alias(column(at))).collect();
            exprs.extend(columns(&keys).enumerate().map(|(at, expr)| expr.alias(key(at))));
            inputs.push(Arc::new(LogicalPlanBuilder::from(plan).project(exprs)?.build()?));
        }
        let plan = LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?);
        let keys: Vec<_> =
            (0..self.domain.columns().len()).map(|at| Column::from_name(key(at))).collect();
        let named = union.schema.iter().enumerate().map(|(at, (qualifier, field))| {
            let column = Expr::Column(Column::from_name(column(at)));
            column.alias_qualified(qualifier.cloned(), field.name())
        });
        let exprs: Vec<_> = named.chain(columns(&keys)).collect();
        let plan = LogicalPlanBuilder::from(plan).project(exprs)?.build()?;
        Ok(Pushed { plan, keys })
    }

    /// Each row of VALUES is a SELECT of its own.
    pub(super) fn values(&mut self, values: &Values) -> Result<Pushed> {
        let row = |row: &Vec<Expr>| {
            let named = row.iter().zip(values.schema.fields());
            let named = named.map(|(expr, field)| expr.clone().alias(field.name()));
            let row = LogicalPlanBuilder::empty(true).project(named.collect::<Vec<_>>())?;
            Ok(Arc::new(row.build()?))
        };
        let mut rows = values.values.iter().map(row).collect::<Result<Vec<_>>>()?;
        if rows.len() > 1 {
            return self.union(&Union::try_new_with_loose_types(rows)?);
        }
        self.node(&rows.pop().ok_or_else(unsupported)?)
    }

    pub(super) fn unnest(&mut self, unnest: &Unnest) -> Result<Pushed> {
        let Pushed { plan, keys } = self.node(&unnest.input)?;
        let (columns, options) = (unnest.exec_columns.clone(), unnest.options.clone());
        let plan = LogicalPlanBuilder::from(plan).unnest_columns_with_options(columns, options)?;
        Ok(Pushed { plan: plan.build()?, keys })
    }
}
