//! One run of digits in its text: where a number may start and end in it, and what stands around.

use std::ops::Range;

use super::canonical::{Canonical, is_han};
use super::digits::{Digit, Gap};

/// What is taken for a unit after a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Units {
    /// What is a unit wherever it stands: enough where the shape of the number speaks for itself.
    Sure,
    /// Those, and the words that may also begin something else.
    Any,
}

const SURE_UNITS: &str = "元 万元 亿元 平米 平方 亩 吨 % ㎡";
const OTHER_UNITS: &str = "万 亿 块 平 米 度";

/// Words that begin like a unit.
const NO_UNITS: &str = "元旦 元月 元宵 元素 元老 元件 元凶 元首 元气 元年 万一 万分 万般 万万 万事 万望 万幸 万不 万科 万达 平时 平常 平均 \
                        平日 平台 平安 平房 平等 平峰 平白 米粉 米线 米饭 度假 度过 吨位";

/// Most digits after a number that may belong to the same amount.
const MAX_DECIMALS: usize = 20;

/// One run of digits, or what is left of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a> {
    canonical: &'a Canonical,
    digits: &'a [Digit],
}

impl<'a> Run<'a> {
    pub(super) fn new(canonical: &'a Canonical, digits: &'a [Digit]) -> Self {
        Self { canonical, digits }
    }

    /// The digits from the character `at` on.
    pub(super) fn rest_from(self, at: usize) -> Self {
        let before = self.digits.partition_point(|digit| digit.at < at);
        Self { digits: self.digits.get(before..).unwrap_or_default(), ..self }
    }

    pub(super) fn len(&self) -> usize {
        self.digits.len()
    }

    pub(super) fn value(&self, digit: usize) -> Option<u8> {
        self.digits.get(digit).map(|digit| digit.value)
    }

    /// The values of some digits, none if the run does not hold all of them.
    pub(super) fn values(&self, digits: Range<usize>) -> Vec<u8> {
        self.digits.get(digits).unwrap_or_default().iter().map(|digit| digit.value).collect()
    }

    pub(super) fn gap(&self, digit: usize) -> Option<Gap> {
        self.digits.get(digit).map(|digit| digit.gap)
    }

    /// The character at which a digit stands.
    pub(super) fn place(&self, digit: usize) -> Option<usize> {
        self.digits.get(digit).map(|digit| digit.at)
    }

    /// The characters from the first to the last of some digits.
    pub(super) fn chars(&self, digits: Range<usize>) -> Option<Range<usize>> {
        match self.digits.get(digits)? {
            [] => None,
            [only] => Some(only.at..only.at + 1),
            [first, .., last] => Some(first.at..last.at + 1),
        }
    }

    /// What stands between the character `at` and a digit.
    pub(super) fn between(&self, at: usize, digit: usize) -> Option<&'a [char]> {
        self.canonical.chars().get(at..self.place(digit)?)
    }

    /// Whether a number may start with this digit.
    pub(super) fn starts(&self, digit: usize) -> bool {
        digit == 0
            || self.gap(digit).is_some_and(|gap| gap != Gap::None)
            || digit == 1 && self.begins_as_a_word_ends()
    }

    /// Whether a number may end before this digit, or with the run.
    pub(super) fn ends(&self, digit: usize) -> bool {
        digit == self.len() || self.gap(digit).is_some_and(|gap| gap != Gap::None)
    }

    /// Whether this digit, the last of the run, begins a word: `一直`, `两次`.
    pub(super) fn ends_as_a_word_begins(&self, digit: usize) -> bool {
        digit + 1 == self.len()
            && self.place(digit).is_some_and(|at| {
                matches!(self.char(at), Some('一' | '两')) && self.char(at + 1).is_some_and(is_han)
            })
    }

    /// Whether the first digit of the run ends a word or a name: `张三`, `唯一`.
    fn begins_as_a_word_ends(&self) -> bool {
        let is_han_at = |at| self.char(at).is_some_and(is_han);
        let word = |at: usize| is_han_at(at) && at.checked_sub(1).is_some_and(is_han_at);
        self.len() == 12 && self.place(0).is_some_and(word)
    }

    /// The lengths of the groups between separators, none if the run does not hold all of the digits.
    pub(super) fn groups(&self, digits: Range<usize>) -> Vec<usize> {
        let mut groups = Vec::new();
        for (place, digit) in self.digits.get(digits).unwrap_or_default().iter().enumerate() {
            match groups.last_mut() {
                Some(len) if !matches!(digit.gap, Gap::Separator(_)) => *len += 1,
                _ if place == 0 || matches!(digit.gap, Gap::Separator(_)) => groups.push(1),
                _ => {}
            }
        }
        groups
    }

    /// Where an `X` ends that stands for the digit of this index.
    pub(super) fn x_after(&self, digit: usize) -> Option<usize> {
        let next = self.place(digit.checked_sub(1)?)? + 1;
        let skipped = self.skip(next, 2, |c| matches!(c, ' ' | '-'));
        let is_x = matches!(self.char(skipped), Some('X' | 'x'));
        // `XX` hides digits, it does not stand for one.
        let alone = self.char(skipped + 1).is_none_or(|c| !c.is_ascii_alphabetic());
        (is_x && alone && self.ends(digit)).then_some(skipped + 1)
    }

    /// How many digits of a number are the country's code, 86.
    pub(super) fn country_code(&self, from: usize) -> Option<usize> {
        match self.values(from..(from + 4).min(self.len()))[..] {
            [8, 6, ..] => Some(2),
            [0, 0, 8, 6] => Some(4),
            _ => None,
        }
    }

    /// The characters of a number that starts with `from`, and the `+` or bracket before it.
    pub(super) fn with_country_sign(&self, from: usize, end: usize) -> Option<Range<usize>> {
        let chars = self.chars(from..end)?;
        let (before, number) = self.canonical.chars().split_at_checked(chars.start)?;
        let closes = |within: usize| number.iter().take(within).any(|&c| c == ')');
        let signs = match before {
            [.., '(', '+'] if closes(chars.len()) => 2,
            [.., '+'] => 1,
            [.., '('] if closes(7) => 1,
            _ => 0,
        };
        Some(chars.start - signs..chars.end)
    }

    /// Seven or eight digits in one group or two.
    pub(super) fn is_local_number(&self, digits: Range<usize>) -> bool {
        matches!(self.groups(digits)[..], [7 | 8] | [3 | 4, 4] | [4, 3])
    }

    /// Where a landline ends whose own digits end before `next`, with its extension: `-801`, `转801`.
    pub(super) fn with_extension(&self, next: usize) -> Option<usize> {
        let end = self.place(next.checked_sub(1)?)? + 1;
        if let Some([first, more @ ..]) = self.digits.get(next..)
            && first.gap == Gap::Separator('-')
        {
            let len = more.iter().take_while(|digit| digit.gap == Gap::None).count() + 1;
            if len <= 5 {
                return self.chars(next..next + len).map(|chars| chars.end);
            }
        }
        Some(self.worded_extension(end).unwrap_or(end))
    }

    /// Where `转801` ends that stands at the character `at`.
    fn worded_extension(&self, at: usize) -> Option<usize> {
        let at = self.skip(at, 3, |c| c == ' ');
        let rest = self.canonical.chars().get(at..)?;
        let words: [&[char]; 3] = [&['转', '分', '机'], &['分', '机'], &['转']];
        let word = words.into_iter().find(|word| rest.starts_with(word))?;
        let first = self.skip(at + word.len(), 3, |c| matches!(c, ' ' | '号' | ':'));
        let end = self.skip(first, 7, |c| c.is_ascii_digit());
        (1..=6).contains(&(end - first)).then_some(end)
    }

    /// Whether a dash joins more digits to a number that ends before the character `at`.
    pub(super) fn is_joined(&self, at: usize) -> bool {
        self.rest_from(at).gap(0) == Some(Gap::Separator('-'))
    }

    /// Whether the digits count money or measure something.
    pub(super) fn is_amount(&self, from: usize, next: usize, units: Units) -> bool {
        let more = self.digits.get(next..).unwrap_or_default();
        let decimals =
            more.iter().take(MAX_DECIMALS).take_while(|digit| digit.gap != Gap::Separator(' ')).count();
        let Some(chars) = self.chars(from..next + decimals) else { return false };
        let before = chars.start.checked_sub(1).and_then(|at| self.char(at));
        let cents = decimals == 2 && self.gap(next) == Some(Gap::Separator('.'));
        matches!(before, Some('¥' | '￥' | '$')) || cents || self.is_unit(chars.end, units)
    }

    fn is_unit(&self, at: usize, units: Units) -> bool {
        let rest = self.canonical.from(at);
        let begins = |words: &str| words.split(' ').any(|word| rest.starts_with(word));
        (begins(SURE_UNITS) || units == Units::Any && begins(OTHER_UNITS)) && !begins(NO_UNITS)
    }

    pub(super) fn after_letter(&self, from: usize) -> bool {
        let before = self.place(from).and_then(|at| self.char(at.checked_sub(1)?));
        before.is_some_and(|c| c.is_ascii_alphabetic())
    }

    fn char(&self, at: usize) -> Option<char> {
        self.canonical.chars().get(at).copied()
    }

    /// The first character from `at` on that is not of a kind, past `most` of them at the furthest.
    fn skip(&self, at: usize, most: usize, is_kind: impl Fn(char) -> bool) -> usize {
        at + self.canonical.chars().iter().skip(at).take(most).take_while(|c| is_kind(**c)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::digits;
    use super::*;

    #[test]
    fn what_is_left_of_a_run_begins_anew() {
        let canonical = Canonical::new("12-345");
        let digits = &digits::runs(&canonical, 1)[0];
        let rest = Run::new(&canonical, digits).rest_from(2);
        assert_eq!((rest.len(), rest.value(0), rest.starts(0), rest.starts(1)), (3, Some(3), true, false));
        assert_eq!(rest.chars(0..3), Some(3..6));
        assert_eq!((rest.chars(0..4), rest.chars(3..3)), (None, None));
        assert_eq!(Run::new(&canonical, digits).rest_from(9).len(), 0);
    }

    #[test]
    fn an_extension_is_read_past_spaces() {
        let canonical = Canonical::new("88123456 转分机: 801，88123456转8012345");
        let runs = digits::runs(&canonical, 8);
        let ends = |run: &[Digit]| Run::new(&canonical, run).with_extension(8);
        assert_eq!((ends(&runs[0]), ends(&runs[1])), (Some(17), Some(26)));
    }
}
