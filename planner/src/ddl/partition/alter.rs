//! What ALTER TABLE does with the partitions of a table.

use std::sync::Arc;

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    BoundValues, attach,
    bound::{self, Taken},
    create::{default_check, divided},
    leaf::Maker,
    parts::{self, full_name},
};
use crate::{
    catalog::{Catalog, CatalogChange, TableDef, resolve_table},
    ddl::{
        DdlPlan,
        alter::{change, free_name},
        drop_table::drop_table,
        names::RelationNames,
    },
    error::report,
    parse::{DropTable, Identifier, PartitionAction, PartitionPart, QualifiedName, WhichPartition},
    partition::LevelRouter,
};

/// One action on a table's partitions.
pub(in crate::ddl) fn alter(
    plan: &mut DdlPlan,
    action: &PartitionAction,
    parent: &TableDef,
    (catalog, search_path): (&Catalog, &[String]),
    values: BoundValues<'_>,
) -> Result<()> {
    check_partitioned(action, parent)?;
    let table = |name: &QualifiedName| resolve_table(catalog, search_path, name);
    let level = catalog.partition_ancestors(parent.id).len();
    let alter = Alter { catalog, parent, level, values };
    match action {
        PartitionAction::Attach { table: name, bound } => {
            let bound = bound::of_clause(bound, parent, values)?;
            attach::attach(plan, catalog, parent, table(name)?, bound)
        }
        PartitionAction::Detach(name) => {
            let partition = table(name)?;
            if partition.parent_id() != Some(parent.id) {
                let message = format!(
                    "relation \"{}\" is not a partition of relation \"{}\"",
                    partition.name, parent.name
                );
                return Err(ErrorReport::new(SqlState::UNDEFINED_TABLE, message));
            }
            attach::detach(plan, partition);
            Ok(())
        }
        PartitionAction::Add(part) => alter.add(plan, part),
        PartitionAction::Drop { which, if_exists } => {
            alter.drop(plan, which, *if_exists, search_path)
        }
        PartitionAction::Below { which, action } => {
            let partition = alter.find(which)?;
            self::alter(plan, action, partition, (catalog, search_path), values)
        }
        PartitionAction::Truncate(which) => {
            let partition = alter.find(which)?;
            plan.changes.push(CatalogChange::RemoveAllSegments { table: partition.id });
            Ok(())
        }
        PartitionAction::Rename { which, to } => {
            let partition = alter.find(which)?;
            let name = full_name(&parent.name, level, &to.name);
            let to = Identifier { name, position: to.position };
            let name = free_name(catalog, &partition.schema_name, &partition.name, &to)?;
            let after = TableDef { name, ..partition.without_segments() };
            plan.changes.push(change(partition, after));
            Ok(())
        }
        PartitionAction::Exchange { which, table: name, validate } => {
            let partition = alter.find(which)?;
            attach::exchange(plan, catalog, parent, (partition, table(name)?), *validate)
        }
    }
}

fn check_partitioned(action: &PartitionAction, parent: &TableDef) -> Result<()> {
    if parent.partitioned_by.is_some() {
        return Ok(());
    }
    let sqlstate = match action {
        PartitionAction::Attach { .. } | PartitionAction::Detach(_) => {
            SqlState::INVALID_OBJECT_DEFINITION
        }
        PartitionAction::Add(_)
        | PartitionAction::Drop { .. }
        | PartitionAction::Below { .. }
        | PartitionAction::Truncate(_)
        | PartitionAction::Rename { .. }
        | PartitionAction::Exchange { .. } => SqlState::WRONG_OBJECT_TYPE,
    };
    Err(ErrorReport::new(sqlstate, format!("table \"{}\" is not partitioned", parent.name)))
}

struct Alter<'a> {
    catalog: &'a Catalog,
    parent: &'a TableDef,
    /// Of its partitions.
    level: usize,
    values: BoundValues<'a>,
}

impl<'a> Alter<'a> {
    fn partitions(&self) -> Vec<&'a Arc<TableDef>> {
        self.catalog.partitions_of(self.parent.id)
    }

    /// The partition that Greenplum's words mean.
    fn find(&self, which: &WhichPartition) -> Result<&'a TableDef> {
        let partitions = self.partitions();
        let (parent, missing) = (&self.parent.name, SqlState::UNDEFINED_OBJECT);
        let named = |name: &str| partitions.iter().find(|table| table.name == name).copied();
        let found = match which {
            WhichPartition::Default => {
                partitions.iter().find(|t| t.is_default_partition()).copied()
            }
            WhichPartition::Named(name) => {
                named(&full_name(parent, self.level, &name.name)).or_else(|| named(&name.name))
            }
            WhichPartition::For(value) => self.that_takes(value, &partitions)?,
        };
        let error = |message: String| ErrorReport::new(missing, message);
        found.map(AsRef::as_ref).ok_or_else(|| match which {
            WhichPartition::Default => {
                error(format!("DEFAULT partition of relation \"{parent}\" does not exist"))
            }
            WhichPartition::Named(name) => error(format!(
                "partition \"{}\" of relation \"{parent}\" does not exist",
                name.name
            ))
            .position(name.position),
            WhichPartition::For(_) => error(format!(
                "partition for specified value of relation \"{parent}\" does not exist"
            )),
        })
    }

    fn that_takes(
        &self,
        value: &str,
        partitions: &[&'a Arc<TableDef>],
    ) -> Result<Option<&'a Arc<TableDef>>> {
        let columns = self.parent.partition_columns();
        let [column] = columns.as_slice() else {
            let message = "FOR (value) for a key with more than one column is not supported";
            return Err(ErrorReport::unsupported(message));
        };
        let value = (self.values)(value, column.sql_type)?.to_array().map_err(report)?;
        let all: Vec<_> = partitions.iter().map(|table| Arc::clone(table)).collect();
        let routed = LevelRouter::new(self.parent, &all)?.route_key(&[value])?;
        Ok(routed.first().copied().flatten().map(|at| partitions[at]))
    }

    /// DROP PARTITION
    fn drop(
        &self,
        plan: &mut DdlPlan,
        which: &WhichPartition,
        if_exists: bool,
        search_path: &[String],
    ) -> Result<()> {
        let partition = match self.find(which) {
            Err(error) if if_exists && error.sqlstate == SqlState::UNDEFINED_OBJECT => {
                let message = format!("{}, skipping", error.message);
                let state = SqlState::SUCCESSFUL_COMPLETION;
                plan.notices.push(ErrorReport::notice(state, message));
                return Ok(());
            }
            found => found?,
        };
        let name = QualifiedName {
            schema: Some(partition.schema_name.clone()),
            name: partition.name.clone(),
            position: None,
        };
        let drop = DropTable { if_exists: false, tables: vec![name], cascade: false };
        let dropped = drop_table(&drop, self.catalog, search_path)?;
        plan.changes.extend(dropped.changes);
        plan.notices.extend(dropped.notices);
        Ok(())
    }

    /// ADD PARTITION
    fn add(&self, plan: &mut DdlPlan, part: &PartitionPart) -> Result<()> {
        let (catalog, parent) = (self.catalog, self.parent);
        let is_named = match part {
            PartitionPart::Default(_) => true,
            PartitionPart::Range { name, .. } | PartitionPart::List { name, .. } => name.is_some(),
        };
        let mut taken = Taken::by(self.partitions().into_iter().map(Arc::as_ref))?;
        let mut oid = catalog.next_oid;
        let mut next_oid = || {
            oid += 1;
            oid - 1
        };
        let schema = parent.schema_name.as_str();
        let mut names = RelationNames::new(catalog, schema);
        let mut number = self.partitions().len();
        for (short, bound) in parts::bounds(std::slice::from_ref(part), parent, self.values)? {
            let mut name = full_name(&parent.name, self.level, &short);
            // Those without a name are numbered on.
            if !is_named {
                let numbered = |n: usize| full_name(&parent.name, self.level, &n.to_string());
                let numbers = (number + 1..).map(|n| (n, numbered(n)));
                let mut free = numbers.filter(|(_, name)| catalog.table(schema, name).is_none());
                (number, name) = free.next().unwrap_or((number, name));
            }
            taken.take(&name, &bound)?;
            let mut maker = Maker { parent, schema, names: &mut names, next_oid: &mut next_oid };
            let partition = maker.partition(&name, bound)?;
            let made = divided(partition, (parent, self.level), &mut names, &mut next_oid)?;
            plan.changes.extend(made.into_iter().map(CatalogChange::CreateTable));
        }
        if !matches!(part, PartitionPart::Default(_)) {
            plan.row_checks.extend(default_check(parent, catalog));
        }
        Ok(())
    }
}
