//! Everything the command prints: results to standard output, the rest to standard error.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Where the command's words go. Cheap to clone.
#[derive(Clone)]
pub struct Console {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    /// Bars that move.
    Terminal(MultiProgress),
    /// A line when something is done.
    Plain,
    /// No progress at all.
    Silent,
}

impl Console {
    /// Bars when standard error is a terminal, lines otherwise.
    pub fn new() -> Self {
        let terminal = io::stderr().is_terminal();
        let kind = if terminal { Kind::Terminal(MultiProgress::new()) } else { Kind::Plain };
        Self { kind }
    }

    /// Says nothing about progress: for tests and `--json`.
    pub fn silent() -> Self {
        Self { kind: Kind::Silent }
    }

    /// A line of the result, to standard output. Whoever reads it may stop reading (`| head`):
    /// that is no error of ours.
    pub fn result(&self, line: &str) {
        self.beside_bars(|| {
            let mut out = io::stdout().lock();
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        });
    }

    /// A line about what is going on, to standard error.
    pub fn step(&self, line: &str) {
        if !matches!(self.kind, Kind::Silent) {
            self.beside_bars(|| error_line(line));
        }
    }

    /// Progress of a long work of about `total` units.
    pub fn bar(&self, name: &str, total: u64) -> Bar {
        let bar = match &self.kind {
            Kind::Terminal(bars) => bars.add(ProgressBar::new(total)),
            Kind::Plain | Kind::Silent => ProgressBar::hidden(),
        };
        let style = "{prefix:9} {wide_bar} {human_pos:>13}/{human_len} {elapsed:>4}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_string());
        bar.enable_steady_tick(Duration::from_millis(250));
        Bar { bar, console: self.clone(), started: Instant::now() }
    }

    fn beside_bars(&self, print: impl FnOnce()) {
        match &self.kind {
            Kind::Terminal(bars) => bars.suspend(print),
            Kind::Plain | Kind::Silent => print(),
        }
    }
}

impl Default for Console {
    fn default() -> Self {
        Self::new()
    }
}

/// A progress bar; it disappears when it is dropped.
pub struct Bar {
    bar: ProgressBar,
    console: Console,
    started: Instant,
}

impl Bar {
    /// So much more is done.
    pub fn advance(&self, units: u64) {
        self.bar.inc(units);
    }

    /// Removes the bar and leaves a line: `text`, and how long it took.
    pub fn done(self, text: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        self.bar.finish_and_clear();
        self.console.step(&format!("{text} in {seconds:.1} s"));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// The one line about an error that ends the command.
pub fn error_line(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Rows in columns, `a | b | c`.
pub(crate) struct Columns {
    widths: Vec<usize>,
    left: Vec<bool>,
}

impl Columns {
    /// Columns under these headings, each at least so wide; `left`: aligned to the left.
    pub(crate) fn new(columns: &[(&str, usize, bool)]) -> Self {
        let widths = columns.iter().map(|(name, width, _)| name.len().max(*width)).collect();
        Self { widths, left: columns.iter().map(|(_, _, left)| *left).collect() }
    }

    /// One row. What is wider than its column takes the room it needs.
    pub(crate) fn row<'a>(
        &self,
        cells: impl IntoIterator<Item = impl Into<Cow<'a, str>>>,
    ) -> String {
        let mut line = String::new();
        for (i, cell) in cells.into_iter().enumerate() {
            let (cell, width) = (cell.into(), self.widths.get(i).copied().unwrap_or(0));
            let left = self.left.get(i).copied().unwrap_or(true);
            line.push_str(if i > 0 { " | " } else { "" });
            line.push_str(&if left {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            });
        }
        line.truncate(line.trim_end().len());
        line
    }

    /// The line below the headings.
    pub(crate) fn rule(&self) -> String {
        self.widths.iter().map(|w| "-".repeat(*w)).collect::<Vec<_>>().join("-+-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let columns = Columns::new(&[("name", 0, true), ("rows", 6, false)]);
        assert_eq!(columns.row(["dn1", "12"]), "dn1  |     12");
        assert_eq!(columns.row(["a long name", ""]), "a long name |");
        assert_eq!(columns.rule(), "-----+-------");
    }
}
