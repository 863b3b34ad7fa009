//! Who is at the other end of a connection, for logs.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// The longest name that is kept, in characters, and how many alternative names: more is of no use in a log.
const MAX_NAME_CHARS: usize = 128;
const MAX_NAMES: usize = 8;

/// Who is at the other end; an extension of each request (`request.extensions().get::<Peer>()`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Where the connection comes from.
    pub origin: Origin,
    /// Whom the client's certificate names, if it had to show one.
    pub identity: Option<Arc<Identity>>,
}

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From an address.
    Tcp(SocketAddr),
    /// From a process on this machine.
    Unix {
        /// Its user; `None` if the system does not say.
        uid: Option<u32>,
        /// Its number.
        pid: Option<i32>,
    },
}

/// Whom a client's certificate names. The authority vouches for it; control characters are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The subject's common name.
    pub common_name: Option<String>,
    /// The subject's alternative names (RFC 5280, 4.2.1.6): hosts, URIs, mail addresses.
    pub alternative_names: Vec<String>,
}

impl Identity {
    /// Reads a certificate that has been verified; what cannot be read has no name.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Self {
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Self::default() };
        let common_name = common_name(&certificate).map(clean);
        let alternatives = certificate.subject_alternative_name().ok().flatten();
        let names = alternatives.iter().flat_map(|names| &names.value.general_names);
        let alternative_names = names.filter_map(text).map(clean).take(MAX_NAMES).collect();
        Self { common_name, alternative_names }
    }
}

/// A subject's common name.
pub(super) fn common_name<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a str> {
    certificate.subject().iter_common_name().find_map(|name| name.as_str().ok())
}

fn text<'a>(name: &GeneralName<'a>) -> Option<&'a str> {
    match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => Some(name),
        GeneralName::OtherName(..)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::IPAddress(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    }
}

/// A name that cannot break a line of the log.
fn clean(name: &str) -> String {
    name.chars().filter(|character| !character.is_control()).take(MAX_NAME_CHARS).collect()
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.origin)?;
        match &self.identity {
            Some(identity) => write!(f, " ({identity})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix { pid: Some(pid), .. } => write!(f, "process {pid}"),
            Self::Unix { pid: None, .. } => write!(f, "a local process"),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.common_name.as_ref().or(self.alternative_names.first());
        f.write_str(name.map_or("no name", String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    #[test]
    fn reads_the_names_of_a_certificate() {
        let mut params = CertificateParams::new(vec!["street.example".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "街道\n办\u{1b}[31m");
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let identity = Identity::of(certificate.der());
        assert_eq!(identity.common_name.as_deref(), Some("街道办[31m"), "control characters are left out");
        assert_eq!(identity.alternative_names, ["street.example"]);
        let origin = Origin::Tcp(([10, 0, 0, 5], 4312).into());
        let peer = Peer { origin, identity: Some(Arc::new(identity)) };
        assert_eq!(peer.to_string(), "10.0.0.5:4312 (街道办[31m)");
    }

    #[test]
    fn what_is_no_certificate_has_no_name() {
        let identity = Identity::of(&CertificateDer::from(vec![1, 2, 3]));
        assert_eq!(identity, Identity::default());
        assert_eq!(identity.to_string(), "no name");
    }
}
