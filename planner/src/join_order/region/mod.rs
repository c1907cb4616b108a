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

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use condition::Condition;
use datafusion::{common::Result, physical_plan::ExecutionPlan};

pub(crate) use self::known::unknown_tables;
use self::{build::Builder, flatten::flatten, known::is_known, space::Space};
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

/// Places a join and all joins that may change places with it: in the order that costs least, if all
/// that they read is known, else in the written one. `None`: there is nothing to choose.
pub(crate) fn place(
    distributor: &Distributor,
    plan: &Arc<dyn ExecutionPlan>,
    settings: JoinOrderSettings,
) -> Result<Option<Placed>> {
    let Some(region) = flatten(plan)?.filter(|region| region.relations.len() > 2) else {
        return Ok(None);
    };
    let relations = region.relations.iter().map(|relation| distributor.place(relation));
    let relations = relations.collect::<Result<Vec<_>>>()?;
    let builder = Builder { distributor, region: &region, relations: &relations };
    if region.relations.iter().all(is_known) {
        let graph = Hypergraph::new(&region.tree);
        let mut space = Space::new(distributor, &region, &graph, &relations);
        let leaves = space.leaves();
        let limits = SearchLimits { relations: RelationSet::MAX, pairs: settings.budget };
        let found = search(&graph, &mut space, leaves, limits);
        // Of equal ones the first.
        if let Some(best) = found.iter().min_by(|a, b| a.cost.total_cmp(&b.cost)) {
            return builder.ordered(&space, best, plan).map(Some);
        }
    }
    builder.written(&region.written).map(Some)
}
