//! Which columns distribute a table. The rules are Greenplum's (`transformDistributedBy`,
//! parser/parse_utilcmd.c; docs: "CREATE TABLE", DISTRIBUTED).

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::columns::is_system_column;
use crate::{
    catalog::{ColumnDef, Distribution, KeyDef},
    parse::{DistributedBy, Identifier},
};

const PRODUCT: &str = "Kestrel";

const KEY_HINT: &str = "The 'DISTRIBUTED BY' clause determines the distribution of data. Make \
                        sure column(s) chosen are the optimal data distribution key to minimize \
                        skew.";

/// What a table's distribution depends on.
pub(super) struct Declared<'a> {
    /// The clause.
    pub(super) clause: Option<&'a DistributedBy>,
    /// All columns.
    pub(super) columns: &'a [ColumnDef],
    /// PRIMARY KEY
    pub(super) primary_key: Option<&'a KeyDef>,
    /// UNIQUE, in order
    pub(super) unique_keys: &'a [KeyDef],
    /// Did LIKE … INCLUDING INDEXES bring all of these keys?
    pub(super) keys_are_copied: bool,
    /// The distribution of the LIKE table that begins the column list.
    pub(super) like: Option<Distribution>,
    /// How NOTICEs name the chosen column: `column named 'a'`, or CTAS's `column(s) named 'a'`.
    pub(super) column_word: &'static str,
}

impl Declared<'_> {
    /// The declared distribution, or the default one, with its NOTICE.
    pub(super) fn distribution(&self, notices: &mut Vec<ErrorReport>) -> Result<Distribution> {
        let distribution = match self.clause {
            Some(DistributedBy::Columns(columns)) => Distribution::Hash(self.key(columns)?),
            Some(DistributedBy::Replicated) => Distribution::Replicated,
            Some(DistributedBy::Randomly) => Distribution::Random,
            None => self.default(notices)?,
        };
        self.check(&distribution)?;
        Ok(distribution)
    }

    /// DISTRIBUTED BY's column ids.
    fn key(&self, names: &[Identifier]) -> Result<Vec<u32>> {
        let mut key = Vec::new();
        for name in names {
            let error = |state, message: String| {
                Err(ErrorReport::new(state, message).position(name.position))
            };
            if is_system_column(&name.name) {
                let message = format!("cannot distribute by system column \"{}\"", name.name);
                return error(SqlState::INVALID_TABLE_DEFINITION, message);
            }
            let Some(column) = self.columns.iter().find(|c| c.name == name.name) else {
                let message = format!(
                    "column \"{}\" named in 'DISTRIBUTED BY' clause does not exist",
                    name.name
                );
                return error(SqlState::UNDEFINED_COLUMN, message);
            };
            if key.contains(&column.id) {
                let message = "duplicate column in DISTRIBUTED BY clause".to_string();
                return error(SqlState::DUPLICATE_COLUMN, message);
            }
            if column.sql_type.hash_class().is_none() {
                let message = format!(
                    "data type {} has no default operator class for access method \"hash\"",
                    column.sql_type
                );
                return error(SqlState::UNDEFINED_OBJECT, message);
            }
            key.push(column.id);
        }
        Ok(key)
    }

    /// Without a clause: what all keys have in common; else as the LIKE table; else the first
    /// column that can be hashed; else anywhere.
    fn default(&self, notices: &mut Vec<ErrorReport>) -> Result<Distribution> {
        if let (true, Some(like)) = (self.keys_are_copied, &self.like) {
            notices.push(ErrorReport::notice(
                SqlState::SUCCESSFUL_COMPLETION,
                "table doesn't have 'DISTRIBUTED BY' clause, defaulting to distribution columns \
                 from LIKE table",
            ));
            return Ok(like.clone());
        }
        if let Some(key) = self.common_key()? {
            return Ok(Distribution::Hash(key));
        }
        if let Some(column) = self.columns.iter().find(|c| c.sql_type.hash_class().is_some()) {
            let message = format!(
                "Table doesn't have 'DISTRIBUTED BY' clause -- Using {} named '{}' as the \
                 {PRODUCT} data distribution key for this table.",
                self.column_word, column.name
            );
            notices
                .push(ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message).hint(KEY_HINT));
            return Ok(Distribution::Hash(vec![column.id]));
        }
        notices.push(ErrorReport::notice(
            SqlState::UNDEFINED_OBJECT,
            "Table doesn't have 'DISTRIBUTED BY' clause, and no column type is suitable for a \
             distribution key. Creating a NULL policy entry.",
        ));
        Ok(Distribution::Random)
    }

    /// The columns that PRIMARY KEY and every UNIQUE constraint share, in the last one's order.
    fn common_key(&self) -> Result<Option<Vec<u32>>> {
        let mut common: Option<Vec<u32>> = None;
        for key in self.primary_key.into_iter().chain(self.unique_keys) {
            let shared: Vec<u32> = match &common {
                None => key.columns.clone(),
                Some(common) => {
                    key.columns.iter().copied().filter(|id| common.contains(id)).collect()
                }
            };
            if shared.is_empty() {
                return Err(ErrorReport::new(
                    SqlState::INVALID_TABLE_DEFINITION,
                    "UNIQUE or PRIMARY KEY definitions are incompatible with each other",
                )
                .hint(
                    "When there are multiple PRIMARY KEY / UNIQUE constraints, they must have at \
                     least one column in common.",
                ));
            }
            common = Some(shared);
        }
        Ok(common)
    }

    /// Rows with equal keys must meet on one datanode, or no datanode could tell that they are
    /// equal.
    pub(super) fn check(&self, distribution: &Distribution) -> Result<()> {
        let keys = self
            .primary_key
            .into_iter()
            .map(|key| ("PRIMARY KEY", "PRIMARY KEY", "a PRIMARY KEY", key))
            .chain(
                self.unique_keys
                    .iter()
                    .map(|key| ("UNIQUE", "UNIQUE constraint", "a UNIQUE constraint", key)),
            );
        for (short, name, with_article, key) in keys {
            let (message, hint) = match distribution {
                Distribution::Hash(columns)
                    if columns.iter().any(|id| !key.columns.contains(id)) =>
                {
                    let message = format!("{name} and DISTRIBUTED BY definitions are incompatible");
                    let hint = format!(
                        "When there is both {with_article} and a DISTRIBUTED BY clause, the \
                         DISTRIBUTED BY clause must be a subset of the {name}."
                    );
                    (message, Some(hint))
                }
                Distribution::Random => {
                    (format!("{short} and DISTRIBUTED RANDOMLY are incompatible"), None)
                }
                Distribution::Hash(_) | Distribution::Replicated => continue,
            };
            let error = ErrorReport::new(SqlState::INVALID_TABLE_DEFINITION, message);
            return Err(ErrorReport { hint, ..error });
        }
        Ok(())
    }
}
