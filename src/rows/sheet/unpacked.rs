//! How large a workbook gets when it is unpacked, before a parser unpacks it.
//!
//! A workbook is a zip archive of XML. A small archive may unpack to any size, whatever it says of itself, and the parser
//! holds the texts that cells share in memory; it also takes memory for numbers of things that a workbook only claims to
//! have. So every part is unpacked once, and thrown away. That finds damage too, which the parser reads past: it does not
//! look at checksums.

use std::io::{self, BufReader, Read};
use std::path::Path;

use memchr::memmem;
use zip::ZipArchive;

use super::super::error::ReadError;
use super::super::format::open;
use super::damaged;

/// What any workbook may unpack to. Smaller ones are not worth a look at how well they are packed.
const FREE_BYTES: u64 = if cfg!(test) { 1 << 20 } else { 64 << 20 };
/// What a larger one may unpack to, as a multiple of its own size. Sheets of numbers have ten to forty times; a bomb has a
/// thousand.
const MAX_RATIO: u64 = 100;
/// Most that all parts may unpack to: a million rows of thirty columns have about half.
const MAX_BYTES: u64 = 8 << 30;
/// Most formulas of a sheet that others share; the parser keeps a list as long as the largest of their numbers.
const MAX_SHARED_FORMULAS: u64 = 1 << 20;
/// Shared texts that a workbook may claim to have whether it has them or not: memory for so many is little.
const FREE_TEXTS: u64 = 1 << 20;
/// The least that a shared text takes, `<si/>`.
const MIN_TEXT_BYTES: u64 = 5;

/// Most digits of a number, zeros at its front included.
const MAX_DIGITS: usize = 20;
const CHUNK_BYTES: usize = 256 << 10;
/// As much of a chunk is looked at again with the next one: longer than a name and the number behind it.
const OVERLAP_BYTES: usize = 64;

/// Refuses a workbook that would take too much memory or time, or a part of which is damaged. What is no archive, or
/// packed in a way that is not known, is for the parser to tell of.
pub(super) fn check(path: &Path) -> Result<(), ReadError> {
    let file = open(path)?;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let limit = FREE_BYTES.max(size.saturating_mul(MAX_RATIO)).min(MAX_BYTES);
    let Ok(mut archive) = ZipArchive::new(BufReader::new(file)) else { return Ok(()) };
    let mut unpacked = 0;
    // Not only what is named as sheets are: a workbook may name any part a sheet.
    for index in 0..archive.len() {
        let Ok(mut part) = archive.by_index(index) else { continue };
        unpacked += check_part(&mut part, limit - unpacked).map_err(|fault| match fault {
            Fault::Damage(error) => {
                let name = String::from_utf8_lossy(part.name_raw());
                damaged(path, None, &format!("its part `{name}` is damaged: {error}"))
            }
            Fault::Bytes => {
                let (size, limit) = (mebibytes(size), mebibytes(limit));
                let problem = format!(
                    "it has {size}, and would have more than {limit} unpacked, as no honest workbook does"
                );
                ReadError::Unpacked { path: path.to_owned(), problem }
            }
            Fault::Claim(what, number) => {
                let problem = format!("it claims to have {number} {what}, more than there can be");
                ReadError::Unpacked { path: path.to_owned(), problem }
            }
        })?;
    }
    Ok(())
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// What is wrong with a part.
enum Fault {
    /// It, or those before it, unpack to too much.
    Bytes,
    /// It claims to have more of something than there can be.
    Claim(&'static str, u64),
    /// It cannot be unpacked to its end.
    Damage(io::Error),
}

/// Unpacks a part, and says how large it is.
fn check_part(mut part: impl Read, limit: u64) -> Result<u64, Fault> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let (mut unpacked, mut kept) = (0, 0);
    let (mut texts, mut formulas) = (0, 0);
    loop {
        let count = part.read(&mut buffer[kept..]).map_err(Fault::Damage)?;
        if count == 0 {
            break;
        }
        unpacked += count as u64;
        if unpacked > limit {
            return Err(Fault::Bytes);
        }
        let after_space = kept > 0 && buffer[kept - 1].is_ascii_whitespace();
        let end = kept + squeeze(&mut buffer[kept..kept + count], after_space);
        let held = &buffer[..end];
        texts = texts.max(largest(held, b"uniqueCount"));
        formulas = formulas.max(largest(held, b"si"));
        kept = end.min(OVERLAP_BYTES);
        buffer.copy_within(end - kept..end, 0);
    }
    if texts > FREE_TEXTS.max(unpacked / MIN_TEXT_BYTES) {
        return Err(Fault::Claim("shared texts", texts));
    }
    if formulas > MAX_SHARED_FORMULAS {
        return Err(Fault::Claim("shared formulas", formulas));
    }
    Ok(unpacked)
}

/// Leaves one blank of each run, so that a name and its number are not torn apart by a gap as long as a chunk.
fn squeeze(bytes: &mut [u8], mut after_space: bool) -> usize {
    let mut end = 0;
    for place in 0..bytes.len() {
        let byte = bytes[place];
        let is_space = byte.is_ascii_whitespace();
        if !(is_space && after_space) {
            bytes[end] = byte;
            end += 1;
        }
        after_space = is_space;
    }
    end
}

/// The largest value of an attribute, as far as it is a number; one with more digits than any number has is too large.
fn largest(xml: &[u8], attribute: &[u8]) -> u64 {
    let value = |place: usize| {
        let rest = xml[place + attribute.len()..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
        let rest = rest.strip_prefix(b"\"").or_else(|| rest.strip_prefix(b"'"))?;
        let digits = &rest[..rest.iter().take_while(|byte| byte.is_ascii_digit()).count()];
        if digits.len() > MAX_DIGITS {
            return Some(u64::MAX);
        }
        Some(
            digits.iter().fold(0_u64, |number, digit| {
                number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
            }),
        )
    };
    memmem::find_iter(xml, attribute).filter_map(value).max().unwrap_or_default()
}
