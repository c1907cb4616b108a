//! Finds the programs of a database server on this machine.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use kestrel_proto::{ErrorReport, Result, SqlState};

/// The oldest PostgreSQL whose databases can hold shards: the lineage of KingbaseES.
const OLDEST_MAJOR: u32 = 12;
/// Where distributions put programs: a directory for each version, and below it. Newest first.
const VERSIONED: [(&str, &str); 5] = [
    ("/usr/lib/postgresql", "bin"),
    ("/usr", "bin"),
    ("/opt/homebrew/opt", "bin"),
    ("/usr/local/opt", "bin"),
    ("/opt/Kingbase/ES", "Server/bin"),
];
/// Directories of versions are called so: `15`, `pgsql-15`, `postgresql@15`, `V8`.
const VERSION_PREFIXES: [&str; 4] = ["", "pgsql-", "postgresql@", "V"];

/// What the programs are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Names {
    control: &'static str,
    server: &'static str,
}

const NAMES: [Names; 2] = [
    Names { control: "pg_ctl", server: "postgres" },
    Names { control: "sys_ctl", server: "kingbase" },
];

/// The programs of one installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerPrograms {
    directory: PathBuf,
    names: Names,
    /// 15 for 15.4; as a data directory's `PG_VERSION` has it.
    major: u32,
}

impl ServerPrograms {
    /// Looks in PATH, and where distributions put them. With `major`, for those of this version: a
    /// data directory can be served by no other.
    ///
    /// # Errors
    /// 58P01, with a hint that says how to install them.
    pub(crate) fn find(major: Option<u32>) -> Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let fits = |programs: &Self| match major {
            Some(major) => programs.major == major,
            None => programs.major >= OLDEST_MAJOR,
        };
        let mut found = candidates(&path).into_iter().filter_map(|at| Self::at(&at)).filter(fits);
        found.next().ok_or_else(|| missing(major))
    }

    /// Those of this directory, if they are there.
    fn at(directory: &Path) -> Option<Self> {
        let is_there = |program: &str| directory.join(program).is_file();
        let names = NAMES.iter().find(|n| is_there(n.control) && is_there(n.server))?;
        if !is_there("initdb") {
            return None;
        }
        let output = Command::new(directory.join(names.server)).arg("--version").output().ok()?;
        let major = major_version(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { directory: directory.to_path_buf(), names: *names, major })
    }

    /// Makes data directories.
    pub(crate) fn initdb(&self) -> PathBuf {
        self.directory.join("initdb")
    }

    /// Starts and stops servers.
    pub(crate) fn control(&self) -> PathBuf {
        self.directory.join(self.names.control)
    }

    /// The server.
    pub(crate) fn server(&self) -> PathBuf {
        self.directory.join(self.names.server)
    }

    /// Where they are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

/// Whether a process of this name is a server's.
pub(crate) fn is_server(process_name: &str) -> bool {
    NAMES.iter().any(|names| names.server == process_name)
}

/// PATH first, for whoever has chosen; then what is installed, newest first.
fn candidates(path: &OsStr) -> Vec<PathBuf> {
    // A relative one would be another for the servers, which run elsewhere.
    let mut directories: Vec<PathBuf> =
        std::env::split_paths(path).filter(|directory| directory.is_absolute()).collect();
    for (parent, below) in VERSIONED {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        for name in newest_first(names.collect()) {
            directories.push(Path::new(parent).join(name).join(below));
        }
    }
    directories
}

/// Those that are named for a version.
fn newest_first(names: Vec<String>) -> Vec<String> {
    let version = |name: &str| -> Option<u32> {
        VERSION_PREFIXES.iter().find_map(|prefix| {
            let number = name.strip_prefix(prefix)?.split('.').next()?;
            number.parse().ok()
        })
    };
    let mut versions: Vec<_> =
        names.into_iter().filter_map(|name| Some((version(&name)?, name))).collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, name)| name).collect()
}

/// `postgres (PostgreSQL) 15.10 (Debian …)`, `postgres (PostgreSQL) 17beta1`; KingbaseES tells its
/// own version, `kingbase (KingbaseES) V008R006C…`, and is PostgreSQL 12 below.
fn major_version(said: &str) -> Option<u32> {
    if said.contains("KingbaseES") {
        return Some(OLDEST_MAJOR);
    }
    let version = said.split_once("(PostgreSQL) ")?.1;
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().ok()
}

fn missing(major: Option<u32>) -> ErrorReport {
    let version = major.map_or_else(String::new, |major| format!(" {major}"));
    let package = major.map_or_else(|| "postgresql".into(), |m| format!("postgresql-{m}"));
    let message = format!(
        "PostgreSQL{version}'s initdb, pg_ctl and postgres are not in PATH, nor in \
         /usr/lib/postgresql/*/bin, nor are KingbaseES's in /opt/Kingbase/ES/*/Server/bin"
    );
    ErrorReport::new(SqlState::UNDEFINED_FILE, message).hint(format!(
        "Install them (Debian, Ubuntu: apt-get install {package}), or put their directory into PATH."
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn versions() {
        for (said, major) in [
            ("postgres (PostgreSQL) 15.10 (Debian 15.10-0+deb12u1)\n", Some(15)),
            ("postgres (PostgreSQL) 17beta1\n", Some(17)),
            ("postgres (PostgreSQL) 9.6.24\n", Some(9)),
            ("kingbase (KingbaseES) V008R006C008B0020\n", Some(12)),
            ("mysqld  Ver 8.0\n", None),
            ("", None),
        ] {
            assert_eq!(major_version(said), major, "{said}");
        }
        let names = ["9.6", "15", "common", "16", "V8", "pgsql-14"].map(str::to_string);
        assert_eq!(newest_first(names.to_vec()), ["16", "15", "pgsql-14", "9.6", "V8"]);
    }

    #[test]
    fn path_comes_first_and_whole_installations_only() {
        let directory = tempfile::tempdir().unwrap();
        let program = |at: &str, name: &str, said: &str| {
            let file = directory.path().join(at).join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, format!("#!/bin/sh\necho '{said}'\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        };
        for name in ["initdb", "pg_ctl", "postgres"] {
            program("pg", name, "postgres (PostgreSQL) 16.1");
        }
        for name in ["initdb", "sys_ctl", "kingbase"] {
            program("kes", name, "kingbase (KingbaseES) V008R006C008B0020");
        }
        program("client", "pg_ctl", "pg_ctl (PostgreSQL) 16.1");
        let at = |name: &str| ServerPrograms::at(&directory.path().join(name));
        let (pg, kes) = (at("pg").unwrap(), at("kes").unwrap());
        assert_eq!((pg.major, pg.names), (16, NAMES[0]));
        assert_eq!((kes.major, kes.names), (12, NAMES[1]));
        assert!(kes.control().ends_with("kes/sys_ctl") && kes.server().ends_with("kes/kingbase"));
        assert_eq!(at("client"), None);
        assert_eq!(at("nowhere"), None);
        let path = std::env::join_paths(["/a", "/b"]).unwrap();
        assert_eq!(candidates(&path)[..2], [PathBuf::from("/a"), PathBuf::from("/b")]);
    }

    #[test]
    fn whoever_has_none_is_told_how_to_get_them() {
        let error = missing(Some(14));
        assert!(error.message.starts_with("PostgreSQL 14's initdb"), "{error}");
        let hint = error.hint.unwrap();
        assert!(hint.contains("apt-get install postgresql-14"), "{hint}");
    }
}
