//! Executions, written by hand.
//!
//! ```text
//! init                                           the fragments of another init plan
//! main                                           those of the main plan; at first
//! slice 1 dn2 memory=2048 ms=3 sent=100/1600     a fragment; sent: rows and bytes; kept=20/320: so
//!                                                many of these to the datanode itself
//!   MotionSendExec                               its operators
//!     FilterExec: a > 1 | rows=3 first=0.5 pieces_pruned=2
//! ```
//!
//! `first`, `last`, `own`: milliseconds; what has no field is a counter.

use kestrel_proto::{
    COORDINATOR, DatanodeId,
    message::{FragmentReport, MotionTraffic, OperatorCounter, OperatorReport},
};

use crate::explain::Execution;

pub(super) fn parse(text: &str) -> Execution {
    let mut all = Execution::default();
    let mut in_init = false;
    for line in text.lines() {
        match line {
            "init" => {
                all.init.push(Execution::default());
                in_init = true;
                continue;
            }
            "main" => {
                in_init = false;
                continue;
            }
            _ => {}
        }
        let execution = if in_init { all.init.last_mut().unwrap() } else { &mut all };
        if let Some(fragment) = line.strip_prefix("slice ") {
            execution.fragments.push(parse_fragment(fragment));
        } else {
            let (_, _, report) = execution.fragments.last_mut().unwrap();
            report.operators.push(parse_operator(line));
        }
    }
    all
}

fn parse_fragment(text: &str) -> (u32, DatanodeId, FragmentReport) {
    let mut words = text.split(' ');
    let slice: u32 = words.next().unwrap().parse().unwrap();
    let datanode = match words.next().unwrap() {
        "coordinator" => COORDINATOR,
        name => DatanodeId(name.strip_prefix("dn").unwrap().parse::<u32>().unwrap() - 1),
    };
    let mut report = FragmentReport::default();
    for (key, value) in words.map(|word| word.split_once('=').unwrap()) {
        match key {
            "memory" => report.peak_memory_bytes = value.parse().unwrap(),
            "ms" => report.elapsed_ns = nanoseconds(value),
            "sent" | "kept" => {
                let (rows, bytes) = value.split_once('/').unwrap();
                let (rows, bytes) = (rows.parse().unwrap(), bytes.parse().unwrap());
                let mut receiver = COORDINATOR.0;
                if key == "kept" {
                    receiver = datanode.0;
                    report.traffic[0].rows -= rows;
                    report.traffic[0].bytes -= bytes;
                }
                let sender = datanode.0;
                report.traffic.push(MotionTraffic { motion: slice, sender, receiver, rows, bytes });
            }
            _ => panic!("{key} of a fragment"),
        }
    }
    (slice, datanode, report)
}

fn parse_operator(line: &str) -> OperatorReport {
    let (detail, measured) = line.split_once(" | ").unwrap_or((line, ""));
    let depth = (detail.len() - detail.trim_start().len()) / 2 - 1;
    let detail = detail.trim();
    let mut report = OperatorReport {
        depth: depth as u32,
        name: detail.split(':').next().unwrap().into(),
        detail: detail.into(),
        loops: 1,
        ..OperatorReport::default()
    };
    for (key, value) in measured.split_whitespace().map(|word| word.split_once('=').unwrap()) {
        match key {
            "first" => report.first_row_ns = nanoseconds(value),
            "last" => report.last_row_ns = nanoseconds(value),
            "own" => report.elapsed_compute_ns = nanoseconds(value),
            _ => {
                let value = value.parse().unwrap();
                match key {
                    "rows" => report.rows_out = value,
                    "bytes" => report.bytes_out = value,
                    "loops" => report.loops = value,
                    "held" => report.memory_bytes = value,
                    "spilled" => report.spilled_bytes = value,
                    name => report.counters.push(OperatorCounter { name: name.into(), value }),
                }
            }
        }
    }
    report
}

fn nanoseconds(ms: &str) -> u64 {
    (ms.parse::<f64>().unwrap() * 1e6).round() as u64
}
