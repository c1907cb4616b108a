//! SHOW, and the modes of transactions, which are settings, too.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, StringViewArray},
    datatypes::{DataType, Field, Schema},
};
use futures::stream;
use kestrel_planner::{
    catalog::SqlType,
    error::report,
    parse::{IsolationLevel, TransactionModes, Variable},
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{ClientSession, Outcome, OutputField, RowsTag, settings::canonical_name};

impl ClientSession {
    /// SHOW of one setting, or of all with their descriptions.
    pub(super) fn show(&self, variable: &Variable) -> Result<Outcome> {
        let columns = match variable {
            Variable::Named(name) => vec![vec![self.settings.show(name)?]],
            Variable::All => {
                let mut all = self.settings.facts();
                all.retain(|setting| !setting.is_hidden);
                let column = |of: fn(&crate::system_view::SettingFacts) -> &String| {
                    all.iter().map(|setting| of(setting).clone()).collect::<Vec<_>>()
                };
                vec![column(|s| &s.name), column(|s| &s.value), column(|s| &s.description)]
            }
        };
        let fields = show_fields(variable);
        let schema = fields.iter().map(|field| Field::new(&field.name, DataType::Utf8View, false));
        let schema = Arc::new(Schema::new(schema.collect::<Vec<_>>()));
        let columns = columns
            .into_iter()
            .map(|texts| -> ArrayRef { Arc::new(StringViewArray::from_iter_values(texts)) });
        let batch = RecordBatch::try_new(schema, columns.collect()).map_err(|e| report(e.into()));
        let rows = Box::pin(stream::iter([batch]));
        Ok(Outcome::Rows { fields, rows, tag: RowsTag::Fixed("SHOW") })
    }

    /// Refuses what changes data where READ ONLY was asked for.
    pub(super) fn check_writable(&self, command: &str) -> Result<()> {
        if !self.settings.is_read_only() {
            return Ok(());
        }
        Err(ErrorReport::new(
            SqlState::READ_ONLY_SQL_TRANSACTION,
            format!("cannot execute {command} in a read-only transaction"),
        ))
    }

    /// BEGIN or SET TRANSACTION with modes (`check_XactIsoLevel` and its like in PostgreSQL's
    /// variable.c).
    ///
    /// # Errors
    /// 25001: the transaction has done something that was to be in another mode.
    pub(super) fn set_modes(&self, modes: &TransactionModes) -> Result<()> {
        let has_run = self.transaction.has_run();
        let late = |message: &str| Err(ErrorReport::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
        if let Some(level) = modes.isolation {
            let changes =
                self.settings.get("transaction_isolation").as_deref() != Some(word(level));
            if has_run && changes {
                return late("SET TRANSACTION ISOLATION LEVEL must be called before any query");
            }
        }
        if modes.read_only == Some(false) && self.settings.is_read_only() && has_run {
            return late("transaction read-write mode must be set before any query");
        }
        for (name, value) in settings_of(modes) {
            self.settings.set_local(&format!("transaction_{name}"), &[value.to_string()])?;
        }
        Ok(())
    }

    /// SET SESSION CHARACTERISTICS AS TRANSACTION.
    pub(super) fn set_default_modes(&self, modes: &TransactionModes) -> Result<()> {
        for (name, value) in settings_of(modes) {
            self.settings.set(&format!("default_transaction_{name}"), &[value.to_string()])?;
        }
        Ok(())
    }
}

/// The columns of SHOW.
pub(super) fn show_fields(variable: &Variable) -> Vec<OutputField> {
    let names = match variable {
        Variable::All => vec!["name", "setting", "description"],
        Variable::Named(name) => vec![canonical_name(name)],
    };
    let field = |name: &str| OutputField {
        name: name.into(),
        sql_type: SqlType::Text,
        table_oid: 0,
        column_number: 0,
    };
    names.into_iter().map(field).collect()
}

/// The modes that are said, as settings without their prefix.
fn settings_of(modes: &TransactionModes) -> Vec<(&'static str, &'static str)> {
    let switch = |on: bool| if on { "on" } else { "off" };
    let isolation = modes.isolation.map(|level| ("isolation", word(level)));
    let read_only = modes.read_only.map(|on| ("read_only", switch(on)));
    let deferrable = modes.deferrable.map(|on| ("deferrable", switch(on)));
    [isolation, read_only, deferrable].into_iter().flatten().collect()
}

fn word(level: IsolationLevel) -> &'static str {
    match level {
        IsolationLevel::ReadUncommitted => "read uncommitted",
        IsolationLevel::ReadCommitted => "read committed",
        IsolationLevel::RepeatableRead => "repeatable read",
        IsolationLevel::Serializable => "serializable",
    }
}
