//! What the session's role may read and write, asked before a statement runs.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast;
use kestrel_planner::{
    access::{self, Actor, denied},
    bind::{BoundQuery, read_columns},
    catalog::{Catalog, ObjectKind, Privilege, Privileges, SqlType, TableDef},
    ddl,
    parse::AccessStatement,
};
use kestrel_proto::Result;

use super::{
    ClientSession, NoticeSender, Outcome, Statement, facts::plannable, insert::SerialColumn,
    serial::found,
};
use crate::engine::LockMode;

impl ClientSession {
    /// GRANT, REVOKE and their like.
    pub(super) async fn access(
        &mut self,
        statement: &AccessStatement,
        notices: &NoticeSender,
    ) -> Result<Outcome> {
        self.check_writable(statement.tag())?;
        let planned = |session: &Self, view: &Catalog| {
            let (path, identity) = (session.search_path(view), session.identity(view));
            ddl::plan_access(statement, view, &path, identity)
        };
        let plan = self.plan_under_locks(planned).await?;
        // DROP OWNED drops tables, too.
        self.change(plan.changes).await?;
        plan.notices.into_iter().for_each(|notice| notices.send(notice));
        Ok(Outcome::Done(plan.tag))
    }

    /// Errors: 42501 if the role may not read what a query names.
    pub(super) fn check_reads(
        &self,
        (query, bound): (&ast::Query, &BoundQuery),
        statement: &Statement,
        types: &[Option<SqlType>],
        view: &Arc<Catalog>,
    ) -> Result<()> {
        if bound.relations.is_empty() {
            return Ok(());
        }
        let columns = || {
            let context = self.bind_context(view, Some(statement));
            read_columns(&plannable(query), &context, types)
        };
        let authority = self.transaction.authority(&self.engine);
        let role = self.identity(&authority).current;
        access::check_reads(&bound.relations, &authority, role, &columns)
    }

    /// Errors: 42501 if the role may not put rows into these columns (positions) of a table.
    pub(super) fn check_insert(&self, table: &TableDef, columns: &[usize]) -> Result<()> {
        let ids = columns.iter().filter_map(|at| table.columns.get(*at)).map(|column| column.id);
        let ids: Vec<u32> = ids.collect();
        let authority = self.transaction.authority(&self.engine);
        let role = self.identity(&authority).current;
        access::check_table(table, &ids, Privilege::Insert, &authority, role)
    }

    /// Errors: 42501 if the role may not read these columns (ids) of a table.
    pub(super) fn check_select(&self, table: &TableDef, columns: &[u32]) -> Result<()> {
        let authority = self.transaction.authority(&self.engine);
        let role = self.identity(&authority).current;
        access::check_table(table, columns, Privilege::Select, &authority, role)
    }

    /// Errors: 42501 if the role may not take values of the sequences that columns count with. Those
    /// of identity columns are part of the table: who may insert may have their values.
    pub(super) fn check_serials(
        &self,
        table: &TableDef,
        serials: &[SerialColumn],
        view: &Catalog,
    ) -> Result<()> {
        const ANY: [Privilege; 2] = [Privilege::Usage, Privilege::Update];
        let authority = self.transaction.authority(&self.engine);
        let role = self.identity(&authority).current;
        for (at, sequence) in serials {
            let is_identity =
                table.columns.get(*at).is_some_and(|column| column.identity.is_some());
            if !is_identity && let Ok(sequence) = found(view, sequence) {
                access::check_sequence(sequence, &ANY, &authority, role)?;
            }
        }
        Ok(())
    }

    /// Errors: 42501 if the role may not lock a table so (PostgreSQL's `LockTableAclCheck`,
    /// commands/lockcmds.c).
    pub(super) fn check_lock(&self, table: u64, mode: LockMode) -> Result<()> {
        use Privilege::{Delete, Insert, Select, Truncate, Update};
        let any = Privileges::of(match mode {
            LockMode::AccessShare => &[Select],
            LockMode::RowExclusive => &[Insert, Update, Delete, Truncate],
            LockMode::RowShare
            | LockMode::ShareUpdateExclusive
            | LockMode::Share
            | LockMode::ShareRowExclusive
            | LockMode::Exclusive
            | LockMode::AccessExclusive => &[Update, Delete, Truncate],
        });
        let authority = self.transaction.authority(&self.engine);
        let actor = Actor::new(&authority, self.identity(&authority).current);
        match actor.privileges(table, ObjectKind::Table).and(any).is_empty() {
            true => Err(denied(&authority, table)),
            false => Ok(()),
        }
    }
}
