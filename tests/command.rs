//! The `kestrel` command from outside: what it prints where, and its exit status.

use std::net::TcpListener;
use std::process::{Command, Output};

fn kestrel(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kestrel")).args(arguments).output().unwrap()
}

/// Nothing on standard output, on standard error one line that says so, and the status.
fn check_refused(arguments: &[&str], status: i32, says: &str) {
    let output = kestrel(arguments);
    let (out, err) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
    let (out, err) = (out.unwrap(), err.unwrap());
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {err}");
    assert_eq!(out, "", "{arguments:?}");
    assert_eq!(err.lines().count(), 1, "{arguments:?}: {err}");
    assert!(err.starts_with("kestrel: ") && err.contains(says), "{arguments:?}: {err}");
}

#[test]
fn a_wrong_command_line_is_status_2() {
    let data = tempfile::tempdir().unwrap();
    let (entries, data) =
        (|| data.path().read_dir().unwrap().count(), data.path().to_str().unwrap());
    for (arguments, says) in [
        (&[][..], "no command given"),
        (&["demo", "--scales", "1"], "'--scales' found"),
        (&["demo", "--processes"], "--processes is not available yet"),
        (&["up", "--data", data, "--shards", "kes"], "--shards kes is not available yet"),
        (&["up", "--data", data, "--listen", "0.0.0.0:0"], "refusing to listen on 0.0.0.0:0"),
        (
            &["up", "--data", data, "--memory-limit", "1GB", "--cache-size", "2GB"],
            "--cache-size is a part of --memory-limit",
        ),
        (&["status", "--url", "not a url"], "not a connection URL: 'not a url'"),
    ] {
        check_refused(arguments, 2, says);
    }
    assert_eq!(entries(), 0, "a refused command has made something");
}

#[test]
fn what_cannot_be_done_is_status_1() {
    // Bound and closed again, so that nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("postgres://kestrel@127.0.0.1:{port}/kestrel");
    let says = format!("cannot connect to 127.0.0.1:{port}");
    for arguments in [
        &["status", "--url", &url][..],
        &["tpch", "load", "--scale", "0.01", "--url", &url],
        &["tpch", "run", "--scale", "0.01", "--url", &url],
    ] {
        check_refused(arguments, 1, &says);
    }
}

#[test]
fn help_version_and_queries_are_results() {
    for (arguments, says) in [
        (&["--help"][..], "Usage: kestrel <COMMAND>"),
        (&["--version"], concat!("kestrel ", env!("CARGO_PKG_VERSION"))),
        (&["tpch", "queries", "6"], "-- TPC-H query 6: Forecasting Revenue Change\nselect"),
        (&["tpch", "queries", "6", "--json"], "[{\"query\":6,\"sql\":\"-- TPC-H query 6"),
    ] {
        let output = kestrel(arguments);
        let out = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(out.contains(says), "{arguments:?}: {out}");
        assert!(output.stderr.is_empty(), "{arguments:?}");
    }
}
