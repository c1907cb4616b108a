//! Names: folding, reserved words, qualified names.

use std::fmt;

use datafusion::sql::sqlparser::ast;
use kestrel_proto::{ErrorReport, Result, SqlState};

/// The one database.
pub const DATABASE: &str = "kestrel";

/// A name as the catalog knows it, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identifier {
    /// In lower case, unless it was quoted.
    pub name: String,
    /// 1-based character position in the whole text.
    pub position: u32,
}

/// The name of a table, and perhaps its schema's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QualifiedName {
    /// `None`: to be found on the search path.
    pub schema: Option<String>,
    /// The last part.
    pub name: String,
    /// 1-based character position in the whole text, where it is known.
    pub position: Option<u32>,
}

impl QualifiedName {
    /// From the parts between the dots. More parts than a schema and a name, unless the first is
    /// this database: 0A000.
    pub(super) fn of_parts(parts: Vec<Identifier>) -> Result<Self> {
        let position = parts.first().map(|p| p.position);
        let names = parts.into_iter().map(|p| p.name).collect();
        Self::of_names(names, position)
    }

    /// From the name in a syntax tree. Its position stays unknown: the statement can tell it
    /// (`Statement::position`).
    pub fn of_ast(name: &ast::ObjectName) -> Result<Self> {
        let part = |p: &ast::ObjectNamePart| match p {
            ast::ObjectNamePart::Identifier(ident) => Ok(fold_ident(ident)),
            ast::ObjectNamePart::Function(f) => {
                Err(ErrorReport::new(SqlState::INVALID_NAME, format!("invalid name: {f}")))
            }
        };
        Self::of_names(name.0.iter().map(part).collect::<Result<_>>()?, None)
    }

    fn of_names(mut names: Vec<String>, position: Option<u32>) -> Result<Self> {
        let error = |state, message: String| {
            let error = ErrorReport::new(state, message);
            Err(ErrorReport { position, ..error })
        };
        let text = names.join(".");
        if names.len() == 3 {
            if names[0] != DATABASE {
                let message = format!("cross-database references are not implemented: \"{text}\"");
                return error(SqlState::FEATURE_NOT_SUPPORTED, message);
            }
            names.remove(0);
        }
        let schema = (names.len() == 2).then(|| names.remove(0));
        match names.pop() {
            Some(name) if names.is_empty() => Ok(Self { schema, name, position }),
            _ => error(
                SqlState::SYNTAX_ERROR,
                format!("improper qualified name (too many dotted names): {text}"),
            ),
        }
    }

    /// The error, at this name's position.
    pub fn locate(&self, error: ErrorReport) -> ErrorReport {
        ErrorReport { position: self.position.or(error.position), ..error }
    }
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        f.write_str(&self.name)
    }
}

/// An unquoted identifier as PostgreSQL folds it: only ASCII letters change.
pub fn fold(identifier: &str) -> String {
    identifier.to_ascii_lowercase()
}

/// The name that an identifier in a syntax tree stands for.
pub fn fold_ident(ident: &ast::Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => fold(&ident.value),
    }
}

/// The identifier as SQL text: quoted only where it must be (PostgreSQL's `quote_identifier`).
pub fn quote(identifier: &str) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c == '_';
    let plain = identifier.starts_with(is_plain)
        && identifier.chars().all(|c| is_plain(c) || c.is_ascii_digit())
        && !is_reserved(identifier);
    if plain { identifier.into() } else { format!("\"{}\"", identifier.replace('"', "\"\"")) }
}

/// Is the word no name of a column or table unless it is quoted?
pub(super) fn is_reserved(word: &str) -> bool {
    begins_clause(word) || RESERVED.iter().any(|reserved| word.eq_ignore_ascii_case(reserved))
}

/// Is the word reserved, and can no expression begin with it?
pub(super) fn begins_clause(word: &str) -> bool {
    CLAUSE_WORDS.iter().any(|reserved| word.eq_ignore_ascii_case(reserved))
}

/// PostgreSQL 15's reserved words, and those that may only name functions and types (kwlist.h),
/// as far as an expression can begin with them.
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    "all", "analyse", "analyze", "any", "array", "authorization", "binary", "both", "case", "cast",
    "collation", "concurrently", "current_catalog", "current_date", "current_role",
    "current_schema", "current_time", "current_timestamp", "current_user", "default", "distinct",
    "false", "freeze", "lateral", "leading", "left", "localtime", "localtimestamp", "not", "null",
    "right", "session_user", "some", "tablesample", "trailing", "true", "user", "variadic",
    "verbose",
];

/// The others.
#[rustfmt::skip]
const CLAUSE_WORDS: &[&str] = &[
    "and", "as", "asc", "asymmetric", "check", "collate", "column", "constraint", "create", "cross",
    "deferrable", "desc", "do", "else", "end", "except", "fetch", "for", "foreign", "from", "full",
    "grant", "group", "having", "ilike", "in", "initially", "inner", "intersect", "into", "is",
    "isnull", "join", "like", "limit", "natural", "notnull", "offset", "on", "only", "or", "order",
    "outer", "overlaps", "placing", "primary", "references", "returning", "select", "similar",
    "symmetric", "table", "then", "to", "union", "unique", "using", "when", "where", "window",
    "with",
];
