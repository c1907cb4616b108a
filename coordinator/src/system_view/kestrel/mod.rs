//! Schema `kestrel`: the cluster.

pub(super) mod advice;
pub(super) mod auto_analyze_history;
pub(super) mod copy_errors;
pub(super) mod datanodes;
pub(super) mod load_progress;
pub(super) mod queries;
pub(super) mod redistribution_progress;
pub(super) mod table_distributions;
pub(super) mod table_placement;
pub(super) mod table_skew;
pub(super) mod table_statistics;
pub(super) mod transactions_in_doubt;
