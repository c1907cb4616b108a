//! SQL: cut into statements and parsed; positions are within the text.

use kestrel_planner::parse::{parse, without_passwords};
use rand::Rng;

use super::driver::{Random, Target, fuzz};
use super::expect_no_bug;
use super::mutations::{mutate, one_of};

const STATEMENTS: &[&str] = &[
    "SELECT a, b + 1 AS \"B\" FROM t WHERE a IN (1, 2) AND b IS NOT NULL ORDER BY 1 LIMIT 3",
    "WITH x AS (SELECT 1) SELECT * FROM x JOIN y USING (a) UNION ALL VALUES (1, 'it''s')",
    "INSERT INTO s.t (a, b) VALUES ($1, E'a\\n\\x41'), (U&'\\0041', $$do$$) RETURNING *",
    "CREATE TABLE t (a int PRIMARY KEY, b numeric(10,2) DEFAULT 1.5 NOT NULL CHECK (b > 0), \
     c varchar(3)[]) DISTRIBUTED BY (a) PARTITION BY RANGE (a) (START (1) END (9) EVERY (2))",
    "UPDATE t SET a = a || 'x', b = (SELECT max(b) FROM u) WHERE CURRENT_DATE > DATE '2024-01-01'",
    "COPY t (a, b) FROM STDIN WITH (FORMAT csv, DELIMITER '|', NULL '', HEADER match, QUOTE '\"')",
    "COPY (SELECT 1) TO STDOUT BINARY",
    "CREATE ROLE ann LOGIN PASSWORD 'secret' VALID UNTIL '2030-01-01' CONNECTION LIMIT -1",
    "ALTER TABLE IF EXISTS ONLY t ADD COLUMN d timestamptz, DROP b CASCADE, SET DISTRIBUTED RANDOMLY",
    "SET LOCAL \"search path\" TO a, 'b', -1; SHOW ALL; RESET x; BEGIN ISOLATION LEVEL READ COMMITTED",
    "EXPLAIN (ANALYZE, COSTS off, FORMAT json) SELECT OPERATOR(pg_catalog.=) /* a /* b */ */ -- c\n 1",
    "PREPARE p (int, text) AS SELECT $1::int[], INTERVAL '1 day' 'x'; EXECUTE p (1, 'a')",
    "DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT 1; FETCH BACKWARD ALL FROM c; CLOSE ALL",
    "COMMENT ON COLUMN a.b.c IS 'héllo 漢'; CREATE UNIQUE INDEX i ON t (lower(a) DESC NULLS LAST)",
    "CREATE OR REPLACE VIEW v (a) AS SELECT CASE WHEN a THEN ARRAY[1,2] ELSE CAST(x AS text) END FROM t",
    "SELECT EXTRACT(year FROM a), x'1F', b'01', 1e10, .5, 5., a[1:2].b, (r).f, count(*) FILTER (WHERE a)",
    ";;",
];

/// What statements are put together from besides.
const WORDS: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "'",
    "\"",
    "$$",
    "$1",
    "--",
    "/*",
    "*/",
    ";",
    ",",
    ".",
    "::",
    "INTERVAL ",
    "SELECT ",
    "NOT ",
    "CASE ",
    "EXPLAIN ",
    "ARRAY[",
    "E'\\",
    "U&'",
    "\u{0}",
    "é",
    "\u{feff}",
    "\r\n",
];

#[test]
fn statements() {
    fuzz(Target { test: "statements", make, one_in: 1 }, || check);
}

fn make(random: &mut Random) -> Vec<u8> {
    let mut text = one_of(STATEMENTS, random).as_bytes().to_vec();
    for _ in 0..random.random_range(0..3) {
        let word = one_of(WORDS, random).repeat(random.random_range(1..4));
        let at = random.random_range(0..=text.len());
        text.splice(at..at, word.into_bytes());
    }
    if random.random_ratio(3, 4) {
        mutate(&mut text, random);
    }
    text
}

fn check(input: &[u8], _: &mut Random) {
    let text = String::from_utf8_lossy(input);
    let end = u32::try_from(text.chars().count()).unwrap() + 1;
    match parse(&text) {
        Ok(statements) => {
            let before = statements.iter().map(|statement| statement.offset);
            assert!(before.clone().is_sorted() && before.max() < Some(end as usize));
        }
        Err(error) => {
            expect_no_bug(&error);
            assert!(error.position.is_none_or(|at| (1..=end).contains(&at)), "{error}");
        }
    }
    let _ = without_passwords(&text);
}
