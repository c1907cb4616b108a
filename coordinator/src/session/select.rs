//! SELECT.

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, StringViewArray},
    datatypes::{DataType, Field, FieldRef, Schema},
};
use chrono::Utc;
use datafusion::{
    common::{
        ParamValues,
        metadata::{FieldMetadata, ScalarAndMetadata},
    },
    logical_expr::LogicalPlan,
    scalar::ScalarValue,
    sql::sqlparser::ast,
};
use futures::{StreamExt, stream};
use kestrel_planner::{
    bind::{BindContext, BoundQuery, Origin, bind_query, check_no_parameters, origins},
    catalog::{Catalog, SqlType},
    error::report,
    explain::dispatched,
    plan::{Plan, PlanContext},
};
use kestrel_proto::{BatchStream, ErrorReport, QueryId, Result, Severity, SqlState};
use tokio_util::sync::CancellationToken;

use super::{
    ClientSession, Outcome, OutputField, RowsTag, Statement, advice::Watch, analyze::Analysis,
    facts::plannable, kept_plans::Planned,
};
use crate::{
    engine::Pin,
    query::{Again, Asker, NotedQuery, QueryEnvironment, RunningQuery, run},
    server::{Parameter, Session},
};

impl ClientSession {
    /// Binds a query with its parameters' values, for a role that may read what it names.
    pub(super) fn bind(
        &mut self,
        query: &ast::Query,
        statement: &Statement,
        parameters: &[Parameter],
    ) -> Result<(BoundQuery, Arc<Catalog>)> {
        let (bound, view) = self.bind_unchecked(query, statement, parameters)?;
        let types: Vec<_> = parameters.iter().map(|p| Some(p.sql_type)).collect();
        self.check_reads((query, &bound), statement, &types, &view)?;
        Ok((bound, view))
    }

    /// Binds a query, whoever may read what it names.
    pub(super) fn bind_unchecked(
        &mut self,
        query: &ast::Query,
        statement: &Statement,
        parameters: &[Parameter],
    ) -> Result<(BoundQuery, Arc<Catalog>)> {
        let view = self.transaction.view(&self.engine);
        let context = self.bind_context(&view, Some(statement));
        Ok((bind_within(query, &context, parameters)?, view))
    }

    /// Plans what was bound.
    pub(super) async fn plan(&self, plan: &LogicalPlan, view: &Arc<Catalog>) -> Result<Plan> {
        self.engine.planner.plan(plan, &self.plan_context(view)?).await
    }

    /// What a statement is planned with.
    pub(super) fn plan_context(&self, view: &Arc<Catalog>) -> Result<PlanContext> {
        Ok(PlanContext {
            catalog: Arc::clone(view),
            now: Utc::now(),
            formats: self.settings.formats()?,
            rules: self.settings.rules()?,
            join_order: self.settings.join_order()?,
        })
    }

    /// Runs a query to its first rows.
    pub(super) async fn select(
        &mut self,
        query: &ast::Query,
        statement: &Statement,
        parameters: &[Parameter],
        cancel: CancellationToken,
    ) -> Result<Outcome> {
        let (fields, start) = self.plan_select(query, statement, parameters, cancel).await?;
        let rows = start.begin().await?.into_stream();
        Ok(Outcome::Rows { fields, rows, tag: RowsTag::Counted("SELECT") })
    }

    /// Plans a query; the columns of its rows, and what begins it.
    pub(super) async fn plan_select(
        &mut self,
        query: &ast::Query,
        statement: &Statement,
        parameters: &[Parameter],
        cancel: CancellationToken,
    ) -> Result<(Vec<OutputField>, Start)> {
        let Planned { plan, fields, bound, view } =
            self.planned(query, statement, parameters).await?;
        self.print_dispatch(&plan);
        let watch = self.advise(&plan, &view, "SELECT");
        let environment = self.environment(&view, cancel);
        let pin = self.engine.pins.pin(view.version);
        let again = Again { engine: Arc::clone(&self.engine), plan: bound, view, environment };
        let asker = self.asker();
        Ok((fields, Start { plan, again, asker, text: statement.sql.clone(), watch, pin }))
    }

    /// Starts a plan as soon as it may, and notes that.
    pub(super) async fn start(
        &self,
        plan: &Plan,
        environment: &QueryEnvironment,
        text: &str,
    ) -> Result<(RunningQuery, NotedQuery)> {
        self.print_dispatch(plan);
        let (engine, asker) = (&self.engine, self.asker());
        let planning = self.analysis.as_ref().map(Analysis::elapsed);
        let mut noted = NotedQuery::start(engine, plan, environment, &asker, text).await?;
        let mut running = noted.part(run(engine, plan, environment).await)?;
        noted.runs(&running);
        if let (Some(analysis), Some(planning)) = (&self.analysis, planning) {
            analysis.note(plan, &running, planning);
        }
        noted.part(running.begun().await)?;
        Ok((running, noted))
    }

    /// Tells the client where a plan runs, if it wants to know.
    fn print_dispatch(&self, plan: &Plan) {
        let Some(notices) = self.notices.as_ref().filter(|_| self.settings.prints_dispatch())
        else {
            return;
        };
        for line in dispatched(plan, self.engine.cluster.datanodes.len()) {
            let notice = ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, line);
            notices.send(ErrorReport { severity: Severity::Info, ..notice });
        }
    }

    fn asker(&self) -> Asker {
        Asker {
            session_pid: self.startup.process_id,
            user: self.startup.user.clone(),
            priority: self.settings.query_priority(),
            queue_timeout: self.settings.queue_timeout(),
        }
    }

    /// What a statement runs with.
    pub(super) fn environment(
        &mut self,
        view: &Arc<Catalog>,
        cancel: CancellationToken,
    ) -> QueryEnvironment {
        QueryEnvironment {
            id: QueryId::random(),
            catalog_version: view.version,
            base: self.transaction.planned_over(view),
            bucket_map_version: view.bucket_map.version(),
            transaction: self.transaction.id(&self.engine),
            deadline: self.deadline(),
            cancel,
            collect_metrics: self.analysis.as_ref().is_some_and(Analysis::is_awaited),
            memory_limit_bytes: self.settings.query_memory_bytes(),
            snapshot: None,
            block: self.is_in_block().then(|| self.transaction.block_snapshot(&self.engine)),
            wrote_on: self.transaction.wrote_on(),
            options: self.settings.fragment_options(),
        }
    }
}

/// Binds a query with its parameters' values, by what names mean in `context`.
pub(super) fn bind_within(
    query: &ast::Query,
    context: &BindContext,
    parameters: &[Parameter],
) -> Result<BoundQuery> {
    let types: Vec<_> = parameters.iter().map(|p| Some(p.sql_type)).collect();
    let mut bound = bind_query(&plannable(query), context, &types)?;
    if !parameters.is_empty() {
        let values = parameters.iter().map(|p| (p.sql_type, p.value.clone())).collect();
        bound.plan = with_values(std::mem::take(&mut bound.plan), values)?;
    }
    check_no_parameters(&bound.plan)?;
    Ok(bound)
}

/// A plan with the values of `$1`, …: each is a value of the type that its parameter was bound as.
pub(super) fn with_values(
    plan: LogicalPlan,
    values: Vec<(SqlType, ScalarValue)>,
) -> Result<LogicalPlan> {
    plan.with_param_values(param_values(values)).map_err(report)
}

/// Values of the types that parameters were bound as.
pub(super) fn param_values(values: Vec<(SqlType, ScalarValue)>) -> ParamValues {
    let values = values.into_iter().map(|(sql_type, value)| {
        let field = sql_type.field("", true);
        let label = (!field.metadata().is_empty()).then(|| FieldMetadata::from(&field));
        ScalarAndMetadata::new(value, label)
    });
    ParamValues::List(values.collect())
}

/// The columns of a query's result, with the tables' columns that they are.
pub(super) fn result_fields(bound: &BoundQuery, plan: &Plan) -> Result<Vec<OutputField>> {
    let mut fields = output_fields(bound, plan)?;
    for (field, origin) in fields.iter_mut().zip(origins(&bound.plan)) {
        if let Some(Origin { table_oid, column_number }) = origin {
            (field.table_oid, field.column_number) = (table_oid, column_number);
        }
    }
    Ok(fields)
}

/// The columns of a result.
pub(super) fn output_fields(bound: &BoundQuery, plan: &Plan) -> Result<Vec<OutputField>> {
    let fields = plan.schema.fields().iter().enumerate().map(|(at, planned)| {
        let sql_type = result_type(bound.fields.get(at), planned).ok_or_else(|| {
            ErrorReport::unsupported(format!(
                "results of type {} are not supported",
                planned.data_type()
            ))
        })?;
        let name = bound.names.get(at).cloned().unwrap_or_else(|| planned.name().clone());
        Ok(OutputField { name, sql_type, table_oid: 0, column_number: 0 })
    });
    fields.collect()
}

/// The type of a column: what it was bound as, because a planned column may have lost what its
/// Arrow type does not tell (a `name` that is known to be NULL is planned as any text). The plan
/// says how the values are held where that is another way: a numeric has the scale of its values.
fn result_type(bound: Option<&FieldRef>, planned: &Field) -> Option<SqlType> {
    let held = SqlType::of_arrow(planned.data_type());
    match bound {
        Some(bound) if SqlType::of_arrow(bound.data_type()) == held => SqlType::of_field(bound),
        _ => SqlType::of_field(planned),
    }
}

/// One column of text.
pub(super) fn text_rows(name: &str, lines: Vec<String>, tag: RowsTag) -> Outcome {
    let schema = Arc::new(Schema::new(vec![Field::new(name, DataType::Utf8View, false)]));
    let column = Arc::new(StringViewArray::from_iter_values(lines));
    let batch = RecordBatch::try_new(schema, vec![column]).map_err(|e| report(e.into()));
    let field =
        OutputField { name: name.into(), sql_type: SqlType::Text, table_oid: 0, column_number: 0 };
    Outcome::Rows { fields: vec![field], rows: Box::pin(stream::iter([batch])), tag }
}

/// A query that is planned and has not begun.
pub(super) struct Start {
    plan: Plan,
    again: Again,
    asker: Asker,
    text: String,
    watch: Option<Watch>,
    /// The snapshot is to be there when it begins.
    pin: Pin,
}

impl Start {
    /// Its end is not bound: others see to that.
    pub(super) fn without_deadline(&mut self) {
        self.again.environment.deadline = None;
    }

    /// Runs it to its first rows.
    async fn begin(self) -> Result<Watched> {
        let Self { plan, again, asker, text, mut watch, pin } = self;
        let engine = Arc::clone(&again.engine);
        let environment = again.environment.clone();
        let mut noted = NotedQuery::start(&engine, &plan, &environment, &asker, &text).await?;
        let (mut running, again) = match run(&engine, &plan, &environment).await {
            Ok(running) => (running, Some(again)),
            Err(error) => {
                // It is planned anew.
                watch = None;
                (noted.part(again.after(error).await)?, None)
            }
        };
        noted.runs(&running);
        noted.part(running.begun().await)?;
        Ok(Watched { running, noted, again, watch, _pin: pin })
    }

    /// Its rows; it begins when the first one is asked for.
    pub(super) fn when_asked(self) -> BatchStream {
        let begun = stream::once(self.begin());
        Box::pin(begun.flat_map(|begun| -> BatchStream {
            match begun {
                Ok(watched) => watched.into_stream(),
                Err(error) => Box::pin(stream::iter([Err(error)])),
            }
        }))
    }
}

/// A query's rows on their way to the client.
struct Watched {
    running: RunningQuery,
    noted: NotedQuery,
    /// Until the first rows have come.
    again: Option<Again>,
    /// Looks at it when it has ended.
    watch: Option<Watch>,
    _pin: Pin,
}

impl Watched {
    /// The next rows. An error before the first of them may be mended by running again.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let first = self.running.next().await.transpose();
        match (first, self.again.take()) {
            (Err(error), Some(again)) => {
                self.watch = None;
                self.running = again.after(error).await?;
                self.noted.runs(&self.running);
                self.running.next().await.transpose()
            }
            (batch, _) => batch,
        }
    }

    fn into_stream(self) -> BatchStream {
        Box::pin(stream::unfold(self, async |mut watched| {
            watched.noted.works();
            let batch = watched.next().await;
            watched.noted.rests();
            let batch = watched.noted.part(batch).transpose();
            match &batch {
                Some(Ok(rows)) => watched.noted.returns(rows.num_rows()),
                Some(Err(_)) => {}
                None => {
                    watched.noted.finish();
                    if let Some(watch) = watched.watch.take() {
                        watch.ended(&watched.running.summary().lock());
                    }
                }
            }
            batch.map(|batch| (batch, watched))
        }))
    }
}
