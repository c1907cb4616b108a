//! Arithmetic on numerics in one pass over a batch, in 64 bits.

use std::{fmt, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, PrimitiveArray, RecordBatch},
    buffer::NullBuffer,
    datatypes::{DataType, Decimal128Type, Schema},
};
use datafusion::{
    error::{DataFusionError, Result},
    logical_expr::ColumnarValue,
    physical_expr::{PhysicalExpr, ScalarFunctionExpr, expressions::Column},
};

use super::{
    compile::{Columns, compile},
    machine::{CHUNK, Machine, Rows, Source},
    program::{Operand, Program},
};

/// In the place of an expression whose every intermediate result fits into 64 bits. Its result has
/// the type that it had.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NarrowDecimalExpr {
    /// Of the program, at their positions.
    inputs: Vec<Arc<dyn PhysicalExpr>>,
    program: Program,
    result: Operand,
    data_type: DataType,
    nullable: bool,
}

impl NarrowDecimalExpr {
    /// The same as `expr`, which must be a call; `None`: not proved to fit, or no arithmetic.
    pub(crate) fn of(expr: &Arc<dyn PhysicalExpr>, columns: Columns<'_>) -> Option<Self> {
        let call = expr.downcast_ref::<ScalarFunctionExpr>()?;
        let mut program = Program::default();
        let result = compile(expr, columns, &mut program)?.value.operand;
        let Operand::Step(_) = result else { return None };
        let field = |column: &usize| columns.schema.fields().get(*column);
        let inputs = program.inputs.iter().map(|column| {
            Some(Arc::new(Column::new(field(column)?.name(), *column)) as Arc<dyn PhysicalExpr>)
        });
        Some(Self {
            inputs: inputs.collect::<Option<_>>()?,
            result,
            data_type: call.return_type().clone(),
            nullable: expr.nullable(columns.schema).ok()?,
            program,
        })
    }

    fn compute(&self, inputs: &[ArrayRef], rows: usize) -> Result<Vec<i128>> {
        let sources: Option<Vec<Source<'_>>> =
            inputs.iter().map(|input| Source::of(input.as_ref())).collect();
        let sources = sources.ok_or_else(|| self.wrong())?;
        let mut machine = Machine::default();
        let mut values = Vec::with_capacity(rows);
        for at in (0..rows).step_by(CHUNK) {
            let rows = Rows { sources: &sources, at, rows: CHUNK.min(rows - at) };
            machine.run(&self.program, rows);
            let results = machine.values(self.result, rows);
            values.extend(results.iter().map(|value| i128::from(*value)));
        }
        if values.len() == rows { Ok(values) } else { Err(self.wrong()) }
    }

    fn wrong(&self) -> DataFusionError {
        DataFusionError::Internal(format!("{self} has other inputs than it was made for"))
    }
}

impl fmt::Display for NarrowDecimalExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.inputs.iter().map(ToString::to_string).collect();
        write!(f, "narrow{}", self.program.text(self.result, &names))
    }
}

impl PhysicalExpr for NarrowDecimalExpr {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(self.data_type.clone())
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(self.nullable)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let rows = batch.num_rows();
        let inputs = self.inputs.iter().map(|input| input.evaluate(batch)?.into_array(rows));
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        let nulls = NullBuffer::union_many(inputs.iter().map(|input| input.nulls()));
        let values = self.compute(&inputs, rows)?;
        let array = PrimitiveArray::<Decimal128Type>::new(values.into(), nulls);
        Ok(ColumnarValue::Array(Arc::new(array.with_data_type(self.data_type.clone()))))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.inputs.iter().collect()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        if children.len() != self.inputs.len() {
            return Err(self.wrong());
        }
        Ok(Arc::new(Self { inputs: children, ..self.as_ref().clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
