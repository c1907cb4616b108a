//! The bucket of a row, as the database computes it and as the planner's placement does.

use arrow::array::ArrayRef;
use datafusion::common::ScalarValue;
use kestrel_datanode::shard::kes::sql::{bucket::bucket, literal, type_name};
use kestrel_planner::{catalog::SqlType, placement::buckets};

use super::{
    seed,
    values::{TYPES, value},
};
use crate::{
    generate::Rng,
    support::{Session, postgres},
};

const ROWS: usize = 200;

/// Rows of these columns, in a table and as arrays, must be in the same buckets.
async fn check(session: &Session, rng: &mut Rng, types: &[SqlType]) {
    let names: Vec<_> = (0..types.len()).map(|i| format!("k{i}")).collect();
    let columns: Vec<_> = names
        .iter()
        .zip(types)
        .map(|(name, sql_type)| format!("{name} {}", type_name(*sql_type).unwrap()))
        .collect();
    session
        .run_all([
            "DROP TABLE IF EXISTS keys".to_string(),
            format!("CREATE TABLE keys (row int, {})", columns.join(", ")),
        ])
        .await;

    let mut arrays: Vec<Vec<ScalarValue>> = vec![Vec::new(); types.len()];
    let mut rows = Vec::new();
    for row in 0..ROWS {
        let mut literals = vec![row.to_string()];
        for (array, sql_type) in arrays.iter_mut().zip(types) {
            let value = match rng.chance(10) {
                true => ScalarValue::try_from(&sql_type.arrow()).unwrap(),
                false => value(rng, *sql_type),
            };
            literals.push(literal(&value, *sql_type).unwrap());
            array.push(value);
        }
        rows.push(format!("({})", literals.join(", ")));
    }
    session.run_all([format!("INSERT INTO keys VALUES {}", rows.join(", "))]).await;

    let key: Vec<_> = names.iter().map(String::as_str).zip(types.iter().copied()).collect();
    let expression = bucket(&key).unwrap();
    let found = session.rows(&format!("SELECT {expression} FROM keys ORDER BY row")).await;
    let arrays: Vec<ArrayRef> =
        arrays.into_iter().map(|values| ScalarValue::iter_to_array(values).unwrap()).collect();
    let classes: Vec<_> = types.iter().map(|t| t.hash_class().unwrap()).collect();
    let expected = buckets(&arrays, &classes).unwrap();
    for (row, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let found = found[0].as_deref();
        let wanted = expected.to_string();
        assert_eq!(found, Some(wanted.as_str()), "seed {}: {types:?} {}", seed(), rows[row]);
    }
    assert_eq!(found.len(), expected.len());
}

#[tokio::test]
async fn the_database_finds_the_placements_buckets() {
    let Some(postgres) = postgres() else { return };
    let session = Session::connect(&postgres.connection_string()).await;
    let mut rng = Rng::new(seed());
    let hashable: Vec<_> = TYPES.into_iter().filter(|t| t.hash_class().is_some()).collect();
    for sql_type in &hashable {
        check(&session, &mut rng, &[*sql_type]).await;
    }
    for columns in 2..=8 {
        for _ in 0..3 {
            let types: Vec<_> = (0..columns).map(|_| *rng.pick(&hashable)).collect();
            check(&session, &mut rng, &types).await;
        }
    }
}

/// The two dates that are no days are keys, too.
#[tokio::test]
async fn infinite_dates_have_their_buckets() {
    let Some(postgres) = postgres() else { return };
    let session = Session::connect(&postgres.connection_string()).await;
    let expression = bucket(&[("k", SqlType::Date)]).unwrap();
    let days: ArrayRef =
        std::sync::Arc::new(arrow::array::Date32Array::from(vec![i32::MIN, i32::MAX]));
    let expected = buckets(&[days], &[SqlType::Date.hash_class().unwrap()]).unwrap();
    for (day, expected) in ["-infinity", "infinity"].iter().zip(expected) {
        let sql = format!("SELECT {expression} FROM (SELECT date '{day}') t (k)");
        assert_eq!(session.value(&sql).await, expected.to_string(), "{day}");
    }
}
