//! What is said of files of certificates and keys.
use std::fs;

use jiesu::listen::{CertificateError, CertificateFiles, Certificates};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

use crate::service::{Authority, Issued, write_files};

fn files() -> (TempDir, Authority, CertificateFiles) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let files = write_files(folder.path(), &authority.issue("localhost"), Some(&authority));
    (folder, authority, files)
}

/// What is said of the files, with short names.
fn told(folder: &TempDir, loaded: Result<impl Sized, CertificateError>) -> String {
    let error = loaded.err().unwrap().to_string();
    error.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn knows_how_many_days_are_left() {
    let (_folder, _, files) = files();
    assert_eq!(Certificates::load(files).unwrap().days_left(), 90);
}

#[test]
fn the_first_of_a_chain_to_expire_counts() {
    let (_folder, authority, files) = files();
    let soon = authority.issue_until("link", OffsetDateTime::now_utc() + Duration::hours(49));
    let chain = fs::read_to_string(&files.chain).unwrap() + &soon.certificate;
    fs::write(&files.chain, chain).unwrap();
    assert_eq!(Certificates::load(files).unwrap().days_left(), 2);
}

#[test]
fn says_which_file_is_missing_or_not_pem() {
    let (folder, _, files) = files();
    let missing = CertificateFiles { key: folder.path().join("none.key"), ..files.clone() };
    assert_eq!(
        told(&folder, Certificates::load(missing)),
        "cannot use `none.key`: No such file or directory (os error 2)"
    );
    fs::write(&files.chain, [0x30, 0x82, 0x01]).unwrap();
    let error = told(&folder, Certificates::load(files));
    assert!(error.starts_with("cannot use `server.pem`: it is not PEM\nhint: `openssl x509"), "{error}");
}

#[test]
fn says_that_a_file_is_cut_off_without_quoting_it() {
    let (folder, _, files) = files();
    for path in [&files.key, &files.chain] {
        let content = fs::read_to_string(path).unwrap();
        fs::write(path, &content[..content.len() / 2]).unwrap();
        let error = told(&folder, Certificates::load(files.clone()));
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(error, format!("cannot use `{name}`: its PEM is broken"));
        fs::write(path, content).unwrap();
    }
}

#[test]
fn says_what_a_file_has_instead() {
    let (folder, _, files) = files();
    let swapped = CertificateFiles { chain: files.key.clone(), key: files.chain.clone(), ..files.clone() };
    assert_eq!(
        told(&folder, Certificates::load(swapped)),
        "cannot use `server.key`: it has no certificate, but: PRIVATE KEY"
    );
    let twice = CertificateFiles { key: files.chain.clone(), ..files.clone() };
    assert_eq!(
        told(&folder, Certificates::load(twice)),
        "cannot use `server.pem`: it has no private key, but: CERTIFICATE"
    );
    let authorities = CertificateFiles { client_ca: Some(files.key.clone()), ..files };
    assert_eq!(
        told(&folder, Certificates::load(authorities)),
        "cannot use `server.key`: it has no certificate, but: PRIVATE KEY"
    );
}

#[test]
fn says_that_a_key_is_encrypted_either_way() {
    let (folder, _, files) = files();
    let pkcs8 = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n\
               -----END RSA PRIVATE KEY-----\n";
    for key in [pkcs8, old] {
        fs::write(&files.key, key).unwrap();
        let error = told(&folder, Certificates::load(files.clone()));
        assert!(error.starts_with("cannot use `server.key`: its private key is encrypted\nhint:"), "{error}");
    }
}

#[test]
fn says_that_a_key_or_certificate_is_damaged() {
    let (folder, _, files) = files();
    let key = fs::read_to_string(&files.key).unwrap();
    fs::write(&files.key, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    let error = told(&folder, Certificates::load(files.clone()));
    assert!(error.starts_with("cannot use `server.key`: its private key is damaged or of an"), "{error}");
    fs::write(&files.key, key).unwrap();
    let chain = fs::read_to_string(&files.chain).unwrap();
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    fs::write(&files.chain, chain.clone() + damaged).unwrap();
    assert_eq!(
        told(&folder, Certificates::load(files.clone())),
        "cannot use `server.pem`: certificate 2 is damaged"
    );
    fs::write(&files.chain, chain).unwrap();
    fs::write(files.client_ca.as_ref().unwrap(), damaged).unwrap();
    assert_eq!(
        told(&folder, Certificates::load(files)),
        "cannot use `clients.pem`: certificate 1 is damaged"
    );
}

#[test]
fn refuses_what_is_not_valid_now() {
    let (folder, authority, files) = files();
    let now = OffsetDateTime::now_utc();
    let expired = authority.issue_until("localhost", now - Duration::days(1));
    write_files(folder.path(), &expired, None);
    let error = told(&folder, Certificates::load(files.clone()));
    assert!(error.starts_with("cannot use `server.pem`: certificate 1 expired at "), "{error}");
    let early = authority.issue_between("localhost", now + Duration::days(1), now + Duration::days(9));
    write_files(folder.path(), &early, None);
    let error = told(&folder, Certificates::load(files));
    assert!(error.starts_with("cannot use `server.pem`: certificate 1 is not valid before "), "{error}");
}

#[test]
fn a_reload_that_fails_changes_nothing_and_says_why() {
    let (folder, authority, files) = files();
    let certificates = Certificates::load(files.clone()).unwrap();
    let renewed = authority
        .issue_until("localhost", OffsetDateTime::now_utc() + Duration::days(200) + Duration::hours(1));
    let Issued { certificate, key } = renewed;
    fs::write(&files.chain, certificate).unwrap();
    let error = told(&folder, certificates.reload());
    assert!(
        error.starts_with("cannot use `server.key`: it does not fit the first certificate of `server.pem`"),
        "{error}"
    );
    assert_eq!(certificates.days_left(), 90);
    fs::write(&files.key, key).unwrap();
    certificates.reload().unwrap();
    assert_eq!(certificates.days_left(), 200);
}

#[test]
fn an_authority_that_has_expired_does_not_end_the_service() {
    let (_folder, authority, files) = files();
    let expired = authority.issue_until("old authority", OffsetDateTime::now_utc() - Duration::days(1));
    let both = authority.pem() + &expired.certificate;
    fs::write(files.client_ca.as_ref().unwrap(), both).unwrap();
    Certificates::load(files).unwrap();
}
