//! How many different values a table has, from a sample of its rows.

/// What a sample has of a column, NULLs left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampled {
    /// Values, each as often as it is there.
    pub(super) values: f64,
    /// Different ones.
    pub(super) distinct: f64,
    /// Those that are there once.
    pub(super) once: f64,
}

impl Sampled {
    /// Of a table with so many values, each as often as it is there (`compute_scalar_stats`, analyze.c): the
    /// estimator Duj1 of Haas and Stokes (Estimating the number of classes in a finite population, 1998).
    pub(super) fn distinct_of(self, present: f64) -> f64 {
        let Self { values, distinct, once } = self;
        let estimate = if once <= 0.0 {
            // Each is there again: they seem to be all there are.
            distinct
        } else if once >= distinct {
            // None is: all values seem to be different.
            present
        } else {
            values * distinct / (values - once + once * values / present.max(values))
        };
        estimate.round().clamp(distinct, present.max(distinct))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(values: f64, distinct: f64, once: f64, present: f64) -> f64 {
        Sampled { values, distinct, once }.distinct_of(present)
    }

    #[test]
    fn values_that_come_again_are_all_and_those_that_do_not_are_keys() {
        assert_eq!(estimate(1000.0, 50.0, 0.0, 1e6), 50.0);
        assert_eq!(estimate(1000.0, 1000.0, 1000.0, 1e6), 1e6);
        assert_eq!(estimate(0.0, 0.0, 0.0, 0.0), 0.0);
        assert_eq!(estimate(0.0, 0.0, 0.0, 1e6), 0.0);
    }

    /// What Duj1 says of 30,000 of 1,500,000 values, of 100,000 equally frequent ones: about 25,900 of them
    /// are in the sample, 22,200 once.
    #[test]
    fn others_are_estimated() {
        let estimate = estimate(30_000.0, 25_900.0, 22_200.0, 1.5e6);
        assert!((estimate / 100_000.0 - 1.0).abs() < 0.1, "{estimate}");
    }
}
