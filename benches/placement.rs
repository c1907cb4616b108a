//! How long a row takes from its key to its receiver: `cargo bench --bench placement`.

use std::{hint::black_box, sync::Arc};

use arrow::{
    array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringViewArray},
    error::ArrowError,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kestrel_planner::{
    catalog::HashClass,
    placement::{buckets, owners, split},
};
use kestrel_proto::BucketMap;

const ROWS: u64 = 65_536;
const DATANODES: u32 = 8;

fn placement(criterion: &mut Criterion) {
    let columns = columns().unwrap_or_else(|e| panic!("the columns are well-formed: {e}"));
    let mut group = criterion.benchmark_group("placement");
    group.throughput(Throughput::Elements(ROWS));

    for (name, column, class) in &columns {
        let key = [Arc::clone(column)];
        group.bench_function(*name, |b| b.iter(|| buckets(black_box(&key), &[*class])));
    }
    let key: Vec<ArrayRef> = columns.iter().map(|(_, column, _)| Arc::clone(column)).collect();
    let classes: Vec<HashClass> = columns.iter().map(|(_, _, class)| *class).collect();
    group.bench_function("all three", |b| b.iter(|| buckets(black_box(&key), &classes)));

    // What a Redistribute motion does with a batch.
    let map = BucketMap::even(1, DATANODES);
    let named = columns.iter().map(|(name, column, _)| (*name, Arc::clone(column)));
    let batch = RecordBatch::try_from_iter(named);
    let batch = batch.unwrap_or_else(|e| panic!("the columns are of one length: {e}"));
    group.bench_function("hash and split of three columns among 8", |b| {
        b.iter(|| {
            let buckets = buckets(black_box(&key[..1]), &classes[..1])?;
            split(&batch, &owners(&buckets, &map), DATANODES as usize)
        });
    });
    group.finish();
}

/// Keys as they are in TPC-H: no NULLs, narrow values, names of 18 bytes, prices.
fn columns() -> Result<Vec<(&'static str, ArrayRef, HashClass)>, ArrowError> {
    let rows = 0..ROWS as i64;
    let keys = rows.clone().map(|i| i * 7_919);
    let names = rows.clone().map(|i| Some(format!("Customer#{i:09}")));
    let prices = rows.map(|i| 90_100 + i128::from(i) * 7_919 % 10_000_000);
    let prices = Decimal128Array::from_iter_values(prices).with_precision_and_scale(15, 2)?;
    Ok(vec![
        ("bigint", Arc::new(Int64Array::from_iter_values(keys)), HashClass::Integer),
        ("text", Arc::new(StringViewArray::from_iter(names)), HashClass::Text),
        ("numeric(15,2)", Arc::new(prices), HashClass::Numeric),
    ])
}

criterion_group!(benches, placement);
criterion_main!(benches);
