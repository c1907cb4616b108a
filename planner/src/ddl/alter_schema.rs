//! ALTER SCHEMA

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{DdlPlan, access::owner_id};
use crate::{
    catalog::{Catalog, CatalogChange, is_system_schema},
    parse::AlterSchema,
};

pub(super) fn alter_schema(alter: &AlterSchema, catalog: &Catalog) -> Result<DdlPlan> {
    let mut plan = DdlPlan::new("ALTER SCHEMA");
    let from = alter.name.name.as_str();
    let error = |state, message: String| Err(ErrorReport::new(state, message));
    if is_system_schema(from) {
        let message = format!("must be owner of schema {from}");
        return error(SqlState::INSUFFICIENT_PRIVILEGE, message);
    }
    let Some(schema) = catalog.schemas.get(from) else {
        let message = format!("schema \"{from}\" does not exist");
        return error(SqlState::INVALID_SCHEMA_NAME, message);
    };
    if let Some(owner) = &alter.owner {
        let owner = owner_id(owner, catalog)?;
        plan.changes.push(CatalogChange::SetOwner { object: schema.id, owner });
    }
    let Some(to) = alter.new_name.as_ref().map(|name| name.name.as_str()) else {
        return Ok(plan);
    };
    if catalog.schemas.contains_key(to) || ["kestrel", "information_schema"].contains(&to) {
        let message = format!("schema \"{to}\" already exists");
        return error(SqlState::DUPLICATE_SCHEMA, message);
    }
    if to.starts_with("pg_") {
        let message = format!("unacceptable schema name \"{to}\"");
        return Err(ErrorReport::new(SqlState::RESERVED_NAME, message)
            .detail("The prefix \"pg_\" is reserved for system schemas."));
    }
    plan.changes.push(CatalogChange::RenameSchema { from: from.into(), to: to.into() });
    Ok(plan)
}
