//! What each kind of statement does.

use std::sync::Arc;

use datafusion::{logical_expr::LogicalPlan, scalar::ScalarValue, sql::sqlparser::ast};
use kestrel_planner::{
    bind::{bind_query, stated_parameter_types},
    catalog::{Catalog, SqlType},
    error::report,
    parse::{DiscardTarget, SavepointCommand, SetValue, StatementKind, Variable},
    plan::Plan,
};
use kestrel_proto::{ErrorReport, Result, SqlState};
use tokio_util::sync::CancellationToken;

use super::{
    ClientSession, NoticeSender, Outcome, Statement, insert::all_columns, select::with_values,
    serial::null_defaults, settings::check_may_set, shard_functions::ShardFunction,
};
use crate::{
    server::{Parameter, PreparedStatements, Session},
    shards::is_moved,
};

/// How often a statement is planned whose tables' rows are taken to other datanodes before it reads them.
const PLANS_MAX: usize = 5;

impl ClientSession {
    /// Runs one statement. Outside of a block it is planned again if rows were taken to other datanodes
    /// between its plan and its snapshot, and it has done nothing yet. A COMMIT is in the block that it
    /// ends: when it has failed, there is nothing left that a second one could commit.
    pub(super) async fn run_where_rows_are(
        &mut self,
        statement: &Statement,
        parameters: &[Parameter],
        notices: &NoticeSender,
        cancel: CancellationToken,
    ) -> Result<Outcome> {
        let was_in_block = self.is_in_block();
        let mut plans = 1;
        loop {
            match self.run(statement, parameters, notices, cancel.clone()).await {
                Err(error)
                    if is_moved(&error)
                        && plans < PLANS_MAX
                        && !was_in_block
                        && !self.is_in_block()
                        && !self.transaction.has_written_something() =>
                {
                    tracing::info!(%error, "planned again");
                    plans += 1;
                    self.transaction.has_locked(&self.engine);
                }
                outcome => return outcome,
            }
        }
    }

    /// Runs one statement.
    pub(super) async fn run(
        &mut self,
        statement: &Statement,
        parameters: &[Parameter],
        notices: &NoticeSender,
        cancel: CancellationToken,
    ) -> Result<Outcome> {
        self.check_usable(statement)?;
        self.take_role();
        match &statement.kind {
            StatementKind::Empty => Ok(Outcome::Empty),
            StatementKind::Query(query) => match ShardFunction::of(query) {
                Some(function) => self.shard_function(&function, notices).await,
                None => self.select(query, statement, parameters, cancel).await,
            },
            StatementKind::Insert(insert) => {
                self.insert(insert, statement, parameters, cancel).await
            }
            StatementKind::Update(update) => self.update(update, statement, parameters).await,
            StatementKind::Delete(delete) => self.delete(delete, statement, parameters).await,
            StatementKind::Merge(merge) => self.merge(merge, statement, parameters).await,
            StatementKind::CreateTableAs(create) => {
                self.create_table_as(create, statement, notices, cancel).await
            }
            StatementKind::CreateView(create) => self.create_view(create, statement, notices).await,
            StatementKind::Explain(explain) => self.explain(explain, parameters, cancel).await,
            StatementKind::Ddl(ddl) => self.ddl(ddl, notices).await,
            StatementKind::Role(role) => self.role(role, notices).await,
            StatementKind::Access(access) => self.access(access, notices).await,
            StatementKind::Copy(copy) => self.copy(copy, statement, cancel).await,
            StatementKind::Prepare(prepare) => self.prepare(prepare, statement).await,
            StatementKind::Execute(execute) => {
                self.execute_prepared(execute, (statement, parameters), notices, cancel).await
            }
            StatementKind::DeclareCursor(declare) => {
                self.declare_cursor(declare, statement, parameters, cancel).await
            }
            StatementKind::Fetch(fetch) => self.fetch(fetch, cancel).await,
            StatementKind::Lock(lock) => self.lock_tables(lock).await,
            StatementKind::Close(name) => self.close_cursor(name.as_deref()),
            StatementKind::Begin(modes) => self.begin(modes, notices),
            StatementKind::SetTransaction(set) => self.set_transaction(set, notices),
            StatementKind::Commit { .. } | StatementKind::Rollback { .. } => {
                self.end_block(&statement.kind, notices, &cancel).await
            }
            StatementKind::Savepoint(command) => {
                Ok(Outcome::Done(self.savepoint(command).await?.into()))
            }
            StatementKind::Discard(target) => self.discard(*target).await,
            StatementKind::Analyze(command) => self.analyze(command, notices).await,
            StatementKind::Vacuum(command) => self.vacuum(command, notices).await,
            StatementKind::Cluster(command) => self.cluster(command, notices).await,
            StatementKind::Backup(statement) => self.backup(statement).await,
            StatementKind::Set(_)
            | StatementKind::Show(_)
            | StatementKind::Reset(_)
            | StatementKind::Deallocate(_)
            | StatementKind::Nothing(_) => self.setting_command(&statement.kind, notices),
            other => Err(unsupported(other)),
        }
    }

    fn setting_command(&mut self, kind: &StatementKind, notices: &NoticeSender) -> Result<Outcome> {
        let tag = match kind {
            StatementKind::Set(set) => {
                if let SetValue::Values(values) = &set.value {
                    let catalog = self.transaction.newest(&self.engine);
                    let setting = (set.name.as_str(), values.join(", "));
                    let setting = (setting.0, setting.1.as_str());
                    self.login.check_setting(setting, &self.settings, &catalog)?;
                }
                match &set.value {
                    SetValue::Default => self.reset(&set.name)?,
                    SetValue::Values(values) if set.local => {
                        self.settings.set_local(&set.name, values)?;
                    }
                    SetValue::Values(values) => self.settings.set(&set.name, values)?,
                }
                if set.local && !self.is_in_block() {
                    let message = "SET LOCAL can only be used in transaction blocks";
                    let state = SqlState::NO_ACTIVE_SQL_TRANSACTION;
                    notices.send(ErrorReport::warning(state, message));
                }
                self.forget_role(&set.name)?;
                "SET"
            }
            StatementKind::Reset(Variable::All) => {
                self.settings.reset_all();
                "RESET"
            }
            StatementKind::Reset(Variable::Named(name)) => {
                self.reset(name)?;
                self.forget_role(name)?;
                "RESET"
            }
            StatementKind::Show(variable) => return self.show(variable),
            StatementKind::Deallocate(None) => {
                self.prepared.clear();
                "DEALLOCATE ALL"
            }
            StatementKind::Deallocate(Some(name)) => {
                if !self.prepared.remove(name) {
                    return Err(PreparedStatements::<Statement>::unknown(name));
                }
                "DEALLOCATE"
            }
            StatementKind::Nothing(tag) => tag,
            other => return Err(unsupported(other)),
        };
        // What clients are told of the session's role.
        self.take_role();
        Ok(Outcome::Done(tag.into()))
    }

    /// RESET, which needs the same right as SET.
    fn reset(&mut self, setting: &str) -> Result<()> {
        let catalog = self.transaction.newest(&self.engine);
        check_may_set(setting, catalog.is_superuser(self.identity(&catalog).current))?;
        self.settings.reset(setting)
    }

    /// Another session user begins as itself.
    fn forget_role(&mut self, setting: &str) -> Result<()> {
        match setting.eq_ignore_ascii_case("session_authorization") {
            true => self.settings.reset("role"),
            false => Ok(()),
        }
    }

    /// DISCARD. Plans that are kept are everybody's, and hold whatever a session has been.
    async fn discard(&mut self, target: DiscardTarget) -> Result<Outcome> {
        let tag = match target {
            DiscardTarget::All if self.is_in_block() => {
                return Err(ErrorReport::new(
                    SqlState::ACTIVE_SQL_TRANSACTION,
                    "DISCARD ALL cannot run inside a transaction block",
                ));
            }
            DiscardTarget::All => {
                self.portals.clear();
                self.settings.discard();
                self.prepared.clear();
                self.locks.unlock_all();
                self.discard_temporary().await?;
                self.sequences.discard();
                "DISCARD ALL"
            }
            DiscardTarget::Plans => "DISCARD PLANS",
            DiscardTarget::Sequences => {
                self.sequences.discard();
                "DISCARD SEQUENCES"
            }
            DiscardTarget::Temp => {
                self.discard_temporary().await?;
                "DISCARD TEMP"
            }
        };
        Ok(Outcome::Done(tag.into()))
    }

    /// Plans a query whose parameters have no values yet: only its types are wanted.
    pub(super) async fn plan_for_types(
        &self,
        plan: &LogicalPlan,
        view: &Arc<Catalog>,
        parameters: &[SqlType],
    ) -> Result<Plan> {
        let nulls = parameters
            .iter()
            .map(|t| Ok((*t, ScalarValue::try_from(&t.arrow())?)))
            .collect::<datafusion::error::Result<Vec<_>>>()
            .map_err(report)?;
        let plan = match nulls.is_empty() {
            true => plan.clone(),
            false => with_values(plan.clone(), nulls)?,
        };
        self.plan(&plan, view).await
    }

    /// The types of an INSERT's parameters, as far as its source tells.
    pub(super) fn insert_parameters(
        &mut self,
        insert: &ast::Insert,
        statement: &Statement,
        types: &[Option<SqlType>],
    ) -> Result<Vec<SqlType>> {
        let Some(query) = &insert.source else { return Ok(Vec::new()) };
        let view = self.transaction.view(&self.engine);
        let (table, columns) = self.insert_target(insert, &view)?;
        let columns = if columns.is_empty() { all_columns(&table) } else { columns };
        let targets: Vec<_> = columns.iter().map(|at| table.columns[*at].sql_type).collect();
        let types = stated_parameter_types(query, types, &targets);
        let mut query = (**query).clone();
        null_defaults(&mut query)?;
        let context = self.bind_context(&view, Some(statement));
        bind_query(&query, &context, &types)?.parameter_types()
    }
}

/// Whether a statement may run in a transaction block that has failed.
pub(super) fn ends_failure(kind: &StatementKind) -> bool {
    matches!(
        kind,
        StatementKind::Commit { .. }
            | StatementKind::Rollback { .. }
            | StatementKind::Savepoint(SavepointCommand::RollbackTo(_))
    )
}

fn unsupported(kind: &StatementKind) -> ErrorReport {
    let what = match kind {
        StatementKind::Unsupported(what) => what,
        _ => "this statement",
    };
    ErrorReport::unsupported(format!("{what} is not supported yet"))
}
