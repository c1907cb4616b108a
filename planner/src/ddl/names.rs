//! Names for what has none: `t_pkey`, `t_a_key`, `t_a_seq`. The rules are PostgreSQL's
//! (`makeObjectName`, `ChooseRelationName`; commands/indexcmds.c).

use std::collections::BTreeSet;

use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::{
    catalog::{Catalog, relation_kind},
    parse::{MAX_IDENTIFIER_BYTES, clip},
};

/// The relation names of one schema: those that are there, and those this statement adds.
pub(super) struct RelationNames<'a> {
    catalog: &'a Catalog,
    schema: &'a str,
    added: BTreeSet<String>,
}

impl<'a> RelationNames<'a> {
    pub(super) fn new(catalog: &'a Catalog, schema: &'a str) -> Self {
        Self { catalog, schema, added: BTreeSet::new() }
    }

    /// Takes a name that the user chose; 42P07 if it is taken.
    pub(super) fn take(&mut self, name: &str) -> Result<()> {
        if self.is_taken(name) {
            return Err(already_exists(name));
        }
        self.added.insert(name.to_string());
        Ok(())
    }

    /// Makes and takes a free name: `first_second_label`, with 1, 2, … behind the label.
    pub(super) fn choose(&mut self, first: &str, second: &str, label: &str) -> String {
        let mut name = object_name(first, second, label);
        let mut n = 0;
        while self.is_taken(&name) {
            n += 1;
            name = object_name(first, second, &format!("{label}{n}"));
        }
        self.added.insert(name.clone());
        name
    }

    fn is_taken(&self, name: &str) -> bool {
        self.added.contains(name) || relation_kind(self.catalog, self.schema, name).is_some()
    }
}

pub(super) fn already_exists(name: &str) -> ErrorReport {
    ErrorReport::new(SqlState::DUPLICATE_TABLE, format!("relation \"{name}\" already exists"))
}

/// The parts with `_` between them, the longer one cut until all fits into an identifier.
fn object_name(first: &str, second: &str, label: &str) -> String {
    let separators = if second.is_empty() { 1 } else { 2 };
    let available = MAX_IDENTIFIER_BYTES.saturating_sub(label.len() + separators);
    let (mut first_bytes, mut second_bytes) = (first.len(), second.len());
    while first_bytes + second_bytes > available {
        if first_bytes > second_bytes {
            first_bytes -= 1;
        } else {
            second_bytes -= 1;
        }
    }
    let first = clip(first, first_bytes);
    if second.is_empty() {
        format!("{first}_{label}")
    } else {
        format!("{first}_{}_{label}", clip(second, second_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_lose_their_longer_part() {
        // As PostgreSQL 15 names them.
        let long = "a".repeat(60);
        assert_eq!(object_name("t", "", "pkey"), "t_pkey");
        assert_eq!(object_name("t", "c", "seq"), "t_c_seq");
        assert_eq!(object_name(&long, "", "pkey"), format!("{}_pkey", "a".repeat(58)));
        let name = object_name(&long, &"b".repeat(60), "seq");
        assert_eq!(name, format!("{}_{}_seq", "a".repeat(29), "b".repeat(29)));
        assert_eq!(object_name(&"é".repeat(31), "c", "seq"), format!("{}_c_seq", "é".repeat(28)));
    }

    #[test]
    fn taken_names_get_a_number() {
        let catalog = Catalog::empty();
        let mut names = RelationNames::new(&catalog, "public");
        assert_eq!(names.choose("t", "a", "key"), "t_a_key");
        assert_eq!(names.choose("t", "a", "key"), "t_a_key1");
        assert_eq!(names.choose("t", "a", "key"), "t_a_key2");
        assert!(names.take("t_a_key1").is_err());
    }
}
