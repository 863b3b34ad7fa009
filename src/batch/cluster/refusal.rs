//! Messages that must reach the user word for word through Ballista's errors.
//!
//! Ballista hands a task's error on as the `Debug` text of several layers, escaped at each. A message that is meant for
//! the user goes in a pair of marks that no layer changes, in letters that none escapes.

const OPEN: &str = "<<jiesu:";
const CLOSE: &str = ":jiesu>>";

/// Marks a message. Quotes and backslashes in it come back as apostrophes and slashes.
pub(super) fn wrap(message: &str) -> String {
    let plain: String = message
        .chars()
        .map(|letter| match letter {
            '"' => '\'',
            '\\' => '/',
            letter if letter.is_control() => ' ',
            letter => letter,
        })
        .collect();
    format!("{OPEN}{plain}{CLOSE}")
}

/// The marked message in an error's text.
pub(super) fn find(error: &str) -> Option<&str> {
    let (_, rest) = error.split_once(OPEN)?;
    Some(rest.split_once(CLOSE)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_layers_of_debug_text() {
        let deep = format!("{:?}", format!("{:?}", Some(wrap("该执行器 holds \"a\""))));
        assert_eq!(find(&deep), Some("该执行器 holds 'a'"));
        assert_eq!(find("Job x failed: out of memory"), None);
    }
}
