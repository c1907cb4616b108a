//! Makes the stored answers: PostgreSQL 15 over the rows that tpchgen generates.

use std::fs;
use std::path::Path;

use super::schema::Layout;
use super::{QUERIES, STORED_SCALE, load};
use crate::client::Client;
use crate::output::Console;
use crate::postgres::{Programs, TempPostgres};
use crate::{CommandError, Result};

/// Writes `q01.csv` … `q22.csv` into the directory. `bin`: where PostgreSQL's programs are.
pub(crate) async fn make_answers(
    directory: &Path,
    bin: Option<&Path>,
    console: &Console,
) -> Result<()> {
    let writing = |path: &Path, e| CommandError::failure(format!("{}: {e}", path.display()));
    fs::create_dir_all(directory).map_err(|e| writing(directory, e))?;
    let postgres = TempPostgres::start(&Programs::find(bin)?)?;
    let url = postgres.connection_string();
    load(&url, STORED_SCALE, Layout::Undistributed, console).await?;
    let client = Client::connect(&url).await?;
    client.execute("ANALYZE").await?;
    for query in &QUERIES {
        let copy = format!("COPY ({}) TO STDOUT (FORMAT csv, HEADER)", query.bare_sql());
        let path = directory.join(format!("q{:02}.csv", query.number));
        fs::write(&path, client.copy_out(&copy).await?).map_err(|e| writing(&path, e))?;
    }
    console.step(&format!("wrote {} answers to {}", QUERIES.len(), directory.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::stored_answer;
    use super::super::{Expected, Verdict, is_loaded, run};
    use super::*;

    /// The stored answers are what the command makes, and loader, runner and comparison work
    /// against a server that is known to be right.
    #[tokio::test(flavor = "multi_thread")]
    async fn postgres_gives_the_stored_answers() {
        let Some(programs) = Programs::for_tests().unwrap() else { return };
        let directory = tempfile::tempdir().unwrap();
        let bin = Some(programs.directory());
        make_answers(directory.path(), bin, &Console::silent()).await.unwrap();
        for query in &QUERIES {
            let path = directory.path().join(format!("q{:02}.csv", query.number));
            assert_eq!(fs::read_to_string(path).unwrap(), query.stored_answer, "{query:?}");
            assert!(!stored_answer(query).is_empty(), "{query:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_run_on_postgres_is_right() {
        let Some(programs) = Programs::for_tests().unwrap() else { return };
        let console = Console::silent();
        let postgres = TempPostgres::start(&programs).unwrap();
        let url = postgres.connection_string();
        let mut client = Client::connect(&url).await.unwrap();
        assert!(!is_loaded(&mut client, STORED_SCALE).await.unwrap());
        load(&url, STORED_SCALE, Layout::Undistributed, &console).await.unwrap();
        assert!(is_loaded(&mut client, STORED_SCALE).await.unwrap());
        let other = is_loaded(&mut client, 0.02).await.unwrap_err().to_string();
        assert!(other.contains("supplier has 100 rows"), "{other}");

        let again = load(&url, STORED_SCALE, Layout::Undistributed, &console).await.unwrap_err();
        assert!(again.to_string().contains("DROP TABLE IF EXISTS region"), "{again}");

        client.execute("ANALYZE").await.unwrap();
        let expected = Expected::at_scale(STORED_SCALE, &console).await.unwrap();
        let report = run(&mut client, STORED_SCALE, Some(&expected), |_| ()).await.unwrap();
        assert_eq!(report.bad().collect::<Vec<_>>(), []);
        assert!(
            report.queries.iter().all(|q| q.answer == Verdict::Right && q.rows_moved.is_none())
        );

        // One row less, and the runner sees it.
        client.execute("DELETE FROM customer WHERE c_custkey = 667").await.unwrap();
        let report = run(&mut client, STORED_SCALE, Some(&expected), |_| ()).await.unwrap();
        assert!(report.bad().any(|(query, _)| query == 18));
    }
}
