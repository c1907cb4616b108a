//! CREATE, ALTER and DROP ROLE, and what a role's sessions begin with.

use kestrel_planner::{
    catalog::Catalog,
    ddl::{DdlPlan, RoleContext, plan_role},
    parse::RoleStatement,
};
use kestrel_proto::Result;

use super::{
    ClientSession, NoticeSender, Outcome,
    identity::Login,
    settings::{Settings, check_may_set, check_rank},
};
use crate::access::make_verifier;

impl ClientSession {
    /// Runs a statement about roles. Its password ends here: what goes on is a verifier.
    pub(super) async fn role(
        &mut self,
        statement: &RoleStatement,
        notices: &NoticeSender,
    ) -> Result<Outcome> {
        self.check_writable(statement.tag())?;
        let planned = |session: &Self, view: &Catalog| session.plan_role(statement, view);
        let plan = self.plan_under_locks(planned).await?;
        plan.notices.into_iter().for_each(|notice| notices.send(notice));
        self.change(plan.changes).await?;
        Ok(Outcome::Done(plan.tag))
    }

    fn plan_role(&self, statement: &RoleStatement, view: &Catalog) -> Result<DdlPlan> {
        let (search_path, identity) = (self.search_path(view), self.identity(view));
        let is_superuser = view.is_superuser(identity.current);
        let checked_setting = |name: &str, values: &[String]| {
            check_rank(name, &values.join(", "), is_superuser)?;
            self.settings.checked_for_others(name, values)
        };
        let context = RoleContext {
            identity,
            search_path: &search_path,
            checked_setting: &checked_setting,
            may_reset: &|name| check_may_set(name, is_superuser),
            current_setting: &|name| self.settings.show(name),
            verifier: &make_verifier,
        };
        plan_role(statement, view, &context)
    }
}

/// Sets what a role's sessions begin with: everybody's, the database's, the role's own, and those
/// of the role in the database; later ones count. One that cannot be set (any more) is left out, as
/// in PostgreSQL: the role is to come in all the same.
pub(super) fn begin_with(settings: &Settings, login: &Login, catalog: &Catalog) {
    const EVERYBODY: u64 = 0;
    let of = |role| catalog.role_settings.get(&role);
    let lists = [of(EVERYBODY), of(login.id)].into_iter().flatten();
    let lists = lists.flat_map(|settings| [&settings.everywhere, &settings.in_database]);
    for (name, value) in lists.flatten() {
        // Whoever wrote it there was allowed to.
        let checked = login.check_role((name, value), settings, catalog);
        let set = checked.and_then(|()| settings.set(name, std::slice::from_ref(value)));
        if let Err(error) = set {
            tracing::warn!(role = login.name, setting = name, %error, "a setting is left out");
        }
    }
}
