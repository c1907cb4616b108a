//! How DataFusion runs inside a datanode.

use std::collections::HashMap;

use datafusion::prelude::SessionConfig;

/// The configuration of every fragment; options of the session are laid over it.
///
/// `target_partitions`: execution partitions of one operator. `batch_rows`: rows of a batch.
pub(crate) fn session_config(target_partitions: usize, batch_rows: usize) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(target_partitions.max(1))
        .with_batch_size(batch_rows.max(1));
    let options = config.options_mut();
    // The coordinator has chosen the build sides, by what is moved.
    options.optimizer.join_reordering = false;
    // A build side of this size is read once, by all probing partitions: splitting both sides and
    // their dynamic filters costs more than it brings.
    options.optimizer.hash_join_single_partition_threshold = 1 << 30;
    options.optimizer.hash_join_single_partition_threshold_rows = 4_000_000;
    options.optimizer.enable_dynamic_filter_pushdown = true;
    // The shard store has split its scans already, along its row groups.
    options.optimizer.repartition_file_scans = false;
    // Filters inside the decoder have been slower than behind it.
    options.execution.parquet.pushdown_filters = false;
    // A scan's partition must be able to finish alone.
    options.execution.enable_file_stream_work_stealing = false;
    config
}

/// Lays a session's settings over the configuration. Settings that do not change how operators run
/// have done their part on the coordinator.
pub(super) fn with_settings(
    mut config: SessionConfig,
    settings: &HashMap<String, String>,
) -> SessionConfig {
    for (name, value) in settings {
        if name.eq_ignore_ascii_case("TimeZone") {
            config.options_mut().execution.time_zone = Some(value.clone());
        }
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sessions_time_zone_is_the_fragments() {
        let base = session_config(2, 100);
        let zone = |settings: &[(&str, &str)]| {
            let settings = settings.iter().map(|(k, v)| (k.to_string(), v.to_string()));
            let config = with_settings(base.clone(), &settings.collect());
            config.options().execution.time_zone.clone()
        };
        assert_eq!(
            zone(&[("timezone", "Asia/Tokyo"), ("work_mem", "4MB")]),
            Some("Asia/Tokyo".into())
        );
        assert_eq!(zone(&[("work_mem", "4MB")]), base.options().execution.time_zone);
    }
}
