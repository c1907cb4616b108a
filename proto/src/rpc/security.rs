//! Who may call: every call carries the cluster's secret, and says whom it is meant for.
//!
//! ```text
//!   kestrel-secret:  64 hexadecimal digits
//!   kestrel-cluster: the cluster's UUID            (not in a datanode's first registration)
//!   kestrel-target:  dn2 | coordinator             (a port may have got another owner)
//! ```

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use tonic::{
    Request, Status,
    metadata::MetadataMap,
    service::Interceptor,
    transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig},
};
use uuid::Uuid;

use super::status::to_status;
use crate::{ErrorReport, Result, SqlState};

const SECRET: &str = "kestrel-secret";
const CLUSTER: &str = "kestrel-cluster";
const TARGET: &str = "kestrel-target";
/// Bits of others in a file's mode: the secret is its owner's alone.
const MODE_OF_OTHERS: u32 = 0o077;

/// The cluster's secret. It is never printed.
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    /// A new, random one.
    pub fn random() -> Self {
        // Two version-4 UUIDs: 244 random bits of the system's generator.
        Self(format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()).into())
    }

    /// Reads a file that only its owner may read.
    ///
    /// # Errors
    /// 58030; 28000 when others may read it, or it holds no secret.
    pub fn read(path: &Path) -> Result<Self> {
        let metadata = fs::metadata(path).map_err(|e| io("read", path, &e))?;
        if metadata.mode() & MODE_OF_OTHERS != 0 {
            return Err(refused(format!("others may read the secret file \"{}\"", path.display()))
                .hint(format!("Run: chmod 600 {}", path.display())));
        }
        let text = fs::read_to_string(path).map_err(|e| io("read", path, &e))?;
        let secret = text.trim();
        if secret.len() < 32 || !secret.bytes().all(|b| b.is_ascii_graphic()) {
            let message = format!("the secret file \"{}\" holds no secret", path.display());
            return Err(refused(message)
                .hint("It must hold at least 32 printable characters without spaces."));
        }
        Ok(Self(secret.into()))
    }

    /// Reads the file, or makes it, with mode 0600, when it is not there.
    pub fn read_or_create(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        match file {
            Ok(mut file) => {
                let secret = Self::random();
                let written = writeln!(file, "{}", secret.0).and_then(|()| file.sync_all());
                written.map_err(|e| io("write", path, &e))?;
                Ok(secret)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Self::read(path),
            Err(error) => Err(io("create", path, &error)),
        }
    }

    /// Takes as long for a wrong secret as for the right one.
    fn is(&self, other: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differ = own.iter().zip(other).fold(0, |differ, (a, b)| differ | (a ^ b));
        own.len() == other.len() && differ == 0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What a caller puts into each call; what a service expects in it.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The cluster's secret.
    pub secret: Secret,
    /// The cluster; `None`: not known yet, and not looked at.
    pub cluster: Option<Uuid>,
    /// Who is called: `dn1`, `coordinator`.
    pub target: String,
}

/// Adds the credentials to every call.
#[derive(Clone, Debug)]
pub(super) struct Sign(pub(super) Credentials);

/// Refuses every call without them.
#[derive(Clone, Debug)]
pub struct Check(pub Credentials);

impl Interceptor for Sign {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        let Credentials { secret, cluster, target } = &self.0;
        let mut put = |name, value: &str| {
            let value = value.parse().map_err(|_| Status::internal("a credential is no ASCII"))?;
            metadata.insert(name, value);
            Ok::<_, Status>(())
        };
        put(SECRET, &secret.0)?;
        put(TARGET, target)?;
        if let Some(cluster) = cluster {
            put(CLUSTER, &cluster.to_string())?;
        }
        Ok(request)
    }
}

impl Interceptor for Check {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        check(&self.0, request.metadata()).map_err(|report| to_status(&report))?;
        Ok(request)
    }
}

fn check(own: &Credentials, metadata: &MetadataMap) -> Result<()> {
    let value = |name| metadata.get(name).map(|value| value.as_bytes()).unwrap_or_default();
    if !own.secret.is(value(SECRET)) {
        return Err(refused("the caller does not have the cluster's secret".into())
            .hint("Give all processes of the cluster the same secret file."));
    }
    let named = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if value(TARGET) != own.target.as_bytes() {
        let (theirs, own) = (named(value(TARGET)), &own.target);
        return Err(not_ours(format!("the call is for \"{theirs}\", and this is \"{own}\"")));
    }
    match own.cluster {
        Some(cluster) if value(CLUSTER) != cluster.to_string().as_bytes() => {
            let theirs = named(value(CLUSTER));
            Err(not_ours(format!("the caller is of cluster \"{theirs}\", and this is {cluster}")))
        }
        _ => Ok(()),
    }
}

/// Files of mutual TLS, all PEM. Both sides of every connection show a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// This process's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Who signed everybody's certificates.
    pub ca: PathBuf,
}

/// Mutual TLS, read from its files.
#[derive(Clone)]
pub struct Tls {
    identity: Identity,
    ca: Certificate,
}

impl Tls {
    /// Reads the files.
    pub fn read(files: &TlsFiles) -> Result<Self> {
        let read = |path: &Path| fs::read(path).map_err(|e| io("read", path, &e));
        let identity = Identity::from_pem(read(&files.certificate)?, read(&files.key)?);
        Ok(Self { identity, ca: Certificate::from_pem(read(&files.ca)?) })
    }

    /// For a service: callers without a certificate of ours are refused.
    pub(super) fn server(&self) -> ServerTlsConfig {
        ServerTlsConfig::new().identity(self.identity.clone()).client_ca_root(self.ca.clone())
    }

    /// For a caller; the certificate of who is called must name the host of its address.
    pub(super) fn client(&self) -> ClientTlsConfig {
        ClientTlsConfig::new().identity(self.identity.clone()).ca_certificate(self.ca.clone())
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(…)")
    }
}

fn refused(message: String) -> ErrorReport {
    ErrorReport::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message)
}

fn not_ours(message: String) -> ErrorReport {
    ErrorReport::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .hint("See the addresses that the processes were given.")
}

fn io(verb: &str, path: &Path, error: &std::io::Error) -> ErrorReport {
    let message = format!("cannot {verb} \"{}\": {error}", path.display());
    ErrorReport::new(SqlState::IO_ERROR, message)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn credentials(secret: &Secret, cluster: Option<Uuid>, target: &str) -> Credentials {
        Credentials { secret: secret.clone(), cluster, target: target.into() }
    }

    #[test]
    fn only_the_right_call_is_let_in() {
        let (secret, other) = (Secret::random(), Secret::random());
        let cluster = Uuid::new_v4();
        let own = credentials(&secret, Some(cluster), "dn1");
        let open = credentials(&secret, None, "coordinator");
        let auth = Some(SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
        let state = Some(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
        for (expected, service, caller) in [
            (None, &own, credentials(&secret, Some(cluster), "dn1")),
            (auth, &own, credentials(&other, Some(cluster), "dn1")),
            (state, &own, credentials(&secret, Some(cluster), "dn2")),
            (state, &own, credentials(&secret, Some(Uuid::new_v4()), "dn1")),
            (state, &own, credentials(&secret, None, "dn1")),
            (None, &open, credentials(&secret, None, "coordinator")),
            (auth, &open, credentials(&other, None, "coordinator")),
        ] {
            let signed = Sign(caller.clone()).call(Request::new(())).unwrap();
            let found = check(service, signed.metadata()).err().map(|e| e.sqlstate);
            assert_eq!(found, expected, "{caller:?}");
        }
        let unsigned = check(&own, &MetadataMap::new()).unwrap_err();
        assert_eq!(Some(unsigned.sqlstate), auth);
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }

    #[test]
    fn the_secret_file_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let made = Secret::read_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(made.is(Secret::read_or_create(&path).unwrap().0.as_bytes()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Secret::read(&path).unwrap_err();
        assert!(error.message.starts_with("others may read"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "short\n").unwrap();
        assert!(Secret::read(&path).unwrap_err().message.ends_with("holds no secret"));
    }
}
