//! What ran of a node, as text and as fields of a JSON object.
//!
//! ```text
//!   ->  Seq Scan on t  (cost=…) (actual time=0.112..4.250 rows=3333 loops=1)
//!         Rows out: avg 3333.3 x 3 datanodes, max 3400 (dn2), min 3260 (dn1); time: avg …
//! ```
//!
//! The times in parentheses are those of the datanode that was the last to end, since its fragment
//! began, as rows come; `time` is the operator's own work. Rows in parentheses are those of one
//! datanode on the average, as the estimated ones are.

use kestrel_proto::{COORDINATOR, DatanodeId, message::OperatorReport};
use serde_json::{Map, Value, json};

use super::{
    Actual, Other, Run, Sent,
    describe::{COUNTERS, SEGMENTS, SEGMENTS_READ, choices, counter},
};
use crate::explain::ExplainOptions;

/// Something in bytes, under its name.
type Amount = (&'static str, fn(&OperatorReport) -> u64);

/// How a number is written.
pub(super) type Unit = fn(f64) -> String;

impl Actual {
    /// Behind the title: ` (actual time=… rows=… loops=…)`. Empty for what ran inside another
    /// operator.
    pub(in crate::explain) fn title(&self, options: ExplainOptions) -> String {
        let Some(totals) = Totals::of(&self.runs) else { return String::new() };
        let Totals { first_ms, last_ms, rows, loops } = totals;
        match (loops, options.timing) {
            (0, _) => " (never executed)".into(),
            (_, true) => {
                format!(" (actual time={first_ms:.3}..{last_ms:.3} rows={rows:.0} loops={loops})")
            }
            (_, false) => format!(" (actual rows={rows:.0} loops={loops})"),
        }
    }

    /// The lines below its properties.
    pub(in crate::explain) fn lines(&self, options: ExplainOptions) -> Vec<String> {
        let mut lines = Vec::new();
        if self.runs.iter().any(|run| run.report.loops > 0) {
            lines.push(format!("Rows out: {}", rows_and_time(&self.runs, options)));
            for (label, value) in AMOUNTS {
                let values = values(&self.runs, *value);
                lines.extend(spread_if_any(&values, bytes).map(|text| format!("{label}: {text}")));
            }
            lines.extend(segments(&self.runs));
            for (name, label) in COUNTERS {
                let values = values(&self.runs, |report| counter(report, name));
                lines.extend(spread_if_any(&values, count).map(|text| format!("{label}: {text}")));
            }
            lines.extend(choices(&self.runs).map(|(label, text)| format!("{label}: {text}")));
            if options.verbose {
                lines.extend(self.verbose());
            }
        }
        lines.extend(sent(&self.sent, options));
        lines.extend(moved(&self.sent));
        lines.extend(self.others.iter().map(|other| other.line(options)));
        lines
    }

    /// What else there is to know of the operator.
    fn verbose(&self) -> Vec<String> {
        let mut names: Vec<&str> = Vec::new();
        let mut details: Vec<&str> = Vec::new();
        for run in &self.runs {
            let detail = run.report.detail.as_str();
            if !details.contains(&detail) {
                details.push(detail);
            }
            for counter in &run.report.counters {
                let name = counter.name.as_str();
                let is_shown = COUNTERS.iter().any(|(shown, _)| *shown == name)
                    || [SEGMENTS, SEGMENTS_READ].contains(&name)
                    || names.contains(&name);
                if !is_shown {
                    names.push(name);
                }
            }
        }
        let counters = names.into_iter().filter_map(|name| {
            let values = values(&self.runs, |report| counter(report, name));
            spread_if_any(&values, count).map(|text| format!("{name}: {text}"))
        });
        let details = details.into_iter().map(|detail| format!("Operator: {detail}"));
        counters.chain(details).collect()
    }

    /// The fields of its object: PostgreSQL's, and ours.
    pub(in crate::explain) fn fields(&self, options: ExplainOptions) -> Map<String, Value> {
        let mut fields = Map::new();
        if let Some(totals) = Totals::of(&self.runs) {
            if options.timing {
                fields.insert("Actual Startup Time".into(), rounded(totals.first_ms));
                fields.insert("Actual Total Time".into(), rounded(totals.last_ms));
            }
            fields.insert("Actual Rows".into(), json!(totals.rows.round() as u64));
            fields.insert("Actual Loops".into(), json!(totals.loops));
            let slowest = self.runs.iter().max_by_key(|run| run.report.last_row_ns);
            if let (true, Some(slowest)) = (options.timing, slowest) {
                fields.insert("Slowest".into(), json!(slowest.datanode.name()));
            }
            let runs = self.runs.iter().map(|run| run.value(options));
            fields.insert("On Datanodes".into(), runs.collect());
            if let Some((label, text)) = choices(&self.runs) {
                fields.insert(label.into(), json!(text));
            }
        }
        if !self.sent.is_empty() {
            let total = |value: fn(&Sent) -> u64| self.sent.iter().map(value).sum::<u64>();
            fields.insert("Rows Sent".into(), json!(total(|sent| sent.rows)));
            fields.insert("Bytes Sent".into(), json!(total(|sent| sent.bytes)));
            fields.insert("Rows Moved".into(), json!(total(|sent| sent.moved.rows)));
            fields.insert("Bytes Moved".into(), json!(total(|sent| sent.moved.bytes)));
            let of_one = |sent: &Sent| sent.value(options);
            fields.insert("Sent by".into(), self.sent.iter().map(of_one).collect());
        }
        if !self.others.is_empty() {
            let of_one = |other: &Other| {
                let runs: Vec<_> = other.runs.iter().map(|run| run.value(options)).collect();
                json!({ "Operator": other.name, "On Datanodes": runs })
            };
            fields.insert("Other Operators".into(), self.others.iter().map(of_one).collect());
        }
        fields
    }
}

impl Other {
    fn line(&self, options: ExplainOptions) -> String {
        let detail = self.runs.first().map_or("", |run| run.report.detail.as_str());
        let name = if options.verbose && !detail.is_empty() { detail } else { &self.name };
        format!("Also {name}: rows out: {}", rows_and_time(&self.runs, options))
    }
}

impl Run {
    fn value(&self, options: ExplainOptions) -> Value {
        let report = &self.report;
        let mut value = Map::new();
        value.insert("Datanode".into(), json!(self.datanode.name()));
        value.insert("Operator".into(), json!(report.detail));
        value.insert("Rows Out".into(), json!(report.rows_out));
        value.insert("Loops".into(), json!(report.loops));
        if options.timing {
            value.insert("First Row".into(), rounded(milliseconds(report.first_row_ns)));
            value.insert("Last Row".into(), rounded(milliseconds(report.last_row_ns)));
            value.insert("Time".into(), rounded(milliseconds(report.elapsed_compute_ns)));
        }
        for (label, amount) in AMOUNTS {
            value.insert((*label).into(), json!(amount(report)));
        }
        for counted in &report.counters {
            let label = COUNTERS.iter().find(|(name, _)| *name == counted.name);
            let label = label.map_or(counted.name.as_str(), |(_, label)| *label);
            value.insert(label.into(), json!(counted.value));
        }
        Value::Object(value)
    }
}

impl Sent {
    fn value(&self, options: ExplainOptions) -> Value {
        let mut value = json!({
            "Datanode": self.datanode.name(),
            "Rows Sent": self.rows, "Bytes Sent": self.bytes,
            "Rows Moved": self.moved.rows, "Bytes Moved": self.moved.bytes,
        });
        if let (true, Value::Object(fields)) = (options.timing, &mut value) {
            fields.insert("Time".into(), rounded(milliseconds(self.own_ns)));
        }
        value
    }
}

/// What is shown where there is some, in bytes.
const AMOUNTS: &[Amount] = &[
    ("Bytes out", |report| report.bytes_out),
    ("Memory", |report| report.memory_bytes),
    ("Spilled", |report| report.spilled_bytes),
];

/// Of all datanodes together.
struct Totals {
    /// Of the datanode that was the last to end.
    first_ms: f64,
    last_ms: f64,
    /// Of one datanode on the average, in each loop.
    rows: f64,
    loops: u64,
}

impl Totals {
    fn of(runs: &[Run]) -> Option<Self> {
        let slowest = &runs.iter().max_by_key(|run| run.report.last_row_ns)?.report;
        let loops = runs.iter().map(|run| run.report.loops).max()?;
        let rows: u64 = runs.iter().map(|run| run.report.rows_out).sum();
        Some(Self {
            first_ms: milliseconds(slowest.first_row_ns),
            last_ms: milliseconds(slowest.last_row_ns),
            rows: rows as f64 / runs.len() as f64 / loops.max(1) as f64,
            loops,
        })
    }
}

fn values(runs: &[Run], value: impl Fn(&OperatorReport) -> u64) -> Vec<(DatanodeId, u64)> {
    runs.iter().map(|run| (run.datanode, value(&run.report))).collect()
}

/// `avg 6.7 x 3 datanodes, max 7 (dn2), min 6 (dn1); time: avg 0.100 ms, max …, min …`
fn rows_and_time(runs: &[Run], options: ExplainOptions) -> String {
    let mut text = spread(&values(runs, |report| report.rows_out), count);
    if options.timing {
        let times = values(runs, |report| report.elapsed_compute_ns);
        text.push_str(&format!("; time: {}", without_count(&times, as_milliseconds)));
    }
    text
}

/// Of the scans: `Segments: read 2 of 9`, of all datanodes together.
fn segments(runs: &[Run]) -> Option<String> {
    let total = |name| runs.iter().map(|run| counter(&run.report, name)).sum::<u64>();
    let all = total(SEGMENTS);
    (all > 0).then(|| format!("Segments: read {} of {all}", total(SEGMENTS_READ)))
}

fn sent(sent: &[Sent], options: ExplainOptions) -> Option<String> {
    let of =
        |value: fn(&Sent) -> u64| sent.iter().map(|s| (s.datanode, value(s))).collect::<Vec<_>>();
    let (rows, sizes) = (of(|sent| sent.rows), of(|sent| sent.bytes));
    let (rows, sizes) = (spread(&rows, count), without_count(&sizes, bytes));
    let time = match options.timing && options.verbose {
        true => format!("; time: {}", without_count(&of(|sent| sent.own_ns), as_milliseconds)),
        false => String::new(),
    };
    (!sent.is_empty()).then(|| format!("Rows sent: {rows}; bytes: {sizes}{time}"))
}

/// `Bytes moved: 160 bytes; avg 53 bytes, max 80 bytes (dn2), min 32 bytes (dn3)`, of a motion.
fn moved(sent: &[Sent]) -> Option<String> {
    let sizes: Vec<_> = sent.iter().map(|sent| (sent.datanode, sent.moved.bytes)).collect();
    let all = bytes(sizes.iter().map(|(_, size)| *size as f64).sum());
    match sizes.len() {
        0 => None,
        1 => Some(format!("Bytes moved: {all}")),
        _ => Some(format!("Bytes moved: {all}; {}", without_count(&sizes, bytes))),
    }
}

/// How values differ between datanodes.
pub(super) fn spread(values: &[(DatanodeId, u64)], unit: Unit) -> String {
    match values {
        [] => "none".into(),
        [(datanode, value)] => one(*datanode, *value, unit),
        _ => {
            let average = unit(average(values));
            let rest = extremes(values, unit);
            format!("avg {average} x {} datanodes, {rest}", values.len())
        }
    }
}

/// The same where the number of datanodes has been told.
fn without_count(values: &[(DatanodeId, u64)], unit: Unit) -> String {
    match values {
        [] => "none".into(),
        [(_, value)] => unit(*value as f64),
        _ => format!("avg {}, {}", unit(average(values)), extremes(values, unit)),
    }
}

/// `None`: all are 0.
fn spread_if_any(values: &[(DatanodeId, u64)], unit: Unit) -> Option<String> {
    values.iter().any(|(_, value)| *value > 0).then(|| without_count(values, unit))
}

fn one(datanode: DatanodeId, value: u64, unit: Unit) -> String {
    let value = unit(value as f64);
    match datanode == COORDINATOR {
        true => format!("{value} on the coordinator"),
        false => format!("{value} ({datanode})"),
    }
}

fn average(values: &[(DatanodeId, u64)]) -> f64 {
    values.iter().map(|(_, value)| *value as f64).sum::<f64>() / values.len().max(1) as f64
}

/// Of equal ones the first datanode is named.
fn extremes(values: &[(DatanodeId, u64)], unit: Unit) -> String {
    let most = values.iter().rev().max_by_key(|(_, value)| *value);
    let least = values.iter().min_by_key(|(_, value)| *value);
    let (Some((most_at, most)), Some((least_at, least))) = (most, least) else {
        return String::new();
    };
    let (most, least) = (unit(*most as f64), unit(*least as f64));
    format!("max {most} ({most_at}), min {least} ({least_at})")
}

fn count(value: f64) -> String {
    match value.fract() == 0.0 {
        true => format!("{value:.0}"),
        false => format!("{value:.1}"),
    }
}

pub(super) fn bytes(value: f64) -> String {
    format!("{value:.0} bytes")
}

pub(super) fn as_milliseconds(ns: f64) -> String {
    format!("{:.3} ms", ns / 1e6)
}

pub(super) fn milliseconds(ns: u64) -> f64 {
    ns as f64 / 1e6
}

pub(super) fn rounded(ms: f64) -> Value {
    json!((ms * 1000.0).round() / 1000.0)
}
