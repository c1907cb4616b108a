//! Statements about partitions, one after the other over one catalog: what they leave, or refuse.

use std::fmt::Write;

use crate::{
    catalog::Catalog,
    ddl::plan,
    parse::{StatementKind, parse},
};

struct Script {
    catalog: Catalog,
}

impl Script {
    /// Runs a statement; its error, or nothing.
    fn run(&mut self, sql: &str) -> String {
        let StatementKind::Ddl(statement) = parse(sql).unwrap().remove(0).kind else {
            panic!("no DDL: {sql}")
        };
        match plan(&statement, &self.catalog, &["public".into()]) {
            Ok(plan) => {
                self.catalog = self.catalog.apply(&plan.changes).unwrap();
                String::new()
            }
            Err(error) => format!("{} {}", error.sqlstate.as_str(), error.message),
        }
    }

    /// `name: bound` for each partition of a table, in the order of their names.
    fn partitions(&self, table: &str) -> String {
        let Some(table) = self.catalog.table("public", table) else { return "none".into() };
        let mut partitions = self.catalog.partitions_of(table.id);
        partitions.sort_by(|a, b| a.name.cmp(&b.name));
        let mut text = String::new();
        for partition in partitions {
            assert_eq!(partition.column_ids(), table.column_ids());
            assert_eq!(partition.distribution, table.distribution);
            let bound = partition.partition_of.as_ref().unwrap().bound.text();
            writeln!(text, "{}: {}", partition.name, bound.replace("FOR VALUES ", "")).unwrap();
        }
        text
    }
}

/// Runs statements; each must end as it says.
fn check(steps: &[(&str, &str)]) -> Script {
    let mut script = Script { catalog: Catalog::empty() };
    for (sql, expected) in steps {
        assert_eq!(script.run(sql), *expected, "{sql}");
    }
    script
}

#[test]
fn greenplums_lists_become_bounds() {
    let script = check(&[
        (
            "CREATE TABLE t (a int, b int) DISTRIBUTED BY (a) PARTITION BY RANGE (b)
             (PARTITION low END (0), PARTITION mid START (0) END (25) EVERY (10),
              PARTITION top START (100) EXCLUSIVE END (200) INCLUSIVE, DEFAULT PARTITION rest)",
            "",
        ),
        (
            "CREATE TABLE l (a int, b text) DISTRIBUTED BY (a) PARTITION BY LIST (b)
             (PARTITION x VALUES ('x', 'y', NULL), VALUES ('z'))",
            "",
        ),
        ("ALTER TABLE t ADD PARTITION START (300) END (400)", ""),
        ("ALTER TABLE t ADD PARTITION more START (400)", ""),
        ("ALTER TABLE t DROP PARTITION FOR (5)", ""),
        ("ALTER TABLE t DROP DEFAULT PARTITION", ""),
        ("ALTER TABLE t RENAME PARTITION low TO negative", ""),
        (
            "ALTER TABLE t DROP PARTITION low",
            "42704 partition \"low\" of relation \"t\" does not exist",
        ),
        (
            "CREATE TABLE u (a int, b int) DISTRIBUTED BY (a) PARTITION BY RANGE (b)
             (START (0) END (10) EVERY (0))",
            "42P17 EVERY parameter produces ambiguous partition rule",
        ),
    ]);
    assert_eq!(
        script.partitions("t"),
        "t_1_prt_7: FROM (300) TO (400)\n\
         t_1_prt_mid_2: FROM (10) TO (20)\n\
         t_1_prt_mid_3: FROM (20) TO (25)\n\
         t_1_prt_more: FROM (400) TO (MAXVALUE)\n\
         t_1_prt_negative: FROM (MINVALUE) TO (0)\n\
         t_1_prt_top: FROM (101) TO (201)\n"
    );
    assert_eq!(script.partitions("l"), "l_1_prt_1: IN ('z')\nl_1_prt_x: IN ('x', 'y', NULL)\n");
}

#[test]
fn partitions_are_partitioned() {
    let script = check(&[
        ("CREATE TABLE t (a int, b int, c text) DISTRIBUTED BY (a) PARTITION BY RANGE (b)", ""),
        (
            "CREATE TABLE p PARTITION OF t FOR VALUES FROM (0) TO (10) PARTITION BY LIST (c)
             (PARTITION x VALUES ('x'), DEFAULT PARTITION rest)",
            "",
        ),
        ("CREATE TABLE q PARTITION OF p FOR VALUES IN ('q') PARTITION BY HASH (a)", ""),
        ("CREATE TABLE q0 PARTITION OF q FOR VALUES WITH (MODULUS 1, REMAINDER 0)", ""),
        ("ALTER TABLE t ADD COLUMN d int NOT NULL DEFAULT 5", ""),
        ("ALTER TABLE t RENAME COLUMN c TO e", ""),
        (
            "ALTER TABLE t DROP COLUMN e",
            "42P16 cannot drop column \"e\" because it is part of the partition key of relation \"p\"",
        ),
        (
            "ALTER TABLE t ADD UNIQUE (a, b)",
            "0A000 unique constraint on partitioned table must include all partitioning columns",
        ),
        ("CREATE INDEX ON t (d)", ""),
        (
            "ALTER TABLE q ATTACH PARTITION t FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
            "42P07 circular inheritance not allowed",
        ),
        ("ALTER TABLE t ALTER PARTITION p DROP PARTITION x", ""),
        (
            "ALTER TABLE t EXCHANGE PARTITION p WITH TABLE q0",
            "0A000 exchange of partitions that are partitioned is not supported",
        ),
    ]);
    assert_eq!(script.partitions("t"), "p: FROM (0) TO (10)\n");
    assert_eq!(script.partitions("p"), "p_2_prt_rest: DEFAULT\nq: IN ('q')\n");
    assert_eq!(script.partitions("q"), "q0: WITH (modulus 1, remainder 0)\n");
    let leaf = script.catalog.table("public", "q0").unwrap();
    assert_eq!(
        leaf.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(),
        ["a", "b", "e", "d"]
    );
    assert_eq!(leaf.indexes.len(), 1);
    let above = script.catalog.partition_ancestors(leaf.id);
    assert_eq!(above.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["q0", "q", "p", "t"]);
    let mut script = script;
    assert_eq!(script.run("ALTER TABLE t DETACH PARTITION p"), "");
    assert_eq!(script.run("DROP TABLE t"), "");
    assert_eq!(
        script.catalog.partitions_below(script.catalog.table("public", "p").unwrap().id).len(),
        3
    );
    assert_eq!(script.run("DROP TABLE p"), "");
    assert!(script.catalog.tables.is_empty());
}

#[test]
fn templates_are_below_each_partition() {
    let script = check(&[
        (
            "CREATE TABLE s (id int, y int, m int, r text, PRIMARY KEY (id, y, m, r))
             DISTRIBUTED BY (id) PARTITION BY RANGE (y)
             SUBPARTITION BY RANGE (m) SUBPARTITION TEMPLATE (START (1) END (3) EVERY (1),
                                                              DEFAULT SUBPARTITION other)
             SUBPARTITION BY LIST (r) SUBPARTITION TEMPLATE (SUBPARTITION eu VALUES ('eu'))
             (START (2020) END (2022) EVERY (1), DEFAULT PARTITION old)",
            "",
        ),
        ("ALTER TABLE s ADD PARTITION next START (2030) END (2031)", ""),
        ("ALTER TABLE s ALTER PARTITION next DROP DEFAULT PARTITION", ""),
        (
            "ALTER TABLE s DROP COLUMN r",
            "42P16 cannot drop column \"r\" because it is part of the partition key of relation \"s\"",
        ),
        (
            "CREATE TABLE u (a int, b int) DISTRIBUTED BY (a) PARTITION BY LIST (a)
             SUBPARTITION BY LIST (b) (VALUES (1))",
            "42P16 no partitions specified at depth 2",
        ),
    ]);
    assert_eq!(
        script.partitions("s"),
        "s_1_prt_1: FROM (2020) TO (2021)\n\
         s_1_prt_2: FROM (2021) TO (2022)\n\
         s_1_prt_next: FROM (2030) TO (2031)\n\
         s_1_prt_old: DEFAULT\n"
    );
    assert_eq!(
        script.partitions("s_1_prt_next"),
        "s_1_prt_next_2_prt_1: FROM (1) TO (2)\ns_1_prt_next_2_prt_2: FROM (2) TO (3)\n"
    );
    assert_eq!(
        script.partitions("s_1_prt_old_2_prt_other"),
        "s_1_prt_old_2_prt_other_3_prt_eu: IN ('eu')\n"
    );
    let root = script.catalog.table("public", "s").unwrap();
    assert_eq!(script.catalog.leaves_of(root).len(), 3 * 3 + 2);
}

#[test]
fn partitions_follow_their_table() {
    let script = check(&[
        (
            "CREATE TABLE t (a int, b int, c text, PRIMARY KEY (a, b), CHECK (b > 0))
             DISTRIBUTED BY (a) PARTITION BY RANGE (b)",
            "",
        ),
        ("CREATE TABLE p PARTITION OF t FOR VALUES FROM (1) TO (10)", ""),
        ("ALTER TABLE t ADD COLUMN d int NOT NULL DEFAULT 5, ADD UNIQUE (a, b, d)", ""),
        ("ALTER TABLE t RENAME COLUMN c TO e", ""),
        ("CREATE INDEX ON t (e)", ""),
        (
            "ALTER TABLE t ADD UNIQUE (a)",
            "0A000 unique constraint on partitioned table must include all partitioning columns",
        ),
        ("ALTER TABLE t ADD COLUMN f int, DROP CONSTRAINT t_b_check", ""),
        ("CREATE TABLE q PARTITION OF t FOR VALUES FROM (10) TO (20)", ""),
    ]);
    let table = script.catalog.table("public", "t").unwrap();
    for name in ["p", "q"] {
        let partition = script.catalog.table("public", name).unwrap();
        assert_eq!(partition.columns, table.columns);
        assert!(partition.checks.is_empty());
        let keys: Vec<_> = partition.index_keys().map(|key| key.columns.clone()).collect();
        assert_eq!(keys, [vec![1, 2], vec![1, 2, 4], vec![3]]);
        let names: Vec<_> = partition.index_keys().map(|key| key.name.as_str()).collect();
        let expected =
            [format!("{name}_pkey"), format!("{name}_a_b_d_key"), format!("{name}_e_idx")];
        assert_eq!(names, expected);
    }
}

#[test]
fn tables_become_partitions_and_back() {
    let create = |name: &str, rest: &str| {
        format!("CREATE TABLE {name} (a int, b int{rest}) DISTRIBUTED BY (a)")
    };
    let (x, y) = (create("x", ", c int"), create("y", ""));
    let t = create("t", "") + " PARTITION BY LIST (b)";
    let attach = "ALTER TABLE t ATTACH PARTITION";
    let other_numbers = "0A000 table \"y\" cannot become a partition of \"t\" as it is";
    let script = check(&[
        (t.as_str(), ""),
        (x.as_str(), ""),
        (y.as_str(), ""),
        (
            format!("{attach} x FOR VALUES IN (1)").as_str(),
            "42804 table \"x\" contains column \"c\" not found in parent \"t\"",
        ),
        ("ALTER TABLE x DROP COLUMN c", ""),
        (format!("{attach} x FOR VALUES IN (1)").as_str(), ""),
        ("ALTER TABLE t ADD COLUMN d int", ""),
        ("ALTER TABLE x DROP COLUMN d", "42P16 cannot drop inherited column \"d\""),
        (
            format!("{attach} y FOR VALUES IN (2)").as_str(),
            "42804 child table is missing column \"d\"",
        ),
        ("ALTER TABLE y ADD COLUMN d int", ""),
        (format!("{attach} y FOR VALUES IN (2)").as_str(), other_numbers),
        ("ALTER TABLE t DETACH PARTITION x", ""),
        (
            "ALTER TABLE t DETACH PARTITION x",
            "42P01 relation \"x\" is not a partition of relation \"t\"",
        ),
        ("ALTER TABLE x RENAME COLUMN d TO e", ""),
        ("CREATE TABLE p PARTITION OF t FOR VALUES IN (1)", ""),
        ("ALTER TABLE x RENAME COLUMN e TO d", ""),
        ("ALTER TABLE t EXCHANGE PARTITION p WITH TABLE x", ""),
    ]);
    // The new column's number is none that the files of x had.
    let ids = script.catalog.table("public", "t").unwrap().column_ids();
    assert_eq!(ids, [1, 2, 4]);
    assert_eq!(script.partitions("t"), "p: IN (1)\n");
    assert!(script.catalog.table("public", "x").unwrap().partition_of.is_none());
}
