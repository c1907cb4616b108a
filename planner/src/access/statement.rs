//! What a DDL statement names, checked before it is planned: who may not look into a schema is not
//! told what is there, and who does not own a table is not told what is wrong with the statement.

use kestrel_proto::Result;

use super::{Actor, check_schema, check_table, denied::not_same_owner};
use crate::{
    catalog::{
        Catalog, ColumnDef, Found, Privilege, SequenceDef, find_relation, find_sequence, find_table,
    },
    parse::{
        AlterAction, CommentTarget, CreateSequence, CreateTable, DdlStatement, QualifiedName,
        TableElement,
    },
};

/// Checks a statement of this role. What it passes is checked again as changes, with all that
/// follows from it: [`super::check_changes`].
///
/// Errors: 42501.
pub fn check_statement(
    statement: &DdlStatement,
    catalog: &Catalog,
    search_path: &[String],
    role: u64,
) -> Result<()> {
    let check = Check { actor: Actor::new(catalog, role), search_path };
    if let DdlStatement::CreateSequence(create) = statement {
        check.owner_of_columns(create)?;
    }
    if check.actor.is_superuser() {
        return Ok(());
    }
    match statement {
        DdlStatement::CreateTable(table) => {
            check.schema(&table.name)?;
            check.elements(table)
        }
        DdlStatement::DropTable(drop) => drop.tables.iter().try_for_each(|n| check.dropped(n)),
        DdlStatement::DropView(drop) => drop.views.iter().try_for_each(|n| check.dropped(n)),
        DdlStatement::Truncate(truncate) => {
            truncate.tables.iter().try_for_each(|n| check.schema(n))
        }
        DdlStatement::AlterTable(alter) => {
            check.owned(&alter.name)?;
            alter.actions.iter().try_for_each(|action| match action {
                AlterAction::Add { elements, .. } => check.elements(elements),
                _ => Ok(()),
            })
        }
        DdlStatement::CreateIndex(create) => check.owned(&create.table),
        DdlStatement::DropIndex(drop) => drop.indexes.iter().try_for_each(|n| check.schema(n)),
        DdlStatement::CreateStatistics(create) => check.owned(&create.table),
        DdlStatement::DropStatistics(drop) => drop.names.iter().try_for_each(|n| check.schema(n)),
        DdlStatement::AlterIndex(alter) => check.schema(&alter.name),
        DdlStatement::CreateSequence(create) => check.schema(&create.name),
        DdlStatement::AlterSequence(alter) => check.owned_sequence(&alter.name),
        DdlStatement::DropSequence(drop) => {
            drop.sequences.iter().try_for_each(|name| check.dropped_sequence(name))
        }
        DdlStatement::Comment(comment) => match &comment.target {
            CommentTarget::Table(name)
            | CommentTarget::View(name)
            | CommentTarget::Column(name, _) => check.owned(name),
            CommentTarget::Index(name) | CommentTarget::Sequence(name) => check.schema(name),
            CommentTarget::Schema(_) | CommentTarget::Database(_) => Ok(()),
        },
        DdlStatement::DropSchema(drop) => {
            drop.names.iter().try_for_each(|name| check.owned_schema(&name.name))
        }
        DdlStatement::AlterSchema(alter) => check.owned_schema(&alter.name.name),
        DdlStatement::CreateSchema(_) => Ok(()),
    }
}

struct Check<'a> {
    actor: Actor<'a>,
    search_path: &'a [String],
}

impl Check<'_> {
    fn schema(&self, name: &QualifiedName) -> Result<()> {
        match &name.schema {
            Some(schema) => check_schema(schema, self.actor.catalog, self.actor.role),
            None => Ok(()),
        }
    }

    fn find(&self, name: &QualifiedName) -> Result<Option<Found<'_>>> {
        self.schema(name)?;
        Ok(find_relation(self.actor.catalog, self.search_path, name))
    }

    fn owned(&self, name: &QualifiedName) -> Result<()> {
        self.find(name)?.map_or(Ok(()), |found| self.actor.must_own(found.id()))
    }

    fn owned_schema(&self, name: &str) -> Result<()> {
        let found = self.actor.catalog.schemas.get(name);
        found.map_or(Ok(()), |schema| self.actor.must_own(schema.id))
    }

    /// The owner of the schema may drop what is in it.
    fn dropped(&self, name: &QualifiedName) -> Result<()> {
        let Some(found) = self.find(name)? else { return Ok(()) };
        let schema = match found {
            Found::Table(table) => &table.schema_name,
            Found::View(view) => &view.schema_name,
        };
        match self.actor.catalog.schemas.get(schema) {
            Some(schema) if self.actor.owns(schema.id) => Ok(()),
            _ => self.actor.must_own(found.id()),
        }
    }

    fn find_sequence(&self, name: &QualifiedName) -> Result<Option<&SequenceDef>> {
        self.schema(name)?;
        Ok(find_sequence(self.actor.catalog, self.search_path, name))
    }

    fn owned_sequence(&self, name: &QualifiedName) -> Result<()> {
        self.find_sequence(name)?.map_or(Ok(()), |found| self.actor.must_own(found.id))
    }

    /// The owner of the schema may drop what is in it.
    fn dropped_sequence(&self, name: &QualifiedName) -> Result<()> {
        let Some(found) = self.find_sequence(name)? else { return Ok(()) };
        match self.actor.catalog.schemas.get(&found.schema_name) {
            Some(schema) if self.actor.owns(schema.id) => Ok(()),
            _ => self.actor.must_own(found.id),
        }
    }

    /// CREATE SEQUENCE … OWNED BY: superusers, too, own only what columns of their own tables do.
    fn owner_of_columns(&self, create: &CreateSequence) -> Result<()> {
        let Some(Some((table, _))) = &create.options.owned_by else { return Ok(()) };
        let found = find_table(self.actor.catalog, self.search_path, table);
        match found.is_none_or(|table| self.actor.catalog.owner(table.id) == self.actor.role) {
            true => Ok(()),
            false => Err(not_same_owner()),
        }
    }

    /// LIKE reads a table; a foreign key wants REFERENCES on the one it points at.
    fn elements(&self, table: &CreateTable) -> Result<()> {
        for element in &table.elements {
            let (name, privilege) = match element {
                TableElement::ForeignKey(key) => (&key.table, Privilege::References),
                TableElement::Like(like) => (&like.table, Privilege::Select),
                _ => continue,
            };
            self.schema(name)?;
            let catalog = self.actor.catalog;
            let Some(target) = find_table(catalog, self.search_path, name) else { continue };
            let is_needed = |column: &&ColumnDef| match element {
                TableElement::ForeignKey(key) if key.referenced.is_empty() => {
                    target.primary_key.as_ref().is_some_and(|k| k.columns.contains(&column.id))
                }
                TableElement::ForeignKey(key) => {
                    key.referenced.iter().any(|named| named.name == column.name)
                }
                _ => true,
            };
            let columns = target.columns.iter().filter(is_needed);
            let columns: Vec<u32> = columns.map(|column| column.id).collect();
            check_table(target, &columns, privilege, catalog, self.actor.role)?;
        }
        Ok(())
    }
}
