//! Delete vectors written, read, damaged and removed; what scans leave out.

use std::{collections::BTreeSet, fs, sync::Arc};

use arrow::{
    array::{Array, AsArray, Int64Array, RecordBatch},
    datatypes::{DataType, Field, Int32Type, Int64Type, Schema, SchemaRef},
};
use datafusion::{
    execution::TaskContext,
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, Column, lit},
    },
    physical_plan::collect,
};
use kestrel_planner::{
    operators::{ShardScan, ShardStore},
    row_set::RowSet,
};
use kestrel_proto::{
    DropSegments, ErrorReport, Result, SqlState, TransactionId,
    message::{
        DeleteRowsRequest, DeleteVector, DeletedRows, Move, MovedPart, MovedRows, SegmentRef,
        VectorDifference, deleted_rows::Rows,
    },
};

use crate::{
    error::report,
    resort::PlacesByOrder,
    shard::columnar::{
        ColumnarStore,
        tests::{Fixture, scan, target, write},
    },
};

/// A table of one column, whose value is the row's number: segments of 250 rows, row groups of 100.
struct Numbers {
    fixture: Fixture,
    schema: SchemaRef,
    segments: Vec<SegmentRef>,
}

impl Numbers {
    async fn new(rows: i64) -> Self {
        let fixture = Fixture::small();
        let schema: SchemaRef =
            Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let column = Arc::new(Int64Array::from_iter_values(0..rows));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap();
        let segments = write(&fixture.store, &target(&schema, 1), vec![Ok(batch)]).await.unwrap();
        Self { fixture, schema, segments }
    }

    /// Deletes these rows of segments, which get new vectors.
    async fn delete(&mut self, transaction: u64, deleted: &[(usize, Vec<u32>)]) -> Result<()> {
        let rows = |rows: &Vec<u32>| numbers(rows);
        let order: Vec<_> = deleted
            .iter()
            .map(|(at, numbers)| DeletedRows {
                segment: Some(self.segments[*at].clone()),
                rows: Some(rows(numbers)),
            })
            .collect();
        let vectors = delete(&self.fixture.store, transaction, order).await?;
        assert_eq!(vectors.len(), deleted.len());
        for ((at, _), vector) in deleted.iter().zip(vectors) {
            self.segments[*at].deletes = Some(vector);
        }
        Ok(())
    }

    fn scan(&self) -> ShardScan {
        scan(&self.schema, &self.segments)
    }

    async fn found(&self) -> Result<Vec<i64>> {
        found(&self.fixture.store, &self.scan()).await
    }
}

fn numbers(rows: &[u32]) -> Rows {
    Rows::Numbers(rows.iter().copied().collect::<RowSet>().encode().into())
}

async fn delete(
    store: &ColumnarStore,
    transaction: u64,
    segments: Vec<DeletedRows>,
) -> Result<Vec<DeleteVector>> {
    let order = DeleteRowsRequest {
        transaction_id: transaction,
        coordinator_epoch: 9,
        table_id: 42,
        table: "t".into(),
        segments,
        sorted: Vec::new(),
    };
    store.delete_rows(order, PlacesByOrder::new()).await
}

/// The first column of all rows, in its order.
async fn found(store: &ColumnarStore, scan: &ShardScan) -> Result<Vec<i64>> {
    let plan = store.scan(scan)?;
    let batches = collect(plan, Arc::new(TaskContext::default())).await.map_err(report)?;
    let mut found: Vec<_> = batches
        .iter()
        .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
        .collect();
    found.sort_unstable();
    Ok(found)
}

fn corrupted(error: &ErrorReport, what: &str) {
    assert_eq!(error.sqlstate, SqlState::DATA_CORRUPTED, "{error}");
    assert!(error.message.ends_with(what), "{error}");
}

#[tokio::test]
async fn scans_leave_deleted_rows_out() {
    let mut table = Numbers::new(600).await;
    let all: BTreeSet<i64> = (0..600).collect();
    let mut gone = BTreeSet::new();
    // A few; a whole row group; more of a segment that has some already; the rest of one.
    for (transaction, deleted) in [
        vec![(0, vec![0, 99, 100, 249]), (2, vec![7])],
        vec![(1, (100..200).collect())],
        vec![(0, vec![1, 2]), (1, vec![249])],
        vec![(2, (0..100).filter(|row| *row != 7).collect())],
    ]
    .into_iter()
    .enumerate()
    {
        table.delete(transaction as u64 + 2, &deleted).await.unwrap();
        let firsts = deleted.iter().flat_map(|(at, rows)| {
            rows.iter().map(move |row| i64::from(*row) + 250 * (*at as i64))
        });
        gone.extend(firsts);
        let left: Vec<_> = all.difference(&gone).copied().collect();
        assert_eq!(table.found().await.unwrap(), left);
        let limited = ShardScan { fetch: Some(300), ..table.scan() };
        assert_eq!(found(&table.fixture.store, &limited).await.unwrap().len(), 300);
        // Every row of the second segment, of which some are deleted, passes.
        let above: Arc<dyn PhysicalExpr> =
            Arc::new(BinaryExpr::new(Arc::new(Column::new("n", 0)), Operator::GtEq, lit(250_i64)));
        let filtered = ShardScan { filters: vec![above], ..table.scan() };
        let left: Vec<_> = left.into_iter().filter(|n| *n >= 250).collect();
        assert_eq!(found(&table.fixture.store, &filtered).await.unwrap(), left);
    }
    // Vectors are in the cache, beside the columns of the same segments.
    let hits = table.fixture.store.counters().column_hits;
    table.found().await.unwrap();
    assert!(table.fixture.store.counters().column_hits > hits + 1);
}

#[tokio::test]
async fn rows_tell_where_they_are() {
    let mut table = Numbers::new(600).await;
    table.delete(2, &[(0, vec![5]), (1, vec![0])]).await.unwrap();
    let scan = ShardScan { projection: vec![3, 0, 1, 2], ..table.scan() };
    let plan = table.fixture.store.scan(&scan).unwrap();
    let batches = collect(plan, Arc::new(TaskContext::default())).await.unwrap();
    let mut seen = 0;
    for batch in &batches {
        let rows = batch.column(0).as_primitive::<Int32Type>();
        let values = batch.column(1).as_primitive::<Int64Type>();
        let datanodes = batch.column(2).as_primitive::<Int32Type>();
        let segments = batch.column(3).as_primitive::<Int64Type>();
        for at in 0..batch.num_rows() {
            let (segment, row) = (values.value(at) / 250, values.value(at) % 250);
            assert_eq!(datanodes.value(at), 1);
            assert_eq!(i64::from(rows.value(at)), row);
            assert_eq!(segments.value(at) as u64, table.segments[segment as usize].id);
            seen += 1;
        }
        assert_eq!(rows.null_count() + segments.null_count(), 0);
    }
    assert_eq!(seen, 598);
}

#[tokio::test]
async fn rows_are_deleted_once() {
    let mut table = Numbers::new(250).await;
    table.delete(2, &[(0, vec![1, 2])]).await.unwrap();
    let base = table.segments[0].clone();
    let error = table.delete(3, &[(0, vec![2, 3])]).await.unwrap_err();
    assert_eq!(error.sqlstate, SqlState::SERIALIZATION_FAILURE);
    assert_eq!(error.message, "could not serialize access due to concurrent update");

    // Two transactions have grown one vector: the rows of the second, beside those of the first.
    table.delete(4, &[(0, vec![10])]).await.unwrap();
    let first = table.segments[0].clone();
    let grown =
        |rows: &[u32]| DeletedRows { segment: Some(base.clone()), rows: Some(numbers(rows)) };
    let store = &table.fixture.store;
    let difference = |vector: &DeleteVector| {
        vec![DeletedRows {
            segment: Some(first.clone()),
            rows: Some(Rows::Difference(VectorDifference {
                vector: Some(vector.clone()),
                base: base.deletes.clone(),
            })),
        }]
    };
    let second = delete(store, 5, vec![grown(&[20])]).await.unwrap().remove(0);
    let both = delete(store, 5, difference(&second)).await.unwrap().remove(0);
    assert_eq!(both.rows, 4);
    let overlapping = delete(store, 6, vec![grown(&[10, 30])]).await.unwrap().remove(0);
    let error = delete(store, 6, difference(&overlapping)).await.unwrap_err();
    assert_eq!(error.sqlstate, SqlState::SERIALIZATION_FAILURE);
    table.segments[0].deletes = Some(both);
    let left: Vec<_> = (0..250).filter(|n| ![1, 2, 10, 20].contains(n)).collect();
    assert_eq!(table.found().await.unwrap(), left);
}

#[tokio::test]
async fn deletes_follow_rows_that_are_written_anew() {
    let mut table = Numbers::new(600).await;
    table.delete(2, &[(0, vec![0, 1]), (2, vec![99])]).await.unwrap();
    let old = table.segments.clone();
    let store = &table.fixture.store;
    let rows = Some(numbers(&[5, 249]));
    let order = vec![DeletedRows { segment: Some(old[1].clone()), rows }];
    let grown = delete(store, 3, order).await.unwrap().remove(0);

    let plan = store.scan_in_order(&table.scan()).unwrap();
    let rows = plan.execute(0, Arc::new(TaskContext::default())).unwrap();
    let new = store.write(&target(&table.schema, 4), rows).await.unwrap();
    assert_eq!(new.iter().map(|segment| segment.rows).collect::<Vec<_>>(), [250, 250, 97]);

    // Before the rows of the second segment there are 248: its first two are still in the first one.
    let part = |segment: &SegmentRef, vector: &DeleteVector, first_row, rows| MovedPart {
        difference: Some(VectorDifference { vector: Some(vector.clone()), base: None }),
        way: vec![Move { segment: Some(segment.clone()), first_row, rows, sorted: 0 }],
    };
    let moved = |to: usize, part: MovedPart| DeletedRows {
        segment: Some(new[to].clone()),
        rows: Some(Rows::Moved(MovedRows { parts: vec![part] })),
    };
    let order =
        vec![moved(0, part(&old[1], &grown, 248, 250)), moved(1, part(&old[1], &grown, -2, 250))];
    let vectors = delete(store, 5, order).await.unwrap();
    assert_eq!(vectors.iter().map(|vector| vector.rows).collect::<Vec<_>>(), [0, 2]);
    // All that were left of the third segment: the last two places of the second new one are theirs.
    let all = MovedPart { difference: None, ..part(&old[2], &grown, 248, 250) };
    let all = delete(store, 7, vec![moved(1, all)]).await.unwrap().remove(0);
    assert_eq!(all.rows, 2);
    // They were deleted already when the others moved.
    let vector = old[0].deletes.as_ref().unwrap();
    let error = delete(store, 6, vec![moved(0, part(&old[0], vector, 0, 250))]).await.unwrap_err();
    assert_eq!(error.sqlstate, SqlState::SERIALIZATION_FAILURE);

    table.segments = new;
    table.segments[1].deletes = Some(vectors[1].clone());
    let left: Vec<_> = (2..599).filter(|n| ![255, 499].contains(n)).collect();
    assert_eq!(table.found().await.unwrap(), left);
}

#[tokio::test]
async fn orders_that_fail_leave_nothing() {
    let mut table = Numbers::new(500).await;
    let before = entries(&table);
    let error = table.delete(2, &[(0, vec![1]), (1, vec![250])]).await.unwrap_err();
    assert_eq!(error.sqlstate, SqlState::INTERNAL_ERROR);
    let store = &table.fixture.store;
    let segment = Some(table.segments[0].clone());
    for (segment, rows) in [
        (segment.clone(), None),
        (None, Some(numbers(&[1]))),
        (segment, Some(Rows::Numbers(vec![1, 2, 3].into()))),
    ] {
        let order = vec![DeletedRows { segment, rows }];
        assert!(delete(store, 2, order).await.is_err());
    }
    assert_eq!(entries(&table), before);
}

fn entries(table: &Numbers) -> usize {
    fs::read_dir(table.fixture.dir.path().join("segments/42")).unwrap().count()
}

#[tokio::test]
async fn damage_is_found() {
    let mut table = Numbers::new(500).await;
    table.delete(2, &[(0, vec![3, 4, 5]), (1, vec![6])]).await.unwrap();
    let vector = |at: usize| table.segments[at].deletes.clone().unwrap();
    let path = |vector: &DeleteVector| table.fixture.dir.path().join(&vector.file);
    let whole = fs::read(path(&vector(0))).unwrap();
    let damages: [(&str, Option<Vec<u8>>); 4] = [
        ("is damaged", Some(whole[..whole.len() - 1].to_vec())),
        ("is damaged", Some(whole.iter().map(|byte| byte ^ 1).collect())),
        ("is damaged", Some(Vec::new())),
        ("is missing", None),
    ];
    for (what, bytes) in damages {
        match bytes {
            Some(bytes) => fs::write(path(&vector(0)), bytes).unwrap(),
            None => fs::remove_file(path(&vector(0))).unwrap(),
        }
        let store = table.fixture.reopened();
        corrupted(&found(&store, &table.scan()).await.unwrap_err(), what);
        let segment = Some(table.segments[0].clone());
        let order = vec![DeletedRows { segment, rows: Some(numbers(&[9])) }];
        corrupted(&delete(&store, 3, order).await.unwrap_err(), what);
    }
    // Another segment's: whole, but not the one that is meant.
    let mut confused = table.scan();
    confused.segments[0].deletes = confused.segments[1].deletes.clone();
    let store = table.fixture.reopened();
    corrupted(&found(&store, &confused).await.unwrap_err(), "is damaged");
    fs::write(path(&vector(0)), whole).unwrap();
    assert_eq!(found(&store, &table.scan()).await.unwrap().len(), 496);
}

#[tokio::test]
async fn vectors_go_on_order() {
    let mut table = Numbers::new(500).await;
    table.delete(2, &[(0, vec![1])]).await.unwrap();
    let first = table.segments[0].deletes.clone().unwrap();
    table.delete(3, &[(0, vec![2])]).await.unwrap();
    let second = table.segments[0].deletes.clone().unwrap();
    table.found().await.unwrap();
    let exists = |vector: &DeleteVector| table.fixture.dir.path().join(&vector.file).exists();
    let store = &table.fixture.store;

    store.drop_segments(DropSegments::Files(vec![first.file.clone()])).await.unwrap();
    assert!(!exists(&first) && exists(&second));
    // What nobody may read any more is not read from memory.
    store.drop_segments(DropSegments::Transaction(TransactionId(3))).await.unwrap();
    assert!(!exists(&second));
    corrupted(&table.found().await.unwrap_err(), "is missing");

    table.segments[0].deletes = None;
    table.delete(4, &[(0, vec![7])]).await.unwrap();
    let kept = table.segments.iter().map(|segment| segment.file.clone());
    let third = table.segments[0].deletes.clone().unwrap();
    let kept = kept.chain([third.file.clone()]).collect();
    let store = table.fixture.reopened();
    store.drop_segments(DropSegments::AllBut(kept)).await.unwrap();
    assert_eq!(found(&store, &table.scan()).await.unwrap().len(), 499);
    let kept = table.segments.iter().map(|segment| segment.file.clone()).collect();
    store.drop_segments(DropSegments::AllBut(kept)).await.unwrap();
    assert!(!table.fixture.dir.path().join(&third.file).exists());
}
