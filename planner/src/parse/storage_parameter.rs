//! Storage parameters: `WITH (…)` of CREATE TABLE, `SET (…)` and `RESET (…)` of ALTER TABLE.

use datafusion::sql::sqlparser::tokenizer::Token;
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    cursor::Cursor,
    name::{Identifier, fold},
};

/// By which columns loads and VACUUM sort a table's rows.
pub const CLUSTER_BY: &str = "cluster_by";

/// `fillfactor = 70`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageParameter {
    /// In lower case, and where it stands.
    pub name: Identifier,
    /// As it was written, without quotes and signs; `None`: no value is given.
    pub value: Option<String>,
}

impl StorageParameter {
    /// The names of columns that its value lists: `'a, "B"'`. A statement's position of them all is
    /// the parameter's.
    ///
    /// # Errors
    /// 22023: it lists none, or what is no name.
    pub fn columns(&self) -> Result<Vec<Identifier>> {
        let value = self.value.as_deref().unwrap_or_default();
        let names = names(value).ok_or_else(|| {
            let message =
                format!("invalid value for parameter \"{}\": \"{value}\"", self.name.name);
            ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message)
                .position(self.name.position)
                .hint("List names of columns: cluster_by = 'a, b'.")
        })?;
        let position = self.name.position;
        Ok(names.into_iter().map(|name| Identifier { name, position }).collect())
    }
}

/// `(fillfactor = 70, appendonly = true, …)`
pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Vec<StorageParameter>> {
    cursor.parenthesized()?.split_commas().into_iter().map(parameter).collect()
}

fn parameter(mut part: Cursor<'_>) -> Result<StorageParameter> {
    let position = part.position();
    let mut name = part.word()?;
    if part.eat_token(&Token::Period) {
        name = format!("{name}.{}", part.word()?);
    }
    let mut value = None;
    if part.eat_token(&Token::Eq) {
        let _ = part.eat_token(&Token::Minus) || part.eat_token(&Token::Plus);
        value = Some(match part.token() {
            Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)) => {
                text.clone()
            }
            Some(Token::Word(_) | Token::Number(..)) => part.here().to_string(),
            _ => return part.fail(),
        });
        part.advance();
    }
    part.expect_end()?;
    Ok(StorageParameter { name: Identifier { name, position }, value })
}

/// Names between commas, as PostgreSQL reads them in strings (`SplitIdentifierString`); `None`: it is
/// no such list.
fn names(list: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = list.trim_start();
    loop {
        let name;
        if let Some(quoted) = rest.strip_prefix('"') {
            (name, rest) = quoted_name(quoted)?;
        } else {
            let end = rest.find(|c: char| c == ',' || c == '"' || c.is_whitespace());
            let (plain, behind) = rest.split_at(end.unwrap_or(rest.len()));
            (name, rest) = (fold(plain), behind);
        }
        if name.is_empty() {
            return None;
        }
        names.push(name);
        rest = rest.trim_start();
        if rest.is_empty() {
            return Some(names);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

/// The name behind a quote, and what follows its end.
fn quoted_name(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (part, behind) = rest.split_once('"')?;
        name.push_str(part);
        match behind.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, behind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_in_postgresql() {
        let check = |list: &str, expected: Option<&[&str]>| {
            let names = names(list);
            let names: Option<Vec<&str>> =
                names.as_ref().map(|names| names.iter().map(String::as_str).collect());
            assert_eq!(names.as_deref(), expected, "{list}");
        };
        check("a", Some(&["a"]));
        check(" A , b_1,C", Some(&["a", "b_1", "c"]));
        check("\"A b\",\"say \"\"x\"\"\" , c", Some(&["A b", "say \"x\"", "c"]));
        for list in ["", " ", "a,", ",a", "a b", "\"a", "\"\"", "a\"b\"", "a,,b"] {
            check(list, None);
        }
    }
}
