//! CREATE, ALTER and DROP ROLE.

use kestrel_planner::{
    ddl::{RoleContext, plan_role},
    parse::RoleStatement,
};
use kestrel_proto::Result;

use super::{ClientSession, NoticeSender, Outcome};
use crate::{access::make_verifier, engine::Engine};

impl ClientSession {
    /// Runs a statement about roles. Its password ends here: what goes on is a verifier.
    pub(super) async fn role(
        &mut self,
        statement: &RoleStatement,
        notices: &NoticeSender,
    ) -> Result<Outcome> {
        self.check_writable(statement.tag())?;
        self.transaction.lock_ddl(&self.engine).await;
        let view = self.transaction.view(&self.engine);
        let context = RoleContext { user: &self.startup.user, verifier: &make_verifier };
        let plan = plan_role(statement, &view, &context)?;
        plan.notices.into_iter().for_each(|notice| notices.send(notice));
        self.transaction.change(&self.engine, plan.changes)?;
        Ok(Outcome::Done(plan.tag))
    }
}

/// Whether the role may do everything.
pub(super) fn is_superuser(engine: &Engine, role: &str) -> bool {
    engine.catalog.snapshot().roles.get(role).is_some_and(|role| role.superuser)
}
