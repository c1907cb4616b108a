//! In whose name a role grants, what it can grant, and what it is told when that is not all
//! (`select_best_grantor` and `restrict_and_check_grant`).

use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::{
    access::{Actor, denied},
    catalog::{
        AclChange, AclItem, Catalog, PUBLIC, Privileges, RoleDef, grant as add, revoke as remove,
    },
    parse::GrantAction,
};

/// In whose name, and what it can grant.
pub(super) struct Grantor {
    role: u64,
    options: Privileges,
}

impl Grantor {
    /// The owner, when the role has the owner's privileges; otherwise the role of those it is a
    /// member of that can grant most.
    pub(super) fn best(actor: &Actor<'_>, wanted: Privileges, acl: &[AclItem], owner: u64) -> Self {
        if actor.acts_as(owner) {
            return Self { role: owner, options: Privileges::of_everything() };
        }
        let mut best = Self { role: actor.role, options: Privileges::NONE };
        let others = actor.catalog.inherited(actor.role);
        for role in [actor.role].into_iter().chain(others) {
            let own = acl.iter().filter(|item| item.grantee == role);
            let options = own.fold(Privileges::NONE, |all, item| all.with(item.grantable));
            let options = options.and(wanted);
            if options.count() > best.options.count() {
                best = Self { role, options };
            }
        }
        best
    }
}

/// What is granted or revoked on one object or column.
pub(super) struct Wish<'a> {
    pub(super) action: GrantAction,
    pub(super) privileges: Privileges,
    /// ALL was said: what cannot be granted is not asked for.
    pub(super) is_all: bool,
    pub(super) grantees: &'a [u64],
}

/// Something with a list of grants.
pub(super) struct Listed<'a> {
    /// The object's OID.
    pub(super) object: u64,
    /// `t`, `column "a" of relation "t"`: as warnings call it, with quotes.
    pub(super) name: String,
    pub(super) owner: u64,
    /// What else counts when it is decided who can grant: the table's grants, for a column.
    pub(super) other: &'a [AclItem],
}

impl Wish<'_> {
    /// Grants or revokes as far as the role can.
    ///
    /// Errors: 42501 for a role that has no privilege at all; those of [`add`] and [`remove`].
    pub(super) fn fulfil(
        &self,
        acl: &mut Vec<AclItem>,
        listed: &Listed<'_>,
        actor: &Actor<'_>,
        notices: &mut Vec<ErrorReport>,
    ) -> Result<()> {
        let all: Vec<AclItem> = listed.other.iter().chain(acl.iter()).cloned().collect();
        let grantor = Grantor::best(actor, self.privileges, &all, listed.owner);
        let privileges = self.privileges.and(grantor.options);
        if grantor.options.is_empty() && !holds_any(&all, grantor.role, actor) {
            return Err(denied(actor.catalog, listed.object));
        }
        self.warn(privileges, listed, notices);
        for grantee in self.grantees {
            let (grantee, grantor) = (*grantee, grantor.role);
            let owner = listed.owner;
            match self.action {
                GrantAction::Grant { with_option } => {
                    if with_option && grantee == PUBLIC {
                        let message = "grant options can only be granted to roles";
                        return Err(ErrorReport::new(SqlState::INVALID_GRANT_OPERATION, message));
                    }
                    let change = AclChange { grantee, grantor, privileges, of_option: with_option };
                    add(acl, &change, owner)?;
                }
                GrantAction::Revoke { only_option, cascade } => {
                    let change = AclChange { grantee, grantor, privileges, of_option: only_option };
                    remove(acl, &change, owner, cascade)?;
                }
            }
        }
        Ok(())
    }

    fn warn(&self, granted: Privileges, listed: &Listed<'_>, notices: &mut Vec<ErrorReport>) {
        let (state, what) = match self.action {
            GrantAction::Grant { .. } => (SqlState::PRIVILEGE_NOT_GRANTED, "were granted"),
            GrantAction::Revoke { .. } => (SqlState::PRIVILEGE_NOT_REVOKED, "could be revoked"),
        };
        let name = &listed.name;
        let message = if granted.is_empty() && !self.privileges.is_empty() {
            format!("no privileges {what} for {name}")
        } else if !self.is_all && !granted.has_all(self.privileges) {
            format!("not all privileges {what} for {name}")
        } else {
            return;
        };
        notices.push(ErrorReport::warning(state, message));
    }
}

fn holds_any(acl: &[AclItem], role: u64, actor: &Actor<'_>) -> bool {
    let roles = actor.catalog.inherited(role);
    let counts = |item: &&AclItem| item.grantee == PUBLIC || roles.contains(&item.grantee);
    acl.iter().filter(counts).any(|item| !item.privileges.is_empty())
}

/// The role that GRANTED BY names must be the one that grants.
///
/// Errors: 0A000.
pub(super) fn check_granted_by(role: &RoleDef, actor: &Actor<'_>) -> Result<()> {
    if role.id == actor.role {
        return Ok(());
    }
    Err(ErrorReport::unsupported("grantor must be current user"))
}

/// The name of a role, for messages.
pub(super) fn name_of(catalog: &Catalog, role: u64) -> String {
    catalog.role_by_id(role).map_or_else(|| role.to_string(), |role| role.name.clone())
}
