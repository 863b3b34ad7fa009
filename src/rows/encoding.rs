//! The encoding of a text file: found from all of its bytes, and read without ever putting a replacement character.
//!
//! A file is UTF-8 unless more of its characters beyond ASCII are something else than sound UTF-8, so that a few broken bytes do not
//! turn it into something else. Otherwise a detector guesses from lines that are sound GB18030, as one bad byte would
//! rule this encoding out; only where most lines are not does it see all.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, GB18030, GBK, UTF_8, UTF_16BE, UTF_16LE};

use super::error::ReadError;
use super::format::open;
use super::lines::{Found, Lines};
use super::utf16::{Utf16Reader, restore};

/// So much text beyond ASCII is enough to guess from.
const SAMPLE_BYTES: usize = 4 << 20;

/// A longer line is passed over when guessing.
const MAX_SAMPLE_LINE_BYTES: usize = 1 << 20;

/// The detector is told of a web site's home; in Singapore it expects Chinese, and both ways to write it.
const CHINESE_EXPECTED: &[u8] = b"sg";

const CHUNK_BYTES: usize = 256 << 10;

/// GB18030 has a byte-order mark too, which `encoding_rs` does not know.
const GB18030_BOM: [u8; 4] = [0x84, 0x31, 0x95, 0x33];

/// How a file writes its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Charset(&'static Encoding);

impl Charset {
    /// Finds the encoding of a file.
    pub(super) fn detect(path: &Path) -> Result<Self, ReadError> {
        let mut file = open(path)?;
        let reading = |source| ReadError::reading(path, source);
        let head = head(&mut file).map_err(reading)?;
        if let Some((encoding, _)) = bom(&head) {
            return Ok(Self(encoding));
        }
        if is_utf8(&mut file).map_err(reading)? {
            return Ok(Self(UTF_8));
        }
        file.rewind().map_err(reading)?;
        let (clean, sound) = guess(file.try_clone().map_err(reading)?, true).map_err(reading)?;
        if sound {
            return Ok(Self(clean));
        }
        file.rewind().map_err(reading)?;
        Ok(Self(guess(file, false).map_err(reading)?.0))
    }

    /// The encoding with this name, if lines can be read of it.
    pub(super) fn named(name: &str) -> Option<Self> {
        let encoding = Encoding::for_label(name.as_bytes())?;
        Some(Self(if encoding == GBK { GB18030 } else { encoding }))
    }

    /// The name in the WHATWG's list, such as `gb18030`.
    pub(super) fn name(self) -> &'static str {
        self.0.name()
    }

    /// The encoding of [`lines`](Self::lines).
    pub(super) fn of_lines(self) -> &'static Encoding {
        if self.big_endian().is_some() { UTF_8 } else { self.0 }
    }

    /// The lines of a file, which are those of another encoding where the bytes of a line end can be something else.
    pub(super) fn lines(self, path: &Path) -> Result<Lines, ReadError> {
        let mut file = open(path)?;
        let reading = |source| ReadError::reading(path, source);
        let head = head(&mut file).map_err(reading)?;
        if let Some((_, length)) = bom(&head).filter(|(encoding, _)| *encoding == self.0) {
            file.seek(SeekFrom::Start(length)).map_err(reading)?;
        }
        Ok(Lines::new(match self.big_endian() {
            Some(big_endian) => Box::new(Utf16Reader::new(file, big_endian)),
            None => Box::new(file),
        }))
    }

    /// The text of a line, if it is sound.
    pub(super) fn decode(self, line: &[u8]) -> Option<Cow<'_, str>> {
        self.of_lines().decode_without_bom_handling_and_without_replacement(line)
    }

    /// The text of a line, with replacement characters where it is not sound.
    pub(super) fn decode_lossy(self, line: &[u8]) -> Cow<'_, str> {
        self.of_lines().decode_without_bom_handling(line).0
    }

    /// The bytes of a line as they stand in the file.
    pub(super) fn raw(self, line: &[u8]) -> Vec<u8> {
        self.big_endian().map_or_else(|| line.to_vec(), |big_endian| restore(line, big_endian))
    }

    /// The byte order of UTF-16.
    fn big_endian(self) -> Option<bool> {
        (self.0 == UTF_16LE || self.0 == UTF_16BE).then_some(self.0 == UTF_16BE)
    }
}

/// The encoding that a byte-order mark tells, and the length of the mark.
fn bom(head: &[u8]) -> Option<(&'static Encoding, u64)> {
    let mark = Encoding::for_bom(head).map(|(encoding, length)| (encoding, length as u64));
    mark.or_else(|| head.starts_with(&GB18030_BOM).then_some((GB18030, 4)))
}

/// The first bytes of a file, which is then at its start again.
fn head(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.take(4).read_to_end(&mut head)?;
    file.rewind()?;
    Ok(head)
}

/// Whether there is at least as much sound UTF-8 as anything else among the characters beyond ASCII.
fn is_utf8(file: &mut File) -> std::io::Result<bool> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let (mut sound, mut broken, mut kept) = (0_u64, 0_u64, 0);
    loop {
        let count = file.read(&mut buffer[kept..])?;
        let held = &buffer[..kept + count];
        kept = 0;
        for chunk in held.utf8_chunks() {
            sound += chunk.valid().bytes().filter(|byte| *byte >= 0xc0).count() as u64;
            broken += u64::from(!chunk.invalid().is_empty());
            kept = chunk.invalid().len();
        }
        // A character may go on in the next chunk.
        let cut = count > 0 && kept > 0 && held.len() > kept && {
            let tail = std::str::from_utf8(&held[held.len() - kept..]);
            tail.is_err_and(|error| error.error_len().is_none())
        };
        if cut {
            broken -= 1;
            let end = held.len();
            buffer.copy_within(end - kept..end, 0);
        } else {
            kept = 0;
        }
        if count == 0 {
            return Ok(sound >= broken);
        }
    }
}

/// Guesses the encoding of a text that is not UTF-8, from sound GB18030 alone or from all; and whether most is sound.
fn guess(file: File, sound_only: bool) -> std::io::Result<(&'static Encoding, bool)> {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    let (mut sound, mut broken, mut fed) = (0_u64, 0_u64, 0);
    let mut lines = Lines::new(Box::new(file));
    while fed < SAMPLE_BYTES {
        match lines.find(0, MAX_SAMPLE_LINE_BYTES)? {
            Found::End => break,
            Found::Long => lines.skip_line()?,
            Found::Line { end, next } => {
                let line = lines.bytes(end);
                if !line.is_ascii() {
                    let is_sound =
                        GB18030.decode_without_bom_handling_and_without_replacement(line).is_some();
                    *(if is_sound { &mut sound } else { &mut broken }) += 1;
                    if is_sound || !sound_only {
                        detector.feed(line, false);
                        detector.feed(b"\n", false);
                    }
                    fed += line.len();
                }
                lines.advance(next, 1);
            }
        }
    }
    let guess = detector.guess(Some(CHINESE_EXPECTED), Utf8Detection::Deny);
    Ok((if guess == GBK { GB18030 } else { guess }, sound >= broken))
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::{BIG5, WINDOWS_1252};

    const TEXT: &str = "编号,内容\n1,小区门口的路灯坏了三天没有人来修\n2,楼上漏水，物业不管\n";
    const TRADITIONAL: &str = "編號,內容\n1,社區門口的路燈壞了三天沒有人來修理\n2,樓上漏水，物業不管\n";

    fn detect(content: &[u8]) -> &'static str {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        Charset::detect(file.path()).unwrap().name()
    }

    fn first_line(content: &[u8]) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let mut lines = Charset::detect(file.path()).unwrap().lines(file.path()).unwrap();
        let Found::Line { end, .. } = lines.find(0, 1000).unwrap() else { return Vec::new() };
        lines.bytes(end).to_vec()
    }

    #[test]
    fn knows_the_encodings_of_chinese_text() {
        assert_eq!(detect(TEXT.as_bytes()), "UTF-8");
        assert_eq!(detect(b"id,text\n"), "UTF-8");
        assert_eq!(detect(b""), "UTF-8");
        assert_eq!(detect(&GB18030.encode(TEXT).0), "gb18030");
        assert_eq!(detect(&GB18030.encode("龦㐂𠮷路灯").0), "gb18030", "characters of four bytes");
        assert_eq!(detect(&GB18030.encode("诉求\n").0), "gb18030", "two characters");
        assert_eq!(detect(&BIG5.encode(TRADITIONAL).0), "Big5");
        assert_eq!(detect(&WINDOWS_1252.encode("à bientôt, mes très chères élèves été\n").0), "windows-1252");
    }

    #[test]
    fn a_few_broken_bytes_change_nothing() {
        for (encoding, name) in [(UTF_8, "UTF-8"), (GB18030, "gb18030")] {
            let text = encoding.encode(TEXT).0.repeat(20);
            let mut broken = text.clone();
            broken.extend(b"3,\xff\xff,\xe4\n4,\xb5\n");
            broken.extend(text);
            assert_eq!(detect(&broken), name);
        }
    }

    #[test]
    fn a_character_between_two_chunks_is_sound() {
        for shift in 0..4 {
            let text = format!("{}{}", "a".repeat(shift), "灯💧".repeat(CHUNK_BYTES / 5));
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            assert!(is_utf8(&mut File::open(file.path()).unwrap()).unwrap());
        }
    }

    #[test]
    fn a_byte_order_mark_decides_and_is_no_text() {
        let utf16 = |swap: bool| {
            let unit = |unit: u16| if swap { unit.to_be_bytes() } else { unit.to_le_bytes() };
            "\u{feff}诉求\n".encode_utf16().flat_map(unit).collect::<Vec<u8>>()
        };
        assert_eq!((detect(&utf16(false)), detect(&utf16(true))), ("UTF-16LE", "UTF-16BE"));
        let gb18030 = GB18030.encode("\u{feff}诉求\n").0;
        assert_eq!(detect(&gb18030), "gb18030");
        for content in [&utf16(false), &utf16(true), "\u{feff}诉求\n".as_bytes()] {
            assert_eq!(first_line(content), "诉求".as_bytes());
        }
        assert_eq!(first_line(&gb18030), GB18030.encode("诉求").0.as_ref());
    }
}
