//! What a benchmark prints: figures of every round, and rows of a table.

/// One figure of every round.
#[derive(Default)]
pub(crate) struct Series(pub(crate) Vec<f64>);

impl Series {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// Round by round.
    pub(crate) fn with(&self, other: &Self, of: impl Fn(f64, f64) -> f64) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, two)| of(*one, *two)).collect())
    }

    /// The median, and the least and the most.
    pub(crate) fn show(&self, decimals: usize) -> String {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let [least, .., most] = sorted[..] else {
            return sorted.first().map_or_else(String::new, |only| format!("{only:.decimals$}"));
        };
        let median = sorted[sorted.len() / 2];
        format!("{median:.decimals$} ({least:.decimals$} to {most:.decimals$})")
    }
}

#[allow(clippy::print_stdout, reason = "the result of the benchmark")]
pub(crate) fn print_row(cells: [&str; 5]) {
    let [what, kestrel, postgres, compared, wanted] = cells;
    println!("| {what:<34} | {kestrel:>32} | {postgres:>32} | {compared:>22} | {wanted:>10} |");
}
