//! Pieces of the sentences that people read when something is wrong.

/// An error and its causes, each said once: many errors name their cause themselves.
pub fn explain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.map(ToString::to_string).fold(error.to_string(), |said, cause| {
        if said.contains(&cause) { said } else { format!("{said}: {cause}") }
    })
}

/// How many of many names a message shows.
const SHOWN_NAMES: usize = 5;

/// The first names in backticks, with a sign that there are more.
pub(crate) fn some(names: &[String]) -> String {
    let more = if names.len() > SHOWN_NAMES { ", …" } else { "" };
    format!("{}{more}", quoted(names.iter().take(SHOWN_NAMES)))
}

/// Most characters of a word from outside that a message or a report repeats.
const MAX_SHOWN_CHARS: usize = 40;

/// A label or a value from a file as it may be repeated: whoever named the wrong column has put citizens' words there, so
/// personal data is masked, and what is long is cut.
pub(crate) fn shortened(word: &str) -> String {
    let masked = crate::privacy::masked(word);
    if masked.chars().count() <= MAX_SHOWN_CHARS {
        return masked;
    }
    masked.chars().take(MAX_SHOWN_CHARS - 1).chain(['…']).collect()
}

/// Names in backticks, with commas between them.
pub(crate) fn quoted(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect();
    names.join(", ")
}
