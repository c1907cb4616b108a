//! Columns that inner joins make equal: each of them may be joined with each other.

use std::collections::BTreeSet;

use datafusion::logical_expr::utils::can_hash;

use super::{Condition, JoinTree, Region, RelationSet, condition::column, flatten::predicates};
use crate::join_order::{JoinNode, Operator};

/// The region with the conditions that follow from its equalities. Columns are equal if they are
/// compared by inner joins without other joins between them, and of different relations.
pub(super) fn with_classes(mut region: Region) -> Region {
    let mut groups = Vec::new();
    let mut tree = region.tree.clone();
    groups_of(&tree, true, &mut groups);
    let mut dropped = BTreeSet::new();
    for (top, group) in groups {
        for id in conditions_of(top, group) {
            let Some((left, right)) = equal_columns(&region, id, group) else { continue };
            if unite(&mut region, left, right) {
                dropped.insert(id);
            }
        }
    }
    region.classes.retain(|class| !class.is_empty());
    region.classes.iter_mut().for_each(|class| class.sort_unstable());
    rewrite(&mut tree, &mut region, &dropped);
    region.tree = tree;
    region
}

/// For each group of inner joins without others between them, its topmost one and the relations that
/// it joins as such.
fn groups_of<'a>(tree: &'a JoinTree, is_top: bool, groups: &mut Vec<(&'a JoinTree, RelationSet)>) {
    let JoinTree::Join(join) = tree else { return };
    let is_inner = join.operator == Operator::Inner;
    if is_inner && is_top {
        groups.push((tree, own_relations(tree)));
    }
    groups_of(&join.left, !is_inner, groups);
    groups_of(&join.right, !is_inner, groups);
}

fn own_relations(tree: &JoinTree) -> RelationSet {
    match tree {
        JoinTree::Relation(relation) => RelationSet::of(*relation),
        JoinTree::Join(join) if join.operator == Operator::Inner => {
            own_relations(&join.left).union(own_relations(&join.right))
        }
        JoinTree::Join(_) => RelationSet::EMPTY,
    }
}

/// The conjuncts about relations of a group, of its own joins: what joins of other kinds are between
/// does not hold for all rows.
fn conditions_of(tree: &JoinTree, group: RelationSet) -> Vec<usize> {
    let JoinTree::Join(join) = tree else { return Vec::new() };
    if join.operator != Operator::Inner {
        return Vec::new();
    }
    let mut found = conditions_of(&join.left, group);
    found.extend(conditions_of(&join.right, group));
    let own = join.predicates.iter().filter(|part| part.relations.is_subset(group));
    found.extend(own.flat_map(|part| part.ids.iter().copied()));
    found
}

fn equal_columns(region: &Region, id: usize, group: RelationSet) -> Option<(usize, usize)> {
    let Condition::Equal(left, right) = region.conditions.get(id)? else { return None };
    let (left, right) = (column(left)?, column(right)?);
    let (l, r) = (region.columns.get(left)?, region.columns.get(right)?);
    let is_in_group = region.relations_of([left, right]).is_subset(group);
    let is_fit = l.relation != r.relation
        && l.field.data_type() == r.field.data_type()
        && can_hash(l.field.data_type());
    (is_in_group && is_fit).then_some((left, right))
}

/// Puts two columns into one class, unless that had two columns of a relation then.
fn unite(region: &mut Region, left: usize, right: usize) -> bool {
    let class_of = |at: usize| region.classes.iter().position(|class| class.contains(&at));
    let (l, r) = (class_of(left), class_of(right));
    if l.is_some() && l == r {
        return true;
    }
    let members = |class: Option<usize>, alone: usize| match class {
        Some(class) => region.classes[class].clone(),
        None => vec![alone],
    };
    let mut all = members(l, left);
    all.extend(members(r, right));
    if region.relations_of(all.iter().copied()).len() < all.len() {
        return false;
    }
    for class in [l, r].into_iter().flatten() {
        region.classes[class].clear();
    }
    region.classes.push(all);
    true
}

/// Leaves out conjuncts that classes stand for, and puts one for each two of their columns where their
/// relations come together.
fn rewrite(tree: &mut JoinTree, region: &mut Region, dropped: &BTreeSet<usize>) {
    let JoinTree::Join(join) = tree else { return };
    rewrite(&mut join.left, region, dropped);
    rewrite(&mut join.right, region, dropped);
    if join.operator != Operator::Inner {
        return;
    }
    join.predicates.retain(|part| part.ids.iter().all(|id| !dropped.contains(id)));
    for class in 0..region.classes.len() {
        for condition in across(join, region, class) {
            let id = region.conditions.len();
            join.predicates.push(predicates(id, &condition, &region.columns));
            region.conditions.push(condition);
        }
    }
}

fn across(join: &JoinNode, region: &Region, class: usize) -> Vec<Condition> {
    let side = |tree: &JoinTree| {
        let relations = tree.relations();
        let columns = region.classes[class].iter().copied();
        columns.filter(|at| region.relations_of([*at]).is_subset(relations)).collect::<Vec<_>>()
    };
    let (lefts, rights) = (side(&join.left), side(&join.right));
    let pairs = lefts.iter().flat_map(|left| rights.iter().map(move |right| (*left, *right)));
    pairs.map(|(left, right)| Condition::Same { class, left, right }).collect()
}
