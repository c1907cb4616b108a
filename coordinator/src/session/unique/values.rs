//! The keys of a few rows, as values.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use arrow::{
    array::{Array, ArrayRef, BooleanArray, RecordBatch},
    compute::filter,
    row::{RowConverter, Rows, SortField},
};
use datafusion::{
    common::Column,
    logical_expr::{Expr, lit},
    scalar::ScalarValue,
};
use kestrel_planner::{
    catalog::{KeyDef, SqlType, TableDef},
    error::report,
};
use kestrel_proto::{ErrorReport, Result};

/// Keys of several columns that one condition looks for; of keys of one column all.
const CONDITION_KEYS: usize = 16;

/// The keys of some rows; those with a NULL are not there, as they are equal to none.
pub(super) struct KeyValues {
    columns: Vec<ArrayRef>,
    /// The same, so that equal keys are equal bytes.
    rows: Rows,
}

impl KeyValues {
    /// Whether the values of a table's key are equal only if their bytes are.
    pub(super) fn are_of(table: &TableDef, key: &KeyDef) -> bool {
        let column = |id: &u32| table.column_by_id(*id);
        key.columns.iter().all(|id| column(id).is_some_and(|c| equal_by_bytes(c.sql_type)))
    }

    /// Of rows as the table takes them; `None`: equal values may have different bytes.
    pub(super) fn of(table: &TableDef, key: &KeyDef, rows: &RecordBatch) -> Result<Option<Self>> {
        if !Self::are_of(table, key) {
            return Ok(None);
        }
        let missing = || ErrorReport::internal("a key's column is not among the rows'");
        let columns = key.columns.iter().map(|id| {
            let at = table.column_index(*id).ok_or_else(missing)?;
            rows.columns().get(at).ok_or_else(missing)
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let present = |row| columns.iter().all(|column| column.is_valid(row));
        let present: BooleanArray = (0..rows.num_rows()).map(|row| Some(present(row))).collect();
        let columns = columns.into_iter().map(|column| filter(column, &present));
        let columns =
            columns.collect::<Result<Vec<_>, _>>().map_err(|error| report(error.into()))?;
        let fields = columns.iter().map(|column| SortField::new(column.data_type().clone()));
        let rows = RowConverter::new(fields.collect())
            .and_then(|converter| converter.convert_columns(&columns))
            .map_err(|error| report(error.into()))?;
        Ok(Some(Self { columns, rows }))
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.rows.num_rows()
    }

    /// Whether a key is there twice.
    pub(super) fn has_double(&self) -> bool {
        let mut seen = HashSet::with_capacity(self.len());
        !self.rows.iter().all(|row| seen.insert(row))
    }

    /// A number for each key; those of another key of the table are others.
    pub(super) fn hashes(&self, key: &KeyDef) -> impl Iterator<Item = u64> {
        self.rows.iter().map(|row| {
            let mut hasher = DefaultHasher::new();
            (key.id, row).hash(&mut hasher);
            hasher.finish()
        })
    }

    /// Whether [`Self::condition`] is a small one.
    pub(super) fn fit_condition(&self) -> bool {
        self.columns.len() == 1 || self.len() <= CONDITION_KEYS
    }

    /// Rows that have one of the keys in these columns.
    pub(super) fn condition(&self, columns: &[Column]) -> Result<Expr> {
        let value = |column: &ArrayRef, row| {
            ScalarValue::try_from_array(column, row).map(lit).map_err(report)
        };
        if let ([column], [values]) = (columns, self.columns.as_slice()) {
            let list = (0..self.len()).map(|row| value(values, row)).collect::<Result<Vec<_>>>()?;
            return Ok(match <[Expr; 1]>::try_from(list) {
                Ok([one]) => Expr::Column(column.clone()).eq(one),
                Err(list) => Expr::Column(column.clone()).in_list(list, false),
            });
        }
        let mut any = lit(false);
        for row in 0..self.len() {
            let mut all = lit(true);
            for (column, values) in columns.iter().zip(&self.columns) {
                all = all.and(Expr::Column(column.clone()).eq(value(values, row)?));
            }
            any = any.or(all);
        }
        Ok(any)
    }
}

/// Not so: floating point numbers (two zeros), intervals (30 days and a month), what JSON may be.
fn equal_by_bytes(sql_type: SqlType) -> bool {
    match sql_type {
        SqlType::SmallInt
        | SqlType::Integer
        | SqlType::BigInt
        | SqlType::Oid
        | SqlType::Numeric(..)
        | SqlType::Boolean
        | SqlType::Text
        | SqlType::Varchar(_)
        | SqlType::Char(_)
        | SqlType::Name
        | SqlType::Date
        | SqlType::Time
        | SqlType::Timestamp
        | SqlType::TimestampTz
        | SqlType::Uuid
        | SqlType::Bytea => true,
        SqlType::Real
        | SqlType::Double
        | SqlType::Json
        | SqlType::Jsonb
        | SqlType::Array(_)
        | SqlType::Int2Vector
        | SqlType::OidVector
        | SqlType::Interval => false,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use arrow::array::{Int32Array, StringViewArray};
    use kestrel_planner::{
        catalog::Catalog,
        ddl,
        parse::{StatementKind, parse},
    };

    use super::*;

    fn table(sql: &str) -> TableDef {
        let statement = parse(sql).unwrap().remove(0);
        let StatementKind::Ddl(statement) = statement.kind else { panic!("no DDL: {sql}") };
        let plan = ddl::plan(&statement, &Catalog::empty(), &["public".into()]).unwrap();
        plan.created_table().unwrap().clone()
    }

    #[test]
    fn keys_are_compared_and_hashed_without_nulls() {
        let table = table("CREATE TABLE t (a int, b text, UNIQUE (a, b)) DISTRIBUTED BY (a)");
        let key = table.unique_sets().next().unwrap();
        for (rows, has_double, different) in [
            (vec![], false, 0),
            (vec![(Some(1), Some("x"))], false, 1),
            (vec![(Some(1), Some("x")), (Some(1), Some("y")), (Some(2), Some("x"))], false, 3),
            (vec![(Some(1), Some("x")), (Some(2), Some("x")), (Some(1), Some("x"))], true, 2),
            (vec![(Some(1), None), (Some(1), None), (None, Some("x"))], false, 0),
        ] {
            let (a, b): (Vec<_>, Vec<_>) = rows.iter().copied().unzip();
            let columns: Vec<ArrayRef> =
                vec![Arc::new(Int32Array::from(a)), Arc::new(StringViewArray::from(b))];
            let batch = RecordBatch::try_new(table.arrow_schema(), columns).unwrap();
            let values = KeyValues::of(&table, key, &batch).unwrap().unwrap();
            assert_eq!(values.has_double(), has_double, "{rows:?}");
            let hashes: BTreeSet<_> = values.hashes(key).collect();
            assert_eq!(hashes.len(), different, "{rows:?}");
        }
    }

    #[test]
    fn keys_that_are_equal_in_several_ways_are_not_compared() {
        for (sql_type, expected) in
            [("bigint", true), ("char(3)", true), ("float8", false), ("interval", false)]
        {
            let sql =
                format!("CREATE TABLE t (a int, b {sql_type}, UNIQUE (a, b)) DISTRIBUTED BY (a)");
            let table = table(&sql);
            let key = table.unique_sets().next().unwrap();
            assert_eq!(KeyValues::are_of(&table, key), expected, "{sql_type}");
        }
    }
}
