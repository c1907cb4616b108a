//! The actions of ALTER TABLE on identity columns (PostgreSQL's `ATExecAddIdentity` and its like,
//! commands/tablecmds.c).

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{alter::Altered, alter_sequence, names::RelationNames, sequence};
use crate::{
    catalog::{CatalogChange, Identity, SequenceDef, default_of},
    parse::{Identifier, IdentityClause, SequenceOptions},
};

impl Altered<'_> {
    /// ADD GENERATED … AS IDENTITY
    pub(super) fn add_identity(
        &mut self,
        name: &Identifier,
        clause: &IdentityClause,
    ) -> Result<()> {
        let at = self.position(name)?;
        let schema = self.table.schema_name.clone();
        let column = &self.table.columns[at];
        let sequence = sequence::of_identity(&schema, column.sql_type, &clause.options)?;
        let what = if !column.not_null {
            "must be declared NOT NULL before identity can be added"
        } else if column.identity.is_some() {
            "is already an identity column"
        } else if column.default.is_some() {
            "already has a default value"
        } else {
            let mut names = RelationNames::new(self.catalog, &schema);
            let name = names.choose(&self.table.name, &name.name, "seq");
            let default = default_of(&schema, &name);
            let owned_by = Some((self.table.id, column.id));
            let id = self.take_oid();
            self.sequences.push(SequenceDef { id, name, owned_by, ..sequence });
            let column = &mut self.table.columns[at];
            (column.default, column.identity) = (Some(default), Some(clause.identity));
            return Ok(());
        };
        Err(self.not_possible(name, what))
    }

    /// SET GENERATED, SET option, RESTART
    pub(super) fn alter_identity(
        &mut self,
        name: &Identifier,
        identity: Option<Identity>,
        options: &SequenceOptions,
    ) -> Result<()> {
        let at = self.position(name)?;
        let column = &mut self.table.columns[at];
        if column.identity.is_none() {
            return Err(self.not_possible(name, "is not an identity column"));
        }
        column.identity = identity.or(column.identity);
        let column = column.id;
        if let Some(sequence) = self.catalog.owned_sequence(self.table.id, column) {
            let changes = alter_sequence::changes(sequence, sequence.clone(), options)?;
            self.of_sequences.extend(changes);
        }
        Ok(())
    }

    /// DROP IDENTITY
    pub(super) fn drop_identity(&mut self, name: &Identifier, if_exists: bool) -> Result<()> {
        let at = self.position(name)?;
        let column = &mut self.table.columns[at];
        if column.identity.is_none() {
            let error = self.not_possible(name, "is not an identity column");
            if !if_exists {
                return Err(error);
            }
            let message = format!("{}, skipping", error.message);
            self.notices.push(ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message));
            return Ok(());
        }
        (column.identity, column.default) = (None, None);
        let column = column.id;
        if let Some(sequence) = self.catalog.owned_sequence(self.table.id, column) {
            self.of_sequences.push(CatalogChange::DropSequence(sequence.id));
        }
        Ok(())
    }

    /// What the column's sequence decides is not to be changed in another way.
    ///
    /// Errors: 42601 for an identity column.
    pub(super) fn check_not_identity(&self, at: usize, hint: Option<&str>) -> Result<()> {
        let column = &self.table.columns[at];
        if column.identity.is_none() {
            return Ok(());
        }
        let message = format!(
            "column \"{}\" of relation \"{}\" is an identity column",
            column.name, self.table.name
        );
        let error = ErrorReport::new(SqlState::SYNTAX_ERROR, message);
        Err(ErrorReport { hint: hint.map(String::from), ..error })
    }

    fn not_possible(&self, column: &Identifier, what: &str) -> ErrorReport {
        let (column, table) = (&column.name, &self.table.name);
        let message = format!("column \"{column}\" of relation \"{table}\" {what}");
        ErrorReport::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
    }
}
