//! Encryption of connections to a shard's database.

use std::{path::Path, sync::Arc};

use kestrel_proto::{ErrorReport, Result, SqlState};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
        SignatureScheme,
        client::{
            WebPkiServerVerifier,
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        },
        crypto::{
            CryptoProvider, ring::default_provider, verify_tls12_signature, verify_tls13_signature,
        },
        pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    },
};

use super::settings::{KesSettings, SslMode, name};

/// How to encrypt, if `settings` want that. Reads the root certificates.
///
/// # Errors
/// F0000: the root certificates cannot be read, or are missing for [`SslMode::VerifyFull`].
pub(super) fn connector(settings: &KesSettings) -> Result<Option<TlsConnector>> {
    let provider = Arc::new(default_provider());
    let roots = || settings.root_certificates.as_deref().map(read_roots).transpose();
    let verifier: Arc<dyn ServerCertVerifier> = match settings.ssl_mode {
        SslMode::Disable => return Ok(None),
        SslMode::Require => {
            let roots = roots()?.map(|roots| web_pki(roots, &provider)).transpose()?;
            Arc::new(AnyHost { roots, provider: Arc::clone(&provider) })
        }
        SslMode::VerifyFull => {
            let roots = roots()?.ok_or_else(|| {
                ErrorReport::new(
                    SqlState::CONFIG_FILE_ERROR,
                    format!("{} = verify-full needs root certificates", name::SSL_MODE),
                )
                .hint(format!("Set {} to a file of them (PEM).", name::ROOT_CERTIFICATES))
            })?;
            web_pki(roots, &provider)?
        }
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ErrorReport::internal(format!("TLS: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Some(TlsConnector::from(Arc::new(config))))
}

fn read_roots(path: &Path) -> Result<RootCertStore> {
    let wrong = |error: &dyn std::fmt::Display| {
        let message = format!("could not load root certificates \"{}\": {error}", path.display());
        ErrorReport::new(SqlState::CONFIG_FILE_ERROR, message)
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))? {
        let certificate = certificate.map_err(|error| wrong(&error))?;
        roots.add(certificate).map_err(|error| wrong(&error))?;
    }
    if roots.is_empty() {
        return Err(wrong(&"there is no certificate in it"));
    }
    Ok(roots)
}

fn web_pki(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| ErrorReport::new(SqlState::CONFIG_FILE_ERROR, error.to_string()))
}

/// The server may be any host. Its certificate comes from one of `roots`, when there are some; that
/// it has the certificate's key is proven always.
#[derive(Debug)]
struct AnyHost {
    roots: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(roots) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        // The name is compared last, after everything else has been found in order.
        match roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
