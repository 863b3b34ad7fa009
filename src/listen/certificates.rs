//! The server's certificate and key, which can be replaced while it serves.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore, ServerConfig};
use x509_parser::time::ASN1Time;

use super::pem::{CertificateError, Problem, expiry, is_authority, read_certificates, read_key};

const SECONDS_PER_DAY: i64 = 24 * 60 * 60;
/// From how many days before the end on to warn.
const WARNING_DAYS: i64 = 30;

/// Where the certificates are, in PEM.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// The server's certificate first, then those that lead to the authority.
    pub chain: PathBuf,
    /// The private key of the server's certificate, without a password.
    pub key: PathBuf,
    /// The authorities that clients' certificates must be from; without it clients need none.
    pub client_ca: Option<PathBuf>,
}

impl CertificateFiles {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Path> {
        [&self.chain, &self.key].into_iter().chain(&self.client_ca).map(PathBuf::as_path)
    }
}

/// The certificates that new connections get: TLS 1.2 and 1.3, HTTP/2.
#[derive(Debug)]
pub struct Certificates {
    files: CertificateFiles,
    current: RwLock<Loaded>,
}

/// What the files said when they were read last.
#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    expires: ASN1Time,
}

impl Certificates {
    /// Reads the files and checks them.
    ///
    /// # Errors
    /// If a file cannot be read, is not what it should be, or a certificate of the server is not valid now.
    pub fn load(files: CertificateFiles) -> Result<Self, CertificateError> {
        let current = RwLock::new(Loaded::read(&files)?);
        let certificates = Self { files, current };
        certificates.tell();
        Ok(certificates)
    }

    /// Reads the files again, for the connections to come. Those that there are keep what they have.
    ///
    /// # Errors
    /// As for [`load`](Self::load); then nothing changes.
    pub fn reload(&self) -> Result<(), CertificateError> {
        let loaded = Loaded::read(&self.files)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        self.tell();
        Ok(())
    }

    /// When the first certificate of the server's chain expires, in seconds since 1970.
    pub fn not_after(&self) -> i64 {
        self.current.read().unwrap_or_else(PoisonError::into_inner).expires.timestamp()
    }

    /// Where they are.
    pub fn files(&self) -> &CertificateFiles {
        &self.files
    }

    /// Whole days until the first certificate of the server's chain expires; negative when it has.
    pub fn days_left(&self) -> i64 {
        (self.not_after() - ASN1Time::now().timestamp()).div_euclid(SECONDS_PER_DAY)
    }

    /// What a new connection gets.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).config)
    }

    fn tell(&self) {
        let chain = self.files.chain.display();
        let days_left = self.days_left();
        if days_left < WARNING_DAYS {
            tracing::warn!(%chain, days_left, "the certificate expires soon");
        } else {
            tracing::info!(%chain, days_left, "certificates read");
        }
    }
}

impl Loaded {
    fn read(files: &CertificateFiles) -> Result<Self, CertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let chain = read_certificates(&files.chain).map_err(|problem| problem.of(&files.chain))?;
        let expires = expiry(&chain, ASN1Time::now()).map_err(|problem| problem.of(&files.chain))?;
        if is_authority(&chain) {
            let chain = files.chain.display();
            tracing::warn!(%chain, "the first certificate is an authority's, which some clients refuse: jiesu's own too");
        }
        let key = certified_key(files, chain, &provider)?;
        let verifier: Arc<dyn ClientCertVerifier> = match &files.client_ca {
            Some(path) => client_verifier(path, &provider).map_err(|problem| problem.of(path))?,
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Problem::Unfit(error.to_string()).of(&files.chain))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key)));
        config.alpn_protocols = vec![b"h2".to_vec()];
        // A session that is resumed skips the client's certificate, which may have expired since; connections are long
        // anyway.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self { config: Arc::new(config), expires })
    }
}

/// The server's key with its chain, if they fit.
fn certified_key(
    files: &CertificateFiles,
    chain: Vec<CertificateDer<'static>>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, CertificateError> {
    let key = read_key(&files.key)
        .and_then(|key| provider.key_provider.load_private_key(key).map_err(Problem::Key))
        .map_err(|problem| problem.of(&files.key))?;
    let key = CertifiedKey::new(chain, key);
    match key.keys_match() {
        // A key that does not say which certificate it fits has to be believed.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(key),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(Problem::KeyMismatch { chain: files.chain.clone() }.of(&files.key))
        }
        Err(error) => Err(Problem::Unfit(error.to_string()).of(&files.chain)),
    }
}

/// Demands a certificate of one of the authorities in a file.
fn client_verifier(
    path: &Path,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Problem> {
    let authorities = read_certificates(path)?;
    let mut roots = RootCertStore::empty();
    for (position, authority) in (1..).zip(authorities) {
        // While authorities change, the file has old and new ones: one that has expired need not end the service.
        if let Err(problem) = expiry(std::slice::from_ref(&authority), ASN1Time::now()) {
            tracing::warn!(path = %path.display(), position, %problem, "an authority for clients");
        }
        roots.add(authority).map_err(|_| Problem::Certificate { position })?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| Problem::Unfit(error.to_string()))
}
