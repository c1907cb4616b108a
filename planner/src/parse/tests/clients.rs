//! Real clients' statements, and mutations of them and of others.

use std::{fs, path::Path};

use super::*;

/// Statements that psql 15 and pg_dump 15 sent, caught on their wire.
fn client_statements() -> Vec<String> {
    let directory = Path::new("testdata/clients");
    let mut statements = Vec::new();
    for file in ["psql15_meta_commands.txt", "pg_dump15.txt"] {
        let text = fs::read_to_string(directory.join(file)).unwrap();
        for part in text.split("--@@--") {
            // The first line names the client's command.
            if let Some((_, sql)) = part.trim_start().split_once('\n') {
                statements.push(sql.trim().to_string());
            }
        }
    }
    statements
}

#[test]
fn real_clients_statements_parse() {
    let statements = client_statements();
    assert_eq!(statements.len(), 109 + 70);
    let failures: Vec<_> = statements
        .iter()
        .filter_map(|sql| parse(sql).err().map(|e| format!("{e} at {:?}: {sql}", e.position)))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// xorshift64*: the same mutations on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }
}

const SEEDS: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS s.t (a int NOT NULL DEFAULT 1 + (2), b varchar(10) UNIQUE, \
     c numeric(10,2) REFERENCES x (y) ON DELETE CASCADE, CONSTRAINT k PRIMARY KEY (a, b), \
     LIKE u INCLUDING ALL) WITH (appendonly=true) DISTRIBUTED BY (a)",
    "CREATE TABLE t AS SELECT a, 'é' FROM x WITH NO DATA DISTRIBUTED RANDOMLY",
    "COPY s.t (a, b) FROM STDIN WITH (FORMAT csv, HEADER, NULL 'x', FORCE_NULL (a))",
    "COPY t FROM STDIN CSV HEADER DELIMITER ',' QUOTE '\"' FORCE NOT NULL a, b",
    "EXPLAIN (ANALYZE, FORMAT JSON) SELECT \"Ä\", E'\\n' FROM t WHERE a IN (1, 2) -- c",
    "SET search_path = a, b; BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY; COMMIT AND CHAIN",
    "VACUUM (FULL, ANALYZE) t (a), u; TRUNCATE t, u RESTART IDENTITY CASCADE",
    "PREPARE p (int, text[]) AS INSERT INTO t VALUES ($1, $2); EXECUTE p (1, 'a' || 'b')",
    "DROP SCHEMA IF EXISTS a, b CASCADE; CREATE SCHEMA c AUTHORIZATION CURRENT_USER",
];

#[test]
fn mutated_statements_never_panic_and_errors_point_into_the_text() {
    let mut random = Random(0x5EED);
    let clients = client_statements();
    let mut seeds: Vec<&str> = SEEDS.to_vec();
    seeds.extend(clients.iter().step_by(12).map(String::as_str));
    let pieces: Vec<Vec<String>> = seeds.iter().map(|sql| split_for_mutation(sql)).collect();
    for round in 0..6_000 {
        let mut text = pieces[round % pieces.len()].clone();
        for _ in 0..1 + random.below(4) {
            let at = random.below(text.len());
            let other = &pieces[random.below(pieces.len())];
            match random.below(5) {
                0 => text[at] = other[random.below(other.len())].clone(),
                1 => text.insert(at, other[random.below(other.len())].clone()),
                2 if text.len() > 1 => drop(text.remove(at)),
                3 => text.truncate(at + 1),
                _ => {
                    let to = random.below(text.len());
                    text.swap(at, to);
                }
            }
        }
        let sql = text.concat();
        match parse(&sql) {
            Ok(statements) => {
                for statement in statements {
                    let from: String = sql.chars().skip(statement.offset).collect();
                    assert!(from.starts_with(&statement.sql), "{sql}");
                }
            }
            Err(e) => {
                let length = sql.chars().count() as u32;
                let position = e.position.unwrap_or(1);
                assert!((1..=length + 1).contains(&position), "{e} at {position}: {sql}");
                assert_ne!(e.sqlstate, kestrel_proto::SqlState::INTERNAL_ERROR, "{e}: {sql}");
            }
        }
    }
}

/// Words, quotes, and everything else one character at a time.
fn split_for_mutation(sql: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for c in sql.chars() {
        match pieces.last_mut() {
            Some(last) if c.is_alphanumeric() && last.ends_with(char::is_alphanumeric) => {
                last.push(c);
            }
            _ => pieces.push(c.into()),
        }
    }
    pieces
}
