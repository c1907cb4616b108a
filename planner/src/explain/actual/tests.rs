//! Hand-made reports: where their operators belong, and what is shown of them.

use kestrel_proto::{
    DatanodeId,
    message::{OperatorCounter, OperatorReport},
};
use serde_json::{Value, json};

use super::{
    Actual, Moved, Run, Sent,
    align::{Place, Tree, align},
};
use crate::explain::ExplainOptions;

/// Lines, and how deep they are: further in than which others above.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut above: Vec<usize> = Vec::new();
    let mut lines = Vec::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        above.retain(|other| *other < indent);
        lines.push((above.len(), line.trim().to_string()));
        above.push(indent);
    }
    lines
}

fn reports(text: &str) -> Vec<OperatorReport> {
    let report = |(depth, detail): (usize, String)| OperatorReport {
        depth: depth as u32,
        name: detail.split(':').next().unwrap().to_string(),
        detail,
        ..OperatorReport::default()
    };
    lines(text).into_iter().map(report).collect()
}

/// `expected`: for each operator that ran, the number of the planned one, `+`: below it, `~`: turned.
#[track_caller]
fn check(planned: &str, ran: &str, expected: &str) {
    let places = align(&Tree::of_reports(&reports(planned)), &Tree::of_reports(&reports(ran)));
    let text = places.iter().map(|place| match place {
        Place::Same { planned, is_turned: false } => planned.to_string(),
        Place::Same { planned, is_turned: true } => format!("{planned}~"),
        Place::Below(planned) => format!("{planned}+"),
    });
    assert_eq!(text.collect::<Vec<_>>().join(" "), expected, "{planned}\n{ran}");
}

#[test]
fn what_rules_put_between_is_below_the_nearest_planned_operator() {
    check(
        "MotionSendExec
           AggregateExec: mode=Final
             AggregateExec: mode=Partial
               ProjectionExec
                 ShardScanExec: t, columns=[a]",
        "MotionSendExec
           CoalescePartitionsExec
             AggregateExec: mode=FinalPartitioned
               RepartitionExec: partitioning=Hash
                 AggregateExec: mode=Partial
                   ColumnarScanExec: t, columns=[a]",
        "0 0+ 1 1+ 2 4",
    );
}

#[test]
fn operators_that_were_taken_together_are_the_first_of_them() {
    let planned = "MotionSendExec
                     AggregateExec: mode=Final
                       AggregateExec: mode=Partial
                         FilterExec: a > 1
                           ShardScanExec: t, columns=[a]";
    let single = "MotionSendExec
                    AggregateExec: mode=Single
                      ColumnarScanExec: t, columns=[a]";
    check(planned, single, "0 1 4");
    let direct = "MotionSendExec
                    AggregateExec: mode=Final
                      CoalescePartitionsExec
                        DirectAggregateExec: gby=[], tables=[], states=1
                          ColumnarScanExec: t, columns=[a]";
    check(planned, direct, "0 1 1+ 2 4");
    let results = "MotionSendExec
                     DirectAggregateExec: gby=[a], tables=[], states=1, dense, results
                       ColumnarScanExec: t, columns=[a]";
    check(planned, results, "0 1 4");
    // Its rows were known without reading.
    check(planned, "MotionSendExec\n  ProjectionExec\n    PlaceholderRowExec", "0 0+ 0+");
    check(planned, "", "");
}

#[test]
fn joins_may_be_turned() {
    let planned = "MotionSendExec
                     HashJoinExec
                       HashJoinExec
                         ShardScanExec: t, columns=[a, b]
                         MotionReceiveExec: 2 from 3 senders
                       FilterExec: a > 1
                         ShardScanExec: t, columns=[a]";
    let turned = "MotionSendExec
                    HashJoinExec: mode=Partitioned
                      RepartitionExec
                        FilterExec: a > 1
                          ColumnarScanExec: t, columns=[a], filter=a > 1
                      HashJoinExec: mode=CollectLeft
                        MotionReceiveExec: 2 from 3 senders
                        ColumnarScanExec: t, columns=[a, b], runtime filters=[a]";
    check(planned, turned, "0 1~ 1+ 5 6 2~ 4 3");
    let straight = "MotionSendExec
                      HashJoinExec: mode=CollectLeft
                        HashJoinExec: mode=CollectLeft
                          EmptyExec
                          MotionReceiveExec: 2 from 3 senders
                        FilterExec: a > 1
                          ColumnarScanExec: t, columns=[a]";
    check(planned, straight, "0 1 2 3 4 5 6");
    let on_a_database = "MotionSendExec
                           HashJoinExec: mode=CollectLeft
                             KesScanExec: sql=SELECT \"a\" FROM \"public\".\"u\"
                             KesScanExec: sql=SELECT \"b\" FROM \"public\".\"t\" WHERE (\"b\" > 1)";
    let planned = "MotionSendExec
                     HashJoinExec
                       ShardScanExec: t, columns=[b]
                       ShardScanExec: u, columns=[a]";
    check(planned, on_a_database, "0 1~ 3 2");
}

#[test]
fn scans_of_a_wide_table_are_told_apart_by_their_filters() {
    let names: Vec<_> = (0..300).map(|at| format!("c{at}")).collect();
    let scan = |filter: &str| {
        format!("ColumnarScanExec: t, columns=[{}], filter={filter}", names.join(", "))
    };
    let join = |left: &str, right: &str| {
        format!("MotionSendExec\n  HashJoinExec\n    {left}\n    {right}")
    };
    let (first, second) = (scan("c0 < 7"), scan("c0 > 7"));
    let with_filter = |scan: &str| format!("{scan}, runtime filters=[c1]");
    check(&join(&first, &second), &join(&second, &with_filter(&first)), "0 1~ 3 2");
    check(&join(&first, &second), &join(&first, &with_filter(&second)), "0 1 2 3");
    check(&join(&first, &second), &join(&with_filter(&second), &first), "0 1~ 3 2");
}

#[test]
fn inputs_of_unions_stay_in_their_order() {
    check(
        "UnionExec
           ShardScanExec: t, columns=[a]
           ProjectionExec
             ShardScanExec: t, columns=[a]",
        "UnionExec
           ColumnarScanExec: t, columns=[a]
           CoalescePartitionsExec
             ColumnarScanExec: t, columns=[a]",
        "0 1 0+ 3",
    );
    // Another shape: nothing is lost.
    check(
        "MotionSendExec
           UnionExec
             ShardScanExec: t, columns=[a]
             ShardScanExec: u, columns=[a]",
        "MotionSendExec
           HashJoinExec
             ColumnarScanExec: t, columns=[a]
             ColumnarScanExec: u, columns=[a]",
        "0 0+ 0+ 0+",
    );
}

fn run(datanode: u32, report: OperatorReport) -> Run {
    Run { datanode: DatanodeId(datanode), report, is_turned: false }
}

fn ran(rows_out: u64, last_ms: u64) -> OperatorReport {
    OperatorReport {
        name: "AggregateExec".into(),
        detail: "AggregateExec: mode=Partial".into(),
        rows_out,
        bytes_out: rows_out * 8,
        loops: 1,
        elapsed_compute_ns: last_ms * 100_000,
        first_row_ns: 1_000_000,
        last_row_ns: last_ms * 1_000_000,
        ..OperatorReport::default()
    }
}

fn options(timing: bool) -> ExplainOptions {
    ExplainOptions { costs: false, verbose: false, timing }
}

#[test]
fn json_has_every_datanode() {
    let counters = vec![OperatorCounter { name: "pieces_pruned".into(), value: 4 }];
    let mut actual = Actual {
        runs: vec![run(0, ran(3, 2)), run(1, OperatorReport { counters, ..ran(6, 5) })],
        ..Actual::default()
    };
    let sent = |datanode, rows, moved, own_ns| Sent {
        datanode: DatanodeId(datanode),
        rows,
        bytes: rows * 8,
        moved: Moved { rows: moved, bytes: moved * 8 },
        own_ns,
    };
    actual.sent.extend([sent(0, 3, 3, 0), sent(1, 6, 4, 200_000)]);
    actual.add_other("RepartitionExec", 0, run(1, ran(2, 1)));
    let of_one = |name: &str, rows: u64, last: f64, own: f64| {
        json!({
            "Datanode": name, "Operator": "AggregateExec: mode=Partial", "Rows Out": rows,
            "Loops": 1, "First Row": 1.0, "Last Row": last, "Time": own, "Bytes out": rows * 8,
            "Memory": 0, "Spilled": 0,
        })
    };
    let mut second = of_one("dn2", 6, 5.0, 0.5);
    second["Row Groups Pruned"] = json!(4);
    let expected = json!({
        "Actual Startup Time": 1.0, "Actual Total Time": 5.0, "Actual Rows": 5, "Actual Loops": 1,
        "Slowest": "dn2",
        "On Datanodes": [of_one("dn1", 3, 2.0, 0.2), second],
        "Rows Sent": 9, "Bytes Sent": 72, "Rows Moved": 7, "Bytes Moved": 56,
        "Sent by": [
            {
                "Datanode": "dn1", "Rows Sent": 3, "Bytes Sent": 24, "Rows Moved": 3,
                "Bytes Moved": 24, "Time": 0.0,
            },
            {
                "Datanode": "dn2", "Rows Sent": 6, "Bytes Sent": 48, "Rows Moved": 4,
                "Bytes Moved": 32, "Time": 0.2,
            },
        ],
        "Other Operators": [
            { "Operator": "RepartitionExec", "On Datanodes": [of_one("dn2", 2, 1.0, 0.1)] },
        ],
    });
    assert_eq!(Value::Object(actual.fields(options(true))), expected);
    let untimed = actual.fields(options(false));
    assert!(
        ["Actual Startup Time", "Actual Total Time"].iter().all(|key| !untimed.contains_key(*key))
    );
    assert!(Actual::default().fields(options(true)).is_empty());
}

#[test]
fn rows_are_those_of_one_loop_and_one_datanode() {
    let looped = |loops| Actual {
        runs: vec![run(0, OperatorReport { loops, ..ran(9, 2) })],
        ..Actual::default()
    };
    for (loops, timed, untimed) in [
        (0, " (never executed)", " (never executed)"),
        (1, " (actual time=1.000..2.000 rows=9 loops=1)", " (actual rows=9 loops=1)"),
        (3, " (actual time=1.000..2.000 rows=3 loops=3)", " (actual rows=3 loops=3)"),
    ] {
        assert_eq!(looped(loops).title(options(true)), timed);
        assert_eq!(looped(loops).title(options(false)), untimed);
    }
    assert_eq!(Actual::default().title(options(true)), "");
}
