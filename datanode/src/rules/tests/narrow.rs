//! Narrow arithmetic against the functions that it stands for.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, Decimal128Array, RecordBatch},
    datatypes::{DataType, Decimal128Type, Field, Schema},
};
use datafusion::physical_expr::expressions::{CastExpr, Column};

use super::{Expr, Random, call, decimal};
use crate::rules::narrow::{Columns, NarrowDecimalExpr, Range};

/// Columns of random types, with values up to a random number of digits, and what they can be.
fn columns(random: &mut Random, rows: usize) -> (RecordBatch, Vec<Option<Range>>) {
    let (mut fields, mut arrays, mut ranges) = (vec![], vec![], vec![]);
    for column in 0..3 {
        let precision = 1 + random.below(30) as u8;
        let scale = random.below(u64::from(precision.min(9)) + 1) as i8;
        let digits = 1 + random.below(u64::from(precision.min(18)));
        let end = 10_i64.pow(digits as u32) - 1;
        let least = random.between(-end, end);
        let greatest = random.between(least, end);
        let mut value =
            || (random.below(5) > 0).then(|| i128::from(random.between(least, greatest)));
        let values: Decimal128Array = (0..rows).map(|_| value()).collect();
        let data_type = DataType::Decimal128(precision, scale);
        fields.push(Field::new(format!("c{column}"), data_type.clone(), true));
        arrays.push(Arc::new(values.with_data_type(data_type)) as ArrayRef);
        ranges.push((random.below(10) > 0).then_some(Range { least, greatest }));
    }
    (RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap(), ranges)
}

fn expression(random: &mut Random, schema: &Schema, depth: u64) -> Expr {
    let kind = if depth == 0 { random.below(4) } else { 2 + random.below(8) };
    match kind {
        0..=2 => {
            let column = random.below(3) as usize;
            Arc::new(Column::new(schema.field(column).name(), column))
        }
        3 => {
            let precision = 1 + random.below(6) as u8;
            let value =
                random.between(-10_i64.pow(precision.into()) + 1, 10_i64.pow(precision.into()) - 1);
            decimal(value.into(), precision, random.below(u64::from(precision) + 1) as i8)
        }
        4 => call("kestrel_negate", vec![expression(random, schema, depth - 1)], schema),
        5 => {
            let inner = expression(random, schema, depth - 1);
            let DataType::Decimal128(precision, scale) = inner.data_type(schema).unwrap() else {
                panic!("{inner}")
            };
            let up = if scale < 20 { random.below(3) as u8 } else { 0 };
            let to = DataType::Decimal128((precision + up).min(38), scale + up as i8);
            Arc::new(CastExpr::new(inner, to, None))
        }
        kind => {
            let function =
                ["kestrel_add", "kestrel_subtract", "kestrel_multiply", "kestrel_multiply"]
                    [(kind - 6) as usize];
            let sides = [0, 1].map(|_| expression(random, schema, depth - 1));
            call(function, sides.into(), schema)
        }
    }
}

fn values(expr: &Expr, batch: &RecordBatch) -> ArrayRef {
    expr.evaluate(batch).unwrap().into_array(batch.num_rows()).unwrap()
}

#[test]
fn values_and_types_are_the_same() {
    let mut random = Random::new(7);
    let (mut narrow_ones, mut others) = (0, 0);
    for round in 0..3000 {
        let rows = [0, 1, 1000, 1024, 1025, 2100][round % 6];
        let (batch, ranges) = columns(&mut random, rows);
        let schema = batch.schema();
        let depth = 1 + random.below(3);
        let expr = expression(&mut random, &schema, depth);
        let known = Columns { schema: &schema, ranges: &ranges };
        let Some(narrow) = NarrowDecimalExpr::of(&expr, known) else {
            others += 1;
            continue;
        };
        narrow_ones += 1;
        let narrow: Expr = Arc::new(narrow);
        assert_eq!(narrow.data_type(&schema).unwrap(), expr.data_type(&schema).unwrap());
        assert_eq!(narrow.nullable(&schema).unwrap(), expr.nullable(&schema).unwrap());
        assert_eq!(&values(&narrow, &batch), &values(&expr, &batch), "{expr} as {narrow}");
    }
    // Neither all nor none: the test sees both.
    assert!(narrow_ones > 300 && others > 300, "{narrow_ones} narrow, {others} not");
}

/// The last product that 64 bits hold, and the first that they do not.
#[test]
fn the_proof_is_sharp() {
    let field = Field::new("x", DataType::Decimal128(20, 2), true);
    let schema = Schema::new(vec![field]);
    let x: Expr = Arc::new(Column::new("x", 0));
    let square = call("kestrel_multiply", vec![Arc::clone(&x), x], &schema);
    let is_narrow = |range: Option<Range>| {
        NarrowDecimalExpr::of(&square, Columns { schema: &schema, ranges: &[range] }).is_some()
    };
    let up_to = |greatest: i64| Some(Range { least: -greatest, greatest });
    assert!(is_narrow(up_to(3_037_000_499)));
    assert!(!is_narrow(up_to(3_037_000_500)));
    assert!(!is_narrow(None));
}

/// What is under NULL overflows, and nobody sees it.
#[test]
fn garbage_under_null_does_no_harm() {
    let nulls = vec![true, false, false, true].into();
    let garbage = Decimal128Array::new(vec![2, i128::MAX, i64::MIN.into(), 3].into(), Some(nulls));
    let garbage = garbage.with_data_type(DataType::Decimal128(10, 2));
    let schema = Arc::new(Schema::new(vec![Field::new("x", garbage.data_type().clone(), true)]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(garbage)]).unwrap();
    let x: Expr = Arc::new(Column::new("x", 0));
    let square = call("kestrel_multiply", vec![Arc::clone(&x), x], &schema);
    let ranges = [Some(Range { least: 0, greatest: 99 })];
    let narrow = NarrowDecimalExpr::of(&square, Columns { schema: &schema, ranges: &ranges });
    let narrow: Expr = Arc::new(narrow.unwrap());
    let found = values(&narrow, &batch);
    let found: Vec<_> = found
        .as_any()
        .downcast_ref::<arrow::array::PrimitiveArray<Decimal128Type>>()
        .unwrap()
        .iter()
        .collect();
    assert_eq!(found, [Some(4), None, None, Some(9)]);
}
