//! TLS by ring, with the system's roots or those of one file.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use rustls_platform_verifier::BuilderVerifierExt;

use super::HttpClientError;

/// The authorities that an endpoint is verified by, instead of the system's.
#[derive(Clone, Debug)]
pub(crate) struct TrustedRoots(Arc<RootCertStore>);

impl Default for TrustedRoots {
    /// No roots: no certificate is trusted.
    fn default() -> Self {
        Self(Arc::new(RootCertStore::empty()))
    }
}

/// Why a file cannot be used as the roots of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it holds no certificate that can be used: write the authority's certificates in PEM")]
pub struct TrustedRootsError;

impl TrustedRoots {
    /// Reads certificates in PEM.
    pub(crate) fn parse(pem: &str) -> Result<Self, TrustedRootsError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|_| TrustedRootsError)?;
            roots.add(certificate).map_err(|_| TrustedRootsError)?;
        }
        if roots.is_empty() {
            return Err(TrustedRootsError);
        }
        Ok(Self(Arc::new(roots)))
    }
}

/// The configuration of a client that trusts `roots`, or those of the system.
pub(super) fn tls(roots: Option<&TrustedRoots>) -> Result<ClientConfig, HttpClientError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the cipher suites of TLS 1.2 and 1.3");
    let builder = match roots {
        Some(roots) => builder.with_root_certificates(Arc::clone(&roots.0)),
        None => builder
            .with_platform_verifier()
            .map_err(|_| HttpClientError::NoRoots)?,
    };
    Ok(builder.with_no_client_auth())
}
