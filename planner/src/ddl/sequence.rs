//! CREATE SEQUENCE, and what its options make of a sequence (PostgreSQL's `init_params` and
//! `process_owned_by`, commands/sequence.c).

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{DdlPlan, create_table::missing_schema, names::already_exists};
use crate::{
    catalog::{
        Catalog, CatalogChange, Found, SequenceDef, SequenceState, SqlType, creation_schema,
        default_of, find_relation, find_sequence, largest, relation_kind, sequence_of, smallest,
    },
    parse::{self, CreateSequence, Identifier, QualifiedName, SequenceOptions},
};

pub(super) fn create_sequence(
    create: &CreateSequence,
    catalog: &Catalog,
    search_path: &[String],
) -> Result<DdlPlan> {
    let mut plan = DdlPlan::new("CREATE SEQUENCE");
    let schema = creation_schema(catalog, search_path, &create.name, create.temporary)?;
    let name = create.name.name.as_str();
    if relation_kind(catalog, schema, name).is_some() {
        if !create.if_not_exists {
            return Err(already_exists(name));
        }
        let message = format!("relation \"{name}\" already exists, skipping");
        plan.notices.push(ErrorReport::notice(SqlState::DUPLICATE_TABLE, message));
        return Ok(plan);
    }
    let new =
        SequenceDef { id: catalog.next_oid, ..SequenceDef::new(schema, name, SqlType::BigInt) };
    let (mut sequence, _) = with_options(new, &create.options, Origin::New("sequence"))?;
    if let Some(owner) = &create.options.owned_by {
        sequence.owned_by = owned_by(&sequence, owner.as_ref(), catalog, search_path)?;
    }
    plan.changes.extend(missing_schema(catalog, schema, || catalog.next_oid + 1));
    plan.changes.push(CatalogChange::CreateSequence(sequence));
    Ok(plan)
}

/// What a sequence was before its options are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Nothing; what its type is called in errors: of a `sequence` or an `identity column`
    New(&'static str),
    /// What it is now
    Altered,
}

/// The sequence with these options, and where it stands if RESTART says so.
///
/// Errors: 22023 for options that do not go together.
pub(super) fn with_options(
    mut sequence: SequenceDef,
    options: &SequenceOptions,
    origin: Origin,
) -> Result<(SequenceDef, Option<SequenceState>)> {
    let is_new = origin != Origin::Altered;
    let old_type = sequence.data_type;
    if let Some((data_type, position)) = &options.data_type {
        let found = parse::sql_type(data_type)
            .map_err(|e| ErrorReport { position: e.position.or(Some(*position)), ..e })?;
        sequence.data_type =
            integer(found, if let Origin::New(what) = origin { what } else { "sequence" })?;
    }
    // The bounds of the old type become those of the new one.
    let has_new_type = !is_new && options.data_type.is_some();
    let reset_max = has_new_type && sequence.max_value == largest(old_type);
    let reset_min = has_new_type && sequence.min_value == smallest(old_type);
    if let Some(increment) = options.increment {
        sequence.increment = increment;
    }
    if sequence.increment == 0 {
        return Err(invalid("INCREMENT must not be zero".into()));
    }
    sequence.cycle = options.cycle.unwrap_or(sequence.cycle);
    let goes_up = sequence.increment > 0;
    match options.max_value {
        Some(Some(value)) => sequence.max_value = value,
        None if !is_new && !reset_max => {}
        _ if goes_up || reset_max => sequence.max_value = largest(sequence.data_type),
        _ => sequence.max_value = -1,
    }
    match options.min_value {
        Some(Some(value)) => sequence.min_value = value,
        None if !is_new && !reset_min => {}
        _ if !goes_up || reset_min => sequence.min_value = smallest(sequence.data_type),
        _ => sequence.min_value = 1,
    }
    match options.start {
        Some(start) => sequence.start = start,
        None if !is_new => {}
        None => sequence.start = if goes_up { sequence.min_value } else { sequence.max_value },
    }
    check_bounds(&sequence)?;
    if let Some(cache) = options.cache {
        if cache <= 0 {
            return Err(invalid(format!("CACHE ({cache}) must be greater than zero")));
        }
        sequence.cache = cache;
    }
    let restart = options.restart.map(|value| SequenceState {
        last_value: value.unwrap_or(sequence.start),
        is_called: false,
    });
    restart.map_or(Ok(()), |state| sequence.check_holds(state))?;
    Ok((sequence, restart))
}

fn check_bounds(sequence: &SequenceDef) -> Result<()> {
    let SequenceDef { data_type, start, min_value: min, max_value: max, .. } = sequence;
    let fits = |value: &i64| (smallest(*data_type)..=largest(*data_type)).contains(value);
    if !fits(max) {
        let message =
            format!("MAXVALUE ({max}) is out of range for sequence data type {data_type}");
        return Err(invalid(message));
    }
    if !fits(min) {
        let message =
            format!("MINVALUE ({min}) is out of range for sequence data type {data_type}");
        return Err(invalid(message));
    }
    if min >= max {
        return Err(invalid(format!("MINVALUE ({min}) must be less than MAXVALUE ({max})")));
    }
    if start < min {
        return Err(invalid(format!("START value ({start}) cannot be less than MINVALUE ({min})")));
    }
    if start > max {
        let message = format!("START value ({start}) cannot be greater than MAXVALUE ({max})");
        return Err(invalid(message));
    }
    Ok(())
}

fn invalid(message: String) -> ErrorReport {
    ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// The type, if a sequence can have it.
fn integer(data_type: SqlType, of: &str) -> Result<SqlType> {
    match data_type {
        SqlType::SmallInt | SqlType::Integer | SqlType::BigInt => Ok(data_type),
        _ => Err(invalid(format!("{of} type must be smallint, integer, or bigint"))),
    }
}

/// The sequence of an identity column of this type, without a name and an owner.
pub(super) fn of_identity(
    schema: &str,
    data_type: SqlType,
    options: &SequenceOptions,
) -> Result<SequenceDef> {
    let data_type = integer(data_type, "identity column")?;
    let new = SequenceDef::new(schema, "", data_type);
    with_options(new, options, Origin::New("identity column")).map(|(sequence, _)| sequence)
}

/// The table and column of OWNED BY.
pub(super) fn owned_by(
    sequence: &SequenceDef,
    owner: Option<&(QualifiedName, Identifier)>,
    catalog: &Catalog,
    search_path: &[String],
) -> Result<Option<(u64, u32)>> {
    let Some((table, column)) = owner else { return Ok(None) };
    let table = match find_relation(catalog, search_path, table) {
        Some(Found::Table(table)) => table,
        Some(Found::View(view)) => {
            let message = format!("sequence cannot be owned by relation \"{}\"", view.name);
            return Err(ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message)
                .detail("This operation is not supported for views."));
        }
        None => {
            let message = format!("relation \"{table}\" does not exist");
            return Err(ErrorReport::new(SqlState::UNDEFINED_TABLE, message));
        }
    };
    if table.schema_name != sequence.schema_name {
        let message = "sequence must be in same schema as table it is linked to";
        return Err(ErrorReport::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
    }
    let column = table.column(&column.name).ok_or_else(|| {
        let message =
            format!("column \"{}\" of relation \"{}\" does not exist", column.name, table.name);
        ErrorReport::new(SqlState::UNDEFINED_COLUMN, message)
    })?;
    Ok(Some((table.id, column.id)))
}

/// A default as the catalog keeps it: one that takes a value of a sequence names it with its schema.
///
/// Errors: 42P01 and 42809 for what is no sequence.
pub(super) fn resolved_default(
    default: &str,
    catalog: &Catalog,
    search_path: &[String],
) -> Result<String> {
    let Some(name) = sequence_of(default) else { return Ok(default.into()) };
    match find_sequence(catalog, search_path, &name) {
        Some(sequence) => Ok(default_of(&sequence.schema_name, &sequence.name)),
        None => Err(no_sequence(&name, catalog, search_path)),
    }
}

/// Why a name is no sequence.
pub(super) fn no_sequence(
    name: &QualifiedName,
    catalog: &Catalog,
    search_path: &[String],
) -> ErrorReport {
    if find_relation(catalog, search_path, name).is_some() {
        let message = format!("\"{}\" is not a sequence", name.name);
        return ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message);
    }
    let message = format!("relation \"{name}\" does not exist");
    ErrorReport::new(SqlState::UNDEFINED_TABLE, message)
}
