//! The plan of a SELECT: one that was kept, or one that is made, and kept if it may be
//! ([`GenericPlan`]). Whether the role may read, and whether the plan holds for the snapshot, is asked
//! every time.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arrow::array::RecordBatch;
use datafusion::{
    logical_expr::{LogicalPlan, ScalarUDF},
    scalar::ScalarValue,
    sql::sqlparser::ast,
};
use kestrel_planner::{
    bind::{
        BindContext, BoundQuery, SessionFunctions, SystemRelations, bind_query, check_no_parameters,
    },
    catalog::{Catalog, SequenceDef, SqlType},
    plan::{GenericPlan, Plan, PlanContext},
};
use kestrel_proto::{ErrorReport, Result};

use super::{
    ClientSession, OutputField, Statement,
    facts::plannable,
    select::{param_values, result_fields, with_values},
};
use crate::{engine::PlanKey, server::Parameter};

/// A query that is planned.
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) fields: Vec<OutputField>,
    /// What was bound, with its parameters' values.
    pub(super) bound: LogicalPlan,
    /// The snapshot it reads.
    pub(super) view: Arc<Catalog>,
}

impl ClientSession {
    /// Plans a query for a role that may read what it names.
    pub(super) async fn planned(
        &mut self,
        query: &ast::Query,
        statement: &Statement,
        parameters: &[Parameter],
    ) -> Result<Planned> {
        let view = self.transaction.view(&self.engine);
        let context = self.plan_context(&view)?;
        let types: Vec<_> = parameters.iter().map(|parameter| parameter.sql_type).collect();
        let key = self.settings.keeps_plans().then(|| PlanKey {
            text: statement.sql.clone(),
            offset: statement.offset,
            types: types.clone(),
            search_path: self.shared_search_path(&view),
            formats: self.settings.format_changes(),
        });
        let kept = key.as_ref().and_then(|key| self.kept(key, &view));
        if key.is_some() {
            self.engine.plans.count(kept.is_some());
        }
        let types: Vec<_> = types.into_iter().map(Some).collect();
        let (mut bound, generic) = match kept {
            Some(kept) => (kept.bound.clone(), Some(kept)),
            None => self.bound_for_all(query, statement, &types, key, &context)?,
        };
        self.check_reads((query, &bound), statement, &types, &view)?;
        if !parameters.is_empty() {
            bound.plan = with_values(std::mem::take(&mut bound.plan), typed(parameters))?;
        }
        check_no_parameters(&bound.plan)?;
        let plan = match generic {
            Some(generic) => self.of_generic(&generic, parameters, &context).await,
            None => None,
        };
        let plan = match plan {
            Some(plan) => plan,
            None => self.engine.planner.plan(&bound.plan, &context).await?,
        };
        let fields = result_fields(&bound, &plan)?;
        Ok(Planned { plan, fields, bound: bound.plan, view })
    }

    /// Plans what was kept; `None`: it cannot be planned with these values. What is wrong shows when it
    /// is planned without.
    async fn of_generic(
        &self,
        generic: &GenericPlan,
        parameters: &[Parameter],
        context: &PlanContext,
    ) -> Option<Plan> {
        let values = (!parameters.is_empty()).then(|| param_values(typed(parameters)));
        let plan = self.engine.planner.plan_generic(generic, values, context).await;
        plan.inspect_err(|error| tracing::debug!(%error, "a kept plan is of no use")).ok()
    }

    /// A plan that was kept, over this snapshot.
    fn kept(&self, key: &PlanKey, view: &Arc<Catalog>) -> Option<Arc<GenericPlan>> {
        let kept = self.engine.plans.get(key)?;
        let schemas = kept.bound.relations.iter().map(|named| named.schema.as_ref());
        let mut schemas = schemas.filter(Option::is_some);
        // Whoever may not look there is told so by the binder.
        if schemas.any(|schema| self.check_schema(schema, view).is_err()) {
            return None;
        }
        let present = kept.over(view, &self.search_path(view))?;
        // Over a block's own or older rows it is of no use to others, who would change it back.
        let is_newest = || Arc::ptr_eq(view, &self.engine.catalog.snapshot());
        if !Arc::ptr_eq(&kept, &present) && is_newest() {
            self.engine.plans.keep(key.clone(), Arc::clone(&present));
        }
        Some(present)
    }

    /// Binds a query, and keeps what is optimized for any values of its parameters, if that may be kept.
    fn bound_for_all(
        &self,
        query: &ast::Query,
        statement: &Statement,
        types: &[Option<SqlType>],
        key: Option<PlanKey>,
        context: &PlanContext,
    ) -> Result<(BoundQuery, Option<Arc<GenericPlan>>)> {
        let asked = Arc::new(AtomicBool::new(false));
        let bind_context = noted(self.bind_context(&context.catalog, Some(statement)), &asked);
        let bound = bind_query(&plannable(query), &bind_context, types)?;
        let Some(key) = key.filter(|_| !asked.load(Ordering::Relaxed)) else {
            return Ok((bound, None));
        };
        // What the optimizer does not take without values, it may take with them.
        let generic = self.engine.planner.generic(&bound, &statement.sql, context).ok().flatten();
        let generic = generic.map(Arc::new);
        if let Some(generic) = &generic {
            self.engine.plans.keep(key, Arc::clone(generic));
        }
        Ok((bound, generic))
    }
}

fn typed(parameters: &[Parameter]) -> Vec<(SqlType, ScalarValue)> {
    parameters.iter().map(|parameter| (parameter.sql_type, parameter.value.clone())).collect()
}

/// The same context; `asked` becomes true when a name means something that only the session has.
fn noted(context: BindContext, asked: &Arc<AtomicBool>) -> BindContext {
    let (functions, relations) = (context.session_functions, context.system_relations);
    BindContext {
        session_functions: Arc::new(Noted { inner: functions, asked: Arc::clone(asked) }),
        system_relations: Arc::new(Noted { inner: relations, asked: Arc::clone(asked) }),
        ..context
    }
}

struct Noted<T: ?Sized> {
    inner: Arc<T>,
    asked: Arc<AtomicBool>,
}

impl<T: ?Sized> Noted<T> {
    fn note<Found>(&self, found: Option<Found>) -> Option<Found> {
        if found.is_some() {
            self.asked.store(true, Ordering::Relaxed);
        }
        found
    }
}

impl SessionFunctions for Noted<dyn SessionFunctions> {
    fn function(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.note(self.inner.function(name))
    }
}

impl SystemRelations for Noted<dyn SystemRelations> {
    fn relation(&self, schema: &str, name: &str) -> Option<Result<RecordBatch, ErrorReport>> {
        self.note(self.inner.relation(schema, name))
    }

    fn sequence(&self, sequence: &SequenceDef) -> Result<RecordBatch, ErrorReport> {
        self.asked.store(true, Ordering::Relaxed);
        self.inner.sequence(sequence)
    }

    fn check_schema(&self, schema: &str) -> Result<(), ErrorReport> {
        self.inner.check_schema(schema)
    }

    fn plannable(&self, query: ast::Query) -> ast::Query {
        self.inner.plannable(query)
    }
}
