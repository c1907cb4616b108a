//! CREATE SCHEMA

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{DdlPlan, access::owner_id};
use crate::{
    catalog::{Catalog, CatalogChange, SYSTEM_SCHEMAS, SchemaDef},
    parse::CreateSchema,
};

pub(super) fn create_schema(create: &CreateSchema, catalog: &Catalog) -> Result<DdlPlan> {
    let mut plan = DdlPlan::new("CREATE SCHEMA");
    let owner = match &create.owner {
        Some(owner) => Some(owner_id(owner, catalog)?),
        None => None,
    };
    if let Some(position) = create.elements {
        let error = ErrorReport::unsupported("CREATE SCHEMA with elements is not supported");
        let hint = "Create the schema first, then what belongs into it.";
        return Err(error.hint(hint).position(position));
    }
    // Without a name it has its owner's.
    let Some(identifier) = create.name.as_ref().or(create.owner.as_ref()) else {
        return Err(ErrorReport::internal("a schema without name and owner"));
    };
    let name = identifier.name.as_str();
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
    let object = schema.id;
    plan.changes.push(CatalogChange::CreateSchema(schema));
    plan.changes.extend(owner.map(|owner| CatalogChange::SetOwner { object, owner }));
    Ok(plan)
}
