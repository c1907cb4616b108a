//! Sets of keys against the keys themselves.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, Date32Array, Decimal128Array, Int16Array, Int32Array, Int64Array,
        RecordBatch, StringViewArray, TimestampMicrosecondArray,
    },
    compute::cast,
    datatypes::DataType,
};

use datafusion::{
    datasource::memory::MemorySourceConfig, execution::TaskContext, physical_plan::ExecutionPlan,
};
use futures::StreamExt;

use super::{
    super::{KeySet, RuntimeFilter, collect::Key},
    Random,
};
use crate::runtime_filter::KeyCollectorExec;

/// Every kind of keys that a build side may have: close together or far apart, few or many, with
/// NULLs and without.
fn keys_of(random: &mut Random) -> Vec<Option<i64>> {
    let rows = [0, 1, 5, 100, 3000][random.below(5) as usize];
    let spread = [1, 10, 1000, 1 << 30, u64::MAX][random.below(5) as usize];
    let start = [0, -500, i64::MIN, i64::MAX - 10][random.below(4) as usize];
    let nulls = random.below(3);
    let mut key = || {
        let is_null = nulls > 0 && random.below(4) == 0 || nulls == 2 && rows == 5;
        let key = start.wrapping_add(random.below(spread) as i64);
        (!is_null).then_some(key)
    };
    (0..rows).map(|_| key()).collect()
}

/// The keys in batches of which some may be empty.
fn batches(keys: &[Option<i64>], random: &mut Random) -> Vec<ArrayRef> {
    let cut = random.below(keys.len() as u64 + 1) as usize;
    let whole: ArrayRef = Arc::new(Int64Array::from(keys.to_vec()));
    vec![whole.slice(0, cut), whole.slice(cut, keys.len() - cut)]
}

#[test]
fn no_key_is_ever_missed_and_bitmaps_are_exact() {
    let mut kinds = HashSet::new();
    for seed in 0..600 {
        let mut random = Random(seed);
        let keys = keys_of(&mut random);
        let set = KeySet::of(&batches(&keys, &mut random)).unwrap().expect("there is room");
        let values: HashSet<i64> = keys.iter().flatten().copied().collect();
        let probe = |random: &mut Random| match keys.is_empty() || random.below(2) == 0 {
            true => Some(random.next() as i64),
            false => keys[random.below(keys.len() as u64) as usize]
                .map(|key| key.wrapping_add(random.below(3) as i64 - 1)),
        };
        let probes: Vec<_> = (0..200).map(|_| probe(&mut random)).chain([None]).collect();
        let column: ArrayRef = Arc::new(Int64Array::from(probes.clone()));
        let selected = set.select(&column).unwrap().expect("integers");
        for (row, probe) in probes.iter().enumerate() {
            let is_key = probe.is_some_and(|probe| values.contains(&probe));
            let is_kept = selected.value(row);
            assert!(is_kept || !is_key, "seed {seed}: {set:?} has lost {probe:?}");
            let Some(probe) = probe else {
                assert!(!is_kept, "seed {seed}: a NULL joins");
                continue;
            };
            assert_eq!(set.may_contain(*probe), is_kept, "seed {seed}: {set:?}, {probe}");
            if !matches!(set, KeySet::Bloom { .. }) {
                assert_eq!(is_kept, is_key, "seed {seed}: {set:?}, {probe}");
            }
        }
        assert_eq!(set.may_contain_between(i64::MIN, i64::MAX), !values.is_empty(), "seed {seed}");
        for probe in probes.iter().flatten() {
            let other = probe.saturating_add([0, 1, 50, 3000, i64::MAX][random.below(5) as usize]);
            let is_there = values.iter().any(|key| (*probe..=other).contains(key));
            let may_be = set.may_contain_between(*probe, other);
            assert!(may_be || !is_there, "seed {seed}: {set:?} has nothing in {probe} to {other}");
            if !matches!(set, KeySet::Bloom { .. }) && other.wrapping_sub(*probe) <= 3000 {
                assert_eq!(may_be, is_there, "seed {seed}: {set:?}, {probe} to {other}");
            }
        }
        kinds.insert(match set {
            KeySet::Empty => "none",
            KeySet::Bitmap { .. } => "bitmap",
            KeySet::Bloom { .. } => "bloom",
            KeySet::Strings(_) => "strings",
        });
    }
    assert_eq!(kinds, HashSet::from(["none", "bitmap", "bloom"]));
}

#[test]
fn a_bitmap_is_taken_where_it_is_small() {
    let kind = |keys: Vec<i64>| {
        let column: ArrayRef = Arc::new(Int64Array::from(keys));
        let set = KeySet::of(&[column]).unwrap().unwrap();
        (matches!(set, KeySet::Bitmap { .. }), set.bytes())
    };
    // One MiB, whatever it is for.
    assert_eq!(kind(vec![7, 7 + (8 << 20) - 1]), (true, 1 << 20));
    assert!(!kind(vec![7, 7 + (8 << 20)]).0);
    // More for many keys: 32 bits each.
    let step = |count: i64, step: i64| (0..count).map(|n| n * step).collect::<Vec<_>>();
    assert!(kind(step(1_000_000, 30)).0);
    let (is_bitmap, bytes) = kind(step(1_000_000, 40));
    assert!(!is_bitmap);
    assert!((1_200_000..1_300_000).contains(&bytes), "{bytes}");
    // Never more than 64 Mi numbers.
    assert!(!kind(step(4_000_000, 17)).0);
}

/// Each type, and that its values on the probe side find those of the build side.
#[test]
fn types() {
    let strings: Vec<_> = (0..50).map(|n| "long ".repeat(n % 7) + &n.to_string()).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("int2", Arc::new(Int16Array::from_iter_values(-25..25))),
        ("int4", Arc::new(Int32Array::from_iter_values(-25..25))),
        ("int8", Arc::new(Int64Array::from_iter_values(-25..25))),
        ("date", Arc::new(Date32Array::from_iter_values(-25..25))),
        ("timestamp", Arc::new(TimestampMicrosecondArray::from_iter_values(-25..25))),
        (
            "timestamptz",
            Arc::new(TimestampMicrosecondArray::from_iter_values(-25..25).with_timezone("UTC")),
        ),
        ("numeric", {
            let values = Decimal128Array::from_iter_values((-25..25).map(|n| n * 1_000_007));
            Arc::new(values.with_precision_and_scale(15, 2).unwrap())
        }),
        ("text", Arc::new(StringViewArray::from_iter_values(&strings))),
    ];
    for (name, column) in columns {
        assert!(KeySet::supports(column.data_type()), "{name}");
        let half = column.slice(0, 25);
        let set = KeySet::of(&[Arc::clone(&half)]).unwrap().expect(name);
        assert_eq!(set.select(&half).unwrap().unwrap().count_set_bits(), 25, "{name}");
        let all = set.select(&column).unwrap().unwrap().count_set_bits();
        assert!((25..30).contains(&all), "{name}: {all}");
    }
    for data_type in [
        DataType::Float64,
        DataType::Boolean,
        DataType::Decimal128(19, 2),
        DataType::Utf8,
        DataType::Binary,
    ] {
        assert!(!KeySet::supports(&data_type), "{data_type}");
    }
}

/// Short and long strings, of arrays with and without buffers, NULL among them.
#[test]
fn strings_are_found_in_whatever_arrays_they_are() {
    let long = "a string that does not fit into its view";
    let build: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), None, Some(long)]));
    let set = KeySet::of(&[build]).unwrap().unwrap();
    assert!(set.may_contain_between(0, 0));
    for (probe, expected) in [
        (vec![Some("a")], vec![true]),
        (vec![None, Some("a"), Some("b")], vec![false, true, false]),
        (vec![Some(long), Some("a"), None], vec![true, true, false]),
    ] {
        let probe: ArrayRef = Arc::new(StringViewArray::from(probe));
        let selected = set.select(&probe).unwrap().unwrap();
        assert_eq!(selected.iter().collect::<Vec<_>>(), expected);
    }
    // An empty string is a key, NULL is none.
    let nulls: ArrayRef = Arc::new(StringViewArray::from(vec![None::<&str>; 3]));
    assert!(matches!(KeySet::of(&[nulls]).unwrap(), Some(KeySet::Empty)));
    let empty: ArrayRef = Arc::new(StringViewArray::from(vec![""]));
    let set = KeySet::of(&[Arc::clone(&empty)]).unwrap().unwrap();
    assert_eq!(set.select(&empty).unwrap().unwrap().count_set_bits(), 1);
}

#[test]
fn too_many_keys_and_other_types_are_given_up() {
    let far_apart = Int64Array::from_iter_values((0..14_000_000).map(|n| n * 1_000_003));
    assert!(KeySet::of(&[Arc::new(far_apart)]).unwrap().is_none());
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..10));
    let reals = cast(&numbers, &DataType::Float64).unwrap();
    assert!(KeySet::of(&[Arc::clone(&reals)]).unwrap().is_none());
    let set = KeySet::of(&[numbers]).unwrap().unwrap();
    assert!(set.select(&reals).unwrap().is_none(), "nothing is known of another type");
}

/// A join that does not hold its build side in memory wants no filter that would.
#[tokio::test]
async fn a_collector_that_has_given_up_holds_nothing() {
    for gives_up in [false, true] {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
        let batches = vec![batch.clone(), batch.clone()];
        let input = MemorySourceConfig::try_new_exec(&[batches], batch.schema(), None).unwrap();
        let filter = RuntimeFilter::new();
        let key = Key { column: 0, filter: Arc::clone(&filter) };
        let collector = KeyCollectorExec::new(vec![key], input);
        let context = Arc::new(TaskContext::default());
        let mut rows = collector.execute(0, Arc::clone(&context)).unwrap();
        assert!(rows.next().await.is_some());
        if gives_up {
            collector.give_up();
        }
        assert_eq!(rows.count().await, 1);
        assert_eq!(filter.keys().is_none(), gives_up);
        assert_eq!(context.memory_pool().reserved() == 0, gives_up);
    }
}
