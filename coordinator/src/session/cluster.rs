//! CLUSTER: VACUUM FULL of tables that have clustering columns.

use kestrel_planner::{
    access::{Actor, must_be_owner},
    parse::{ClusterCommand, Maintenance, MaintenanceTarget, QualifiedName},
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{ClientSession, NoticeSender, Outcome};

impl ClientSession {
    /// CLUSTER
    ///
    /// # Errors
    /// 25001 in a transaction block; 42501, 42P01, 42809; 42704: the table has no clustering columns,
    /// or not this index; 0A000: USING.
    pub(super) async fn cluster(
        &mut self,
        command: &ClusterCommand,
        notices: &NoticeSender,
    ) -> Result<Outcome> {
        if self.is_in_block() {
            let message = "CLUSTER cannot run inside a transaction block";
            return Err(ErrorReport::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
        }
        let mut tables = Vec::new();
        if let Some(name) = &command.table {
            self.check_clustered(name, command)?;
            tables.push(MaintenanceTarget { name: name.clone(), columns: Vec::new() });
        }
        let vacuum =
            Maintenance { verbose: command.verbose, full: true, tables, ..Maintenance::default() };
        for vacuumed in self.vacuumed(&vacuum, notices)? {
            if !vacuumed.table.cluster_by.is_empty() {
                self.vacuum_segments(&vacuumed.table, &vacuum, notices).await?;
            }
        }
        Ok(Outcome::Done("CLUSTER".into()))
    }

    fn check_clustered(&mut self, name: &QualifiedName, command: &ClusterCommand) -> Result<()> {
        let view = self.transaction.view(&self.engine);
        let authority = self.transaction.authority(&self.engine);
        let actor = Actor::new(&authority, self.identity(&authority).current);
        let (id, name) = self.vacuum_target(name, &view)?;
        let Some(table) = view.table_by_id(id) else {
            let message = format!("\"{name}\" is not a table or materialized view");
            return Err(ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message));
        };
        if !actor.is_superuser() && !actor.owns(id) {
            return Err(must_be_owner(&authority, id));
        }
        if let Some(index) = &command.index {
            let index = &index.name;
            if table.index_keys().all(|key| key.name != *index) {
                let message = format!("index \"{index}\" for table \"{name}\" does not exist");
                return Err(ErrorReport::new(SqlState::UNDEFINED_OBJECT, message));
            }
            let hint = "ALTER TABLE ... CLUSTER ON takes the index\'s columns for the table\'s \
                        clustering columns; then CLUSTER without USING.";
            return Err(ErrorReport::unsupported("CLUSTER ... USING is not supported").hint(hint));
        }
        if table.cluster_by.is_empty() {
            let message = format!("there is no previously clustered index for table \"{name}\"");
            return Err(ErrorReport::new(SqlState::UNDEFINED_OBJECT, message).hint(
                "Name the clustering columns: ALTER TABLE ... SET (cluster_by = \'a, b\').",
            ));
        }
        Ok(())
    }
}
