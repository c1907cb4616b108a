//! Values of SERIAL columns, and DEFAULT inside of VALUES.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch},
    compute::cast,
};
use datafusion::sql::sqlparser::ast;
use kestrel_planner::{
    catalog::{Catalog, SequenceDef, TableDef, sequence_of},
    error::report,
    parse::QualifiedName,
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    ClientSession,
    insert::{SerialColumn, default_expr},
    sequences::Sequences,
};

impl ClientSession {
    /// Puts values of their sequences into the columns that take theirs from there.
    pub(super) async fn with_serials(
        sequences: &Sequences,
        batch: RecordBatch,
        table: &TableDef,
        serials: &[SerialColumn],
        view: &Catalog,
    ) -> Result<RecordBatch> {
        if serials.is_empty() || batch.num_rows() == 0 {
            return Ok(batch);
        }
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        for (at, sequence) in serials {
            let count = batch.num_rows() as u64;
            let values = sequences.take_async(found(view, sequence)?, count).await?;
            let values: ArrayRef = Arc::new(Int64Array::from(values));
            let data_type = table.columns[*at].sql_type.arrow();
            columns[*at] = cast(&values, &data_type).map_err(|e| report(e.into()))?;
        }
        let fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
        let fields = fields.into_iter().zip(&columns).map(|(field, column)| {
            Arc::new(field.as_ref().clone().with_data_type(column.data_type().clone()))
        });
        let schema = Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()));
        RecordBatch::try_new(schema, columns).map_err(|e| report(e.into()))
    }

    /// Replaces DEFAULT in VALUES by the column's default; a sequence's value is taken now.
    pub(super) async fn fill_defaults(
        &mut self,
        query: &mut ast::Query,
        table: &TableDef,
        columns: &[usize],
    ) -> Result<()> {
        let ast::SetExpr::Values(values) = query.body.as_mut() else { return Ok(()) };
        let view = self.transaction.view(&self.engine);
        for row in &mut values.rows {
            for (position, expr) in row.iter_mut().enumerate() {
                if !is_default(expr) {
                    continue;
                }
                let at = if columns.is_empty() { Some(&position) } else { columns.get(position) };
                let column = at.and_then(|at| table.columns.get(*at));
                *expr = match column.and_then(|c| c.default.as_deref()) {
                    None => default_expr("NULL")?,
                    Some(default) => match sequence_of(default) {
                        None => default_expr(default)?,
                        Some(sequence) => {
                            let serial = (at.copied().unwrap_or(position), sequence.clone());
                            self.check_serials(table, &[serial], &view)?;
                            let sequence = found(&view, &sequence)?;
                            let values = self.sequences.take_async(sequence, 1).await?;
                            let value = values.first().map(i64::to_string).unwrap_or_default();
                            default_expr(&value)?
                        }
                    },
                };
            }
        }
        Ok(())
    }
}

/// The sequence that a default names, with its schema.
pub(super) fn found<'a>(view: &'a Catalog, name: &QualifiedName) -> Result<&'a SequenceDef> {
    let schema = name.schema.as_deref().unwrap_or("public");
    view.sequence(schema, &name.name).ok_or_else(|| {
        let message = format!("relation \"{}\" does not exist", name.name);
        ErrorReport::new(SqlState::UNDEFINED_TABLE, message)
    })
}

/// Replaces DEFAULT in VALUES by NULL: only the types of its parameters are wanted.
pub(super) fn null_defaults(query: &mut ast::Query) -> Result<()> {
    if let ast::SetExpr::Values(values) = query.body.as_mut() {
        for expr in values.rows.iter_mut().flat_map(|row| row.iter_mut()).filter(|e| is_default(e))
        {
            *expr = default_expr("NULL")?;
        }
    }
    Ok(())
}

pub(super) fn is_default(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Identifier(ident)
        if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}
