//! Sizes: bytes on disk, on all datanodes; how often something is used.

use super::{super::rows::Value, BIGINT, Function, TEXT, int, objects::relation, strict};

pub(super) const FUNCTIONS: &[Function] = &[
    strict("pg_database_size", (1, 1), BIGINT, |c, _| Ok(total(c))),
    strict("pg_indexes_size", (1, 1), BIGINT, |_, _| Ok(0.into())),
    strict("pg_relation_size", (1, 2), BIGINT, |c, a| {
        Ok(relation(c, a, 0)?.map(|r| r.bytes()).into())
    }),
    strict("pg_size_pretty", (1, 1), TEXT, |_, a| Ok(int(a, 0).map(pretty).into())),
    // Indexes are for show: no query scans one.
    strict("pg_stat_get_numscans", (1, 1), BIGINT, |_, _| Ok(0.into())),
    strict("pg_table_size", (1, 1), BIGINT, |c, a| {
        Ok(relation(c, a, 0)?.map(|r| r.bytes()).into())
    }),
    strict("pg_tablespace_size", (1, 1), BIGINT, |c, _| Ok(total(c))),
    strict("pg_total_relation_size", (1, 1), BIGINT, |c, a| {
        Ok(relation(c, a, 0)?.map(|r| r.bytes()).into())
    }),
];

fn total(context: &super::SystemViewContext) -> Value {
    context.catalog.tables.values().map(|table| table.stored_bytes()).sum::<u64>().into()
}

/// `pg_size_pretty` (dbsize.c): each unit is used up to 20 times 1024 of it; all but bytes are
/// kept doubled and rounded at the end.
fn pretty(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes.unsigned_abs() < 10 * 1024 {
        return format!("{bytes} bytes");
    }
    let mut doubled = bytes / 512;
    for (i, unit) in UNITS.iter().enumerate() {
        if doubled.unsigned_abs() < 20 * 1024 - 1 || i + 1 == UNITS.len() {
            return format!("{} {unit}", (doubled + doubled.signum()) / 2);
        }
        doubled /= 1024;
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_postgresql_writes_them() {
        // select pg_size_pretty(…)
        let cases = [
            (0, "0 bytes"),
            (1, "1 bytes"),
            (-1, "-1 bytes"),
            (999, "999 bytes"),
            (10239, "10239 bytes"),
            (10240, "10 kB"),
            (-10240, "-10 kB"),
            (10241, "10 kB"),
            (20479, "20 kB"),
            (20480, "20 kB"),
            (524287, "512 kB"),
            (10485247, "10239 kB"),
            (10485248, "10 MB"),
            (20971519, "20 MB"),
            (20971520, "20 MB"),
            (5368709120, "5120 MB"),
            (123456789012, "115 GB"),
            (10737418239999, "10000 GB"),
            (10995116277760, "10 TB"),
            (1125899906842624, "1024 TB"),
            (22517998136852479, "20 PB"),
            (22517998136852480, "20 PB"),
            (9223372036854775807, "8192 PB"),
            (i64::MIN, "-8192 PB"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(pretty(bytes), expected, "{bytes}");
        }
    }
}
