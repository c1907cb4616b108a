//! Rows as `run.py` reads them: lines of JSON, the columns first, then a list of texts and nulls for
//! each row.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use datafusion::arrow::{
    array::{Array, RecordBatch},
    datatypes::{DataType, Schema},
    util::display::{ArrayFormatter, FormatOptions},
};
use serde_json::{Value, json};

use super::Error;

/// Writes a result into a file.
pub(super) fn write(file: &Path, schema: &Schema, batches: &[RecordBatch]) -> Result<(), Error> {
    let mut out = BufWriter::new(File::create(file)?);
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let floating: Vec<bool> =
        schema.fields().iter().map(|field| is_floating(field.data_type())).collect();
    writeln!(out, "{}", json!({ "columns": names, "floating": floating }))?;
    let options = FormatOptions::default();
    for batch in batches {
        let columns = batch.columns();
        let formatters: Vec<ArrayFormatter> = columns
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
            .collect::<Result<_, _>>()?;
        for row in 0..batch.num_rows() {
            let values = columns.iter().zip(&formatters).map(|(column, formatter)| {
                if column.is_null(row) {
                    return Value::Null;
                }
                Value::String(formatter.value(row).to_string())
            });
            writeln!(out, "{}", Value::Array(values.collect()))?;
        }
    }
    out.flush()?;
    Ok(())
}

fn is_floating(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float16 | DataType::Float32 | DataType::Float64)
}
