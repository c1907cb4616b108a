//! COPY … TO STDOUT: a table's or a query's rows in one of COPY's forms.

use datafusion::sql::sqlparser::ast::{Query, SetExpr, Statement as SqlStatement};
use kestrel_planner::{
    catalog::{Found, TableDef, find_relation, find_table},
    parse::{
        CopyFormat, CopyHeader, CopyOptions, CopyStatement, CopyTarget, ForceColumns, Identifier,
        QualifiedName, quote,
    },
};
use kestrel_proto::{ErrorReport, Result, SqlState};
use tokio_util::sync::CancellationToken;

use super::{ClientSession, CopyOut, Outcome, OutputField, Statement, own_query::own_query};
use crate::copy::CopyForm;

impl ClientSession {
    /// Runs to the first rows.
    pub(super) async fn copy_to(
        &mut self,
        copy: &CopyStatement,
        statement: &Statement,
        cancel: CancellationToken,
    ) -> Result<Outcome> {
        let outcome = match &copy.target {
            CopyTarget::Query(query) => {
                refuse_changes(query)?;
                self.select(query, statement, &[], cancel).await
            }
            CopyTarget::Table { name, columns } => {
                let query = self.query_of_table(name, columns, &copy.options.force_quote)?;
                let outcome = self.select(&query, statement, &[], cancel).await;
                // The text that positions count in is not the client's.
                outcome.map_err(|error| ErrorReport { position: None, ..error })
            }
        };
        let Outcome::Rows { fields, rows, .. } = outcome? else {
            return Err(ErrorReport::internal("a query gave no rows"));
        };
        let form = form(&copy.options, &fields)?;
        let header = copy.options.header != CopyHeader::None;
        Ok(Outcome::CopyOut(CopyOut { fields, rows, form, header }))
    }

    fn query_of_table(
        &mut self,
        name: &QualifiedName,
        columns: &[Identifier],
        force_quote: &ForceColumns,
    ) -> Result<Query> {
        let view = self.transaction.view(&self.engine);
        let search_path = self.search_path(&view);
        self.check_schema(name.schema.as_ref(), &view)?;
        if let Some(Found::View(view)) = find_relation(&view, &search_path, name) {
            let message = format!("cannot copy from view \"{}\"", view.name);
            return Err(ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message)
                .hint("Try the COPY (SELECT ...) TO variant."));
        }
        let (list, name) = match find_table(&view, &search_path, name) {
            Some(table) => {
                let positions = named_columns(table, columns)?;
                forced("FORCE_QUOTE", force_quote, table, &positions)?;
                let list = positions.iter().map(|at| quote(&table.columns[*at].name));
                let name = format!("{}.{}", quote(&table.schema_name), quote(&table.name));
                (list.collect::<Vec<_>>(), name)
            }
            // A relation of the system's: binding knows it, or that there is none.
            None => {
                let schema = name.schema.as_deref().map(|schema| format!("{}.", quote(schema)));
                let name = format!("{}{}", schema.unwrap_or_default(), quote(&name.name));
                (columns.iter().map(|column| quote(&column.name)).collect(), name)
            }
        };
        let list = if list.is_empty() { "*".to_string() } else { list.join(", ") };
        own_query(&format!("SELECT {list} FROM {name}"))
    }
}

/// Positions in the table of the columns that COPY names, in its order; all, if it names none.
///
/// # Errors
/// 42703: the table has no such column. 42701: a column is named twice.
pub(super) fn named_columns(table: &TableDef, columns: &[Identifier]) -> Result<Vec<usize>> {
    if columns.is_empty() {
        return Ok((0..table.columns.len()).collect());
    }
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    find_columns(&names, columns, &format!(" of relation \"{}\"", table.name))
}

/// For each copied column, given by its position in the table, whether a FORCE option names it.
///
/// # Errors
/// Those of [`named_columns`]. 42P10: the option names a column that is not copied.
pub(super) fn forced(
    option: &str,
    force: &ForceColumns,
    table: &TableDef,
    copied: &[usize],
) -> Result<Vec<bool>> {
    let listed = match force {
        ForceColumns::All => return Ok(vec![true; copied.len()]),
        ForceColumns::Listed(columns) if columns.is_empty() => {
            return Ok(vec![false; copied.len()]);
        }
        ForceColumns::Listed(columns) => named_columns(table, columns)?,
    };
    if let Some(other) = listed.iter().find(|at| !copied.contains(at)) {
        let name = &table.columns[*other].name;
        return Err(ErrorReport::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            format!("{option} column \"{name}\" not referenced by COPY"),
        ));
    }
    Ok(copied.iter().map(|at| listed.contains(at)).collect())
}

/// Positions among `names` of the columns that COPY names; `relation` ends the error's name.
fn find_columns(names: &[&str], columns: &[Identifier], relation: &str) -> Result<Vec<usize>> {
    let mut found = Vec::with_capacity(columns.len());
    for Identifier { name, position } in columns {
        let wrong = |state, what: String| {
            Err(ErrorReport::new(state, format!("column \"{name}\"{what}")).position(*position))
        };
        match names.iter().position(|known| known == name) {
            None => return wrong(SqlState::UNDEFINED_COLUMN, format!("{relation} does not exist")),
            Some(at) if found.contains(&at) => {
                return wrong(SqlState::DUPLICATE_COLUMN, " specified more than once".into());
            }
            Some(at) => found.push(at),
        }
    }
    Ok(found)
}

/// How rows of these columns are written.
fn form(options: &CopyOptions, fields: &[OutputField]) -> Result<CopyForm> {
    let (delimiter, null) = (options.delimiter, options.null.clone());
    Ok(match options.format {
        CopyFormat::Binary => CopyForm::Binary,
        CopyFormat::Text => CopyForm::Text { delimiter, null },
        CopyFormat::Csv => {
            let force_quote = match &options.force_quote {
                ForceColumns::All => vec![true; fields.len()],
                ForceColumns::Listed(columns) => {
                    let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
                    let listed = find_columns(&names, columns, "")?;
                    (0..fields.len()).map(|at| listed.contains(&at)).collect()
                }
            };
            let (quote, escape) = (options.quote, options.escape);
            CopyForm::Csv { delimiter, null, quote, escape, force_quote }
        }
        CopyFormat::Parquet => return Err(ErrorReport::internal("rows as a Parquet file")),
    })
}

/// COPY of anything but a query's rows.
fn refuse_changes(query: &Query) -> Result<()> {
    let returning = match query.body.as_ref() {
        SetExpr::Select(select) if select.into.is_some() => {
            return Err(ErrorReport::unsupported("COPY (SELECT INTO) is not supported"));
        }
        SetExpr::Insert(SqlStatement::Insert(insert)) => insert.returning.is_some(),
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => true,
        SetExpr::Select(_)
        | SetExpr::Query(_)
        | SetExpr::SetOperation { .. }
        | SetExpr::Values(_)
        | SetExpr::Table(_) => return Ok(()),
    };
    Err(ErrorReport::unsupported(match returning {
        true => "COPY of a statement that changes rows is not supported",
        false => "COPY query must have a RETURNING clause",
    }))
}
