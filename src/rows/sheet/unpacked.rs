//! How large a workbook gets when it is unpacked, before a parser unpacks it.
//!
//! A workbook is a zip archive of XML. A small archive may unpack to any size, whatever it says of itself, and the parser
//! holds the texts that cells share in memory; it also takes memory for numbers of things that a workbook only claims to
//! have. So every part that it reads is unpacked once, and thrown away.

use std::fs::File;
use std::io::{BufReader, Read};

use memchr::memmem;
use zip::ZipArchive;

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

const CHUNK_BYTES: usize = 256 << 10;
/// As much of a chunk is looked at again with the next one: longer than a name and the number behind it.
const OVERLAP_BYTES: usize = 64;

/// Says what is wrong with a workbook that would take too much memory or time, as a phrase. What cannot be unpacked is for
/// the parser to tell of.
pub(super) fn check(file: File) -> Result<(), String> {
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let limit = FREE_BYTES.max(size.saturating_mul(MAX_RATIO)).min(MAX_BYTES);
    let Ok(mut archive) = ZipArchive::new(BufReader::new(file)) else { return Ok(()) };
    let mut unpacked = 0;
    // Not only what is named as sheets are: a workbook may name any part a sheet.
    for index in 0..archive.len() {
        let Ok(part) = archive.by_index(index) else { continue };
        let (size, limit) = (mebibytes(size), (limit - unpacked, mebibytes(limit)));
        unpacked += check_part(part, limit.0).map_err(|excess| match excess {
            Excess::Bytes => {
                format!(
                    "it has {size}, and would have more than {} unpacked, as no honest workbook does",
                    limit.1
                )
            }
            Excess::Claim(what, number) => {
                format!("it claims to have {number} {what}, more than there can be")
            }
        })?;
    }
    Ok(())
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

enum Excess {
    Bytes,
    Claim(&'static str, u64),
}

/// Unpacks a part, and says how large it is.
fn check_part(mut part: impl Read, limit: u64) -> Result<u64, Excess> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let (mut unpacked, mut kept) = (0, 0);
    let (mut texts, mut formulas) = (0, 0);
    while let Ok(count @ 1..) = part.read(&mut buffer[kept..]) {
        unpacked += count as u64;
        if unpacked > limit {
            return Err(Excess::Bytes);
        }
        let held = &buffer[..kept + count];
        texts = texts.max(largest(held, b"uniqueCount"));
        formulas = formulas.max(largest(held, b"si"));
        let end = kept + count;
        kept = end.min(OVERLAP_BYTES);
        buffer.copy_within(end - kept..end, 0);
    }
    if texts > FREE_TEXTS.max(unpacked / MIN_TEXT_BYTES) {
        return Err(Excess::Claim("shared texts", texts));
    }
    if formulas > MAX_SHARED_FORMULAS {
        return Err(Excess::Claim("shared formulas", formulas));
    }
    Ok(unpacked)
}

/// The largest value of an attribute, as far as it is a number.
fn largest(xml: &[u8], attribute: &[u8]) -> u64 {
    let value = |place: usize| {
        let rest = xml[place + attribute.len()..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
        let rest = rest.strip_prefix(b"\"").or_else(|| rest.strip_prefix(b"'"))?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
        Some(
            digits.fold(0_u64, |number, digit| {
                number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
            }),
        )
    };
    memmem::find_iter(xml, attribute).filter_map(value).max().unwrap_or_default()
}
