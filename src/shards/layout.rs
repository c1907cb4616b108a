//! Where a local database server's files are.
//!
//! ```text
//!   <data>/dn1/postgres/           its data directory
//!   <data>/dn1/postgres-password   of the user that the datanode connects as; its owner's alone
//!   <data>/dn1/postgres.log        what it says
//!   <data>/dn1/socket/             its Unix socket, where the path is not too long for one
//! ```

use std::path::{Path, PathBuf};

use kestrel_proto::DatanodeId;

/// In the name of the Unix socket; there is one server in a directory.
pub(crate) const SOCKET_PORT: u16 = 5432;
/// What a socket's path may have, without the byte that ends it (`sun_path` of unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// The files of one datanode's server.
#[derive(Clone, Debug)]
pub(crate) struct ServerLayout {
    /// The datanode's directory.
    pub(crate) directory: PathBuf,
}

impl ServerLayout {
    /// In the cluster's directory, which is an absolute path.
    pub(crate) fn new(data: &Path, datanode: DatanodeId) -> Self {
        Self { directory: data.join(datanode.name()) }
    }

    /// The server's data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("postgres")
    }

    /// The same while it is being made.
    pub(crate) fn unfinished_data(&self) -> PathBuf {
        self.directory.join("postgres.new")
    }

    /// The password of the datanode's user.
    pub(crate) fn password(&self) -> PathBuf {
        self.directory.join("postgres-password")
    }

    /// What the server says.
    pub(crate) fn log(&self) -> PathBuf {
        self.directory.join("postgres.log")
    }

    /// What it said before that.
    pub(crate) fn old_log(&self) -> PathBuf {
        self.directory.join("postgres.log.1")
    }

    /// Where its socket is; `None`: the path would be too long, and a short one is needed.
    pub(crate) fn sockets(&self) -> Option<PathBuf> {
        let sockets = self.directory.join("socket");
        let socket = sockets.join(format!(".s.PGSQL.{SOCKET_PORT}"));
        (socket.as_os_str().len() <= SOCKET_PATH_BYTES_MAX).then_some(sockets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_have_short_paths() {
        let sockets = |data: &str| ServerLayout::new(Path::new(data), DatanodeId(11)).sockets();
        assert_eq!(sockets("/d"), Some("/d/dn12/socket".into()));
        // /…/dn12/socket/.s.PGSQL.5432 is 26 bytes longer than the directory.
        let longest = format!("/{}", "d".repeat(SOCKET_PATH_BYTES_MAX - 26 - 1));
        let socket = sockets(&longest).unwrap().join(".s.PGSQL.5432");
        assert_eq!(socket.as_os_str().len(), SOCKET_PATH_BYTES_MAX);
        assert_eq!(sockets(&format!("{longest}d")), None);
    }
}
