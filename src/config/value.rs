//! Values of the file: which kind a flag takes, and whether it takes this one.

use std::any::TypeId;
use std::error::Error;
use std::ffi::OsString;
use std::num::{NonZeroU8, NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize};
use std::ops::Range;
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command};
use toml::Spanned;
use toml::de::DeValue;

use super::keys::is_secret;
use crate::fault::closest;

/// What a flag takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing: it is typed or not.
    Flag,
    /// Nothing: it counts how often it is typed.
    Count,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// One of some words.
    Choice(Vec<String>),
    /// Words.
    Text,
    /// What only its parser knows.
    Other,
}

impl Kind {
    /// The kind of `arg`.
    pub(super) fn of(arg: &Arg) -> Self {
        let parsed = arg.get_value_parser().type_id();
        let is = |types: &[TypeId]| types.iter().any(|known| parsed == *known);
        let choices = arg.get_possible_values();
        if matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::SetFalse) {
            Self::Flag
        } else if matches!(arg.get_action(), ArgAction::Count) {
            Self::Count
        } else if is(&[TypeId::of::<bool>()]) {
            Self::Boolean
        } else if is(&integers()) {
            Self::Integer
        } else if is(&[TypeId::of::<f32>(), TypeId::of::<f64>()]) {
            Self::Number
        } else if !choices.is_empty() {
            let shown = choices.iter().filter(|choice| !choice.is_hide_set());
            Self::Choice(shown.map(|choice| choice.get_name().to_owned()).collect())
        } else if is(&[TypeId::of::<String>(), TypeId::of::<OsString>(), TypeId::of::<PathBuf>()]) {
            Self::Text
        } else {
            Self::Other
        }
    }

    /// What is expected, as a fault says it.
    fn expected(&self) -> String {
        match self {
            Self::Flag | Self::Boolean => "true or false".to_owned(),
            Self::Count => "a whole number from 0 to 255".to_owned(),
            Self::Integer => "a whole number".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Choice(choices) => format!("one of \"{}\"", choices.join("\", \"")),
            Self::Text | Self::Other => "a text in quotes".to_owned(),
        }
    }

    /// `value` as it would be typed, if it is of this kind.
    fn typed(&self, value: &DeValue<'_>) -> Option<String> {
        match (self, value) {
            (Self::Choice(_) | Self::Text | Self::Other, DeValue::String(text)) => Some(text.to_string()),
            (Self::Flag | Self::Boolean | Self::Other, DeValue::Boolean(is)) => Some(is.to_string()),
            (Self::Count | Self::Integer | Self::Number | Self::Other, DeValue::Integer(integer)) => {
                i128::from_str_radix(integer.as_str(), integer.radix())
                    .ok()
                    .map(|integer| integer.to_string())
            }
            (Self::Number | Self::Other, DeValue::Float(float)) => Some(float.as_str().to_owned()),
            _ => None,
        }
    }
}

fn integers() -> [TypeId; 15] {
    [
        TypeId::of::<u8>(),
        TypeId::of::<u16>(),
        TypeId::of::<u32>(),
        TypeId::of::<u64>(),
        TypeId::of::<usize>(),
        TypeId::of::<i8>(),
        TypeId::of::<i16>(),
        TypeId::of::<i32>(),
        TypeId::of::<i64>(),
        TypeId::of::<isize>(),
        TypeId::of::<NonZeroU8>(),
        TypeId::of::<NonZeroU16>(),
        TypeId::of::<NonZeroU32>(),
        TypeId::of::<NonZeroU64>(),
        TypeId::of::<NonZeroUsize>(),
    ]
}

/// Whether `arg` may be given several times.
pub(super) fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// A fault and the bytes that it stands at.
pub(super) type Refusal = (Range<usize>, String);

/// What `value` is as arguments of the command line: none for a flag that is not set.
pub(super) fn arguments(arg: &Arg, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, Vec<Refusal>> {
    let items = value.get_ref().as_array().filter(|_| is_list(arg));
    let items: Vec<_> = items.map_or_else(|| vec![value], |items| items.iter().collect());
    let mut arguments = Vec::new();
    let mut refusals = Vec::new();
    for item in items {
        match argument(arg, item.get_ref()) {
            Ok(some) => arguments.extend(some),
            Err(message) => refusals.push((item.span(), message)),
        }
    }
    if refusals.is_empty() { Ok(arguments) } else { Err(refusals) }
}

fn argument(arg: &Arg, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let long = arg.get_long().unwrap_or_default();
    let kind = Kind::of(arg);
    let Some(text) = kind.typed(value) else {
        let list = if is_list(arg) { ", or a list of such" } else { "" };
        return Err(format!("`{long}` expects {}{list}, not {}", kind.expected(), name(value)));
    };
    match kind {
        Kind::Flag => Ok(if text == "true" { vec![format!("--{long}")] } else { Vec::new() }),
        Kind::Count => match text.parse::<u8>() {
            Ok(count) => Ok(vec![format!("--{long}"); count.into()]),
            Err(_) => Err(format!("`{long}` expects {}, not {text}", kind.expected())),
        },
        Kind::Boolean | Kind::Integer | Kind::Number | Kind::Choice(_) | Kind::Text | Kind::Other => {
            match refusal(arg, &text) {
                None => Ok(vec![format!("--{long}={text}")]),
                Some(_) if is_secret(arg) => Err(format!("`{long}` does not take the value given")),
                Some(reason) => {
                    Err(format!("`{long}` does not take `{text}`{}", because(&kind, &text, &reason)))
                }
            }
        }
    }
}

fn because(kind: &Kind, text: &str, reason: &str) -> String {
    if let Kind::Choice(choices) = kind {
        let nearest = closest(text, choices.iter().map(String::as_str));
        return format!("; it expects {}{nearest}", kind.expected());
    }
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

/// What the flag's own parser has against `text`.
fn refusal(arg: &Arg, text: &str) -> Option<String> {
    // Alone, so that no other flag is asked for.
    let probe = Arg::new("value")
        .long("value")
        .action(ArgAction::Append)
        .num_args(1)
        .ignore_case(arg.is_ignore_case_set())
        .value_delimiter(arg.get_value_delimiter())
        .value_parser(arg.get_value_parser().clone());
    let command = Command::new("probe").no_binary_name(true).arg(probe);
    let error = command.try_get_matches_from([format!("--value={text}")]).err()?;
    Some(error.source().map(ToString::to_string).unwrap_or_default())
}

fn name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use clap::builder::PossibleValuesParser;
    use clap::value_parser;

    use super::*;

    /// What is typed for the TOML value `text`, or what is wrong with it.
    fn read(arg: Arg, text: &str) -> Result<Vec<String>, Vec<String>> {
        let mut command = Command::new("app").arg(arg);
        command.build();
        let value = DeValue::parse(text).unwrap();
        let arg = command.get_arguments().find(|arg| arg.get_id() == "x").unwrap();
        arguments(arg, &value).map_err(|refusals| refusals.into_iter().map(|(_, message)| message).collect())
    }

    fn flag() -> Arg {
        Arg::new("x").long("x")
    }

    #[test]
    fn values_are_what_would_be_typed() {
        assert_eq!(read(flag(), "'a \"b\"'").unwrap(), ["--x=a \"b\""]);
        assert_eq!(read(flag().value_parser(value_parser!(u32)), "0x1_0").unwrap(), ["--x=16"]);
        assert_eq!(read(flag().value_parser(value_parser!(f64)), "4e-4").unwrap(), ["--x=4e-4"]);
        assert_eq!(read(flag().value_parser(value_parser!(f64)), "4").unwrap(), ["--x=4"]);
        assert_eq!(read(flag().value_parser(value_parser!(bool)), "false").unwrap(), ["--x=false"]);
    }

    #[test]
    fn flags_without_a_value_take_true_or_false() {
        let flag = || flag().action(ArgAction::SetTrue);
        assert_eq!(read(flag(), "true").unwrap(), ["--x"]);
        assert!(read(flag(), "false").unwrap().is_empty());
        assert_eq!(read(flag(), "1").unwrap_err(), ["`x` expects true or false, not a whole number"]);
        assert_eq!(read(flag(), "'yes'").unwrap_err(), ["`x` expects true or false, not a text"]);
    }

    #[test]
    fn counted_flags_take_how_often() {
        let flag = || flag().action(ArgAction::Count);
        assert_eq!(read(flag(), "2").unwrap(), ["--x", "--x"]);
        assert_eq!(read(flag(), "256").unwrap_err(), ["`x` expects a whole number from 0 to 255, not 256"]);
    }

    #[test]
    fn only_repeated_flags_take_lists_and_each_fault_in_one_is_told() {
        let list = || flag().action(ArgAction::Append);
        assert_eq!(read(list(), "['a', 'b']").unwrap(), ["--x=a", "--x=b"]);
        assert_eq!(read(list(), "'a'").unwrap(), ["--x=a"]);
        assert_eq!(read(list(), "[1, 'a', [2]]").unwrap_err().len(), 2);
        assert_eq!(read(flag(), "['a']").unwrap_err(), ["`x` expects a text in quotes, not a list"]);
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused_even_where_its_text_would_do() {
        assert_eq!(read(flag(), "3").unwrap_err(), ["`x` expects a text in quotes, not a whole number"]);
        let number = flag().value_parser(value_parser!(NonZeroU32));
        assert_eq!(read(number, "'3'").unwrap_err(), ["`x` expects a whole number, not a text"]);
    }

    #[test]
    fn the_parser_of_the_flag_says_why_it_refuses_a_value() {
        let address = flag().value_parser(value_parser!(SocketAddr));
        assert_eq!(
            read(address, "'here'").unwrap_err(),
            ["`x` does not take `here`: invalid socket address syntax"]
        );
        let ranged = flag().value_parser(value_parser!(u8).range(1..=20));
        assert_eq!(read(ranged, "21").unwrap_err(), ["`x` does not take `21`: 21 is not in 1..=20"]);
        let choice = flag().value_parser(PossibleValuesParser::new(["text", "json"]));
        assert_eq!(
            read(choice, "'jsn'").unwrap_err(),
            ["`x` does not take `jsn`; it expects one of \"text\", \"json\"; is `json` meant?"]
        );
    }

    #[test]
    fn a_fault_does_not_show_a_secret() {
        let secret = flag().hide_env_values(true).value_parser(value_parser!(SocketAddr));
        assert_eq!(read(secret, "'hush'").unwrap_err(), ["`x` does not take the value given"]);
    }
}
