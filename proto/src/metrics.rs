//! Numbers as Prometheus reads them: what every process shows under `/metrics`.
//!
//! A family is made when somebody asks, out of numbers that are kept where they arise. So there is
//! nothing to register, and nothing that can fail.

use std::collections::BTreeMap;

use prometheus::{
    TextEncoder,
    proto::{self, Bucket, Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
};

/// The content type of [`text`].
pub use prometheus::TEXT_FORMAT;

/// A metric with all its labels' values.
#[derive(Clone, Debug)]
pub struct Family(MetricFamily);

/// How often a number was how large.
#[derive(Clone, Debug)]
pub struct Histogram {
    upper_bounds: &'static [f64],
    /// Per bound, and one for what is beyond them all.
    counts: Vec<u64>,
    sum: f64,
}

impl Family {
    /// A number that only grows, and starts from 0 with the process. `help` is one sentence.
    pub fn counter(name: &str, help: &str) -> Self {
        Self::new(name, help, MetricType::COUNTER)
    }

    /// A number as it is now.
    pub fn gauge(name: &str, help: &str) -> Self {
        Self::new(name, help, MetricType::GAUGE)
    }

    /// How often a number was how large.
    pub fn histogram(name: &str, help: &str, histogram: &Histogram) -> Self {
        let mut family = Self::new(name, help, MetricType::HISTOGRAM);
        let mut metric = Metric::default();
        metric.set_histogram(histogram.to_message());
        family.0.mut_metric().push(metric);
        family
    }

    /// Adds the value under these labels.
    pub fn with(mut self, labels: &[(&str, &str)], value: u64) -> Self {
        let mut metric = Metric::from_label(labels.iter().map(label).collect());
        if self.0.get_field_type() == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value as f64);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value as f64);
            metric.set_gauge(gauge);
        }
        self.0.mut_metric().push(metric);
        self
    }

    fn new(name: &str, help: &str, kind: MetricType) -> Self {
        let mut family = MetricFamily::default();
        family.set_name(name.to_string());
        family.set_help(help.to_string());
        family.set_field_type(kind);
        Self(family)
    }
}

impl Histogram {
    /// Nothing yet. The bounds ascend; a number that is equal to one is within it.
    pub fn new(upper_bounds: &'static [f64]) -> Self {
        Self { upper_bounds, counts: vec![0; upper_bounds.len() + 1], sum: 0.0 }
    }

    /// The number came once more.
    pub fn observe(&mut self, value: f64) {
        let bucket = self.upper_bounds.partition_point(|bound| *bound < value);
        self.counts[bucket] += 1;
        self.sum += value;
    }

    fn to_message(&self) -> proto::Histogram {
        let mut cumulative_count = 0;
        let buckets = self.upper_bounds.iter().zip(&self.counts).map(|(bound, count)| {
            cumulative_count += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(cumulative_count);
            bucket
        });
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(self.counts.iter().sum());
        histogram.set_sample_sum(self.sum);
        histogram
    }
}

/// The families in Prometheus's text format, by name. Those of one name become one: each datanode
/// of a process has its own. Those without a value are left out.
pub fn text(families: impl IntoIterator<Item = Family>) -> String {
    let mut by_name: BTreeMap<String, MetricFamily> = BTreeMap::new();
    for Family(mut family) in families {
        if family.get_metric().is_empty() {
            continue;
        }
        match by_name.get_mut(family.name()) {
            Some(first) => first.mut_metric().append(family.mut_metric()),
            None => {
                by_name.insert(family.name().to_string(), family);
            }
        }
    }
    let families: Vec<_> = by_name.into_values().collect();
    // Fails only for a family without a name or a value.
    TextEncoder::new().encode_to_string(&families).unwrap_or_default()
}

fn label((name, value): &(&str, &str)) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name((*name).to_string());
    label.set_value((*value).to_string());
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_of_one_name_are_one() {
        let rows = |datanode: &str, rows| {
            Family::counter("rows_total", "Rows.").with(&[("datanode", datanode)], rows)
        };
        let none = Family::gauge("none", "Nothing.");
        let up = Family::gauge("a_up", "Up.").with(&[], 1).with(&[("why", "a \"b\"")], 0);
        assert_eq!(
            text([rows("dn1", 3), none, up, rows("dn2", 4)]),
            "# HELP a_up Up.\n\
             # TYPE a_up gauge\n\
             a_up 1\n\
             a_up{why=\"a \\\"b\\\"\"} 0\n\
             # HELP rows_total Rows.\n\
             # TYPE rows_total counter\n\
             rows_total{datanode=\"dn1\"} 3\n\
             rows_total{datanode=\"dn2\"} 4\n"
        );
    }

    #[test]
    fn a_histogram_counts_what_is_not_above_each_bound() {
        let mut histogram = Histogram::new(&[0.5, 1.0]);
        for value in [0.25, 0.5, 0.75, 8.0] {
            histogram.observe(value);
        }
        assert_eq!(
            text([Family::histogram("t", "T.", &histogram)]),
            "# HELP t T.\n\
             # TYPE t histogram\n\
             t_bucket{le=\"0.5\"} 2\n\
             t_bucket{le=\"1\"} 3\n\
             t_bucket{le=\"+Inf\"} 4\n\
             t_sum 9.5\n\
             t_count 4\n"
        );
    }
}
