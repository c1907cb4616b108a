//! `sum(DISTINCT x)` and `avg(DISTINCT x)`: the values once each, then the plain aggregate over them.

use std::{mem::size_of, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray},
    buffer::NullBuffer,
    datatypes::{DataType, Field, FieldRef},
};
use datafusion::{
    common::{HashSet, Result, ScalarValue},
    logical_expr::{Accumulator, utils::format_state_name},
};

/// Keeps the values of one group, and hands them to the aggregate at the end.
#[derive(Debug)]
pub(super) struct Distinct {
    aggregate: Box<dyn Accumulator>,
    values: HashSet<ScalarValue>,
    input: DataType,
}

impl Distinct {
    /// `aggregate` over the different values of type `input`.
    pub(super) fn wrap(
        aggregate: Box<dyn Accumulator>,
        input: DataType,
    ) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Self { aggregate, values: HashSet::default(), input }))
    }

    fn column(&self) -> Result<ArrayRef> {
        if self.values.is_empty() {
            return Ok(arrow::array::new_empty_array(&self.input));
        }
        // In order, so that sums of floats do not depend on the hash.
        let mut values: Vec<ScalarValue> = self.values.iter().cloned().collect();
        values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        ScalarValue::iter_to_array(values)
    }

    fn insert(&mut self, values: &ArrayRef) -> Result<()> {
        for row in 0..values.len() {
            if values.is_valid(row) {
                self.values.insert(ScalarValue::try_from_array(values, row)?);
            }
        }
        Ok(())
    }
}

/// The state: a list of the values.
pub(super) fn state_field(name: &str, input: &DataType) -> FieldRef {
    let item = Field::new_list_field(input.clone(), true);
    Arc::new(Field::new_list(format_state_name(name, "distinct"), item, false))
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.insert(&values[0])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for list in states[0].as_list::<i32>().iter().flatten() {
            self.insert(&list)?;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let values = self.column()?;
        self.aggregate.update_batch(&[values])?;
        self.aggregate.evaluate()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Vec<ScalarValue> = self.values.iter().cloned().collect();
        let list = ScalarValue::new_list_nullable(&values, &self.input);
        Ok(vec![ScalarValue::List(list)])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.capacity() * size_of::<ScalarValue>()
    }
}

/// Rows that count: not NULL, and where the filter is true.
pub(super) fn kept(
    nulls: Option<&NullBuffer>,
    filter: Option<&BooleanArray>,
) -> Option<NullBuffer> {
    let filter = filter.map(|filter| {
        let (values, nulls) = filter.clone().into_parts();
        NullBuffer::new(match nulls {
            Some(nulls) => nulls.inner() & &values,
            None => values,
        })
    });
    NullBuffer::union(nulls, filter.as_ref())
}
