//! From the plan that was found back to operators.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::{
    common::{DataFusionError, Result},
    physical_expr::expressions::Column,
    physical_plan::{ExecutionPlan, projection::ProjectionExec},
};

use super::{
    Region, Written,
    condition::renumbered,
    local::{LocalJoin, position, renamed},
    space::{Candidate, Joined, Space},
};
use crate::{
    cardinality::Estimate,
    distribute::{Distributor, Placed, projection},
};

pub(super) struct Builder<'a> {
    pub distributor: &'a Distributor,
    pub region: &'a Region,
    pub relations: &'a [Placed],
}

impl Builder<'_> {
    /// The operators as they were written.
    pub(super) fn written(&self, written: &Written) -> Result<Placed> {
        match written {
            Written::Relation(relation) => self.relation(*relation),
            Written::Operator { plan, inputs } => {
                let inputs = inputs.iter().map(|input| self.written(input));
                self.distributor.place_over(plan, inputs.collect::<Result<_>>()?)
            }
        }
    }

    /// A projection of a region's result, of which only these columns are left.
    pub(super) fn projected(
        &self,
        written: &Arc<dyn ExecutionPlan>,
        used: &[usize],
        rows: Placed,
    ) -> Result<Placed> {
        let written = written.downcast_ref::<ProjectionExec>().ok_or_else(lost)?;
        let schema = rows.plan.schema();
        let outputs = written.expr().iter().map(|output| {
            let expr = renumbered(&output.expr, |at| {
                let position = position(used, at)?;
                Ok(Column::new(schema.field(position).name(), position))
            })?;
            Ok((expr, output.alias.clone()))
        });
        let outputs = outputs.collect::<Result<Vec<_>>>()?;
        let plan: Arc<dyn ExecutionPlan> =
            Arc::new(ProjectionExec::try_new(outputs, Arc::clone(&rows.plan))?);
        projection(&plan, rows)
    }

    /// The plan that was found, with the region's output under the names of these columns.
    pub(super) fn ordered(
        &self,
        space: &Space<'_>,
        found: &Candidate,
        like: &SchemaRef,
    ) -> Result<Placed> {
        let (placed, columns) = self.candidate(space, found)?;
        let positions = self.region.output.iter().map(|at| position(&columns, *at));
        let positions = positions.collect::<Result<Vec<_>>>()?;
        let schema = placed.plan.schema();
        let names = |of: &SchemaRef| {
            of.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>()
        };
        if positions.iter().copied().eq(0..schema.fields().len()) && names(&schema) == names(like) {
            return Ok(placed);
        }
        let renamed = renamed(&placed.plan, &positions, like)?;
        projection(&renamed, placed)
    }

    fn relation(&self, relation: usize) -> Result<Placed> {
        self.relations.get(relation).cloned().ok_or_else(lost)
    }

    /// The plan, and the region's columns that it has.
    fn candidate(&self, space: &Space<'_>, candidate: &Candidate) -> Result<(Placed, Vec<usize>)> {
        let Some(joined) = &candidate.joined else {
            let relation = candidate.set.first().ok_or_else(lost)?;
            return Ok((self.relation(relation)?, self.region.columns_of(relation)));
        };
        let Joined { step, left, right, motions } = joined.as_ref();
        let (left, left_columns) = self.candidate(space, left)?;
        let (right, right_columns) = self.candidate(space, right)?;
        let join = LocalJoin::new(self.region, step, &left_columns, &right_columns)?;
        // Where no column is needed any more, which one is there depends on the order.
        let kept = space.kept(candidate.set, &join.columns);
        let positions = kept.columns.iter().map(|at| position(&join.columns, *at));
        let positions = positions.collect::<Result<Vec<_>>>()?;
        let plan = join.plan(&left.plan, &right.plan, &positions)?;
        let mut placed = self.distributor.join(&plan, vec![left, right], Some(motions))?;
        placed.locus = kept.locus(placed.locus);
        if placed.locus != candidate.locus {
            let message = "an order of joins has its rows in another place than was thought";
            return Err(DataFusionError::Internal(message.into()));
        }
        // What the search went by, whichever order it saw first.
        let set = space.facts(candidate.set).ok_or_else(lost)?;
        placed.estimate = Estimate { skew: placed.estimate.skew, ..set.estimate.clone() };
        Ok((placed, kept.columns))
    }
}

fn lost() -> DataFusionError {
    DataFusionError::Internal("an order of joins has lost a relation".into())
}
