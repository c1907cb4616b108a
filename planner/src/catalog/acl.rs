//! Access control lists: who was granted what, and by whom. Granting and revoking are
//! PostgreSQL's (`aclupdate` and its helpers, utils/adt/acl.c).

use kestrel_proto::{ErrorReport, Result, SqlState};
use serde::{Deserialize, Serialize};

use super::{ObjectKind, Privileges};

/// The grantee that is everybody.
pub const PUBLIC: u64 = 0;

/// What one role has granted to another, or to everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclItem {
    /// Who may: a role's OID, or [`PUBLIC`].
    pub grantee: u64,
    /// Who has granted it: a role's OID.
    pub grantor: u64,
    /// What the grantee may do.
    pub privileges: Privileges,
    /// What of it the grantee may grant to others.
    pub grantable: Privileges,
}

/// What an object's owner and everybody may do as long as nothing was granted or revoked.
pub fn default_acl(kind: ObjectKind, owner: u64) -> Vec<AclItem> {
    let item = |grantee, privileges| AclItem {
        grantee,
        grantor: owner,
        privileges,
        grantable: Privileges::NONE,
    };
    let of_public = kind.of_public();
    let public = (!of_public.is_empty()).then(|| item(PUBLIC, of_public));
    public.into_iter().chain([item(owner, kind.privileges())]).collect()
}

/// What is granted or revoked, to or from one grantee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AclChange {
    /// The grantee.
    pub grantee: u64,
    /// The grantor.
    pub grantor: u64,
    /// What.
    pub privileges: Privileges,
    /// WITH GRANT OPTION; or, of REVOKE, GRANT OPTION FOR.
    pub of_option: bool,
}

/// Adds a grant to the list.
///
/// Errors: 0LP01 for grant options that would come back to whom they came from.
pub fn grant(acl: &mut Vec<AclItem>, change: &AclChange, owner: u64) -> Result<()> {
    if change.of_option && change.grantee != owner {
        check_circularity(acl, change, owner)?;
    }
    let found = acl
        .iter_mut()
        .find(|item| (item.grantee, item.grantor) == (change.grantee, change.grantor));
    let option = if change.of_option { change.privileges } else { Privileges::NONE };
    match found {
        Some(item) => {
            item.privileges = item.privileges.with(change.privileges);
            item.grantable = item.grantable.with(option);
        }
        None => acl.push(AclItem {
            grantee: change.grantee,
            grantor: change.grantor,
            privileges: change.privileges,
            grantable: option,
        }),
    }
    acl.retain(|item| !item.privileges.is_empty());
    Ok(())
}

/// Takes a grant from the list, and with `cascade` what the grantee has granted on.
///
/// Errors: 2BP01 for what was granted on, without `cascade`.
pub fn revoke(acl: &mut Vec<AclItem>, change: &AclChange, owner: u64, cascade: bool) -> Result<()> {
    let mut lost = Privileges::NONE;
    let found = acl
        .iter_mut()
        .find(|item| (item.grantee, item.grantor) == (change.grantee, change.grantor));
    if let Some(item) = found {
        let before = item.grantable;
        item.grantable = item.grantable.without(change.privileges);
        if !change.of_option {
            item.privileges = item.privileges.without(change.privileges);
        }
        lost = before.without(item.grantable);
    }
    acl.retain(|item| !item.privileges.is_empty());
    if lost.is_empty() || change.grantee == PUBLIC {
        return Ok(());
    }
    revoke_dependents(acl, change.grantee, lost, owner, cascade)
}

/// What somebody has granted who may not grant it any more (`recursive_revoke`).
fn revoke_dependents(
    acl: &mut Vec<AclItem>,
    grantor: u64,
    lost: Privileges,
    owner: u64,
    cascade: bool,
) -> Result<()> {
    // The owner may always grant; others may still have it from somebody else.
    let lost = lost.without(grantable_by(acl, grantor, owner));
    let dependent = |acl: &[AclItem]| {
        let granted =
            |item: &&AclItem| item.grantor == grantor && !item.privileges.and(lost).is_empty();
        acl.iter().find(granted).map(|item| (item.grantee, item.privileges.and(lost)))
    };
    while let Some((grantee, privileges)) = dependent(acl) {
        if !cascade {
            let message = "dependent privileges exist";
            return Err(ErrorReport::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .hint("Use CASCADE to revoke them too."));
        }
        revoke(acl, &AclChange { grantee, grantor, privileges, of_option: false }, owner, true)?;
    }
    Ok(())
}

/// What this very role may grant (not: the roles that it is a member of).
fn grantable_by(acl: &[AclItem], role: u64, owner: u64) -> Privileges {
    if role == owner {
        return Privileges::of_everything();
    }
    let own = acl.iter().filter(|item| item.grantee == role);
    own.fold(Privileges::NONE, |all, item| all.with(item.grantable))
}

/// Without what the new grantee has granted, can the grantor still grant? If not, two roles
/// would keep a privilege that nobody else gives them.
fn check_circularity(acl: &[AclItem], change: &AclChange, owner: u64) -> Result<()> {
    let mut rest = acl.to_vec();
    while let Some(item) = rest
        .iter()
        .find(|item| item.grantee == change.grantee && !item.grantable.is_empty())
        .cloned()
    {
        let revoked = AclChange {
            grantee: item.grantee,
            grantor: item.grantor,
            privileges: item.grantable,
            of_option: true,
        };
        revoke(&mut rest, &revoked, owner, true)?;
    }
    if grantable_by(&rest, change.grantor, owner).has_all(change.privileges) {
        return Ok(());
    }
    let message = "grant options cannot be granted back to your own grantor";
    Err(ErrorReport::new(SqlState::INVALID_GRANT_OPERATION, message))
}

/// The list when the object has another owner (`aclnewowner`): what the old one had and gave is
/// the new one's.
pub(super) fn with_owner(acl: &[AclItem], old: u64, new: u64) -> Vec<AclItem> {
    let other = |role: u64| if role == old { new } else { role };
    let mut changed: Vec<AclItem> = Vec::with_capacity(acl.len());
    for item in acl {
        let (grantee, grantor) = (other(item.grantee), other(item.grantor));
        match changed.iter_mut().find(|i| (i.grantee, i.grantor) == (grantee, grantor)) {
            Some(same) => {
                same.privileges = same.privileges.with(item.privileges);
                same.grantable = same.grantable.with(item.grantable);
            }
            None => changed.push(AclItem { grantee, grantor, ..item.clone() }),
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Privilege;

    const OWNER: u64 = 1;

    fn change(grantee: u64, grantor: u64, of_option: bool) -> AclChange {
        AclChange { grantee, grantor, privileges: Privilege::Select.into(), of_option }
    }

    fn select(grantee: u64, grantor: u64, of_option: bool) -> AclItem {
        let privileges = Privilege::Select.into();
        let grantable = if of_option { privileges } else { Privileges::NONE };
        AclItem { grantee, grantor, privileges, grantable }
    }

    #[test]
    fn what_was_granted_on_goes_only_with_cascade() {
        let mut acl = Vec::new();
        grant(&mut acl, &change(2, OWNER, true), OWNER).unwrap();
        grant(&mut acl, &change(3, 2, false), OWNER).unwrap();
        assert_eq!(acl, [select(2, OWNER, true), select(3, 2, false)]);
        let error = revoke(&mut acl.clone(), &change(2, OWNER, false), OWNER, false).unwrap_err();
        assert_eq!(error.message, "dependent privileges exist");
        let mut only_option = acl.clone();
        revoke(&mut only_option, &change(2, OWNER, true), OWNER, true).unwrap();
        assert_eq!(only_option, [select(2, OWNER, false)]);
        revoke(&mut acl, &change(2, OWNER, false), OWNER, true).unwrap();
        assert!(acl.is_empty());
    }

    #[test]
    fn what_comes_from_another_too_stays() {
        let mut acl = vec![select(2, OWNER, true), select(2, 4, true), select(3, 2, false)];
        revoke(&mut acl, &change(2, 4, false), OWNER, false).unwrap();
        assert_eq!(acl, [select(2, OWNER, true), select(3, 2, false)]);
    }

    #[test]
    fn options_do_not_come_back_to_their_grantor() {
        let mut acl = vec![select(2, OWNER, true), select(3, 2, true)];
        let error = grant(&mut acl, &change(2, 3, true), OWNER).unwrap_err();
        assert_eq!(error.sqlstate, SqlState::INVALID_GRANT_OPERATION);
        grant(&mut acl, &change(OWNER, 3, true), OWNER).unwrap();
    }

    #[test]
    fn a_new_owner_takes_over_what_the_old_one_had_and_gave() {
        let acl = [select(OWNER, OWNER, false), select(2, OWNER, true), select(3, 2, false)];
        assert_eq!(with_owner(&acl, OWNER, 2), [select(2, 2, true), select(3, 2, false)]);
    }
}
