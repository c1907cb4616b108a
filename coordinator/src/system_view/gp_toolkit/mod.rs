//! Schema `gp_toolkit`: what administrators of Greenplum look at.

pub(super) mod gp_bloat_diag;
pub(super) mod gp_skew;
pub(super) mod gp_stats_missing;
