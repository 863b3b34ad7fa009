//! Looks through the pickle of a `pytorch_model.bin` before it is read.
//!
//! A pickle is a program: what it names, Python would call. candle calls nothing, and knows the few names that tensors
//! need; but it trusts the program not to be made to exhaust it. So a pickle is refused that names anything else, is
//! far longer than a list of weights, or builds objects that are nested deeply or copied without end.
//!
//! The opcodes are those of Python's `pickletools`, as far as candle reads them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use zip::ZipArchive;

/// Longest pickle; that of a BERT of 24 layers has some 40 kB.
const MAX_BYTES: u64 = 8 << 20;
/// Deepest nesting of objects; tensors need less than ten.
const MAX_DEPTH: u32 = 64;
/// Most objects that are made; a tensor needs some thirty.
const MAX_OBJECTS: u64 = 4 << 20;
/// Longest integer, in bytes.
const MAX_INTEGER_BYTES: usize = 8;

/// What is wrong with a pickle, as a phrase.
pub(super) type Result<T> = std::result::Result<T, String>;

/// Checks the pickles of an archive that candle would read, one after the other; what is wrong with one, if something is.
pub(super) fn check_archive(path: &Path) -> candle_core::Result<Result<()>> {
    let wrap = candle_core::Error::wrap;
    let mut archive = ZipArchive::new(BufReader::new(File::open(path)?)).map_err(wrap)?;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(wrap)?;
        if entry.name().is_ok_and(|name| name.ends_with("data.pkl")) {
            let mut pickle = Vec::new();
            // What is cut off here is refused for its length.
            entry.take(MAX_BYTES + 1).read_to_end(&mut pickle)?;
            if let Err(problem) = check(&pickle) {
                return Ok(Err(problem));
            }
        }
    }
    Ok(Ok(()))
}

/// Refuses a pickle that does anything else than to list tensors.
fn check(pickle: &[u8]) -> Result<()> {
    if pickle.len() as u64 > MAX_BYTES {
        return Err(format!("is longer than {} MiB", MAX_BYTES >> 20));
    }
    Machine::default().run(pickle)
}

/// What is known of an object: how deep it is, and of how many it is made.
#[derive(Debug, Clone, Copy, Default)]
struct Object {
    depth: u32,
    count: u64,
}

/// A machine that runs a pickle on shadows of its objects.
#[derive(Debug, Default)]
struct Machine {
    /// None where a mark stands.
    stack: Vec<Option<Object>>,
    memo: HashMap<u32, Object>,
    made: u64,
}

impl Machine {
    fn run(mut self, program: &[u8]) -> Result<()> {
        let mut rest = program;
        loop {
            match take(&mut rest, 1)?[0] {
                b'.' => return Ok(()),
                0x80 => drop(take(&mut rest, 1)?),
                b'c' => {
                    let (module, name) = (line(&mut rest)?, line(&mut rest)?);
                    if !is_of_tensors(module, name) {
                        let (module, name) = (String::from_utf8_lossy(module), String::from_utf8_lossy(name));
                        return Err(format!(
                            "names `{module}.{name}`, which no weight needs and Python would load"
                        ));
                    }
                    self.push(&[])?;
                }
                b'K' => self.literal(&mut rest, 1)?,
                b'M' => self.literal(&mut rest, 2)?,
                b'J' => self.literal(&mut rest, 4)?,
                b'G' => self.literal(&mut rest, 8)?,
                b'X' => {
                    let length = number(take(&mut rest, 4)?);
                    self.literal(&mut rest, length as usize)?;
                }
                0x8a => {
                    let length = usize::from(take(&mut rest, 1)?[0]);
                    if length > MAX_INTEGER_BYTES {
                        return Err(format!("has an integer of {length} bytes"));
                    }
                    self.literal(&mut rest, length)?;
                }
                b'N' | 0x88 | 0x89 | b')' | b'}' | b']' | b'd' => self.push(&[])?,
                b'(' => self.stack.push(None),
                b'Q' | 0x85 => self.wrap(1)?,
                0x86 | b'R' | 0x81 | b'b' => self.wrap(2)?,
                0x87 => self.wrap(3)?,
                b't' => {
                    let parts = self.pop_to_mark()?;
                    self.push(&parts)?;
                }
                b'a' => self.put_into(1)?,
                b's' => self.put_into(2)?,
                b'e' | b'u' => {
                    let parts = self.pop_to_mark()?;
                    self.add_to_last(&parts)?;
                }
                b'q' => {
                    let place = number(take(&mut rest, 1)?);
                    self.remember(place)?;
                }
                b'r' => {
                    let place = number(take(&mut rest, 4)?);
                    self.remember(place)?;
                }
                b'h' => {
                    let place = number(take(&mut rest, 1)?);
                    self.recall(place)?;
                }
                b'j' => {
                    let place = number(take(&mut rest, 4)?);
                    self.recall(place)?;
                }
                code => return Err(format!("has the opcode {code:#04x}, which no weight needs")),
            }
        }
    }

    fn push(&mut self, parts: &[Object]) -> Result<()> {
        let object = joined(Object { depth: 1, count: 1 }, parts)?;
        self.count(1)?;
        self.stack.push(Some(object));
        Ok(())
    }

    fn literal(&mut self, rest: &mut &[u8], length: usize) -> Result<()> {
        take(rest, length)?;
        self.push(&[])
    }

    /// Makes one object of the last ones.
    fn wrap(&mut self, parts: usize) -> Result<()> {
        let parts = (0..parts).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
        self.push(&parts)
    }

    fn put_into(&mut self, parts: usize) -> Result<()> {
        let parts = (0..parts).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
        self.add_to_last(&parts)
    }

    fn add_to_last(&mut self, parts: &[Object]) -> Result<()> {
        let last = joined(self.pop()?, parts)?;
        self.stack.push(Some(last));
        Ok(())
    }

    fn pop(&mut self) -> Result<Object> {
        self.stack.pop().flatten().ok_or_else(|| "takes an object where there is none".to_owned())
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Object>> {
        let mark = self.stack.iter().rposition(Option::is_none).ok_or("ends a list that was not begun")?;
        let parts = self.stack.split_off(mark);
        Ok(parts.into_iter().flatten().collect())
    }

    fn remember(&mut self, place: u64) -> Result<()> {
        let last = self.pop()?;
        self.stack.push(Some(last));
        self.memo.insert(place as u32, last);
        // A copy is kept, and each that is recalled is another.
        self.count(last.count)
    }

    fn recall(&mut self, place: u64) -> Result<()> {
        let object = self.memo.get(&(place as u32)).copied().ok_or("recalls what it has not remembered")?;
        self.stack.push(Some(object));
        self.count(object.count)
    }

    fn count(&mut self, objects: u64) -> Result<()> {
        self.made = self.made.saturating_add(objects);
        if self.made > MAX_OBJECTS {
            return Err(format!("makes more than {MAX_OBJECTS} objects"));
        }
        Ok(())
    }
}

/// An object with others in it.
fn joined(object: Object, parts: &[Object]) -> Result<Object> {
    let below = parts.iter().map(|part| part.depth).max().unwrap_or_default();
    let depth = object.depth.max(below + 1);
    if depth > MAX_DEPTH {
        return Err(format!("nests objects more than {MAX_DEPTH} deep"));
    }
    let count = parts.iter().fold(object.count, |count, part| count.saturating_add(part.count));
    Ok(Object { depth, count })
}

/// Whether a name is one of those that PyTorch gives to what tensors are made of.
fn is_of_tensors(module: &[u8], name: &[u8]) -> bool {
    match module {
        b"collections" | b"torch._utils" | b"torch._tensor" | b"torch.nn.parameter" => true,
        // Types of numbers and of storages.
        b"torch" => name.iter().all(u8::is_ascii_alphanumeric),
        _ => false,
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    rest.split_off(..length).ok_or_else(|| "breaks off".to_owned())
}

fn line<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8]> {
    let end = memchr::memchr(b'\n', rest).ok_or("breaks off")?;
    let line = take(rest, end + 1)?;
    let line = &line[..end];
    Ok(line.strip_suffix(b"\r").unwrap_or(line))
}

/// A number from its lowest byte on.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
