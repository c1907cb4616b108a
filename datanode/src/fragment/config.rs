//! How DataFusion runs inside a datanode.

use std::collections::HashMap;

use datafusion::{config::ConfigOptions, prelude::SessionConfig};
use kestrel_planner::{
    functions::SessionFormats,
    rule_switches::{RuleSwitches, enabled},
};
use kestrel_proto::Result;

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
    // A build side of this size is read once, by all probing partitions: splitting both sides costs
    // more than it brings.
    options.optimizer.hash_join_single_partition_threshold = 1 << 30;
    options.optimizer.hash_join_single_partition_threshold_rows = 4_000_000;
    // What comes out of scans and motions is an estimate. Without it, each that is in one execution
    // partition would be split among all, even if it has a few rows.
    options.execution.use_row_number_estimates_to_optimize_partitioning = true;
    options.optimizer.enable_dynamic_filter_pushdown = true;
    // The shard store has split its scans already, along its row groups.
    options.optimizer.repartition_file_scans = false;
    // Filters inside the decoder have been slower than behind it.
    options.execution.parquet.pushdown_filters = false;
    // A scan's partition must be able to finish alone.
    options.execution.enable_file_stream_work_stealing = false;
    config
}

/// Lays a session's settings over the configuration: those that functions follow, and switches of
/// rules. The others have done their part on the coordinator.
///
/// # Errors
/// XX000: a value that the coordinator would not have taken.
pub(super) fn with_settings(
    mut config: SessionConfig,
    settings: &HashMap<String, String>,
) -> Result<SessionConfig> {
    if !settings.is_empty() {
        SessionFormats::from_settings(settings)?.lay_into(config.options_mut());
        RuleSwitches::from_settings(settings)?.lay_into(config.options_mut());
    }
    if !enabled(config.options(), "local_joins") {
        without_local_joins(config.options_mut());
    }
    Ok(config)
}

/// Joins and what goes into them are split as DataFusion does it by itself.
fn without_local_joins(options: &mut ConfigOptions) {
    let ConfigOptions { optimizer, execution, .. } = ConfigOptions::default();
    options.optimizer.hash_join_single_partition_threshold =
        optimizer.hash_join_single_partition_threshold;
    options.optimizer.hash_join_single_partition_threshold_rows =
        optimizer.hash_join_single_partition_threshold_rows;
    options.execution.use_row_number_estimates_to_optimize_partitioning =
        execution.use_row_number_estimates_to_optimize_partitioning;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sessions_formats_are_the_fragments() {
        let base = session_config(2, 100);
        let formats = |settings: &[(&str, &str)]| {
            let settings = settings.iter().map(|(k, v)| (k.to_string(), v.to_string()));
            let config = with_settings(base.clone(), &settings.collect())?;
            Ok(config.options().extensions.get::<SessionFormats>().copied())
        };
        let found = formats(&[("timezone", "Asia/Tokyo"), ("work_mem", "4MB")]).unwrap();
        assert_eq!(found.map(|formats| formats.zone.offset_seconds(0)), Some(9 * 3600));
        assert_eq!(formats(&[]), Ok(None));
        let wrong: Result<_> = formats(&[("TimeZone", "Nirgends")]);
        assert!(wrong.is_err());
    }

    #[test]
    fn the_sessions_switches_are_the_fragments() {
        let base = session_config(2, 100);
        let switched = |name: &str| {
            let settings = HashMap::from([(name.to_string(), "off".to_string())]);
            with_settings(base.clone(), &settings).unwrap()
        };
        let config = switched("kestrel.enable_runtime_filters");
        assert!(!enabled(config.options(), "runtime_filters"));
        assert!(enabled(config.options(), "local_joins"));
        let rows = |config: &SessionConfig| {
            config.options().optimizer.hash_join_single_partition_threshold_rows
        };
        assert_eq!(rows(&config), 4_000_000);
        assert!(rows(&switched("kestrel.enable_local_joins")) < 4_000_000);
    }
}
