//! TLS on the clients' port: the server's certificate and its key.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use kestrel_proto::{ErrorReport, Result, SqlState};
use ring::digest::{SHA256, SHA384, SHA512, digest};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};
use x509_certificate::{SignatureAlgorithm, certificate::CapturedX509Certificate};

use super::scram::ChannelBinding;

/// Where certificate and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTlsFiles {
    /// The server's certificate, and those that lead to its authority (PEM).
    pub certificate: PathBuf,
    /// The key of the first one (PEM).
    pub key: PathBuf,
}

/// How connections are encrypted.
#[derive(Clone)]
pub struct ClientTls {
    /// Takes a client's handshake.
    pub acceptor: TlsAcceptor,
    /// What a client of this certificate must know; `None`: its signature has no hash to use.
    pub binding: Option<ChannelBinding>,
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls").field("binding", &self.binding).finish_non_exhaustive()
    }
}

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    /// F0000 when a file cannot be read or is none of its kind, when others may read the key, or
    /// when the two do not belong together.
    pub fn read(files: &ClientTlsFiles) -> Result<Self> {
        let certificates = CertificateDer::pem_file_iter(&files.certificate)
            .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
            .map_err(|error| wrong("server certificate file", &files.certificate, &error))?;
        let Some(first) = certificates.first() else {
            let error = "there is no certificate in it";
            return Err(wrong("server certificate file", &files.certificate, &error));
        };
        let binding = binding(first);
        check_mode(&files.key)?;
        let key = PrivateKeyDer::from_pem_file(&files.key)
            .map_err(|error| wrong("private key file", &files.key, &error))?;
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
            .map_err(|error| wrong("private key file", &files.key, &error))?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), binding })
    }
}

/// As PostgreSQL: the key is its owner's alone, or root's and a group's.
fn check_mode(path: &Path) -> Result<()> {
    let metadata = fs::metadata(path).map_err(|error| wrong("private key file", path, &error))?;
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & forbidden == 0 {
        return Ok(());
    }
    let message = format!("private key file \"{}\" has group or world access", path.display());
    Err(ErrorReport::new(SqlState::CONFIG_FILE_ERROR, message)
        .hint(format!("Run: chmod 600 {}", path.display())))
}

/// The hash is that of the certificate's signature, and SHA-256 for the broken ones (RFC 5929,
/// section 4.1).
fn binding(certificate: &CertificateDer<'_>) -> Option<ChannelBinding> {
    use SignatureAlgorithm as Signed;
    let parsed = CapturedX509Certificate::from_der(certificate.to_vec()).ok()?;
    let algorithm = match parsed.signature_algorithm()? {
        Signed::RsaSha1 | Signed::RsaSha256 | Signed::EcdsaSha256 => &SHA256,
        Signed::RsaSha384 | Signed::EcdsaSha384 => &SHA384,
        Signed::RsaSha512 => &SHA512,
        _ => return None,
    };
    Some(ChannelBinding(digest(algorithm, certificate).as_ref().to_vec()))
}

fn wrong(what: &str, path: &Path, error: &dyn std::fmt::Display) -> ErrorReport {
    let message = format!("could not load {what} \"{}\": {error}", path.display());
    ErrorReport::new(SqlState::CONFIG_FILE_ERROR, message)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A certificate and its key in a directory.
    fn files(directory: &Path, name: &str) -> ClientTlsFiles {
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let (certificate, key) =
            (directory.join(format!("{name}.pem")), directory.join(format!("{name}.key")));
        fs::write(&certificate, certified.cert.pem()).unwrap();
        fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        ClientTlsFiles { certificate, key }
    }

    #[test]
    fn files_that_belong_together_are_taken() {
        let directory = tempfile::tempdir().unwrap();
        let files = files(directory.path(), "a");
        let tls = ClientTls::read(&files).unwrap();
        let certificate = CertificateDer::from_pem_file(&files.certificate).unwrap();
        let hash = digest(&SHA256, &certificate).as_ref().to_vec();
        assert_eq!(tls.binding, Some(ChannelBinding(hash)));
    }

    #[test]
    fn wrong_files_are_told_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let (good, other) = (files(directory.path(), "a"), files(directory.path(), "b"));
        let missing = directory.path().join("missing");
        let open = directory.path().join("open.key");
        fs::copy(&good.key, &open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
        for (certificate, key, expected) in [
            (&missing, &good.key, "could not load server certificate file"),
            (&good.key, &good.key, "there is no certificate in it"),
            (&good.certificate, &missing, "could not load private key file"),
            (&good.certificate, &good.certificate, "could not load private key file"),
            (&good.certificate, &other.key, "could not load private key file"),
            (&good.certificate, &open, "has group or world access"),
        ] {
            let files = ClientTlsFiles { certificate: certificate.clone(), key: key.clone() };
            fs::set_permissions(&good.certificate, fs::Permissions::from_mode(0o600)).unwrap();
            let error = ClientTls::read(&files).unwrap_err();
            assert_eq!(error.sqlstate, SqlState::CONFIG_FILE_ERROR);
            assert!(error.message.contains(expected), "{expected}: {}", error.message);
        }
    }
}
