//! What a datanode counts, as Prometheus reads it. `docs/metrics.md` lists the same for people.

use datafusion::execution::memory_pool::MemoryLimit;
use kestrel_proto::metrics::Family;

use crate::{
    exchange::ExchangeCounters,
    shard::{ColumnarCounters, kes::KesCounters},
};

/// The numbers of a datanode, as they are now.
pub(crate) struct Numbers {
    pub(crate) running_fragments: u64,
    pub(crate) finished_fragments: u64,
    pub(crate) failed_fragments: u64,
    pub(crate) streams: u64,
    pub(crate) exchange: ExchangeCounters,
    pub(crate) temporary_files: u64,
    pub(crate) reserved_bytes: u64,
    pub(crate) memory_limit: MemoryLimit,
    pub(crate) store: ColumnarCounters,
    /// `None`: no database holds the shard.
    pub(crate) kes: Option<KesCounters>,
}

/// All that a datanode shows. Each value has its name: a process may have several datanodes.
pub(crate) fn families(datanode: &str, numbers: &Numbers) -> Vec<Family> {
    let here = ("datanode", datanode);
    let counter = |name, help, value| Family::counter(name, help).with(&[here], value);
    let gauge = |name, help, value| Family::gauge(name, help).with(&[here], value);
    let exchange = &numbers.exchange;
    let mut families = vec![
        Family::counter("kestrel_fragments_total", "Fragments that have ended.")
            .with(&[here, ("outcome", "finished")], numbers.finished_fragments)
            .with(&[here, ("outcome", "failed")], numbers.failed_fragments),
        gauge("kestrel_fragments_running", "Fragments that run.", numbers.running_fragments),
        gauge("kestrel_exchange_streams", "Streams that fragments send.", numbers.streams),
        gauge(
            "kestrel_exchange_queued_bytes",
            "Bytes that wait in memory for their receivers.",
            exchange.queued_bytes,
        ),
        counter(
            "kestrel_exchange_spilled_bytes_total",
            "Bytes that the exchange wrote to temporary files.",
            exchange.spilled_bytes,
        ),
        counter(
            "kestrel_exchange_spilled_batches_total",
            "Batches that the exchange wrote to temporary files.",
            exchange.spilled_batches,
        ),
        gauge("kestrel_temporary_files", "Temporary files.", numbers.temporary_files),
        gauge(
            "kestrel_memory_reserved_bytes",
            "Bytes reserved by the queries of the datanodes of the process.",
            numbers.reserved_bytes,
        ),
    ];
    families.extend(of_store(here, &numbers.store));
    families.extend(numbers.kes.iter().flat_map(|kes| of_database(here, kes)));
    if let MemoryLimit::Finite(limit_bytes) = numbers.memory_limit {
        families.push(gauge(
            "kestrel_memory_limit_bytes",
            "Bytes that the queries of the datanodes of the process may reserve.",
            limit_bytes as u64,
        ));
    }
    families
}

/// What the segments of a columnar shard cost.
fn of_store(here: (&str, &str), store: &ColumnarCounters) -> Vec<Family> {
    let counter = |name, help, value| Family::counter(name, help).with(&[here], value);
    let gauge = |name, help, value| Family::gauge(name, help).with(&[here], value);
    vec![
        counter(
            "kestrel_segment_files_written_total",
            "Segment files that were written.",
            store.written_segments,
        ),
        counter(
            "kestrel_rows_written_total",
            "Rows that were written to segment files.",
            store.written_rows,
        ),
        counter(
            "kestrel_metadata_cache_hits_total",
            "Footers of segment files that were in the cache.",
            store.footer_hits,
        ),
        counter(
            "kestrel_metadata_cache_misses_total",
            "Footers of segment files that were read.",
            store.footer_misses,
        ),
        gauge(
            "kestrel_metadata_cache_bytes",
            "Bytes of the cached footers of segment files.",
            store.footer_bytes,
        ),
        counter(
            "kestrel_column_cache_hits_total",
            "Columns of row groups that were in the cache.",
            store.column_hits,
        ),
        counter(
            "kestrel_column_cache_misses_total",
            "Columns of row groups that were read, or waited for.",
            store.column_misses,
        ),
        counter(
            "kestrel_column_cache_evictions_total",
            "Columns of row groups that left the cache, for others or for queries.",
            store.column_evictions,
        ),
        gauge(
            "kestrel_column_cache_bytes",
            "Bytes of the cached columns of row groups.",
            store.column_bytes,
        ),
    ]
}

/// Of a shard that a database holds.
fn of_database(here: (&'static str, &str), kes: &KesCounters) -> [Family; 4] {
    let gauge = |name, help, value| Family::gauge(name, help).with(&[here], value);
    [
        Family::gauge("kestrel_shard_sessions", "Sessions with the shard's database.")
            .with(&[here, ("state", "in use")], kes.sessions_in_use)
            .with(&[here, ("state", "idle")], kes.sessions_idle),
        gauge(
            "kestrel_shard_sessions_waited_for",
            "Statements that wait for a session with the shard's database.",
            kes.sessions_waited_for,
        ),
        gauge(
            "kestrel_shard_transactions",
            "Transactions that are open in the shard's database.",
            kes.transactions,
        ),
        gauge(
            "kestrel_shard_snapshots",
            "Snapshots of the shard's database that queries read.",
            kes.snapshots,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use kestrel_proto::metrics::text;

    use super::*;

    #[test]
    fn datanodes_of_one_process_share_a_page() {
        let numbers = |finished_fragments, memory_limit| Numbers {
            running_fragments: 0,
            finished_fragments,
            failed_fragments: 2,
            streams: 0,
            exchange: ExchangeCounters { spilled_bytes: 9, spilled_batches: 1, queued_bytes: 5 },
            temporary_files: 0,
            reserved_bytes: 0,
            memory_limit,
            store: ColumnarCounters { footer_misses: 3, column_evictions: 7, ..Default::default() },
            kes: Some(KesCounters { transactions: finished_fragments, ..Default::default() }),
        };
        let mut both = families("dn1", &numbers(1, MemoryLimit::Finite(64)));
        both.extend(families("dn2", &numbers(8, MemoryLimit::Infinite)));
        let text = text(both);
        for line in [
            "kestrel_fragments_total{datanode=\"dn1\",outcome=\"finished\"} 1",
            "kestrel_fragments_total{datanode=\"dn2\",outcome=\"finished\"} 8",
            "kestrel_fragments_total{datanode=\"dn2\",outcome=\"failed\"} 2",
            "kestrel_exchange_spilled_bytes_total{datanode=\"dn1\"} 9",
            "kestrel_exchange_queued_bytes{datanode=\"dn1\"} 5",
            "kestrel_metadata_cache_misses_total{datanode=\"dn2\"} 3",
            "kestrel_column_cache_evictions_total{datanode=\"dn2\"} 7",
            "kestrel_memory_limit_bytes{datanode=\"dn1\"} 64",
            "kestrel_shard_transactions{datanode=\"dn2\"} 8",
            "kestrel_shard_sessions{datanode=\"dn1\",state=\"in use\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "no line {line} in:\n{text}");
        }
        assert!(!text.contains("kestrel_memory_limit_bytes{datanode=\"dn2\"}"), "{text}");
        assert_eq!(text.matches("# TYPE kestrel_fragments_total counter").count(), 1, "{text}");
    }
}
