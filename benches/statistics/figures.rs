//! What is printed.

/// Errors of one kind, of one server.
#[derive(Clone, Default)]
pub(crate) struct Errors(Vec<f64>);

impl Errors {
    pub(crate) fn push(&mut self, error: f64) {
        self.0.push(error);
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// The nearest rank's; 0 of nothing.
    fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or(0.0)
    }
}

#[allow(clippy::print_stdout, reason = "the result of the benchmark")]
pub(crate) fn print_line(text: &str) {
    println!("{text}");
}

pub(crate) fn print_heading(text: &str) {
    print_line(&format!("\n{text}\n"));
}

/// Columns of [`print_errors`].
pub(crate) fn print_columns() {
    let (count, p50, p95, most) = ("count", "p50", "p95", "most");
    let what = "";
    print_line(&format!("{what:<44} {count:>7} {p50:>10} {p95:>10} {most:>12}  wanted"));
}

pub(crate) fn print_errors(server: &str, what: &str, errors: &Errors, wanted: &str) {
    let what = format!("{server}, {what}");
    let count = errors.0.len();
    let [p50, p95, most] = [50, 95, 100].map(|percent| errors.percentile(percent));
    print_line(&format!("{what:<44} {count:>7} {p50:>10.2} {p95:>10.2} {most:>12.2}  {wanted}"));
}

/// The median of an odd number of times, and all of them.
pub(crate) fn print_times(server: &str, seconds: &[f64], wanted: &str) {
    let median = Errors(seconds.to_vec()).percentile(50);
    let all: Vec<_> = seconds.iter().map(|seconds| format!("{seconds:.2}")).collect();
    print_line(&format!("{server:<44} {median:>7.2} of {}  {wanted}", all.join(", ")));
}

/// How many times the one is the other, whichever is more.
pub(crate) fn q_error(estimated: f64, actual: f64) -> f64 {
    let (estimated, actual) = (estimated.max(1.0), actual.max(1.0));
    (estimated / actual).max(actual / estimated)
}
