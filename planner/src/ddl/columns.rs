//! A new table's columns: from their clauses, from LIKE tables, from a query.

use datafusion::sql::sqlparser::ast::{DataType, ExactNumberInfo};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{keys::KeyRequest, names::RelationNames, sequence};
use crate::{
    catalog::{
        Catalog, ColumnDef, Distribution, Identity, SequenceDef, SqlType, TableDef, default_of,
        resolve_table,
    },
    parse::{
        self, ColumnClause, ColumnType, CreateTable, IdentityClause, LikeClause, QualifiedName,
        SerialType, TableElement,
    },
};

/// PostgreSQL's MaxHeapAttributeNumber.
const MAX_COLUMNS: usize = 1600;

/// PostgreSQL's system columns, and Greenplum's `gp_segment_id`, which every table has.
const SYSTEM_COLUMNS: &[&str] =
    &["tableoid", "cmax", "xmax", "cmin", "xmin", "ctid", "gp_segment_id"];

pub(super) fn is_system_column(name: &str) -> bool {
    SYSTEM_COLUMNS.contains(&name)
}

/// Columns as they are read, and what came with them.
#[derive(Default)]
pub(super) struct NewColumns {
    pub(super) columns: Vec<ColumnDef>,
    /// The sequences of serial columns; their ids and owner's id are yet to be given.
    pub(super) sequences: Vec<SequenceDef>,
    /// Keys that LIKE … INCLUDING INDEXES copies.
    pub(super) keys: Vec<KeyRequest>,
    /// The clustering columns that LIKE … INCLUDING STORAGE copies.
    pub(super) cluster_by: Vec<u32>,
    /// The distribution of the LIKE table that begins the list.
    pub(super) like: Option<Distribution>,
}

/// What the columns of a table are read with.
pub(super) struct Context<'a, 'b> {
    pub(super) catalog: &'a Catalog,
    pub(super) search_path: &'a [String],
    pub(super) schema: &'a str,
    pub(super) table: &'a str,
    pub(super) names: &'b mut RelationNames<'a>,
    pub(super) notices: &'b mut Vec<ErrorReport>,
}

/// The columns of CREATE TABLE.
pub(super) fn of_clauses(table: &CreateTable, context: &mut Context<'_, '_>) -> Result<NewColumns> {
    let mut new = NewColumns::default();
    for element in &table.elements {
        match element {
            TableElement::Column(clause) => new.add_clause(clause, context)?,
            TableElement::Like(like) => new.add_like(like, context)?,
            TableElement::PrimaryKey(_)
            | TableElement::Unique(_)
            | TableElement::Check(_)
            | TableElement::ForeignKey(_) => {}
        }
    }
    new.check_count()?;
    Ok(new)
}

/// One column, of ALTER TABLE … ADD COLUMN.
pub(super) fn of_clause(
    clause: &ColumnClause,
    context: &mut Context<'_, '_>,
) -> Result<NewColumns> {
    let mut new = NewColumns::default();
    new.add_clause(clause, context)?;
    Ok(new)
}

/// The columns of a query's result.
pub(super) fn of_query(columns: &[(String, SqlType)]) -> Result<Vec<ColumnDef>> {
    let mut new = NewColumns::default();
    for (name, sql_type) in columns {
        new.add(name, *sql_type, None)?;
    }
    new.check_count()?;
    Ok(new.columns)
}

impl NewColumns {
    fn add(
        &mut self,
        name: &str,
        sql_type: SqlType,
        position: Option<u32>,
    ) -> Result<&mut ColumnDef> {
        if sql_type.element().is_some() {
            let message = format!("column \"{name}\" has type {sql_type}, which no table can hold");
            let report = ErrorReport::unsupported(message)
                .hint("Arrays are for expressions and results. Store jsonb, or a row per element.");
            return Err(ErrorReport { position, ..report });
        }
        let message = if is_system_column(name) {
            format!("column name \"{name}\" conflicts with a system column name")
        } else if self.columns.iter().any(|c| c.name == name) {
            format!("column \"{name}\" specified more than once")
        } else {
            let id = self.columns.len() as u32 + 1;
            self.columns.push(ColumnDef {
                id,
                name: name.into(),
                sql_type,
                not_null: false,
                default: None,
                identity: None,
            });
            let last = self.columns.len() - 1;
            return Ok(&mut self.columns[last]);
        };
        let error = ErrorReport::new(SqlState::DUPLICATE_COLUMN, message);
        Err(ErrorReport { position, ..error })
    }

    fn check_count(&self) -> Result<()> {
        if self.columns.is_empty() {
            return Err(ErrorReport::unsupported("tables without columns are not supported"));
        }
        if self.columns.len() > MAX_COLUMNS {
            let message = format!("tables can have at most {MAX_COLUMNS} columns");
            return Err(ErrorReport::new(SqlState::TOO_MANY_COLUMNS, message));
        }
        Ok(())
    }

    fn add_clause(&mut self, clause: &ColumnClause, context: &mut Context<'_, '_>) -> Result<()> {
        let sql_type = match &clause.data_type {
            ColumnType::Serial(serial) => integer_type(*serial),
            ColumnType::Declared(data_type) => {
                if is_numeric_without_precision(data_type) {
                    context.notices.push(numeric_notice(&clause.name.name));
                }
                parse::sql_type(data_type).map_err(|e| ErrorReport {
                    position: e.position.or(Some(clause.type_position)),
                    ..e
                })?
            }
        };
        if let Some(collation) = &clause.collation {
            check_collation(collation, sql_type)?;
        }
        let column = self.add(&clause.name.name, sql_type, Some(clause.name.position))?;
        column.not_null = clause.not_null == Some(true);
        if let Some(default) = &clause.default {
            let (catalog, path) = (context.catalog, context.search_path);
            column.default = Some(sequence::resolved_default(default, catalog, path)?);
        }
        if let ColumnType::Serial(serial) = &clause.data_type {
            self.make_serial(clause, *serial, context)?;
        }
        if let Some(identity) = &clause.identity {
            self.make_identity(clause, identity, sql_type, context)?;
        }
        Ok(())
    }

    /// The last column counts: a sequence is its default, and NULL is none of its values.
    fn make_serial(
        &mut self,
        clause: &ColumnClause,
        serial: SerialType,
        context: &mut Context<'_, '_>,
    ) -> Result<()> {
        let (name, table) = (&clause.name.name, context.table);
        let conflict = |what: &str| {
            let message = format!("{what} for column \"{name}\" of table \"{table}\"");
            Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message).position(clause.type_position))
        };
        if clause.not_null == Some(false) {
            return conflict("conflicting NULL/NOT NULL declarations");
        }
        if clause.default.is_some() {
            return conflict("multiple default values specified");
        }
        let sequence = SequenceDef::new(context.schema, "", integer_type(serial));
        self.count(sequence, context);
        Ok(())
    }

    /// The same for an identity column.
    fn make_identity(
        &mut self,
        clause: &ColumnClause,
        identity: &IdentityClause,
        sql_type: SqlType,
        context: &mut Context<'_, '_>,
    ) -> Result<()> {
        let (name, table) = (&clause.name.name, context.table);
        let conflict = |what: &str| {
            let message = format!("{what} for column \"{name}\" of table \"{table}\"");
            Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message).position(identity.position))
        };
        if matches!(clause.data_type, ColumnType::Serial(_)) || clause.default.is_some() {
            return conflict("both default and identity specified");
        }
        if clause.not_null == Some(false) {
            return conflict("conflicting NULL/NOT NULL declarations");
        }
        let sequence = sequence::of_identity(context.schema, sql_type, &identity.options)?;
        self.count(sequence, context);
        if let Some(column) = self.columns.last_mut() {
            column.identity = Some(identity.identity);
        }
        Ok(())
    }

    /// The last column takes its values from a sequence of its own, which gets a name here.
    fn count(&mut self, sequence: SequenceDef, context: &mut Context<'_, '_>) {
        let Some(column) = self.columns.last_mut() else { return };
        let name = context.names.choose(context.table, &column.name, "seq");
        column.not_null = true;
        column.default = Some(default_of(context.schema, &name));
        self.sequences.push(SequenceDef { name, owned_by: Some((0, column.id)), ..sequence });
    }

    fn add_like(&mut self, like: &LikeClause, context: &mut Context<'_, '_>) -> Result<()> {
        let source = resolve_table(context.catalog, context.search_path, &like.table)?;
        let first_id = self.columns.len() as u32;
        for column in &source.columns {
            let copy = self.add(&column.name, column.sql_type, like.table.position)?;
            copy.not_null = column.not_null;
            match column.identity {
                None => copy.default = column.default.clone().filter(|_| like.defaults),
                Some(identity) if like.identity => {
                    self.copy_identity(source, column, identity, context)
                }
                Some(_) => {}
            }
        }
        // Dropped columns leave holes in the source's ids, but not in the copy's.
        let new_id = |id: &u32| source.column_index(*id).map(|index| first_id + index as u32 + 1);
        if first_id == 0 {
            self.like = Some(match &source.distribution {
                Distribution::Hash(key) => {
                    Distribution::Hash(key.iter().filter_map(new_id).collect())
                }
                other => other.clone(),
            });
        }
        if like.storage && !source.cluster_by.is_empty() {
            self.cluster_by = source.cluster_by.iter().filter_map(new_id).collect();
        }
        if like.indexes {
            self.keys.extend(copied_keys(source, new_id));
        }
        Ok(())
    }
}

impl NewColumns {
    /// The last column counts as another table's identity column does.
    fn copy_identity(
        &mut self,
        source: &TableDef,
        column: &ColumnDef,
        identity: Identity,
        context: &mut Context<'_, '_>,
    ) {
        let Some(sequence) = context.catalog.owned_sequence(source.id, column.id) else { return };
        self.count(SequenceDef { schema_name: context.schema.into(), ..sequence.clone() }, context);
        if let Some(column) = self.columns.last_mut() {
            column.identity = Some(identity);
        }
    }
}

fn copied_keys(source: &TableDef, new_id: impl Fn(&u32) -> Option<u32>) -> Vec<KeyRequest> {
    let primary = source.primary_key.iter().map(|key| (true, key));
    let unique = source.unique_keys.iter().map(|key| (false, key));
    let copy = |(is_primary, columns): (bool, &[u32])| KeyRequest {
        name: None,
        is_primary,
        columns: columns.iter().filter_map(&new_id).collect(),
    };
    primary.chain(unique).map(|(is_primary, key)| copy((is_primary, &key.columns))).collect()
}

fn integer_type(serial: SerialType) -> SqlType {
    match serial {
        SerialType::Small => SqlType::SmallInt,
        SerialType::Integer => SqlType::Integer,
        SerialType::Big => SqlType::BigInt,
    }
}

fn is_numeric_without_precision(data_type: &DataType) -> bool {
    match data_type {
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => {
            *info == ExactNumberInfo::None
        }
        DataType::Custom(_, modifiers) => {
            modifiers.is_empty() && parse::sql_type(data_type) == Ok(SqlType::Numeric(38, 10))
        }
        _ => false,
    }
}

fn numeric_notice(column: &str) -> ErrorReport {
    ErrorReport::notice(
        SqlState::SUCCESSFUL_COMPLETION,
        format!("column \"{column}\": numeric without precision is numeric(38,10)"),
    )
    .hint("Declare the precision and scale that the column needs: numeric(precision, scale).")
}

/// Text compares byte by byte; other collations would sort and compare in other ways.
fn check_collation(collation: &QualifiedName, sql_type: SqlType) -> Result<()> {
    let is_text =
        matches!(sql_type, SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) | SqlType::Name);
    let error = |state, message| collation.locate(ErrorReport::new(state, message));
    if !is_text {
        let message = format!("collations are not supported by type {sql_type}");
        return Err(error(SqlState::DATATYPE_MISMATCH, message));
    }
    let is_system = collation.schema.as_deref().is_none_or(|schema| schema == "pg_catalog");
    let known = ["C", "POSIX", "default", "ucs_basic", "C.utf8", "C.UTF-8"];
    if !is_system || !known.contains(&collation.name.as_str()) {
        let message = format!("collation \"{collation}\" for encoding \"UTF8\" does not exist");
        return Err(error(SqlState::UNDEFINED_OBJECT, message)
            .hint("Text compares as in collation \"C\". Leave COLLATE out, or use \"C\"."));
    }
    Ok(())
}
