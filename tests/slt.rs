//! The statements of `slt/**`, with their answers: `slt/pg_compat` on PostgreSQL 15 and on Kestrel
//! under several layouts, `slt/kestrel` on Kestrel.
//!
//! The letters behind `query` are the types of the columns, see [`letter`]. Values stand between
//! ` | `; NULL is `NULL`, empty text `(empty)`, a line feed `\n`. With
//! `KESTREL_TEST_COMPLETE=pg_compat` the test on PostgreSQL writes its answers into those files,
//! with `kestrel` the test on Kestrel into the others: to be read before they are kept.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sqllogictest::{ColumnType, DB, DBOutput, MakeConnection, Normalizer, Record, Runner};
use tokio::{runtime::Handle, task::block_in_place};
use tokio_postgres::types::Type;

use crate::support::{Answer, Failure, Session, SuiteShards, TestCluster, postgres};

const SEPARATOR: &str = " | ";

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_answers_as_the_files_say() {
    let Some(postgres) = postgres() else { return };
    let url = postgres.connection_string();
    let mut wrong = Vec::new();
    for file in files("pg_compat") {
        let schema = file.file_stem().unwrap_or_default().to_string_lossy().replace('-', "_");
        let first =
            [format!("CREATE SCHEMA \"{schema}\""), format!("SET search_path = \"{schema}\"")];
        let mut runner = runner(|| database(&url, &first, None));
        if complete("pg_compat") {
            let done = runner.update_test_file(&file, SEPARATOR, equal, text, types).await;
            done.unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        } else {
            wrong.extend(run(&mut runner, &file).await);
        }
    }
    report(&wrong);
}

/// Files about what there is only where datanodes keep rows themselves.
const NOT_IN_DATABASES: &str = "partitions";

/// Where rows are must make no difference: every file is run under each of these.
const LAYOUTS: &[(u32, Option<&str>)] =
    &[(3, None), (2, Some("DISTRIBUTED RANDOMLY")), (3, Some("DISTRIBUTED REPLICATED"))];

#[tokio::test(flavor = "multi_thread")]
async fn kestrel_answers_as_the_files_say() {
    let mut wrong = Vec::new();
    for (datanodes, layout) in LAYOUTS {
        for file in files("pg_compat") {
            for error in on_kestrel(&file, *datanodes, *layout).await {
                wrong.push(format!("{}: {error}", layout.unwrap_or("default key")));
            }
        }
    }
    for file in files("kestrel") {
        wrong.extend(on_kestrel(&file, 3, None).await);
    }
    report(&wrong);
}

fn complete(folder: &str) -> bool {
    std::env::var("KESTREL_TEST_COMPLETE").is_ok_and(|which| which == folder)
}

/// The first line of a file about what databases that hold rows cannot do.
const OF_SEGMENTS: &str = "# Of tables in segments.";

async fn on_kestrel(file: &Path, datanodes: u32, layout: Option<&'static str>) -> Vec<String> {
    let is_of_segments = fs::read_to_string(file).is_ok_and(|text| text.starts_with(OF_SEGMENTS));
    if is_of_segments && !matches!(SuiteShards::from_env(), SuiteShards::Columnar) {
        return Vec::new();
    }
    let cluster = TestCluster::start(datanodes).await;
    let url = cluster.url();
    let mut runner = runner(|| database(&url, &[], layout));
    label_of_shards(&mut runner);
    let mut wrong = Vec::new();
    if complete("kestrel") && file.starts_with("tests/slt/kestrel") {
        let done = runner.update_test_file(file, SEPARATOR, equal, text, types).await;
        done.unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    } else {
        wrong = run(&mut runner, file).await;
    }
    drop(runner);
    cluster.stop().await;
    wrong
}

/// The files of a folder of `slt`, sorted.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new("tests/slt").join(folder);
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "slt"));
    if !matches!(SuiteShards::from_env(), SuiteShards::Columnar) {
        files.retain(|file| file.file_stem().is_some_and(|stem| stem != NOT_IN_DATABASES));
    }
    files.sort();
    assert!(!files.is_empty(), "no files in {}", folder.display());
    files
}

fn runner<M: MakeConnection<Conn = Database>>(connect: M) -> Runner<Database, M> {
    let mut runner = Runner::new(connect);
    runner.with_normalizer(text);
    runner.with_validator(equal);
    runner.with_column_validator(types);
    runner
}

/// Kestrel's answers where shards are in databases, for `onlyif kes` and `skipif kes`.
fn label_of_shards<M: MakeConnection<Conn = Database>>(runner: &mut Runner<Database, M>) {
    if !matches!(SuiteShards::from_env(), SuiteShards::Columnar) {
        runner.add_label("kes");
    }
}

/// Runs all records; what was wrong with each that went wrong.
async fn run<M: MakeConnection<Conn = Database>>(
    runner: &mut Runner<Database, M>,
    file: &Path,
) -> Vec<String> {
    let records = sqllogictest::parse_file::<Column>(file)
        .unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let mut wrong = Vec::new();
    for record in records {
        if matches!(record, Record::Halt { .. }) {
            break;
        }
        if let Err(error) = runner.run_async(record).await {
            wrong.push(error.display(false).to_string());
        }
    }
    wrong
}

fn report(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} records went wrong:\n\n{}", wrong.len(), wrong.join("\n\n"));
}

/// A session that statements of a file run in.
struct Database {
    session: Session,
    layout: Option<&'static str>,
}

async fn database(
    url: &str,
    first: &[String],
    layout: Option<&'static str>,
) -> Result<Database, Failure> {
    let session = Session::try_connect(url).await.map_err(|e| Failure::of(&e))?;
    session.run_all(first).await;
    Ok(Database { session, layout })
}

impl DB for Database {
    type Error = Failure;
    type ColumnType = Column;

    fn run(&mut self, sql: &str) -> Result<DBOutput<Column>, Failure> {
        block_in_place(|| Handle::current().block_on(self.run_statement(sql)))
    }

    fn engine_name(&self) -> &str {
        "postgres"
    }

    fn error_sql_state(error: &Failure) -> Option<String> {
        Some(error.sqlstate.clone())
    }
}

impl Database {
    async fn run_statement(&self, sql: &str) -> Result<DBOutput<Column>, Failure> {
        let sql = self.laid_out(sql);
        match self.session.run(&sql).await {
            Answer::Error(failure) => Err(without_datanode(failure)),
            Answer::Done(count) => Ok(DBOutput::StatementComplete(count)),
            Answer::Rows { rows, .. } => {
                // Only a prepared statement tells the types.
                let prepared =
                    self.session.client.prepare(&sql).await.map_err(|e| Failure::of(&e))?;
                let types = prepared.columns().iter().map(|c| Column(letter(c.type_()))).collect();
                let rows = rows.iter().map(|row| row.iter().map(shown).collect()).collect();
                Ok(DBOutput::Rows { types, rows })
            }
        }
    }

    /// The statement, with the layout of this run unless it has one of its own.
    fn laid_out(&self, sql: &str) -> String {
        let own = ["DISTRIBUTED", "PRIMARY KEY", "UNIQUE", "IF NOT EXISTS", "PARTITION"];
        let is_whole = sql.ends_with(')');
        match self.layout {
            Some(layout)
                if is_whole
                    && sql.starts_with("CREATE TABLE")
                    && !own.iter().any(|w| sql.contains(w)) =>
            {
                format!("{sql} {layout}")
            }
            _ => sql.to_string(),
        }
    }
}

/// Which datanode met an error is nothing that PostgreSQL could say.
fn without_datanode(failure: Failure) -> Failure {
    let context = failure.context.filter(|context| !context.starts_with("datanode "));
    Failure { context, ..failure }
}

fn shown(value: &Option<String>) -> String {
    match value.as_deref() {
        None => "NULL".into(),
        Some("") => "(empty)".into(),
        Some(text) => text.replace('\n', "\\n"),
    }
}

/// A column's type, as the letter behind `query`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Column(char);

impl ColumnType for Column {
    fn from_char(value: char) -> Option<Self> {
        Some(Self(value))
    }

    fn to_char(&self) -> char {
        self.0
    }
}

/// The letter of a type.
fn letter(ty: &Type) -> char {
    const LETTERS: &[(Type, char)] = &[
        (Type::INT2, 's'),
        (Type::INT4, 'i'),
        (Type::INT8, 'b'),
        (Type::NUMERIC, 'n'),
        (Type::FLOAT4, 'r'),
        (Type::FLOAT8, 'd'),
        (Type::TEXT, 't'),
        (Type::VARCHAR, 'v'),
        (Type::BPCHAR, 'c'),
        (Type::BOOL, 'o'),
        (Type::DATE, 'D'),
        (Type::TIME, 'T'),
        (Type::TIMESTAMP, 'S'),
        (Type::TIMESTAMPTZ, 'Z'),
        (Type::INTERVAL, 'I'),
        (Type::UUID, 'U'),
        (Type::BYTEA, 'Y'),
        (Type::TEXT_ARRAY, 'a'),
        (Type::INT4_ARRAY, 'A'),
        (Type::INT8_ARRAY, 'B'),
        (Type::FLOAT8_ARRAY, 'F'),
        (Type::NUMERIC_ARRAY, 'N'),
        (Type::JSON, 'j'),
        (Type::JSONB, 'J'),
    ];
    LETTERS.iter().find(|(known, _)| known == ty).map_or('?', |(_, letter)| *letter)
}

#[allow(clippy::ptr_arg, reason = "the type of sqllogictest's Normalizer")]
fn text(value: &String) -> String {
    value.trim_end().to_string()
}

fn equal(normalize: Normalizer, actual: &[Vec<String>], expected: &[String]) -> bool {
    let actual: Vec<String> = actual.iter().map(|row| normalize(&row.join(SEPARATOR))).collect();
    let expected: Vec<String> = expected.iter().map(normalize).collect();
    actual == expected
}

#[allow(clippy::ptr_arg, reason = "the type of sqllogictest's ColumnTypeValidator")]
fn types(actual: &Vec<Column>, expected: &Vec<Column>) -> bool {
    actual == expected
}
