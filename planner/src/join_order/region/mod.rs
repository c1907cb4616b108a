//! The joins of a plan that may change places.
//!
//! A region is a tree of joins, of filters over inner ones and of projections of columns between them.
//! What is below are its relations, whatever they are: scans, aggregates, joins of other kinds. Its
//! columns are numbered through, relation by relation, and its conditions are over these numbers.

mod build;
mod condition;
mod cost;
mod equalities;
mod flatten;
mod known;
mod local;
mod space;

use std::{collections::BTreeSet, sync::Arc};

use arrow::datatypes::FieldRef;
use condition::{Condition, columns_of};
use datafusion::{
    common::Result,
    physical_plan::{ExecutionPlan, projection::ProjectionExec},
};

use self::{
    build::Builder,
    flatten::{flatten, leads_to_join, picked},
    known::is_known,
    space::{Candidate, Space},
};
use super::{Hypergraph, JoinOrderSettings, JoinTree, RelationSet, SearchLimits, search};
use crate::distribute::{Distributor, Placed};

/// A column of a region.
#[derive(Clone, Debug)]
struct RegionColumn {
    relation: usize,
    field: FieldRef,
}

/// The operators of a region as they were written.
#[derive(Clone, Debug)]
enum Written {
    Relation(usize),
    Operator { plan: Arc<dyn ExecutionPlan>, inputs: Vec<Written> },
}

/// Joins, and what they join.
#[derive(Clone, Debug)]
struct Region {
    relations: Vec<Arc<dyn ExecutionPlan>>,
    columns: Vec<RegionColumn>,
    conditions: Vec<Condition>,
    /// Columns that are equal in all rows, lowest first; [`Condition::Same`] says which.
    classes: Vec<Vec<usize>>,
    tree: JoinTree,
    /// The columns of the result.
    output: Vec<usize>,
    written: Written,
}

impl Region {
    /// The columns of a relation.
    fn columns_of(&self, relation: usize) -> Vec<usize> {
        let columns = self.columns.iter().enumerate();
        columns.filter(|(_, column)| column.relation == relation).map(|(at, _)| at).collect()
    }

    /// The relations of these columns.
    fn relations_of(&self, columns: impl IntoIterator<Item = usize>) -> RelationSet {
        columns.into_iter().filter_map(|at| Some(self.columns.get(at)?.relation)).collect()
    }
}

/// Places a join, or a projection or a filter over joins, with all joins that may change places: in the
/// order that costs least, if all that they read is known, else in the written one. `None`: there is
/// nothing to choose.
pub(crate) fn place(
    distributor: &Distributor,
    plan: &Arc<dyn ExecutionPlan>,
    settings: JoinOrderSettings,
) -> Result<Option<Placed>> {
    // What a projection computes belongs to no region, but which columns it needs does.
    let above = plan.downcast_ref::<ProjectionExec>().filter(|_| !leads_to_join(plan));
    let top = above.map_or(plan, |projection| projection.input());
    if !leads_to_join(top) {
        return Ok(None);
    }
    let Some(mut region) = flatten(top)?.filter(|region| region.relations.len() > 2) else {
        return Ok(None);
    };
    let used = above.map(used_columns);
    if let Some(used) = &used {
        region.output = picked(region.output, used)?;
    }
    let relations = region.relations.iter().map(|relation| distributor.place(relation));
    let relations = relations.collect::<Result<Vec<_>>>()?;
    let builder = Builder { distributor, region: &region, relations: &relations };
    if let Some((space, best)) = cheapest(distributor, &region, &relations, settings) {
        return match used {
            None => builder.ordered(&space, &best, &plan.schema()).map(Some),
            Some(used) => {
                let like = Arc::new(top.schema().project(&used)?);
                let rows = builder.ordered(&space, &best, &like)?;
                builder.projected(plan, &used, rows).map(Some)
            }
        };
    }
    let rows = builder.written(&region.written)?;
    match above {
        None => Ok(Some(rows)),
        Some(_) => distributor.place_over(plan, vec![rows]).map(Some),
    }
}

/// The best plan of a region, if all that it reads is known.
fn cheapest<'a>(
    distributor: &'a Distributor,
    region: &'a Region,
    relations: &'a [Placed],
    settings: JoinOrderSettings,
) -> Option<(Space<'a>, Candidate)> {
    if !region.relations.iter().all(|relation| is_known(relation, distributor.datanodes)) {
        return None;
    }
    let graph = Hypergraph::new(&region.tree);
    let mut space = Space::new(distributor, region, &graph, relations);
    let leaves = space.leaves();
    let limits = SearchLimits { relations: RelationSet::MAX, pairs: settings.budget };
    let found = search(&graph, &mut space, leaves, limits);
    // Of equal ones the first.
    let best = found.into_iter().min_by(|a, b| a.cost.total_cmp(&b.cost))?;
    Some((space, best))
}

/// The columns of its input that a projection needs.
fn used_columns(projection: &ProjectionExec) -> Vec<usize> {
    let used = projection.expr().iter().flat_map(|output| columns_of(&output.expr));
    used.collect::<BTreeSet<_>>().into_iter().collect()
}
