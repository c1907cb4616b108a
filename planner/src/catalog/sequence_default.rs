//! Defaults that take the next value of a sequence. They name it with its schema, since a default is
//! read under the search path of whoever inserts: `nextval('public.t_a_seq'::regclass)`. What renames
//! a sequence renames it there, too.

use std::sync::Arc;

use super::{Catalog, ColumnDef, SequenceDef, TableDef};
use crate::parse::{QualifiedName, fold, quote};

/// The default that takes the next value of this sequence.
pub(crate) fn default_of(schema: &str, sequence: &str) -> String {
    format!("{}{}'::regclass)", in_schema(schema), quote(sequence).replace('\'', "''"))
}

/// How defaults that count with this schema's sequences begin.
fn in_schema(schema: &str) -> String {
    format!("nextval('{}.", quote(schema).replace('\'', "''"))
}

/// The sequence of a default that is one value of a sequence and nothing else.
pub fn sequence_of(default: &str) -> Option<QualifiedName> {
    let text = default.trim();
    let (function, rest) = text.split_at_checked("nextval".len())?;
    let rest = rest.trim_start().strip_prefix('(')?.trim_start().strip_prefix('\'')?;
    let inside = rest.strip_suffix(')')?.trim_end();
    let inside = inside.strip_suffix("::regclass").unwrap_or(inside).trim_end();
    let name = inside.strip_suffix('\'')?;
    let is_one_string = !name.replace("''", "").contains('\'');
    if !function.eq_ignore_ascii_case("nextval") || !is_one_string {
        return None;
    }
    let mut parts = name_parts(&name.replace("''", "'"))?;
    let name = parts.pop()?;
    let schema = parts.pop();
    parts.is_empty().then_some(QualifiedName { schema, name, position: None })
}

/// The parts of a name: `a."B.c"` is `a` and `B.c`.
fn name_parts(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let end = end_of_quoted(quoted)?;
                (quoted.get(..end)?.replace("\"\"", "\""), quoted.get(end + 1..)?)
            }
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                (fold(rest.get(..end)?.trim()), rest.get(end..)?)
            }
        };
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        rest = match after.trim_start() {
            "" => return Some(parts),
            more => more.strip_prefix('.')?.trim_start(),
        };
    }
}

/// Where the quote is that ends an identifier.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut quotes = text.match_indices('"').map(|(at, _)| at);
    loop {
        let at = quotes.next()?;
        if text.get(at + 1..).is_some_and(|rest| rest.starts_with('"')) {
            quotes.next();
        } else {
            return Some(at);
        }
    }
}

/// The table's defaults that count with sequences of the schema `from` count with those of `to`.
pub(super) fn move_sequences(table: &mut TableDef, from: &str, to: &str) {
    let (old, new) = (in_schema(from), in_schema(to));
    for column in &mut table.columns {
        if let Some(rest) = column.default.as_deref().and_then(|d| d.strip_prefix(&old)) {
            column.default = Some(format!("{new}{rest}"));
        }
    }
}

pub(super) fn counts_in(column: &ColumnDef, schema: &str) -> bool {
    column.default.as_deref().is_some_and(|default| default.starts_with(&in_schema(schema)))
}

/// Those defaults of the columns that count with the sequence `before` count with `after`.
pub(crate) fn rename_sequence(
    columns: &mut [ColumnDef],
    before: (&str, &str),
    after: (&str, &str),
) {
    let old = default_of(before.0, before.1);
    for column in columns.iter_mut().filter(|c| c.default.as_ref() == Some(&old)) {
        column.default = Some(default_of(after.0, after.1));
    }
}

impl Catalog {
    /// All defaults that count with the sequence go on counting with it.
    pub(super) fn rename_in_defaults(&mut self, before: &SequenceDef, after: &SequenceDef) {
        let names = |s: &SequenceDef| (s.schema_name.clone(), s.name.clone());
        let (old, new) = (names(before), names(after));
        if old == new {
            return;
        }
        let default = Some(default_of(&old.0, &old.1));
        for table in self.tables.values_mut() {
            if table.columns.iter().any(|c| c.default == default) {
                let columns = &mut Arc::make_mut(table).columns;
                rename_sequence(columns, (&old.0, &old.1), (&new.0, &new.1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_names_its_sequence() {
        let cases = [
            ("nextval('s')", Some((None, "s"))),
            ("NEXTVAL ( 'S'::regclass )", Some((None, "s"))),
            ("nextval('public.t_a_seq'::regclass)", Some((Some("public"), "t_a_seq"))),
            ("nextval('\"A.b\".\"c\"\"d\"'::regclass)", Some((Some("A.b"), "c\"d"))),
            ("nextval('it''s')", Some((None, "it's"))),
            ("nextval('s') + 1", None),
            ("nextval('s') + nextval('t')", None),
            ("nextval(name)", None),
            ("lower('s')", None),
            ("1", None),
        ];
        for (default, expected) in cases {
            let found = sequence_of(default).map(|name| (name.schema, name.name));
            let expected =
                expected.map(|(s, n): (Option<&str>, &str)| (s.map(String::from), n.into()));
            assert_eq!(found, expected, "{default}");
        }
        let default = default_of("A.b", "it's");
        assert_eq!(default, "nextval('\"A.b\".\"it''s\"'::regclass)");
        assert_eq!(sequence_of(&default).map(|name| name.name), Some("it's".into()));
    }
}
