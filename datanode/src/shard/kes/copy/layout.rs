//! The columns of COPY data: what they are here, and what they are in the database.

use std::sync::Arc;

use arrow::datatypes::{Field, SchemaRef};
use kestrel_planner::catalog::SqlType;
use kestrel_proto::{ErrorReport, Result};

use super::wire::Wire;

/// The columns of COPY data, in their order.
#[derive(Clone, Debug)]
pub struct CopyLayout {
    table: Arc<str>,
    schema: SchemaRef,
    columns: Arc<[Wire]>,
}

impl CopyLayout {
    /// Of columns that are these fields here, and of the types with these OIDs in the database (of
    /// its catalog, or of a RowDescription). Errors name `table`.
    ///
    /// # Errors
    /// 0A000: a column's values are not read from that type. XX000: a field is not held as its type
    /// is, or there are not as many types as fields.
    pub fn try_new(table: &str, schema: SchemaRef, oids: &[u32]) -> Result<Self> {
        if schema.fields().len() != oids.len() {
            let fields = schema.fields().len();
            let message = format!("COPY data of {fields} fields and {} types", oids.len());
            return Err(ErrorReport::internal(message));
        }
        let columns = schema.fields().iter().zip(oids).map(|(field, oid)| wire(table, field, *oid));
        let columns = columns.collect::<Result<_>>()?;
        Ok(Self { table: table.into(), schema, columns })
    }

    /// The fields of its batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How many columns there are.
    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    pub(super) fn columns(&self) -> &[Wire] {
        &self.columns
    }

    /// Says in which column the error is.
    pub(super) fn at_column(&self, column: usize, error: ErrorReport) -> ErrorReport {
        let Some(field) = self.schema.fields().get(column) else { return error };
        let place = format!("In column \"{}\" of table \"{}\".", field.name(), self.table);
        let detail = match &error.detail {
            Some(detail) => format!("{detail} {place}"),
            None => place,
        };
        error.detail(detail).about_column(&self.table, field.name())
    }
}

fn wire(table: &str, field: &Field, oid: u32) -> Result<Wire> {
    let name = field.name();
    let sql_type = SqlType::of_field(field).filter(|t| t.arrow() == *field.data_type());
    let Some(sql_type) = sql_type else {
        let message = format!("column \"{name}\" is held as {}", field.data_type());
        return Err(ErrorReport::internal(message));
    };
    Wire::of(sql_type, oid).ok_or_else(|| {
        ErrorReport::unsupported(format!(
            "column \"{name}\" of table \"{table}\" cannot be of type {sql_type}"
        ))
        .detail(format!("On the shard its type has the OID {oid}."))
        .about_column(table, name)
    })
}
