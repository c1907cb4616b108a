//! The rule file: who comes in, and when a changed file counts.

use std::fs;

use super::{Guarded, text};
use crate::support::run_kestrel;

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_read_again_when_they_are_asked_to() {
    let cluster = Guarded::start("host all ann all reject\nhost all all 127.0.0.0/8 trust\n").await;
    let admin = cluster.admin().await;
    admin.run_all(["CREATE USER ann"]).await;
    let of = |what: &str, user: &str| {
        format!(
            "28000: {what} for host \"127.0.0.1\", user \"{user}\", database \"kestrel\", \
             no encryption"
        )
    };
    let rejected = of("pg_hba.conf rejects connection", "ann");
    assert_eq!(text(&cluster.refused("ann", "").await), rejected);
    let file = cluster.directory.path().join("hba.conf");
    fs::write(&file, "host all ann all trust\n").unwrap();
    assert_eq!(text(&cluster.refused("ann", "").await), rejected);
    cluster.cluster.reload().unwrap();
    cluster.session("ann", "").await;
    let no_entry = of("no pg_hba.conf entry", "kestrel");
    assert_eq!(text(&cluster.refused("kestrel", "").await), no_entry);
    fs::write(&file, "host all all all\n").unwrap();
    let error = cluster.cluster.reload().unwrap_err();
    assert_eq!(error.sqlstate.as_str(), "F0000");
    cluster.session("ann", "").await;
    assert_eq!(admin.value("SELECT 1").await, "1", "who is in stays in");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_file_is_an_error_at_start() {
    let directory = tempfile::TempDir::new().unwrap();
    let rules = directory.path().join("rules");
    fs::write(&rules, "# mine\nhost all all 10.0.0.0/8 ident\n").unwrap();
    let (data, rules) = (directory.path().join("data"), rules.display().to_string());
    let data = data.display().to_string();
    let up = ["up", "--data", &data, "--listen", "127.0.0.1:0", "--hba-file"];
    for (file, expected) in [
        (rules.as_str(), "line 2 of the rule file: invalid authentication method \"ident\""),
        ("/not/there", "could not read the rule file \"/not/there\""),
    ] {
        let ended = run_kestrel(&[&up[..], &[file]].concat()).await;
        assert_eq!(ended.status, Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    }
}
