//! Partitioned tables (utils/adt/partitionfuncs.c): the columns of `pg_partition_tree`'s rows, one
//! function each, which the binder takes apart.

use std::sync::Arc;

use kestrel_planner::{
    catalog::{PartitionTree, TableDef},
    partition::constraint_text,
};
use kestrel_proto::Result;

use super::{
    super::{SystemViewContext, relation::RelationKind, rows::Value},
    Function, Returns, TEXT, objects, strict,
};

pub(super) const FUNCTIONS: &[Function] = &[
    // Numbers: psql compares them with OIDs of pg_constraint.
    strict("kestrel_partition_ancestors", (1, 1), Returns::Ints, |c, a| {
        let Some(table) = partitioned(c, a)? else { return Ok(Value::Ints(vec![])) };
        let above = c.catalog.partition_ancestors(table.id);
        Ok(Value::Ints(above.iter().map(|table| table.id.cast_signed()).collect()))
    }),
    strict("kestrel_partition_leaves", (1, 1), Returns::Texts, |c, a| {
        let of = |node: &Node| if node.table.partitioned_by.is_some() { "f" } else { "t" };
        Ok(Value::Texts(tree(c, a)?.iter().map(|node| of(node).to_string()).collect()))
    }),
    strict("kestrel_partition_levels", (1, 1), Returns::Ints, |c, a| {
        Ok(Value::Ints(tree(c, a)?.iter().map(|node| node.level).collect()))
    }),
    strict("kestrel_partition_names", (1, 1), Returns::Texts, |c, a| {
        Ok(Value::Texts(tree(c, a)?.iter().map(|node| name(c, &node.table)).collect()))
    }),
    strict("kestrel_partition_parents", (1, 1), Returns::Texts, |c, a| {
        let parents = tree(c, a)?;
        let parents = parents.iter().map(|node| parent(c, &node.table));
        let names = parents.map(|parent| parent.map(|parent| name(c, &parent)));
        Ok(Value::OptionalTexts(names.collect()))
    }),
    strict("pg_get_partition_constraintdef", (1, 1), TEXT, |c, a| {
        let Some(table) = table(c, a)? else { return Ok(Value::Null) };
        Ok(constraint_text(&table, &c.catalog)?.into())
    }),
    strict("pg_get_partkeydef", (1, 1), TEXT, |c, a| {
        Ok(table(c, a)?.and_then(|table| table.partition_key()).into())
    }),
    strict("pg_partition_root", (1, 1), TEXT, |c, a| {
        let root = partitioned(c, a)?.and_then(|table| c.catalog.partition_root(table.id).cloned());
        Ok(root.map(|root| name(c, &root)).into())
    }),
];

/// A row of `pg_partition_tree`.
struct Node {
    table: Arc<TableDef>,
    level: i64,
}

fn table(context: &SystemViewContext, arguments: &[Value]) -> Result<Option<Arc<TableDef>>> {
    let found = objects::relation(context, arguments, 0)?;
    Ok(match found.map(|relation| &relation.kind) {
        Some(RelationKind::Table(table)) => Some(Arc::clone(table)),
        _ => None,
    })
}

/// The table, if it is partitioned or a partition.
fn partitioned(context: &SystemViewContext, arguments: &[Value]) -> Result<Option<Arc<TableDef>>> {
    let found = table(context, arguments)?;
    Ok(found.filter(|table| table.partitioned_by.is_some() || table.partition_of.is_some()))
}

fn parent(context: &SystemViewContext, table: &TableDef) -> Option<Arc<TableDef>> {
    context.catalog.table_by_id(table.parent_id()?).cloned()
}

fn tree(context: &SystemViewContext, arguments: &[Value]) -> Result<Vec<Node>> {
    let Some(root) = partitioned(context, arguments)? else { return Ok(Vec::new()) };
    let mut nodes = vec![Node { table: Arc::clone(&root), level: 0 }];
    // As PostgreSQL lists them: level by level.
    let mut level = vec![PartitionTree::of(&root, &context.catalog)];
    for number in 1.. {
        level = level.into_iter().flat_map(|tree| tree.partitions).collect();
        if level.is_empty() {
            break;
        }
        let of_level = level.iter().map(|tree| Arc::clone(&tree.table));
        nodes.extend(of_level.map(|table| Node { table, level: number }));
    }
    Ok(nodes)
}

fn name(context: &SystemViewContext, table: &TableDef) -> String {
    let relation = context.relations().get(table.id.cast_signed());
    relation.map_or_else(String::new, |relation| objects::relation_name(context, relation))
}
