//! What a file is known by: a digest of its bytes.

use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::ReadError;
use super::format::open;

const CHUNK_BYTES: usize = 256 << 10;

/// SHA-256 of a file, hexadecimal.
///
/// # Errors
/// If the file cannot be read.
pub fn digest(path: &Path) -> Result<String, ReadError> {
    let mut file = open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut buffer).map_err(|source| ReadError::reading(path, source))? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    Ok(hex::encode(hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_that_of_sha256sum() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{}").unwrap();
        // printf '{}' | sha256sum
        let expected = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(digest(file.path()).unwrap(), expected);
        assert!(
            digest(Path::new("no/such.csv"))
                .unwrap_err()
                .to_string()
                .starts_with("cannot read `no/such.csv`")
        );
    }
}
