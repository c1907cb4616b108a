//! The `kestrel` command's exit statuses: 0 clean, 1 failure, 2 usage; its errors are one line.

use std::{net::TcpListener, path::Path};

use tempfile::TempDir;

use crate::support::{Ended, Kestrel, run_kestrel};

fn check_failure(what: &str, ended: &Ended, status: i32, says: &str) {
    assert_eq!(ended.status, Some(status), "{what}: {ended:?}");
    assert_eq!(ended.stderr.trim_end().lines().count(), 1, "{what}: {ended:?}");
    assert!(ended.stderr.contains(says), "{what}: {ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{what}: {ended:?}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_command_line_is_status_2() {
    let directory = TempDir::new().unwrap();
    let data = text(directory.path());
    for (arguments, says) in [
        (vec!["fly"], "fly"),
        (vec!["up"], "--data"),
        (vec!["up", "--data", data, "--datanodes", "none"], "none"),
        (vec!["up", "--data", data, "--no-such-flag"], "--no-such-flag"),
        (vec!["up", "--data", data, "--listen", "here"], "here"),
        (vec!["up", "--data", data, "--listen", "0.0.0.0:0"], "loopback"),
        (vec!["tpch", "run", "--scale", "-1"], "scale"),
    ] {
        check_failure(&format!("{arguments:?}"), &run_kestrel(&arguments).await, 2, says);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_status_1() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "not a directory").unwrap();
    let fresh = directory.path().join("data");
    let other = directory.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("mine.txt"), "somebody's").unwrap();
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    for (data, listen, says) in [
        (fresh.as_path(), address.as_str(), address.as_str()),
        (file.as_path(), "127.0.0.1:0", text(&file)),
        (&file.join("below"), "127.0.0.1:0", "below"),
        (Path::new("/proc/kestrel"), "127.0.0.1:0", "/proc/kestrel"),
        (other.as_path(), "127.0.0.1:0", text(&other)),
    ] {
        let ended = run_kestrel(&["up", "--data", text(data), "--listen", listen]).await;
        check_failure(&format!("{} on {listen}", data.display()), &ended, 1, says);
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "not a directory");
    assert_eq!(std::fs::read_dir(&other).unwrap().count(), 1);
    let nobody = run_kestrel(&["status", "--url", "postgres://kestrel@127.0.0.1:1/kestrel"]).await;
    check_failure("status of nothing", &nobody, 1, "127.0.0.1:1");
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_stop_it_cleanly() {
    for signal in ["TERM", "INT"] {
        let directory = TempDir::new().unwrap();
        let kestrel = Kestrel::up(directory.path(), &["--datanodes", "2"]).await;
        let session = kestrel.session().await;
        session.run_all(["CREATE TABLE t (a int) DISTRIBUTED BY (a)"]).await;
        // A session and a transaction are open: they do not keep it.
        session.run_all(["BEGIN", "INSERT INTO t VALUES (1)"]).await;
        let ended = kestrel.signal(signal).await;
        assert_eq!(ended.status, Some(0), "SIG{signal}: {ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{ended:?}");
        let again = Kestrel::up(directory.path(), &[]).await;
        assert_eq!(again.session().await.value("SELECT count(*) FROM t").await, "0");
        again.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_has_one_owner_and_keeps_its_datanodes() {
    let directory = TempDir::new().unwrap();
    let data = text(directory.path());
    let first = Kestrel::up(directory.path(), &["--datanodes", "2"]).await;
    let second = run_kestrel(&["up", "--data", data, "--listen", "127.0.0.1:0"]).await;
    check_failure("a second owner", &second, 1, data);
    let session = first.session().await;
    assert_eq!(session.value("SELECT count(*) FROM kestrel.datanodes").await, "2");
    assert_eq!(first.signal("TERM").await.status, Some(0));
    let other = ["up", "--data", data, "--datanodes", "5", "--listen", "127.0.0.1:0"];
    check_failure("another number", &run_kestrel(&other).await, 1, "2");
}
