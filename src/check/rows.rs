//! Where rows are: on which datanode, in which partition, and whether copies are the same.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hasher},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, RecordBatch},
    row::{RowConverter, SortField},
};
use datafusion::{execution::TaskContext, physical_plan::ExecutionPlanProperties};
use futures::StreamExt;
use kestrel_datanode::shard::{ColumnarSettings, ColumnarStore};
use kestrel_planner::{
    catalog::{Catalog, ColumnDef, Distribution, HashClass, Segment, TableDef},
    error::report as error_report,
    memory::QueryMemory,
    operators::{ShardScan, ShardStore},
    partition::PartitionRouter,
    placement::buckets,
};
use kestrel_proto::{ErrorReport, Result as ReportResult};

use super::{
    files::Directory,
    report::{Problem, ProblemKind, Report},
};
use crate::{Result, memory::default_limit};

/// What the rows of a table are compared with.
struct Rules<'a> {
    catalog: &'a Catalog,
    table: &'a TableDef,
    /// The columns that are read, as positions in the table.
    columns: Vec<usize>,
    /// The distribution key: positions among these, and how they are hashed.
    key: Vec<(usize, HashClass)>,
    /// Whether the partition takes a row; the positions of the partition key among the columns.
    router: Option<(PartitionRouter, Vec<usize>)>,
}

/// What was found on one datanode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    rows: u64,
    /// Of all rows, in whatever order they are.
    sum: u64,
    misplaced: u64,
    of_others: u64,
}

/// Looks at the rows of one table, or partition, on all datanodes.
pub(super) async fn check(
    catalog: &Catalog,
    table: &TableDef,
    directories: &[Directory],
    report: &mut Report,
) -> Result<()> {
    let rules = Rules::of(catalog, table)?;
    if rules.columns.is_empty() {
        return Ok(());
    }
    let mut copies: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for directory in directories {
        let (segments, is_all) = directory.readable(table);
        let found = match rules.look(directory, &segments).await {
            Ok(found) => found,
            Err(error) => {
                let problem = Problem::of(ProblemKind::Unreadable, table, error.to_string());
                report.problems.push(problem.on(&directory.name));
                continue;
            }
        };
        report.rows += found.rows;
        let mut tell = |kind, rows: u64, detail: String| {
            if rows > 0 {
                let problem = Problem::of(kind, table, detail).on(&directory.name);
                report.problems.push(Problem { rows: Some(rows), ..problem });
            }
        };
        let misplaced = found.misplaced;
        let detail = format!("{misplaced} of {} rows belong to other datanodes", found.rows);
        tell(ProblemKind::Placement, misplaced, detail);
        let detail =
            format!("{} of {} rows are not of this partition", found.of_others, found.rows);
        tell(ProblemKind::Partition, found.of_others, detail);
        if is_all {
            copies.insert(&directory.name, (found.rows, found.sum));
        }
    }
    if table.distribution == Distribution::Replicated {
        report.problems.extend(different_copies(table, &copies));
    }
    Ok(())
}

/// All copies must have the same rows.
fn different_copies(table: &TableDef, copies: &BTreeMap<&str, (u64, u64)>) -> Option<Problem> {
    let first = copies.values().next()?;
    if copies.values().all(|copy| copy == first) {
        return None;
    }
    let text = |(name, (rows, sum)): (&&str, &(u64, u64))| format!("{name} {rows} ({sum:016x})");
    let each: Vec<_> = copies.iter().map(text).collect();
    let detail = format!("the copies differ; rows, and a checksum of them: {}", each.join(", "));
    Some(Problem::of(ProblemKind::Copies, table, detail))
}

impl<'a> Rules<'a> {
    fn of(catalog: &'a Catalog, table: &'a TableDef) -> Result<Self> {
        let mut rules = Self { catalog, table, columns: Vec::new(), key: Vec::new(), router: None };
        if table.segments.is_empty() {
            return Ok(rules);
        }
        if table.distribution == Distribution::Replicated {
            rules.columns = (0..table.columns.len()).collect();
        }
        for column in table.distribution_columns() {
            if let (Some(at), Some(class)) = (rules.read(column), column.sql_type.hash_class()) {
                rules.key.push((at, class));
            }
        }
        if let Some(table) = catalog.table_by_id(table.id)
            && let Some(router) = PartitionRouter::of(table, catalog)?
        {
            let key = router.key_columns().into_iter().filter_map(|at| table.columns.get(at));
            let key: Vec<_> = key.filter_map(|column| rules.read(column)).collect();
            rules.router = Some((router, key));
        }
        Ok(rules)
    }

    /// The position of a column among those that are read.
    fn read(&mut self, column: &ColumnDef) -> Option<usize> {
        let in_table = self.table.column_index(column.id)?;
        let known = self.columns.iter().position(|at| *at == in_table);
        Some(known.unwrap_or_else(|| {
            self.columns.push(in_table);
            self.columns.len() - 1
        }))
    }

    /// Reads these segments.
    async fn look(&self, directory: &Directory, segments: &[&Segment]) -> ReportResult<Found> {
        let mut found = Found::default();
        if segments.is_empty() {
            return Ok(found);
        }
        // Their checksums have been compared, and each is read once.
        let settings =
            ColumnarSettings { cache_bytes: 0, verify_checksums: false, ..Default::default() };
        let memory = QueryMemory::new(default_limit());
        let store = ColumnarStore::new(directory.id, &directory.path, settings, &memory);
        let plan = store.scan(&self.scan(segments))?;
        for partition in 0..plan.output_partitioning().partition_count() {
            let rows = plan.execute(partition, Arc::new(TaskContext::default()));
            let mut rows = rows.map_err(error_report)?;
            while let Some(batch) = rows.next().await {
                self.note(&batch.map_err(error_report)?, directory, &mut found)?;
            }
        }
        let expected: u64 = segments.iter().map(|segment| segment.live_rows()).sum();
        match found.rows == expected {
            true => Ok(found),
            false => Err(ErrorReport::internal(format!(
                "{} rows can be read in place of {expected}",
                found.rows
            ))),
        }
    }

    fn scan(&self, segments: &[&Segment]) -> ShardScan {
        ShardScan {
            table_id: self.table.table_id(),
            table: self.table.name.clone(),
            schema: self.table.scan_schema(),
            column_ids: self.table.column_ids(),
            projection: self.columns.clone(),
            filters: Vec::new(),
            segments: segments.iter().map(|segment| segment.to_message()).collect(),
            relation: None,
            partitions: Vec::new(),
            partitions_left_out: 0,
            sample: None,
            estimated_rows: segments.iter().map(|segment| segment.live_rows()).sum(),
            estimated_bytes: segments.iter().map(|segment| segment.bytes).sum(),
            fetch: None,
        }
    }

    fn note(
        &self,
        batch: &RecordBatch,
        directory: &Directory,
        found: &mut Found,
    ) -> ReportResult<()> {
        found.rows += batch.num_rows() as u64;
        let columns = |positions: &mut dyn Iterator<Item = usize>| -> Vec<ArrayRef> {
            positions.map(|at| Arc::clone(batch.column(at))).collect()
        };
        if !self.key.is_empty() {
            let key = columns(&mut self.key.iter().map(|(at, _)| *at));
            let classes: Vec<_> = self.key.iter().map(|(_, class)| *class).collect();
            let map = &self.catalog.bucket_map;
            let buckets = buckets(&key, &classes)?.into_iter();
            found.misplaced +=
                buckets.filter(|bucket| map.owner(*bucket) != directory.id).count() as u64;
        }
        if let Some((router, key)) = &self.router {
            let taken = router.takes(&columns(&mut key.iter().copied()))?.into_iter();
            found.of_others += taken.filter(|is_taken| !is_taken).count() as u64;
        }
        if self.table.distribution == Distribution::Replicated {
            found.sum = found.sum.wrapping_add(sum_of_rows(batch)?);
        }
        Ok(())
    }
}

/// The sum of the rows' hashes, which does not depend on their order.
fn sum_of_rows(batch: &RecordBatch) -> ReportResult<u64> {
    let failed = |error: arrow::error::ArrowError| error_report(error.into());
    let schema = batch.schema();
    let fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone()));
    let converter = RowConverter::new(fields.collect()).map_err(failed)?;
    let rows = converter.convert_columns(batch.columns()).map_err(failed)?;
    Ok(rows.iter().fold(0, |sum, row| {
        let mut hasher = DefaultHasher::new();
        hasher.write(row.as_ref());
        sum.wrapping_add(hasher.finish())
    }))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, StringViewArray};

    use super::*;

    #[test]
    fn copies_are_compared_whatever_their_order() {
        let batch = |numbers: Vec<Option<i32>>, texts: Vec<&str>| {
            let numbers: ArrayRef = Arc::new(Int32Array::from(numbers));
            let texts: ArrayRef = Arc::new(StringViewArray::from(texts));
            RecordBatch::try_from_iter_with_nullable([("a", numbers, true), ("b", texts, true)])
                .unwrap()
        };
        let sum = |batch: &RecordBatch| sum_of_rows(batch).unwrap();
        let one = sum(&batch(vec![Some(1), None, Some(3)], vec!["x", "y", "z"]));
        assert_eq!(one, sum(&batch(vec![Some(3), Some(1), None], vec!["z", "x", "y"])));
        assert_ne!(one, sum(&batch(vec![Some(3), Some(1), None], vec!["z", "y", "x"])));
        let table = TableDef::new(20_000, ("public", "t"), Vec::new(), Distribution::Replicated);
        let check = |copies: &[(&'static str, u64)], expected: Option<&str>| {
            let copies = copies.iter().map(|(name, sum)| (*name, (3, *sum))).collect();
            let found = different_copies(&table, &copies).map(|problem| problem.detail);
            assert_eq!(found.as_deref(), expected);
        };
        check(&[], None);
        check(&[("dn1", 5), ("dn2", 5)], None);
        check(
            &[("dn1", 5), ("dn2", 6)],
            Some(
                "the copies differ; rows, and a checksum of them: dn1 3 (0000000000000005), dn2 3 \
                 (0000000000000006)",
            ),
        );
    }
}
