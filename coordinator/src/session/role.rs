//! CREATE, ALTER and DROP ROLE, and what a role's sessions begin with.

use kestrel_planner::{
    catalog::Catalog,
    ddl::{RoleContext, plan_role},
    parse::RoleStatement,
};
use kestrel_proto::Result;

use super::{ClientSession, NoticeSender, Outcome, identity::Login, settings::Settings};
use crate::access::make_verifier;

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
        let search_path = self.search_path(&view);
        let settings = self.settings.clone();
        let context = RoleContext {
            identity: self.identity(&view),
            search_path: &search_path,
            checked_setting: &|name, values| settings.checked_for_others(name, values),
            current_setting: &|name| settings.show(name),
            verifier: &make_verifier,
        };
        let plan = plan_role(statement, &view, &context)?;
        plan.notices.into_iter().for_each(|notice| notices.send(notice));
        self.transaction.change(&self.engine, plan.changes)?;
        Ok(Outcome::Done(plan.tag))
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
        let checked = login.check_setting((name, value), settings, catalog);
        let set = checked.and_then(|()| settings.set(name, std::slice::from_ref(value)));
        if let Err(error) = set {
            tracing::warn!(role = login.name, setting = name, %error, "a setting is left out");
        }
    }
}
