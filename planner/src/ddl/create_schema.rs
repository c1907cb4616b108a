//! CREATE SCHEMA

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::DdlPlan;
use crate::{
    catalog::{Catalog, CatalogChange, SYSTEM_SCHEMAS, SchemaDef},
    parse::{CreateSchema, Identifier},
};

/// The role that owns everything.
const USER: &str = "kestrel";

pub(super) fn create_schema(create: &CreateSchema, catalog: &Catalog) -> Result<DdlPlan> {
    let mut plan = DdlPlan::new("CREATE SCHEMA");
    if let Some(owner) = &create.owner {
        check_owner(owner, catalog)?;
    }
    if let Some(position) = create.elements {
        let error = ErrorReport::unsupported("CREATE SCHEMA with elements is not supported");
        let hint = "Create the schema first, then what belongs into it.";
        return Err(error.hint(hint).position(position));
    }
    let name = create.name.as_ref().map_or(USER, |n| n.name.as_str());
    let position = create.name.as_ref().map(|n| n.position);
    if catalog.schemas.contains_key(name) || SYSTEM_SCHEMAS.contains(&name) {
        let message = format!("schema \"{name}\" already exists");
        if create.if_not_exists {
            let message = format!("{message}, skipping");
            plan.notices.push(ErrorReport::notice(SqlState::DUPLICATE_SCHEMA, message));
            return Ok(plan);
        }
        let error = ErrorReport::new(SqlState::DUPLICATE_SCHEMA, message);
        return Err(ErrorReport { position, ..error });
    }
    if name.starts_with("pg_") {
        let message = format!("unacceptable schema name \"{name}\"");
        let error = ErrorReport::new(SqlState::RESERVED_NAME, message)
            .detail("The prefix \"pg_\" is reserved for system schemas.");
        return Err(ErrorReport { position, ..error });
    }
    let schema = SchemaDef { id: catalog.next_oid, name: name.into() };
    plan.changes.push(CatalogChange::CreateSchema(schema));
    Ok(plan)
}

pub(super) fn check_owner(owner: &Identifier, catalog: &Catalog) -> Result<()> {
    let known = [USER, "current_user", "current_role", "session_user"];
    if known.contains(&owner.name.as_str()) {
        return Ok(());
    }
    if catalog.roles.contains_key(&owner.name) {
        let message = format!("only \"{USER}\" owns objects yet");
        return Err(ErrorReport::unsupported(message).position(owner.position));
    }
    let message = format!("role \"{}\" does not exist", owner.name);
    Err(ErrorReport::new(SqlState::UNDEFINED_OBJECT, message).position(owner.position))
}
