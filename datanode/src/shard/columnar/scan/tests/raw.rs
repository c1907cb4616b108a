//! Columns that come out as they are in memory.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringViewArray, UInt16Array},
    datatypes::{DataType, Decimal128Type, Int64Type, UInt16Type},
};
use datafusion::{
    common::ScalarValue,
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, Column, lit},
    },
};
use kestrel_planner::operators::{ShardScan, ShardStore};

use super::table::{Cut, Table, random_rows, rows_of};
use crate::shard::{Codebook, ColumnarScanExec, Raw};

/// The columns of `random_rows` of a type.
fn columns_of(table: &Table, data_type: &DataType) -> Vec<usize> {
    let columns = table.rows.columns().iter().enumerate();
    columns.filter(|(_, c)| c.data_type() == data_type).map(|(at, _)| at).collect()
}

fn strings(codes: &UInt16Array, codebook: &Codebook) -> StringViewArray {
    let strings = codebook.strings();
    codes.iter().map(|code| code.map(|code| strings.value(code.into()).to_string())).collect()
}

#[tokio::test]
async fn integers_and_codes_are_the_same_values() {
    let cut = Cut { segment_rows: 9_000, row_group_rows: 4_000, partitions: 2 };
    let table = Table::new(random_rows(20_000, 31), cut).await;
    let decimals = columns_of(&table, &DataType::Decimal128(15, 2));
    let texts = columns_of(&table, &DataType::Utf8View);
    let small: Arc<dyn PhysicalExpr> = Arc::new(BinaryExpr::new(
        Arc::new(Column::new("id", 0)),
        Operator::Lt,
        lit(ScalarValue::Int64(Some(9_999))),
    ));
    for filters in [vec![], vec![small]] {
        let expected = match filters.is_empty() {
            true => table.rows.clone(),
            false => table.expected(&filters).await.unwrap(),
        };
        for (decimal, text) in decimals.iter().zip(&texts) {
            let projection = vec![0, *decimal, *text];
            let expected = expected.project(&projection).unwrap();
            let scan = ShardScan { projection, ..table.scan(&filters) };
            let plan = table.store.scan(&scan).unwrap();
            let scan = plan.downcast_ref::<ColumnarScanExec>().unwrap();
            let (raw, codebooks) =
                scan.with_raw(vec![None, Some(Raw::Integers), Some(Raw::Codes)]).unwrap();
            let found = rows_of(Arc::new(raw), 1_000).await.unwrap();
            let integers: Int64Array = expected
                .column(1)
                .as_primitive::<Decimal128Type>()
                .iter()
                .map(|value| value.map(|value| value as i64))
                .collect();
            assert_eq!(found.column(1).as_primitive::<Int64Type>(), &integers);
            let codebook = codebooks[2].as_ref().unwrap();
            let codes = found.column(2).as_primitive::<UInt16Type>();
            assert_eq!(&strings(codes, codebook), expected.column(2).as_string_view());
            assert_eq!(codebooks.iter().flatten().count(), 1);
        }
    }
}

#[tokio::test]
async fn forms_that_a_type_does_not_have_are_refused() {
    let cut = Cut { segment_rows: 9_000, row_group_rows: 4_000, partitions: 1 };
    let table = Table::new(random_rows(100, 31), cut).await;
    let float = columns_of(&table, &DataType::Float64)[0];
    let text = columns_of(&table, &DataType::Utf8View)[0];
    for (column, raw, taken) in [
        (0, vec![Some(Raw::Integers)], true),
        (text, vec![Some(Raw::Codes)], true),
        (0, vec![Some(Raw::Codes)], false),
        (float, vec![Some(Raw::Integers)], false),
        (text, vec![Some(Raw::Integers)], false),
        (0, vec![], false),
    ] {
        let scan = ShardScan { projection: vec![column], ..table.scan(&[]) };
        let plan = table.store.scan(&scan).unwrap();
        let scan = plan.downcast_ref::<ColumnarScanExec>().unwrap();
        assert_eq!(scan.with_raw(raw.clone()).is_ok(), taken, "{column} {raw:?}");
    }
}

#[test]
fn a_codebook_has_65536_strings() {
    let codebook = Codebook::default();
    for number in 0..65_536_u32 {
        assert_eq!(codebook.code_of(&number.to_string()).unwrap(), number as u16);
    }
    assert_eq!(codebook.code_of("7").unwrap(), 7);
    assert!(codebook.code_of("one more").is_err());
    assert_eq!(codebook.strings().len(), 65_536);
    let strings: ArrayRef = Arc::new(codebook.strings());
    assert_eq!(strings.as_string_view().value(65_535), "65535");
    assert!(RecordBatch::try_from_iter([("s", strings)]).is_ok());
}
