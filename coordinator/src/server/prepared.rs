//! A session's prepared statements.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use kestrel_planner::catalog::SqlType;
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::backend::Description;
use crate::session::OutputField;

/// `unknown`: a type that is to be found out.
const UNKNOWN_OID: u32 = 705;

/// A session's prepared statements by name; the unnamed one stands under the empty name. A clone
/// costs nothing, and has them as they were.
#[derive(Clone, Debug)]
pub struct PreparedStatements<S> {
    by_name: Arc<HashMap<String, Arc<PreparedStatement<S>>>>,
}

/// A statement that was parsed once, to be run more than once.
#[derive(Clone, Debug)]
pub struct PreparedStatement<S> {
    /// The statement; `None`: the empty one.
    pub statement: Option<Arc<S>>,
    /// The text it was parsed from.
    pub sql: String,
    /// Its parameters and columns, as they were when it was prepared.
    pub description: Description,
    /// The OIDs of the parameters' types that the client declared; 0, or none: it did not.
    pub declared: Vec<u32>,
    /// When that was.
    pub prepared_at: DateTime<Utc>,
    /// By PREPARE, not by the protocol.
    pub from_sql: bool,
}

impl<S> PreparedStatement<S> {
    /// The OIDs of its parameters' types: a type that the client declared is that, also where we
    /// hold it as another.
    pub fn parameter_oids(&self) -> Vec<u32> {
        let known = self.description.parameters.iter().enumerate();
        let oid = |(at, known): (usize, &SqlType)| match self.declared.get(at) {
            None | Some(&(0 | UNKNOWN_OID)) => known.oid(),
            Some(&declared) => declared,
        };
        known.map(oid).collect()
    }
}

impl<S> Default for PreparedStatements<S> {
    fn default() -> Self {
        Self { by_name: Arc::default() }
    }
}

impl<S> PreparedStatements<S> {
    /// The statement of this name.
    ///
    /// # Errors
    /// 26000: there is none.
    pub fn get(&self, name: &str) -> Result<&Arc<PreparedStatement<S>>> {
        self.by_name.get(name).ok_or_else(|| Self::unknown(name))
    }

    /// Keeps a statement; the unnamed one takes the place of the one before.
    ///
    /// # Errors
    /// 42P05: the name is taken.
    pub fn insert(&mut self, name: &str, statement: PreparedStatement<S>) -> Result<()> {
        if !name.is_empty() && self.by_name.contains_key(name) {
            return Err(ErrorReport::new(
                SqlState::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            ));
        }
        Arc::make_mut(&mut self.by_name).insert(name.to_string(), Arc::new(statement));
        Ok(())
    }

    /// Forgets a statement; whether there was one (Close of an unknown name is no error,
    /// DEALLOCATE's is [`PreparedStatements::unknown`]).
    pub fn remove(&mut self, name: &str) -> bool {
        self.by_name.contains_key(name) && Arc::make_mut(&mut self.by_name).remove(name).is_some()
    }

    /// Forgets them all (DEALLOCATE ALL, DISCARD ALL).
    pub fn clear(&mut self) {
        self.by_name = Arc::default();
    }

    /// All of them, by name, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &PreparedStatement<S>)> {
        self.by_name.iter().map(|(name, statement)| (name.as_str(), statement.as_ref()))
    }

    /// The error for a name that is not there (26000).
    pub fn unknown(name: &str) -> ErrorReport {
        let message = match name {
            "" => "unnamed prepared statement does not exist".to_string(),
            name => format!("prepared statement \"{name}\" does not exist"),
        };
        ErrorReport::new(SqlState::INVALID_SQL_STATEMENT_NAME, message)
    }
}

/// The client reads the rows as they were described to it, so they must be so still.
///
/// # Errors
/// 0A000: they are not.
pub fn check_unchanged(described: Option<&[OutputField]>, fields: &[OutputField]) -> Result<()> {
    let oids = |fields: &[OutputField]| -> Vec<u32> {
        fields.iter().map(|field| field.sql_type.oid()).collect()
    };
    match described {
        Some(described) if oids(described) == oids(fields) => Ok(()),
        // Drivers that see the routine prepare the statement again by themselves.
        _ => Err(ErrorReport::unsupported("cached plan must not change result type")
            .routine("RevalidateCachedQuery")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_has_them_as_they_were() {
        let prepared = || PreparedStatement {
            statement: None,
            sql: "SELECT 1".into(),
            description: Description::default(),
            declared: Vec::new(),
            prepared_at: DateTime::UNIX_EPOCH,
            from_sql: true,
        };
        let names = |statements: &PreparedStatements<String>| -> String {
            statements.iter().map(|(name, _)| name).collect()
        };
        let mut statements = PreparedStatements::default();
        statements.insert("a", prepared()).unwrap();
        let before = statements.clone();
        statements.insert("b", prepared()).unwrap();
        assert_eq!((statements.remove("a"), statements.remove("a")), (true, false));
        assert_eq!([names(&before), names(&statements)], ["a", "b"]);
        statements.clear();
        assert_eq!([names(&before), names(&statements)], ["a", ""]);
    }
}
