//! Reads certificates and private keys from PEM files (RFC 7468), and says what is wrong with a file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

/// Why a file of certificates or keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use `{path}`: {problem}")]
pub struct CertificateError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a file of certificates or keys.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// Nothing in it is PEM.
    #[error("it is not PEM\nhint: `openssl x509 -inform der` and `openssl pkey -inform der` make PEM of DER")]
    NotPem,
    /// It is PEM that is cut off, or whose lines are not Base64.
    #[error("its PEM is broken")]
    BrokenPem,
    /// It is PEM, but of something else.
    #[error("it has no {wanted}, but: {}", found.join(", "))]
    Other {
        /// What should be in it.
        wanted: &'static str,
        /// What is in it, by the labels of its sections.
        found: Vec<String>,
    },
    /// The private key needs a password.
    #[error("its private key is encrypted\nhint: `openssl pkey` writes it without a password")]
    Encrypted,
    /// Of a kind of key that TLS does not use, or damaged.
    #[error("its private key is damaged or of an unknown kind: {0}")]
    Key(rustls::Error),
    /// The key is not that of the certificate.
    #[error(
        "it does not fit the first certificate of `{chain}`\nhint: the server's own certificate must stand first there"
    )]
    KeyMismatch {
        /// The file of the certificate.
        chain: PathBuf,
    },
    /// A certificate does not parse.
    #[error("certificate {position} is damaged")]
    Certificate {
        /// Which one of the file, counted from 1.
        position: usize,
    },
    /// A certificate is no longer valid.
    #[error("certificate {position} expired at {at}")]
    Expired {
        /// Which one of the file, counted from 1.
        position: usize,
        /// When.
        at: String,
    },
    /// A certificate is not valid yet.
    #[error("certificate {position} is not valid before {from}\nhint: is this machine's clock right?")]
    NotYetValid {
        /// Which one of the file, counted from 1.
        position: usize,
        /// From when on.
        from: String,
    },
    /// TLS cannot work with it.
    #[error("{0}")]
    Unfit(String),
}

impl Problem {
    /// The problem as one of a file.
    pub(super) fn of(self, path: &Path) -> CertificateError {
        CertificateError { path: path.to_owned(), problem: self }
    }
}

/// The certificates of a file, at least one, in its order.
pub(super) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let content = fs::read(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content).collect();
    // The error may quote the file, which may be a key by mistake.
    let certificates = certificates.map_err(|_| Problem::BrokenPem)?;
    if certificates.is_empty() { Err(missing("certificate", &content)) } else { Ok(certificates) }
}

/// The first private key of a file.
pub(super) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, Problem> {
    let content = fs::read(path)?;
    let key = PrivateKeyDer::pem_slice_iter(&content).next();
    let is_encrypted = labels(&content).iter().any(|label| label == "ENCRYPTED PRIVATE KEY")
        // How OpenSSL wrote it before PKCS #8.
        || String::from_utf8_lossy(&content).contains("Proc-Type: 4,ENCRYPTED");
    match key {
        _ if is_encrypted => Err(Problem::Encrypted),
        Some(key) => key.map_err(|_| Problem::BrokenPem),
        None => Err(missing("private key", &content)),
    }
}

fn missing(wanted: &'static str, content: &[u8]) -> Problem {
    let found = labels(content);
    if found.is_empty() { Problem::NotPem } else { Problem::Other { wanted, found } }
}

/// The labels of the sections of a PEM file.
fn labels(content: &[u8]) -> Vec<String> {
    let content = String::from_utf8_lossy(content);
    let label =
        |line: &str| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----").map(str::to_owned);
    content.lines().filter_map(label).collect()
}

/// Whether the first certificate is one that may sign others.
pub(super) fn is_authority(chain: &[CertificateDer<'_>]) -> bool {
    let first = chain.first().and_then(|first| X509Certificate::from_der(first).ok());
    first.is_some_and(|(_, first)| first.is_ca())
}

/// Checks that each certificate of a chain is valid now, and says when the first of them expires.
pub(super) fn expiry(chain: &[CertificateDer<'_>], now: ASN1Time) -> Result<ASN1Time, Problem> {
    let mut first = None;
    for (position, certificate) in (1..).zip(chain) {
        let (_, certificate) =
            X509Certificate::from_der(certificate).map_err(|_| Problem::Certificate { position })?;
        let validity = certificate.validity();
        if now > validity.not_after {
            return Err(Problem::Expired { position, at: validity.not_after.to_string() });
        }
        if now < validity.not_before {
            return Err(Problem::NotYetValid { position, from: validity.not_before.to_string() });
        }
        first = Some(first.map_or(validity.not_after, |first: ASN1Time| first.min(validity.not_after)));
    }
    Ok(first.unwrap_or(now))
}
