//! E-mail addresses, and the ways in which people write the `@` and the dot.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::canonical::Canonical;

static EMAIL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        "(?i)[a-z0-9][a-z0-9._%+\\-]{0,63}\
         (?: ?(?:@|#@|\\(at\\)|\\[at\\]|艾特) ?[a-z0-9][a-z0-9\\-]{0,62}(?: ?(?:\\.|点|。) ?[a-z][a-z0-9\\-]{0,30}){1,3}\
         | at (?:[a-z0-9\\-]{1,62}(?: ?(?:\\.|点)| dot ) ?){1,3}(?:com|cn|net|org|edu|gov|vip|cc))",
    )
    .expect("a pattern known good")
});

/// Every e-mail address found, in canonical characters.
pub(super) fn find(canonical: &Canonical) -> Vec<Range<usize>> {
    EMAIL.find_iter(canonical.text()).map(|email| canonical.chars_at(email.range())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<String> {
        let canonical = Canonical::new(text);
        find(&canonical).into_iter().map(|chars| canonical.chars()[chars].iter().collect()).collect()
    }

    #[test]
    fn knows_addresses_however_the_at_is_written() {
        assert_eq!(
            cut("发到li.hua@163.com，或12345＠qq.com，或hua at example.com.cn"),
            ["li.hua@163.com", "12345@qq.com", "hua at example.com.cn"]
        );
        assert_eq!(cut("@物业 look at it"), [""; 0]);
    }
}
