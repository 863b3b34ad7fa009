//! `SHA256SUMS`: what the files of a bundle must be, as whoever published it says, in the format of `sha256sum`.
//!
//! A bundle need not have it. One that has it is refused unless every file of the model is as it says there: a file that
//! is not listed could be anybody's.

use std::collections::HashMap;

/// Where the digests stand.
pub const SUMS_FILE: &str = "SHA256SUMS";

/// Digests by file.
#[derive(Debug)]
pub(super) struct Sums(HashMap<String, [u8; 32]>);

impl Sums {
    /// Reads lines of a digest, a space, a space or `*`, and a name. Files in folders below are no part of a model.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut sums = HashMap::new();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let (sum, file) = parse_line(line).ok_or_else(|| {
                format!("line {number} is not 64 hexadecimal digits, two spaces and a file's name")
            })?;
            if sums.insert(file.to_owned(), sum).is_some_and(|before| before != sum) {
                return Err(format!("line {number} tells another digest of `{file}` than a line before"));
            }
        }
        Ok(Self(sums))
    }

    /// The digest of a file.
    pub(super) fn of(&self, file: &str) -> Option<[u8; 32]> {
        self.0.get(file).copied()
    }
}

fn parse_line(line: &str) -> Option<([u8; 32], &str)> {
    let (digits, rest) = line.split_once(' ')?;
    let mut sum = [0; 32];
    hex::decode_to_slice(digits, &mut sum).ok()?;
    let file = rest.strip_prefix([' ', '*'])?.trim_end_matches('\r');
    let file = file.strip_prefix("./").unwrap_or(file);
    (!file.is_empty()).then_some((sum, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// printf '{}' | sha256sum
    const BRACES: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    #[test]
    fn reads_what_sha256sum_writes() {
        let text = format!("{BRACES}  a.json\n{BRACES} *b c.json\r\n\n{BRACES}  ./d\n{BRACES}  a.json\n");
        let sums = Sums::parse(&text).unwrap();
        for file in ["a.json", "b c.json", "d"] {
            assert_eq!(hex::encode(sums.of(file).unwrap()), BRACES, "{file}");
        }
        assert_eq!(sums.of("e"), None);
    }

    #[test]
    fn refuses_what_sha256sum_does_not_write() {
        let short = &BRACES[1..];
        for line in ["a.json", short, &format!("{short}  a"), &format!("{BRACES} a"), &format!("{BRACES}  ")]
        {
            let error = Sums::parse(&format!("\n{line}\n")).unwrap_err();
            assert!(error.starts_with("line 2 is not 64 hexadecimal digits"), "{line}: {error}");
        }
        let twice = format!("{BRACES}  a\n{}  a", BRACES.replace('4', "5"));
        assert!(Sums::parse(&twice).unwrap_err().contains("another digest of `a`"));
    }
}
