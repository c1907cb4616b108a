//! Which files of the server a COPY means, and whether they may be read: only those in the directories
//! of `kestrel.copy_directories`.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use glob::{MatchOptions, Pattern};
use kestrel_planner::access::insufficient;
use kestrel_proto::{ErrorReport, Result, SqlState, could_not_open};

/// A pattern's `*` is no `/`, and no `.` at the beginning of a name.
const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// The files that a path names, in the order of their names, with their lengths in bytes: a file; all
/// files of a directory, but those whose names begin with `.` or `_`; or all that a pattern matches.
/// The paths have no symbolic links any more. Waits for the disk.
///
/// # Errors
/// 42602: the path is relative. 42501: a file is in none of these directories, which are separated by
/// commas, also if only links lead out of them. 58P01: there is none. 42809: one is no file.
pub(super) fn list_files(path: &str, directories: &str) -> Result<Vec<(String, u64)>> {
    if !Path::new(path).is_absolute() {
        let message = "relative path not allowed for COPY from a file";
        return Err(ErrorReport::new(SqlState::INVALID_NAME, message));
    }
    let allowed = Allowed::new(path, directories);
    let mut files = match fs::symlink_metadata(path) {
        Err(_) if has_pattern(path) => matches(path, &allowed)?,
        _ => named(path, &allowed)?,
    };
    files.sort();
    // Links may lead to a file that is there itself.
    files.dedup();
    if files.is_empty() {
        let message = format!("no file matches \"{path}\"");
        return Err(ErrorReport::new(SqlState::UNDEFINED_FILE, message));
    }
    files.iter().map(|file| with_length(file)).collect()
}

/// Directories that may be read from.
struct Allowed<'a> {
    /// What is asked for.
    path: &'a str,
    directories: Vec<PathBuf>,
}

impl<'a> Allowed<'a> {
    fn new(path: &'a str, directories: &str) -> Self {
        let directories = directories.split(',').map(|directory| Path::new(directory.trim()));
        let directories = directories.filter(|directory| directory.is_absolute());
        Self { path, directories: directories.filter_map(|d| fs::canonicalize(d).ok()).collect() }
    }

    /// A path without its links, if they lead to what may be read. Whether there is anything else is
    /// not told.
    fn real(&self, path: &Path) -> Result<PathBuf> {
        let is_allowed = |real: &Path| self.directories.iter().any(|d| real.starts_with(d));
        match fs::canonicalize(path) {
            Ok(real) if is_allowed(&real) => Ok(real),
            Ok(_) => Err(self.denied()),
            Err(error) => {
                let parent = path.parent().and_then(|parent| fs::canonicalize(parent).ok());
                let known = parent.is_some_and(|parent| is_allowed(&parent));
                let is_link = fs::symlink_metadata(path).is_ok();
                Err(match known && !is_link {
                    true => could_not_open(&path.to_string_lossy(), &error),
                    false => self.denied(),
                })
            }
        }
    }

    fn denied(&self) -> ErrorReport {
        insufficient(format!("permission denied to COPY from file \"{}\"", self.path))
            .detail("It is in none of the directories of \"kestrel.copy_directories\".")
            .hint(
                "Anyone can COPY to stdout or from stdin. psql's \\copy command also works for \
                 anyone.",
            )
    }
}

fn has_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// A file, or those of a directory.
fn named(path: &str, allowed: &Allowed<'_>) -> Result<Vec<PathBuf>> {
    let real = allowed.real(Path::new(path))?;
    if !real.is_dir() {
        return Ok(vec![real]);
    }
    let failed = |error: io::Error| could_not_open(path, &error);
    let mut files = Vec::new();
    for entry in fs::read_dir(&real).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let is_hidden = entry.file_name().to_string_lossy().starts_with(['.', '_']);
        if !is_hidden && !entry.path().is_dir() {
            files.push(allowed.real(&entry.path())?);
        }
    }
    Ok(files)
}

/// The files that match a pattern.
fn matches(path: &str, allowed: &Allowed<'_>) -> Result<Vec<PathBuf>> {
    let invalid = |error: &dyn std::fmt::Display| {
        let message = format!("invalid pattern of file names: \"{path}\"");
        ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message).detail(format!("{error}."))
    };
    Pattern::new(path).map_err(|error| invalid(&error))?;
    // What is before the first pattern says where to look. Behind it, nothing may lead out of there.
    let components = || Path::new(path).components();
    let is_fixed = |part: &Component<'_>| !has_pattern(&part.as_os_str().to_string_lossy());
    let base: PathBuf = components().take_while(is_fixed).collect();
    allowed.real(&base)?;
    if components().skip_while(is_fixed).any(|part| part == Component::ParentDir) {
        return Err(allowed.denied());
    }
    let mut files = Vec::new();
    for found in glob::glob_with(path, MATCHING).map_err(|error| invalid(&error))? {
        let found = found.map_err(|e| could_not_open(&e.path().to_string_lossy(), e.error()))?;
        if !found.is_dir() {
            files.push(allowed.real(&found)?);
        }
    }
    Ok(files)
}

fn with_length(file: &Path) -> Result<(String, u64)> {
    let shown = file.to_string_lossy();
    let metadata = fs::metadata(file).map_err(|error| could_not_open(&shown, &error))?;
    match file.to_str() {
        Some(path) if metadata.is_file() => Ok((path.to_string(), metadata.len())),
        Some(path) => {
            let message = format!("\"{path}\" is not a regular file");
            Err(ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message))
        }
        None => {
            let message = format!("the name of file \"{shown}\" is not valid UTF-8");
            Err(ErrorReport::new(SqlState::INVALID_NAME, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory that may be read, beside one that may not.
    struct Tree {
        _directory: tempfile::TempDir,
        base: PathBuf,
    }

    impl Tree {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let base = fs::canonicalize(directory.path()).unwrap();
            for (name, text) in [
                ("in/a.csv", "1"),
                ("in/b.csv", "22"),
                ("in/c.txt", "333"),
                ("in/.hidden.csv", ""),
                ("in/_done", ""),
                ("in/sub/d.csv", ""),
                ("in/x[1].csv", ""),
                ("inside/e.csv", ""),
                ("out/f.csv", ""),
            ] {
                let path = base.join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            symlink(base.join("in"), base.join("link")).unwrap();
            fs::create_dir(base.join("links")).unwrap();
            symlink(base.join("out/f.csv"), base.join("links/out.csv")).unwrap();
            symlink(base.join("in/a.csv"), base.join("links/in.csv")).unwrap();
            symlink(base.join("links/in.csv"), base.join("links/again.csv")).unwrap();
            symlink(base.join("nowhere"), base.join("in/sub/dead.txt")).unwrap();
            Self { _directory: directory, base }
        }

        /// The files' names under the base, or the SQLSTATE.
        fn list(&self, path: &str, directories: &[&str]) -> String {
            let under = |name: &str| self.base.join(name).to_string_lossy().into_owned();
            let directories: Vec<_> = directories.iter().map(|name| under(name)).collect();
            match list_files(&under(path), &directories.join(", ")) {
                Ok(files) => {
                    let base = format!("{}/", self.base.to_string_lossy());
                    let names = files.iter().map(|(path, _)| path.replace(&base, ""));
                    names.collect::<Vec<_>>().join(" ")
                }
                Err(error) => error.sqlstate.as_str().to_string(),
            }
        }
    }

    #[test]
    fn files_are_named_in_several_ways() {
        let tree = Tree::new();
        for (path, expected) in [
            ("in/a.csv", "in/a.csv"),
            ("in", "in/a.csv in/b.csv in/c.txt in/x[1].csv"),
            ("in/", "in/a.csv in/b.csv in/c.txt in/x[1].csv"),
            ("in/*.csv", "in/a.csv in/b.csv in/x[1].csv"),
            ("in/?.csv", "in/a.csv in/b.csv"),
            ("in/[bc].*", "in/b.csv in/c.txt"),
            ("in/*/*.csv", "in/sub/d.csv"),
            ("in/x[1].csv", "in/x[1].csv"),
            ("link/a.csv", "in/a.csv"),
            ("in/sub/../a.csv", "in/a.csv"),
            ("in/missing.csv", "58P01"),
            ("in/*.parquet", "58P01"),
            ("in/[", "22023"),
        ] {
            assert_eq!(tree.list(path, &["in"]), expected, "{path}");
        }
        assert_eq!(list_files("in/a.csv", "in").unwrap_err().sqlstate, SqlState::INVALID_NAME);
        let path = tree.base.join("in/b.csv").to_string_lossy().into_owned();
        assert_eq!(list_files(&path, "/nowhere, /"), Ok(vec![(path.clone(), 2)]));
    }

    #[test]
    fn nothing_leads_out_of_the_directories() {
        let tree = Tree::new();
        for (path, directories, expected) in [
            ("in/a.csv", &[][..], "42501"),
            ("out/f.csv", &["in"], "42501"),
            // The name begins alike.
            ("inside/e.csv", &["in"], "42501"),
            ("in/../out/f.csv", &["in"], "42501"),
            ("in/../out/*.csv", &["in"], "42501"),
            ("in/*/../../out/*.csv", &["in"], "42501"),
            ("links/out.csv", &["links"], "42501"),
            ("links/*.csv", &["links"], "42501"),
            ("links", &["links"], "42501"),
            ("links", &["links", "in", "out"], "in/a.csv out/f.csv"),
            ("links/in.csv", &["link"], "in/a.csv"),
            ("in/sub/dead.txt", &["in"], "42501"),
            // Nor is it told what is elsewhere.
            ("missing", &["in"], "42501"),
            ("missing/*", &["in"], "42501"),
        ] {
            assert_eq!(tree.list(path, directories), expected, "{path} of {directories:?}");
        }
    }
}
