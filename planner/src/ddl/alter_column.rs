//! The actions of ALTER TABLE on columns. No file is written again: a column is found in a file by
//! its id, and what a file does not have is NULL or the column's first default.

use datafusion::sql::sqlparser::ast;
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    RowCheck,
    alter::{Altered, change},
    check,
    columns::{self, Context, is_system_column},
    dependents::{self, Dependent, Object},
    drop_sequence::counting,
    sequence,
};
use crate::{
    catalog::{ColumnDef, Distribution, SequenceDef, SqlType, TableDef, default_of},
    parse::{self, ColumnClause, Identifier, quote},
};

/// The column that a clause adds to the table, and its sequence; `None`, with a NOTICE: it is
/// there, and that is all right.
pub(super) fn added(
    clause: &ColumnClause,
    table: &TableDef,
    if_not_exists: bool,
    context: &mut Context<'_, '_>,
) -> Result<Option<(ColumnDef, Vec<SequenceDef>)>> {
    let name = &clause.name.name;
    if table.column(name).is_some() {
        let message = format!("column \"{name}\" of relation \"{}\" already exists", table.name);
        if !if_not_exists {
            return Err(ErrorReport::new(SqlState::DUPLICATE_COLUMN, message));
        }
        let message = format!("{message}, skipping");
        context.notices.push(ErrorReport::notice(SqlState::DUPLICATE_COLUMN, message));
        return Ok(None);
    }
    let new = columns::of_clause(clause, context)?;
    let column = new.columns.into_iter().next();
    let column = column.ok_or_else(|| ErrorReport::internal("a column clause made no column"))?;
    Ok(Some((ColumnDef { id: table.next_column_id(), ..column }, new.sequences)))
}

/// RENAME COLUMN
pub(super) fn rename(
    columns: &mut [ColumnDef],
    relation: &str,
    from: &Identifier,
    to: &Identifier,
) -> Result<()> {
    let error = |state, message: String| Err(ErrorReport::new(state, message));
    let (from, to) = (from.name.as_str(), to.name.as_str());
    let Some(at) = columns.iter().position(|c| c.name == from) else {
        return error(SqlState::UNDEFINED_COLUMN, format!("column \"{from}\" does not exist"));
    };
    if is_system_column(to) {
        let message = format!("column name \"{to}\" conflicts with a system column name");
        return error(SqlState::DUPLICATE_COLUMN, message);
    }
    if columns.iter().any(|c| c.name == to) {
        let message = format!("column \"{to}\" of relation \"{relation}\" already exists");
        return error(SqlState::DUPLICATE_COLUMN, message);
    }
    columns[at].name = to.into();
    Ok(())
}

impl Altered<'_> {
    /// The position of a column; 42703.
    pub(super) fn position(&self, column: &Identifier) -> Result<usize> {
        let found = self.table.columns.iter().position(|c| c.name == column.name);
        found.ok_or_else(|| ErrorReport::new(SqlState::UNDEFINED_COLUMN, self.missing(column)))
    }

    fn missing(&self, column: &Identifier) -> String {
        format!("column \"{}\" of relation \"{}\" does not exist", column.name, self.table.name)
    }

    /// Adds a column. NULL is in the rows that are there, unless it has a default: then NOT NULL
    /// needs no look at them.
    pub(super) fn take_column(&mut self, column: ColumnDef) {
        self.table.last_column_id = column.id;
        if column.not_null && column.default.is_none() {
            self.row_checks.push(RowCheck::NotNull { table: self.table.id, column: column.id });
        }
        self.table.columns.push(column);
    }

    pub(super) fn rename_column(&mut self, from: &Identifier, to: &Identifier) -> Result<()> {
        let name = self.table.name.clone();
        let id = self.table.column(&from.name).map(|column| column.id);
        rename(&mut self.table.columns, &name, from, to)?;
        for check in &mut self.table.checks {
            if id.is_some_and(|id| check.columns.contains(&id)) {
                check.condition = check::renamed(&check.condition, &from.name, &to.name)?;
            }
        }
        Ok(())
    }

    /// SET DEFAULT; `None`: DROP DEFAULT
    pub(super) fn set_default(&mut self, column: &Identifier, default: Option<&str>) -> Result<()> {
        let at = self.position(column)?;
        let hint = "Use ALTER TABLE ... ALTER COLUMN ... DROP IDENTITY instead.";
        self.check_not_identity(at, default.is_none().then_some(hint))?;
        let resolve = |default| sequence::resolved_default(default, self.catalog, self.search_path);
        self.table.columns[at].default = default.map(resolve).transpose()?;
        Ok(())
    }

    pub(super) fn set_not_null(&mut self, column: &Identifier, not_null: bool) -> Result<()> {
        let at = self.position(column)?;
        if !not_null {
            self.check_not_identity(at, None)?;
        }
        let id = self.table.columns[at].id;
        let key = self.table.primary_key.as_ref();
        if !not_null && key.is_some_and(|key| key.columns.contains(&id)) {
            let message = format!("column \"{}\" is in a primary key", column.name);
            return Err(ErrorReport::new(SqlState::INVALID_TABLE_DEFINITION, message));
        }
        if not_null && !self.table.columns[at].not_null {
            self.row_checks.push(RowCheck::NotNull { table: self.table.id, column: id });
        }
        self.table.columns[at].not_null = not_null;
        Ok(())
    }

    /// Indexes, keys and conditions on the column go with it, as in PostgreSQL, and the order of rows
    /// by it.
    pub(super) fn drop_column(
        &mut self,
        column: &Identifier,
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        if if_exists && self.table.column(&column.name).is_none() {
            let message = format!("{}, skipping", self.missing(column));
            self.notices.push(ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message));
            return Ok(());
        }
        let at = self.position(column)?;
        let id = self.table.columns[at].id;
        self.check_not_key(column, id)?;
        if self.table.columns.len() == 1 {
            return Err(ErrorReport::unsupported("tables without columns are not supported"));
        }
        self.drop_dependents(column, id, cascade)?;
        let table = &mut self.table;
        table.last_column_id = table.next_column_id() - 1;
        table.columns.remove(at);
        table.missing_values.remove(&id);
        let has = |columns: &[u32]| columns.contains(&id);
        table.primary_key.take_if(|key| has(&key.columns));
        table.unique_keys.retain(|key| !has(&key.columns));
        table.indexes.retain(|index| !has(&index.key.columns));
        table.checks.retain(|check| !has(&check.columns));
        table.extended_statistics.retain(|statistics| !has(&statistics.columns));
        self.uncluster(id);
        Ok(())
    }

    fn check_not_key(&self, column: &Identifier, id: u32) -> Result<()> {
        match &self.table.distribution {
            Distribution::Hash(key) if key.contains(&id) => {
                let message = format!(
                    "cannot drop column \"{}\" of the distribution key of table \"{}\"",
                    column.name, self.table.name
                );
                Err(ErrorReport::unsupported(message).hint(
                    "Make a table with another key: CREATE TABLE new AS SELECT ... FROM old \
                     DISTRIBUTED BY (...).",
                ))
            }
            Distribution::Hash(_) | Distribution::Replicated | Distribution::Random => Ok(()),
        }
    }

    /// The views that need the column, and those that read these; the defaults that count with the
    /// column's sequence.
    fn drop_dependents(&mut self, column: &Identifier, id: u32, cascade: bool) -> Result<()> {
        let (catalog, path) = (self.catalog, self.search_path);
        let table = self.table.id;
        let Some(object) = Object::relation(catalog, path, table) else { return Ok(()) };
        let on = Object {
            id: 0,
            description: format!("column {} of {}", quote(&column.name), object.description),
        };
        let sequence: Vec<&SequenceDef> = catalog.owned_sequence(table, id).into_iter().collect();
        let stays = |t: &TableDef, c: &ColumnDef| (t.id, c.id) != (table, id);
        let (mut all, mut changed) = counting(&sequence, (catalog, path), &stays);
        let readers = catalog.views.values().filter(|v| v.uses_column(table, id));
        let readers: Vec<Object> =
            readers.filter_map(|v| Object::relation(catalog, path, v.id)).collect();
        let mut views: Vec<Dependent> =
            readers.iter().map(|o| Dependent { object: o.clone(), on: on.clone() }).collect();
        views.extend(dependents::views(&readers, catalog, path));
        let drops: Vec<_> = views.iter().map(|view| view.object.drop(catalog)).collect();
        all.extend(views);
        dependents::settle(std::slice::from_ref(&on), &all, cascade, &mut self.notices)?;
        changed.remove(&table);
        for sequence in sequence {
            let default = default_of(&sequence.schema_name, &sequence.name);
            let own =
                self.table.columns.iter_mut().filter(|c| c.default.as_ref() == Some(&default));
            own.for_each(|column| column.default = None);
        }
        let others = changed.into_values().map(|(old, new)| change(&old, new));
        let new = others.chain(drops).filter(|change| !self.dropped.contains(change));
        let new: Vec<_> = new.collect();
        self.dropped.extend(new);
        Ok(())
    }

    /// Only where every value of the old type is read as the same one of the new type.
    pub(super) fn set_type(
        &mut self,
        column: &Identifier,
        data_type: &ast::DataType,
        position: u32,
        has_using: bool,
    ) -> Result<()> {
        let at = self.position(column)?;
        let (id, old) = (self.table.columns[at].id, self.table.columns[at].sql_type);
        let new = parse::sql_type(data_type)
            .map_err(|e| ErrorReport { position: e.position.or(Some(position)), ..e })?;
        let reader = self.catalog.views.values().find(|v| v.uses_column(self.table.id, id));
        if let Some(view) = reader {
            let message = "cannot alter type of a column used by a view or rule";
            return Err(ErrorReport::unsupported(message).detail(format!(
                "rule _RETURN on view {} depends on column \"{}\"",
                view.name, column.name
            )));
        }
        if has_using || !is_wider(old, new) {
            let message = format!(
                "changing the type of column \"{}\" from {old} to {new} is not supported",
                column.name
            );
            return Err(ErrorReport::unsupported(message).hint(format!(
                "It would write all rows again. Do that with CREATE TABLE new AS SELECT ..., \
                 {}::{new} FROM {}, then drop the old table and rename the new one.",
                quote(&column.name),
                quote(&self.table.name)
            )));
        }
        self.table.columns[at].sql_type = new;
        Ok(())
    }
}

/// Is every value of the old type, as files have it, the same value of the new type?
fn is_wider(old: SqlType, new: SqlType) -> bool {
    use SqlType::{BigInt, Integer, Numeric, SmallInt, Text, Varchar};
    match (old, new) {
        (old, new) if old == new => true,
        (SmallInt, Integer | BigInt) | (Integer, BigInt) => true,
        (Numeric(precision, scale), Numeric(new_precision, new_scale)) => {
            new_precision >= precision && new_scale == scale
        }
        (Varchar(_), Text | Varchar(None)) | (Text, Varchar(None)) => true,
        (Varchar(Some(length)), Varchar(Some(new_length))) => new_length >= length,
        _ => false,
    }
}
