//! Greenplum's lists of partitions: `(START (1) END (10) EVERY (1), DEFAULT PARTITION rest)`,
//! `(PARTITION a VALUES (1, 2), …)`. As in Greenplum 7 (`parse_partition_gp.c`), what a part says is
//! turned into bounds as PostgreSQL has them.

use datafusion::common::ScalarValue;
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    BoundValues,
    bound::{bound_value, invalid, list_bound, no_default},
};
use crate::{
    catalog::{ColumnDef, PartitionBound, PartitionStrategy, RangeEnd, TableDef},
    parse::{Identifier, PartEdge, PartitionPart},
    partition::{literal, neighbour},
};

/// More partitions than a single EVERY should make: an error is likelier.
const MAX_OF_EVERY: usize = 32_767;

/// The partitions' short names and bounds, in order.
pub(super) fn bounds(
    listed: &[PartitionPart],
    table: &TableDef,
    values: BoundValues<'_>,
) -> Result<Vec<(String, PartitionBound)>> {
    let mut parts = Parts { table, values, number: 0, made: Vec::new() };
    let edges = parts.edges(listed)?;
    for (part, edges) in listed.iter().zip(edges) {
        parts.add(part, edges)?;
    }
    Ok(parts.made)
}

/// Where a part begins, inclusive, and ends, exclusive; `None`: it does not say.
type Edges = (Option<ScalarValue>, Option<ScalarValue>);

struct Parts<'a> {
    table: &'a TableDef,
    values: BoundValues<'a>,
    /// The last partition without a name.
    number: usize,
    made: Vec<(String, PartitionBound)>,
}

impl<'a> Parts<'a> {
    fn column(&self) -> Result<&'a ColumnDef> {
        match self.table.partition_columns().as_slice() {
            [column] => Ok(*column),
            _ => Err(ErrorReport::unsupported(
                "a list of partitions of a key with more than one column is not supported",
            )
            .hint("Use CREATE TABLE ... PARTITION OF.")),
        }
    }

    /// The edges of all parts. A part without START begins where the one before ends, one without END
    /// ends where the next begins.
    fn edges(&self, listed: &[PartitionPart]) -> Result<Vec<Edges>> {
        let mut edges: Vec<Edges> = Vec::with_capacity(listed.len());
        for part in listed {
            edges.push(match part {
                PartitionPart::Range { start, end, .. } => {
                    (self.edge(start.as_ref(), true)?, self.edge(end.as_ref(), false)?)
                }
                PartitionPart::Default(_) | PartitionPart::List { .. } => (None, None),
            });
        }
        let ranges =
            (0..listed.len()).filter(|at| matches!(listed[*at], PartitionPart::Range { .. }));
        let ranges: Vec<usize> = ranges.collect();
        for pair in ranges.windows(2) {
            let (before, after) = (pair[0], pair[1]);
            let (end, start) = (edges[before].1.clone(), edges[after].0.clone());
            if start.is_none() {
                edges[after].0 = end;
            } else if end.is_none() {
                edges[before].1 = start;
            }
        }
        Ok(edges)
    }

    /// START is inclusive and END exclusive; the others are those of the next value.
    fn edge(&self, edge: Option<&PartEdge>, is_start: bool) -> Result<Option<ScalarValue>> {
        let Some(edge) = edge else { return Ok(None) };
        let column = self.column()?;
        let value = (self.values)(&edge.value, column.sql_type)?;
        if value.is_null() {
            return Err(invalid("cannot specify NULL in range bound".into()));
        }
        if edge.is_inclusive == is_start {
            return Ok(Some(value));
        }
        let next = neighbour(&value, 1).ok_or_else(|| {
            let word = if is_start { "START EXCLUSIVE" } else { "END INCLUSIVE" };
            let message =
                format!("{word} for a partition key of type {} is not supported", column.sql_type);
            ErrorReport::unsupported(message)
        })?;
        Ok(Some(next))
    }

    fn add(&mut self, part: &PartitionPart, (start, end): Edges) -> Result<()> {
        let strategy = self.table.partitioned_by.as_ref().map(|by| by.strategy);
        match (part, strategy) {
            (PartitionPart::Default(_), Some(PartitionStrategy::Hash)) => return Err(no_default()),
            (PartitionPart::Default(name), _) => {
                self.made.push((name.name.clone(), PartitionBound::Default));
            }
            (PartitionPart::List { name, values, .. }, Some(PartitionStrategy::List)) => {
                let bound = list_bound(values, &self.table.partition_columns(), self.values)?;
                let name = self.name(name.as_ref());
                self.made.push((name, bound));
            }
            (PartitionPart::Range { name, every, .. }, Some(PartitionStrategy::Range)) => {
                match every {
                    Some(every) => self.every(name.as_ref(), every, start, end)?,
                    None => {
                        let name = self.name(name.as_ref());
                        self.push(name, start, end)?;
                    }
                }
            }
            (
                PartitionPart::List { position, .. } | PartitionPart::Range { position, .. },
                strategy,
            ) => {
                let kind = strategy.map_or("", PartitionStrategy::word).to_ascii_lowercase();
                let message = format!("invalid boundary specification for {kind} partition");
                return Err(invalid(message).position(*position));
            }
        }
        Ok(())
    }

    /// Equal steps from START to END; the last one may be shorter.
    fn every(
        &mut self,
        name: Option<&Identifier>,
        every: &str,
        start: Option<ScalarValue>,
        end: Option<ScalarValue>,
    ) -> Result<()> {
        let (Some(start), Some(end)) = (start, end) else {
            let message = "EVERY clause requires START and END clauses";
            return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message));
        };
        let sql_type = self.column()?.sql_type;
        let (mut from, mut count) = (start, 0);
        while from < end {
            let sum = format!("{} + ({every})", literal(&from, sql_type)?);
            let mut to = step(&from, every).map_or_else(|| (self.values)(&sum, sql_type), Ok)?;
            if to.is_null() || to <= from {
                let message = "EVERY parameter produces ambiguous partition rule";
                return Err(invalid(message.into()));
            }
            if to > end {
                to = end.clone();
            }
            count += 1;
            if count > MAX_OF_EVERY {
                return Err(invalid(format!("EVERY makes more than {MAX_OF_EVERY} partitions")));
            }
            let name = match name {
                Some(name) => format!("{}_{count}", name.name),
                None => self.name(None),
            };
            self.push(name, Some(from), Some(to.clone()))?;
            from = to;
        }
        Ok(())
    }

    fn push(
        &mut self,
        name: String,
        start: Option<ScalarValue>,
        end: Option<ScalarValue>,
    ) -> Result<()> {
        let column = self.column()?;
        let edge = |value: Option<ScalarValue>, open: RangeEnd| match value {
            Some(value) => Ok(bound_value(value, column)?.map_or(open, RangeEnd::Value)),
            None => Ok::<_, ErrorReport>(open),
        };
        let from = vec![edge(start, RangeEnd::MinValue)?];
        let to = vec![edge(end, RangeEnd::MaxValue)?];
        self.made.push((name, PartitionBound::Range { from, to }));
        Ok(())
    }

    fn name(&mut self, name: Option<&Identifier>) -> String {
        match name {
            Some(name) => name.name.clone(),
            None => {
                self.number += 1;
                self.number.to_string()
            }
        }
    }
}

/// The sum of an integer and a plain number, without asking what the words of EVERY mean.
fn step(from: &ScalarValue, every: &str) -> Option<ScalarValue> {
    let by: i64 = every.trim().parse().ok()?;
    Some(match from {
        ScalarValue::Int16(Some(v)) => {
            ScalarValue::Int16(Some(i16::try_from(i64::from(*v).checked_add(by)?).ok()?))
        }
        ScalarValue::Int32(Some(v)) => {
            ScalarValue::Int32(Some(i32::try_from(i64::from(*v).checked_add(by)?).ok()?))
        }
        ScalarValue::Int64(Some(v)) => ScalarValue::Int64(Some(v.checked_add(by)?)),
        _ => return None,
    })
}

/// The relation's name of a partition that Greenplum's words call `name`. `level`: that of the partition;
/// those of a table that is no partition are on level 1.
pub(super) fn full_name(table: &str, level: usize, name: &str) -> String {
    format!("{table}_{level}_prt_{name}")
}
