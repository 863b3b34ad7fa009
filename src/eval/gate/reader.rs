//! Takes values from a TOML text one by one, and notes what is wrong with each, and where.
//!
//! Serde would end at the first value of a wrong type; whoever edits a file wants to hear of all.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::fault::{Fault, closest};
use crate::message::quoted;

/// A value, and where it stands.
pub(super) type Value<'t, 'i> = &'t Spanned<DeValue<'i>>;

/// Gathers what is wrong with a text.
pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    pub(super) faults: Vec<Fault>,
}

impl Reader<'_> {
    /// Notes a fault that stands at the bytes `span`.
    pub(super) fn fault(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.faults.push(Fault { line: self.line(&span), message: message.into() });
    }

    /// The line that the bytes `span` begin in, counted from 1.
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        before.split(|&byte| byte == b'\n').count()
    }

    /// Takes a text that is not blank; `key` names it in the fault, here and below.
    pub(super) fn word(&mut self, key: &str, value: Value<'_, '_>) -> Option<String> {
        let message = match value.get_ref().as_str() {
            Some(word) if !word.trim().is_empty() => return Some(word.to_owned()),
            Some(_) => format!("`{key}` is empty; write it or remove it"),
            None => format!("`{key}` is {}; write it in quotes", kind(value.get_ref())),
        };
        self.fault(value.span(), message);
        None
    }

    /// Takes a number from 0 to `most`.
    pub(super) fn number(&mut self, key: &str, value: Value<'_, '_>, most: f64) -> Option<f64> {
        let (float, integer) = (value.get_ref().as_float(), value.get_ref().as_integer());
        let float = float.and_then(|float| float.as_str().parse().ok());
        // What is too large for an integer is too large for a bound.
        let whole = |whole: i64| whole as f64;
        let integer = integer.map(|integer| {
            i64::from_str_radix(integer.as_str(), integer.radix()).map_or(f64::INFINITY, whole)
        });
        let number: Option<f64> = float.or(integer);
        let message = match number {
            Some(number) if (0.0..=most).contains(&number) => return Some(number),
            None => {
                format!("`{key}` is {}; write a number between 0 and 1, such as 0.82", kind(value.get_ref()))
            }
            Some(number) if number > 1.0 && number <= 100.0 => {
                format!("`{key}` is not between 0 and 1; write {number} % as {}", number / 100.0)
            }
            Some(_) if most > 1.0 => format!("`{key}` is not a number from 0 upwards; correct it"),
            Some(_) => format!("`{key}` is not a number between 0 and 1; correct it"),
        };
        self.fault(value.span(), message);
        None
    }

    /// Takes a whole number from 1 upwards.
    pub(super) fn count(&mut self, key: &str, value: Value<'_, '_>) -> Option<usize> {
        let count = value.get_ref().as_integer();
        let count = count.and_then(|count| usize::from_str_radix(count.as_str(), count.radix()).ok());
        if let None | Some(0) = count {
            self.fault(value.span(), format!("`{key}` is not a whole number from 1 upwards; correct it"));
        }
        count
    }

    /// Refuses the keys of a table that are not `known`.
    pub(super) fn known_keys(&mut self, table: &DeTable<'_>, known: &[&str]) {
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let name = key.get_ref();
            let closest = closest(name, known.iter().copied());
            let message = if closest.is_empty() {
                format!("unknown key `{name}`; remove it, or write one of {}", quoted(known))
            } else {
                format!("unknown key `{name}`{closest}")
            };
            self.fault(key.span(), message);
        }
    }
}

/// What a value is, in words.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
