//! What a scan reads.

use std::sync::{Arc, OnceLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;
use kestrel_planner::operators::ScanPartition;
use kestrel_proto::{ErrorReport, Result, message::SegmentRef};

use super::{
    codebook::{Codebook, Raw},
    conjuncts::Conjuncts,
    integers::is_integer,
};
use crate::{
    runtime_filter::RuntimeFilter,
    shard::columnar::{store::StoreState, summary::Summaries, table::TableOfScan},
};

/// A scan, as all its execution partitions see it.
#[derive(Debug)]
pub(super) struct ScanSpec {
    pub(super) store: Arc<StoreState>,
    pub(super) table: TableOfScan,
    /// At least one.
    pub(super) segments: Vec<Arc<SegmentRef>>,
    /// Of a partitioned table, the partitions whose segments these are.
    pub(super) table_partitions: Arc<[ScanPartition]>,
    /// How many others the coordinator has left out since the query was planned.
    pub(super) table_partitions_left_out: usize,
    /// What is known of their columns: read when it is first asked for, and once for all copies.
    pub(super) summaries: Arc<OnceLock<Summaries>>,
    pub(super) output: Vec<OutputColumn>,
    /// Of the output.
    pub(super) schema: SchemaRef,
    /// Over the columns of the table.
    pub(super) filters: Vec<Arc<dyn PhysicalExpr>>,
    /// Of each, the table's column that has the keys.
    pub(super) runtime_filters: Vec<(usize, Arc<RuntimeFilter>)>,
    /// Of both kinds of filters.
    pub(super) conjuncts: Conjuncts,
    pub(super) fetch: Option<usize>,
    pub(super) partitions: usize,
    /// Rows that pass, as the planner thinks.
    pub(super) estimated_rows: u64,
    /// Bytes of the output columns of those.
    pub(super) estimated_bytes: u64,
}

/// A column that comes out.
#[derive(Clone, Debug)]
pub(super) struct OutputColumn {
    /// Its position in the table.
    pub(super) column: usize,
    pub(super) form: Form,
}

/// What it looks like.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// As the table has it.
    Arrow,
    /// Unscaled, as `Int64`.
    Integers,
    /// Strings as `UInt16`.
    Codes(Arc<Codebook>),
}

impl ScanSpec {
    fn copy(&self, output: Vec<OutputColumn>, schema: SchemaRef) -> Self {
        Self {
            store: Arc::clone(&self.store),
            table: self.table.clone(),
            segments: self.segments.clone(),
            table_partitions: Arc::clone(&self.table_partitions),
            table_partitions_left_out: self.table_partitions_left_out,
            summaries: Arc::clone(&self.summaries),
            output,
            schema,
            filters: self.filters.clone(),
            runtime_filters: self.runtime_filters.clone(),
            conjuncts: self.conjuncts_of(&self.runtime_filters),
            fetch: self.fetch,
            partitions: self.partitions,
            estimated_rows: self.estimated_rows,
            estimated_bytes: self.estimated_bytes,
        }
    }

    /// What is known of a column of the output; `None`: nothing.
    pub(super) fn known<T>(
        &self,
        column: usize,
        of: impl FnOnce(&Summaries, u32) -> Option<T>,
    ) -> Option<T> {
        let column = self.output.get(column)?.column;
        let id = *self.table.column_ids.get(column)?;
        let read = || Summaries::of(self.segments.iter().map(AsRef::as_ref));
        of(self.summaries.get_or_init(read), id)
    }

    fn conjuncts_of(&self, runtime_filters: &[(usize, Arc<RuntimeFilter>)]) -> Conjuncts {
        Conjuncts::new(&self.filters, runtime_filters, &self.table.schema)
    }

    /// The same for no more than so many rows.
    pub(super) fn with_fetch(&self, fetch: Option<usize>) -> Self {
        let copy = self.copy(self.output.clone(), Arc::clone(&self.schema));
        Self { fetch, ..copy }
    }

    /// The same with a runtime filter on an output column. Of a column that is not there: as it is.
    pub(super) fn with_runtime_filter(&self, column: usize, filter: Arc<RuntimeFilter>) -> Self {
        let copy = self.copy(self.output.clone(), Arc::clone(&self.schema));
        let mut runtime_filters = self.runtime_filters.clone();
        let column = self.output.get(column).map(|output| output.column);
        // Of addresses nothing is known.
        let column = column.filter(|column| *column < self.table.schema.fields().len());
        runtime_filters.extend(column.map(|column| (column, filter)));
        let conjuncts = self.conjuncts_of(&runtime_filters);
        Self { runtime_filters, conjuncts, ..copy }
    }

    /// The same with other forms of the output columns; of each, its codebook.
    pub(super) fn with_raw(
        &self,
        raw: &[Option<Raw>],
    ) -> Result<(Self, Vec<Option<Arc<Codebook>>>)> {
        if raw.len() != self.output.len() {
            return Err(ErrorReport::internal("a scan is given forms of other columns"));
        }
        let (mut output, mut codebooks) = (Vec::new(), Vec::new());
        let mut fields = Vec::new();
        for ((column, field), raw) in self.output.iter().zip(self.schema.fields()).zip(raw) {
            let (form, data_type) = raw_form(*raw, &column.form, field.data_type())?;
            codebooks.push(match &form {
                Form::Codes(codebook) => Some(Arc::clone(codebook)),
                Form::Arrow | Form::Integers => None,
            });
            output.push(OutputColumn { column: column.column, form });
            fields.push(match *field.data_type() == data_type {
                true => Arc::clone(field),
                // Without the metadata, which tell of a type that it no longer has.
                false => Arc::new(Field::new(field.name(), data_type, field.is_nullable())),
            });
        }
        Ok((self.copy(output, Arc::new(Schema::new(fields))), codebooks))
    }
}

fn raw_form(raw: Option<Raw>, form: &Form, data_type: &DataType) -> Result<(Form, DataType)> {
    let refused = || {
        Err(ErrorReport::internal(format!("a scan cannot put out {data_type} as it is in memory")))
    };
    match (raw, form) {
        (None, form) => Ok((form.clone(), data_type.clone())),
        (Some(_), Form::Integers | Form::Codes(_)) => refused(),
        (Some(Raw::Integers), Form::Arrow) if is_integer(data_type) => {
            Ok((Form::Integers, DataType::Int64))
        }
        (Some(Raw::Codes), Form::Arrow) if *data_type == DataType::Utf8View => {
            Ok((Form::Codes(Arc::default()), DataType::UInt16))
        }
        (Some(_), Form::Arrow) => refused(),
    }
}
