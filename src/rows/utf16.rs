//! UTF-16 as UTF-8 and back, so that lines are split on bytes whatever the encoding.
//!
//! What is no UTF-16 becomes bytes that are no UTF-8 and tell what they were: half a surrogate pair the three bytes
//! that it would have (as in WTF-8), and half a unit at the end of the file three bytes that begin with 0xf8.

use std::io::{self, Read};

const ODD_BYTE: u8 = 0xf8;

const CHUNK_BYTES: usize = 32 << 10;

/// Reads UTF-16 as UTF-8.
pub(super) struct Utf16Reader<R> {
    source: R,
    big_endian: bool,
    input: Vec<u8>,
    /// An odd byte at the start of `input`, of the read before.
    kept: usize,
    high_surrogate: Option<u16>,
    output: Vec<u8>,
    given: usize,
}

impl<R: Read> Utf16Reader<R> {
    pub(super) fn new(source: R, big_endian: bool) -> Self {
        let input = vec![0; CHUNK_BYTES];
        Self { source, big_endian, input, kept: 0, high_surrogate: None, output: Vec::new(), given: 0 }
    }

    /// Fills the output, if there is anything left.
    fn transcode(&mut self) -> io::Result<()> {
        self.output.clear();
        self.given = 0;
        while self.output.is_empty() {
            let count = self.source.read(&mut self.input[self.kept..])?;
            if count == 0 {
                self.end();
                return Ok(());
            }
            let filled = self.kept + count;
            for pair in 0..filled / 2 {
                let bytes = [self.input[2 * pair], self.input[2 * pair + 1]];
                let unit =
                    if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
                self.push(unit);
            }
            self.kept = filled % 2;
            self.input[0] = self.input[filled - 1];
        }
        Ok(())
    }

    fn push(&mut self, unit: u16) {
        if let Some(high) = self.high_surrogate.take() {
            if let Some(Ok(character)) = char::decode_utf16([high, unit]).next() {
                self.output.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                return;
            }
            push_surrogate(&mut self.output, high);
        }
        match unit {
            0xd800..0xdc00 => self.high_surrogate = Some(unit),
            0xdc00..0xe000 => push_surrogate(&mut self.output, unit),
            _ => {
                let character = char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER);
                self.output.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }

    fn end(&mut self) {
        if let Some(high) = self.high_surrogate.take() {
            push_surrogate(&mut self.output, high);
        }
        if self.kept == 1 {
            let byte = self.input[0];
            self.output.extend_from_slice(&[ODD_BYTE, 0x80 | byte >> 4, 0x80 | byte & 0xf]);
            self.kept = 0;
        }
    }
}

impl<R: Read> Read for Utf16Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.output.len() {
            self.transcode()?;
        }
        let count = buffer.len().min(self.output.len() - self.given);
        buffer[..count].copy_from_slice(&self.output[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

fn push_surrogate(output: &mut Vec<u8>, unit: u16) {
    output.extend_from_slice(&[0xed, 0x80 | (unit >> 6 & 0x3f) as u8, 0x80 | (unit & 0x3f) as u8]);
}

/// The bytes that a [`Utf16Reader`] has read as `bytes`.
pub(super) fn restore(bytes: &[u8], big_endian: bool) -> Vec<u8> {
    let mut restored = Vec::with_capacity(2 * bytes.len());
    let mut rest = bytes;
    while let Some((&lead, behind)) = rest.split_first() {
        let (length, mask) = match lead {
            0..0x80 => (1, 0x7f),
            0x80..0xe0 => (2, 0x1f),
            0xe0..0xf0 | ODD_BYTE.. => (3, 0x0f),
            0xf0..ODD_BYTE => (4, 0x07),
        };
        let (tail, next) = behind.split_at(behind.len().min(length - 1));
        if lead == ODD_BYTE {
            restored.extend(tail.iter().map(|byte| byte & 0xf).reduce(|high, low| high << 4 | low));
        } else {
            let point =
                tail.iter().fold(u32::from(lead & mask), |point, byte| point << 6 | u32::from(byte & 0x3f));
            // Half a surrogate pair is no character, and one unit.
            let units = char::from_u32(point)
                .map_or_else(|| vec![point as u16], |character| character.encode_utf16(&mut [0; 2]).to_vec());
            for unit in units {
                restored.extend(if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() });
            }
        }
        rest = next;
    }
    restored
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8], big_endian: bool) -> Vec<u8> {
        let mut read = Vec::new();
        Utf16Reader::new(bytes, big_endian).read_to_end(&mut read).unwrap();
        read
    }

    #[test]
    fn reads_both_byte_orders() {
        assert_eq!(read(b"\xc9\x8b\x42\x6c\x3d\xd8\xa7\xdc", false), "诉求💧".as_bytes());
        assert_eq!(read(b"\x8b\xc9\x6c\x42\xd8\x3d\xdc\xa7", true), "诉求💧".as_bytes());
    }

    #[test]
    fn half_a_character_is_no_utf8() {
        for bytes in [b"\x3d\xd8a\0".as_slice(), b"\xa7\xdca\0", b"a\0\x3d\xd8", b"a\0b"] {
            assert!(String::from_utf8(read(bytes, false)).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes: Vec<u8>, big_endian: bool) {
            prop_assert_eq!(restore(&read(&bytes, big_endian), big_endian), bytes);
        }

        #[test]
        fn text_is_the_same(text: String) {
            let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            prop_assert_eq!(read(&bytes, false), text.as_bytes());
        }
    }
}
