//! As whom PostgreSQL's programs run: it refuses to be run by root, so that another user must get
//! to where its files are.

use std::{
    fs, io,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use kestrel_proto::{ErrorReport, Result, SqlState};

/// The first of them that exists.
const UNPRIVILEGED_USERS: [&str; 2] = ["postgres", "nobody"];
const SEARCH_BY_GROUP: u32 = 0o010;
const SEARCH_BY_ALL: u32 = 0o001;

/// Somebody else than root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerUser {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// How a user gets into a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// As it is.
    Open,
    /// When the directory gets the user's group, which may then pass and nothing else.
    ByGroup,
    /// Not without taking something from others, or giving them something.
    Closed,
}

impl ServerUser {
    /// `None` when we are not root: then the programs run as we do.
    ///
    /// # Errors
    /// 42704 when we are root and there is nobody else.
    pub(crate) fn unprivileged() -> Result<Option<Self>> {
        if id(&["-u"]) != Some(0) {
            return Ok(None);
        }
        let mut known = UNPRIVILEGED_USERS.iter().filter_map(|name| {
            Some(Self { name: name.to_string(), uid: id(&["-u", name])?, gid: id(&["-g", name])? })
        });
        known.next().map(Some).ok_or_else(|| {
            let message = "root cannot run PostgreSQL, and there is no user to run it as";
            let [first, second] = UNPRIVILEGED_USERS;
            ErrorReport::new(SqlState::UNDEFINED_OBJECT, message)
                .hint(format!("Make a user \"{first}\" or \"{second}\", or start as another user."))
        })
    }

    /// Lets the user get into `own`, directories of ours that are within each other, outermost
    /// first. Those above are other people's: they let the user pass or they do not.
    ///
    /// # Errors
    /// 42501 with the directory that is closed; 58030.
    pub(crate) fn let_into(&self, own: &[PathBuf]) -> Result<()> {
        let above = own.first().into_iter().flat_map(|path| path.ancestors().skip(1));
        for (path, is_own) in above.map(|p| (p, false)).chain(own.iter().map(|p| (&**p, true))) {
            let metadata = fs::metadata(path).map_err(|e| failed("look at", path, &e))?;
            let mode = metadata.mode();
            match way(mode, metadata.uid(), metadata.gid(), self) {
                Way::Open => {}
                Way::ByGroup if is_own => {
                    let mode = (mode & 0o7777) | SEARCH_BY_GROUP;
                    chown(path, None, Some(self.gid))
                        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
                        .map_err(|e| failed("change the group of", path, &e))?;
                }
                Way::ByGroup | Way::Closed => return Err(self.kept_out(path)),
            }
        }
        Ok(())
    }

    fn kept_out(&self, path: &Path) -> ErrorReport {
        let name = &self.name;
        let message = format!(
            "root cannot run PostgreSQL, and user \"{name}\", who would, cannot get into \"{}\"",
            path.display()
        );
        ErrorReport::new(SqlState::INSUFFICIENT_PRIVILEGE, message).hint(format!(
            "Start as another user than root, or give --data a directory that \"{name}\" can get \
             to, such as /var/lib/kestrel."
        ))
    }
}

/// A program to be run in this directory, as `user` or as ourselves, with hardly any environment:
/// `PGPORT`, `PGOPTIONS` and their like would change what a server does. It gets no signals of our
/// terminal.
pub(crate) fn command(program: &Path, directory: &Path, user: Option<&ServerUser>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", directory).env("LC_ALL", "C");
    for kept in ["PATH", "LD_LIBRARY_PATH"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command.current_dir(directory).process_group(0);
    if let Some(user) = user {
        command.uid(user.uid).gid(user.gid);
    }
    command
}

/// Whether `user`, who is not root and in no other group than his own, can pass this directory.
fn way(mode: u32, owner: u32, group: u32, user: &ServerUser) -> Way {
    let search = if owner == user.uid {
        // The owner's own bits count, and nobody else's.
        mode & 0o100
    } else if group == user.gid {
        mode & SEARCH_BY_GROUP
    } else {
        mode & SEARCH_BY_ALL
    };
    if search != 0 {
        return Way::Open;
    }
    // The group can be given away when it has nothing.
    let group_is_free = group == user.gid || mode & 0o070 == 0;
    if owner != user.uid && group_is_free { Way::ByGroup } else { Way::Closed }
}

fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).stderr(Stdio::null()).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

fn failed(what: &str, path: &Path, error: &io::Error) -> ErrorReport {
    let message = format!("cannot {what} \"{}\": {error}", path.display());
    ErrorReport::new(SqlState::IO_ERROR, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gets_into_a_directory() {
        let user = ServerUser { name: "postgres".into(), uid: 101, gid: 104 };
        let (root, other) = (0, 7);
        for (mode, owner, group, expected) in [
            (0o755, root, root, Way::Open),
            (0o711, root, root, Way::Open),
            (0o1777, root, root, Way::Open),
            (0o700, user.uid, other, Way::Open),
            (0o750, root, user.gid, Way::Open),
            (0o700, root, root, Way::ByGroup),
            (0o700, other, other, Way::ByGroup),
            (0o700, root, user.gid, Way::ByGroup),
            (0o740, root, user.gid, Way::ByGroup),
            // Others of the group would lose what they have.
            (0o750, root, other, Way::Closed),
            (0o740, root, other, Way::Closed),
            // Its owner has closed it for himself.
            (0o600, user.uid, user.gid, Way::Closed),
            // Everybody but the group, and the user is of the group.
            (0o701, root, user.gid, Way::ByGroup),
        ] {
            assert_eq!(way(mode, owner, group, &user), expected, "{mode:o} {owner} {group}");
        }
    }
}
