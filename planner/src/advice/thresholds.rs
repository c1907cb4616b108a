//! From where on something is worth saying. Each threshold is a setting.

/// A threshold that a setting holds.
#[derive(Clone, Copy, Debug)]
pub struct Threshold {
    /// The setting.
    pub setting: &'static str,
    /// In the setting's unit.
    pub default: f64,
    field: fn(&mut Thresholds) -> &mut f64,
}

impl Threshold {
    /// Sets it, in the setting's unit.
    pub fn set(&self, thresholds: &mut Thresholds, value: f64) {
        *(self.field)(thresholds) = value;
    }
}

macro_rules! thresholds {
    ($($(#[$doc:meta])* $name:ident = $default:expr;)*) => {
        /// All of them.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Thresholds {
            $($(#[$doc])* pub $name: f64,)*
        }

        impl Default for Thresholds {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        /// The settings of all of them.
        pub static THRESHOLDS: &[Threshold] = &[$(Threshold {
            setting: concat!("kestrel.", stringify!($name)),
            default: $default,
            field: |thresholds| &mut thresholds.$name,
        },)*];
    };
}

thresholds! {
    /// A table with fewer rows, and less than `skew_min_size`, is not looked at for skew.
    skew_min_rows = 100_000.0;
    /// kB of a table with fewer rows that is looked at all the same.
    skew_min_size = 65_536.0;
    /// The idle fraction from which skew is worth a notice (Greenplum's documents: 0.1).
    skew_idle_notice = 0.1;
    /// The idle fraction from which skew is worth a warning.
    skew_idle_warning = 0.25;
    /// Of a table with fewer rows nobody misses statistics.
    statistics_min_rows = 10_000.0;
    /// So many changed rows, and `stale_fraction` of all, make statistics stale (CockroachDB's
    /// `min_stale_rows`).
    stale_min_rows = 500.0;
    /// See `stale_min_rows` (CockroachDB's `fraction_stale_rows`).
    stale_fraction = 0.2;
    /// Rows that each datanode gets of a broadcast (GaussDB's alarm of large broadcasts).
    broadcast_warn_rows = 100_000.0;
    /// How many times the probed side's rows the built side has (GaussDB's alarm of large inner tables).
    build_side_ratio = 10.0;
    /// Rows of the built side on each datanode, from which that is worth a warning.
    build_side_min_rows = 100_000.0;
    /// Rows of a table that a database holds, from which it matters which conditions it computes.
    not_pushed_min_rows = 100_000.0;
    /// Pairs of rows of a join without a condition.
    cartesian_warn_rows = 1_000_000.0;
    /// kB of a copy of a replicated table.
    replicated_max_size = 1_048_576.0;
    /// kB of a table that may be worth replicating.
    better_replicated_size = 102_400.0;
    /// kB that queries have moved of it by then.
    better_replicated_moved = 65_536.0;
    /// How many times the median's bytes one datanode gets of a motion (Spark's skewed partitions: 5).
    processing_skew_ratio = 3.0;
    /// kB that it gets more than the average then.
    processing_skew_min_size = 65_536.0;
    /// How many times too many or too few rows an estimate is.
    misestimate_ratio = 10.0;
    /// The larger of estimated and actual rows then.
    misestimate_min_rows = 10_000.0;
}
