//! Numbers that belong to a person: telephones, citizens' numbers, bank cards.
//!
//! A number starts and ends where a run of digits does, or at a gap in it. Its own shape decides where that suffices,
//! the words before it where it does not.

use std::ops::Range;

use super::PersonalData;
use super::canonical::Canonical;
use super::checksum;
use super::cue::{self, Cue};
use super::digits::{self, Digit, Gap};

/// Every number found, in canonical characters.
pub(super) fn find(canonical: &Canonical) -> Vec<(PersonalData, Range<usize>)> {
    let mut found: Vec<(PersonalData, Range<usize>)> = Vec::new();
    for digits in digits::runs(canonical, 7) {
        let run = Run { canonical, digits: &digits };
        let mut from = 0;
        while from < digits.len() {
            let last = found.last().map(|(kind, chars)| (*kind, chars.end));
            match run.number_from(from, last) {
                Some((kind, chars, next)) => {
                    found.push((kind, chars));
                    from = next;
                }
                None => from += 1,
            }
        }
    }
    found
}

/// One run of digits in its text.
struct Run<'a> {
    canonical: &'a Canonical,
    digits: &'a [Digit],
}

/// A kind, its characters, and the first digit that is not part of it.
type Number = (PersonalData, Range<usize>, usize);

impl Run<'_> {
    /// The number that starts with the digit `from`; `last` is what was found before.
    fn number_from(&self, from: usize, last: Option<(PersonalData, usize)>) -> Option<Number> {
        if !self.starts(from) {
            return None;
        }
        let cue = cue::before(self.canonical, self.digits[from].at);
        self.citizen_id(from, cue)
            .or_else(|| self.mobile(from, cue))
            .or_else(|| self.area_landline(from, cue))
            .or_else(|| self.bank_card(from, cue))
            .or_else(|| self.local_landline(from, cue, last))
    }

    fn citizen_id(&self, from: usize, cue: Option<Cue>) -> Option<Number> {
        let kind = PersonalData::CitizenId;
        let named = cue == Some(Cue::CitizenId);
        if let Some(end) = self.x_after(from + 17) {
            let mut values = self.values(from..from + 17);
            values.push(10);
            if named || checksum::is_citizen_id(&values) {
                return Some((kind, self.digits[from].at..end, from + 17));
            }
        }
        if self.ends(from + 18) && (named || checksum::is_citizen_id(&self.values(from..from + 18))) {
            return Some((kind, self.chars(from..from + 18), from + 18));
        }
        let old = named
            || cue != Some(Cue::Serial)
                && !self.after_letter(from)
                && self.digits.get(from..from + 15).is_some_and(|_| {
                    matches!(self.groups(from..from + 15)[..], [15] | [6, 6, 3])
                        && checksum::is_old_citizen_id(&self.values(from..from + 15))
                });
        if old && self.ends(from + 15) {
            return Some((kind, self.chars(from..from + 15), from + 15));
        }
        // A digit lost, or one too many.
        let slip = [17, 19, 16].into_iter().find(|&len| named && self.ends(from + len))?;
        Some((kind, self.chars(from..from + slip), from + slip))
    }

    fn mobile(&self, from: usize, cue: Option<Cue>) -> Option<Number> {
        let start = from + self.country_code(from).unwrap_or(0);
        let start = if start == from && self.value(from) == Some(0) { from + 1 } else { start };
        // A word may begin with a digit, as in 一三八…零一直打不通.
        let end = start + 11;
        if self.value(start) != Some(1)
            || !(3..=9).contains(&self.value(start + 1)?)
            || !(self.ends(end) || self.ends_in_a_word(end))
        {
            return None;
        }
        let groups = self.groups(start..end);
        let grouped = match groups[..] {
            [11] | [3, 8] | [3, 4, 4] | [4, 4, 3] | [3, 3, 5] | [4, 3, 4] | [7, 4] | [3, 3, 3, 2] => true,
            [5, 6] => self.digits[start + 5].gap == Gap::Separator(' '),
            [3, .., last] => groups.len() > 3 && groups[1..].iter().all(|&len| len == last) && last >= 2,
            _ => groups.len() == 11,
        };
        let counted = cue != Some(Cue::Phone) && (self.is_amount(from, end) || cue == Some(Cue::Serial));
        (grouped && !counted).then(|| (PersonalData::Mobile, self.with_country_sign(from, end), end))
    }

    /// A landline with its area code, and its extension.
    fn area_landline(&self, from: usize, cue: Option<Cue>) -> Option<Number> {
        let country = self.country_code(from);
        let start = from + country.unwrap_or(0);
        // Abroad the zero is left out: +86-731-….
        let area = match self.value(start)? {
            0 => start + 1,
            _ if country.is_some() => start,
            _ => return None,
        };
        let number = area + area_code_len(&self.values(area..(area + 3).min(self.digits.len())))?;

        let len = [8, 7].into_iter().find(|&len| self.ends(number + len))?;
        if cue == Some(Cue::Serial)
            || self.groups(area..number).len() > 1
            || !(2..=8).contains(&self.value(number)?)
            || !self.is_local_number(number..number + len)
            || self.is_amount(from, number + len)
        {
            return None;
        }
        let (end, next) = self.extension(number + len);
        Some((PersonalData::Landline, self.with_country_sign(from, number).start..end, next))
    }

    /// A landline without its area code, which only the words before it tell.
    fn local_landline(
        &self,
        from: usize,
        cue: Option<Cue>,
        last: Option<(PersonalData, usize)>,
    ) -> Option<Number> {
        let listed = last.is_some_and(|(kind, end)| {
            let between = &self.canonical.chars()[end..self.digits[from].at];
            kind == PersonalData::Landline
                && (1..=2).contains(&between.len())
                && between.iter().all(|c| matches!(c, '、' | ',' | '/' | '或' | '和' | ' '))
        });
        let alone = from == 0 || self.digits[from].gap == Gap::Script || listed;
        if !(cue == Some(Cue::Phone) || listed) || !alone || !(2..=8).contains(&self.value(from)?) {
            return None;
        }
        let len = [8, 7].into_iter().find(|&len| self.ends(from + len))?;
        if !self.is_local_number(from..from + len)
            || checksum::is_day(&self.values(from..from + len))
            || self.is_amount(from, from + len)
        {
            return None;
        }
        let (end, next) = self.extension(from + len);
        let joined = self.digits.get(next).is_some_and(|digit| digit.gap == Gap::Separator('-'));
        (!joined).then(|| (PersonalData::Landline, self.digits[from].at..end, next))
    }

    fn bank_card(&self, from: usize, cue: Option<Cue>) -> Option<Number> {
        let named = cue == Some(Cue::BankCard);
        for len in [19, 18, 17, 16, 15, 14, 13] {
            if !self.ends(from + len) {
                continue;
            }
            let groups = self.groups(from..from + len);
            let (last, rest) = groups.split_last()?;
            let grouped =
                rest.iter().all(|&len| len == 4) && *last <= 4 || matches!(groups[..], [_] | [6, _]);
            let values = self.values(from..from + len);
            let shaped = grouped
                && checksum::is_luhn(&values)
                && checksum::is_card_prefix(&values)
                && cue != Some(Cue::Serial)
                && !self.after_letter(from)
                && !self.is_amount(from, from + len)
                && (from == 0 || self.digits[from].gap != Gap::Separator('-'));
            let moment = len == 14 && checksum::is_day(&values[..8]);
            if named && !moment && (grouped || groups.len() == len) || shaped {
                return Some((PersonalData::BankCard, self.chars(from..from + len), from + len));
            }
        }
        None
    }

    fn value(&self, digit: usize) -> Option<u8> {
        self.digits.get(digit).map(|digit| digit.value)
    }

    fn values(&self, digits: Range<usize>) -> Vec<u8> {
        self.digits.get(digits).unwrap_or_default().iter().map(|digit| digit.value).collect()
    }

    fn chars(&self, digits: Range<usize>) -> Range<usize> {
        self.digits[digits.start].at..self.digits[digits.end - 1].at + 1
    }

    /// Whether a number may start with this digit.
    fn starts(&self, digit: usize) -> bool {
        digit == 0 || self.digits[digit].gap != Gap::None || digit == 1 && self.ends_in_a_word_backwards()
    }

    /// Whether a number may end before this digit, or with the run.
    fn ends(&self, digit: usize) -> bool {
        digit == self.digits.len() || self.digits.get(digit).is_some_and(|digit| digit.gap != Gap::None)
    }

    /// Whether the last digit of the run begins a word: `一直`, `两次`.
    fn ends_in_a_word(&self, digit: usize) -> bool {
        let Some(last) = self.digits.get(digit) else { return false };
        let chars = self.canonical.chars();
        digit + 1 == self.digits.len()
            && matches!(chars[last.at], '一' | '两')
            && chars.get(last.at + 1).is_some_and(|c| is_han(*c))
    }

    /// Whether the first digit of the run ends a word or a name: `张三`, `唯一`.
    fn ends_in_a_word_backwards(&self) -> bool {
        let first = self.digits[0].at;
        let chars = self.canonical.chars();
        is_han(chars[first]) && first > 0 && is_han(chars[first - 1]) && self.digits.len() == 12
    }

    /// The lengths of the groups between separators.
    fn groups(&self, digits: Range<usize>) -> Vec<usize> {
        let mut groups = Vec::new();
        for (place, digit) in self.digits[digits].iter().enumerate() {
            match groups.last_mut() {
                Some(len) if !matches!(digit.gap, Gap::Separator(_)) => *len += 1,
                _ if place == 0 || matches!(digit.gap, Gap::Separator(_)) => groups.push(1),
                _ => {}
            }
        }
        groups
    }

    /// Where an `X` ends that stands for the digit of this index.
    fn x_after(&self, digit: usize) -> Option<usize> {
        let last = self.digits.get(digit.checked_sub(1)?)?.at;
        let mut rest = self.canonical.chars()[last + 1..].iter();
        let skipped = rest.clone().take(2).take_while(|c| matches!(c, ' ' | '-')).count();
        let is_x = rest.nth(skipped).is_some_and(|c| matches!(c, 'X' | 'x'));
        // `XX` hides digits, it does not stand for one.
        let alone = rest.next().is_none_or(|c| !c.is_ascii_alphanumeric());
        (is_x && alone && self.ends(digit)).then_some(last + 1 + skipped + 1)
    }

    /// How many digits of a number are the country's code, 86.
    fn country_code(&self, from: usize) -> Option<usize> {
        match self.values(from..(from + 4).min(self.digits.len()))[..] {
            [8, 6, ..] => Some(2),
            [0, 0, 8, 6] => Some(4),
            _ => None,
        }
    }

    /// The characters of a number that starts with `from`, and the `+` or bracket before it.
    fn with_country_sign(&self, from: usize, end: usize) -> Range<usize> {
        let chars = self.chars(from..end);
        let before = &self.canonical.chars()[..chars.start];
        let signs = match before {
            [.., '(', '+'] if self.canonical.chars()[chars.clone()].contains(&')') => 2,
            [.., '+'] => 1,
            [.., '('] if self.canonical.chars()[chars.start..].iter().take(7).any(|&c| c == ')') => 1,
            _ => 0,
        };
        chars.start - signs..chars.end
    }

    /// Seven or eight digits in one group or two.
    fn is_local_number(&self, digits: Range<usize>) -> bool {
        matches!(self.groups(digits)[..], [7 | 8] | [3 | 4, 4] | [4, 3])
    }

    /// Where a landline ends that may have an extension from the digit `next` on: `-801`, `转801`.
    fn extension(&self, next: usize) -> (usize, usize) {
        let end = self.digits[next - 1].at + 1;
        if self.digits.get(next).is_some_and(|digit| digit.gap == Gap::Separator('-')) {
            let len = self.digits[next + 1..].iter().take_while(|digit| digit.gap == Gap::None).count() + 1;
            if len <= 5 {
                return (self.digits[next + len - 1].at + 1, next + len);
            }
        }
        let rest = self.canonical.from(end);
        let mut words = ["转分机", "分机", "转"].into_iter();
        let Some(after) = words.find_map(|word| rest.trim_start().strip_prefix(word)) else {
            return (end, next);
        };
        let spaces = after.chars().take_while(|c| matches!(c, ' ' | '号' | ':')).count();
        let digits = after.chars().skip(spaces).take_while(char::is_ascii_digit).count();
        if !(1..=6).contains(&digits) {
            return (end, next);
        }
        let word = rest.chars().count() - after.chars().count();
        (end + word + spaces + digits, next)
    }

    /// Whether the digits count money or measure something.
    fn is_amount(&self, from: usize, next: usize) -> bool {
        let chars = self.canonical.chars();
        let start = self.digits[from].at;
        // Past the decimals.
        let decimals =
            self.digits[next..].iter().take_while(|digit| digit.gap != Gap::Separator(' ')).count();
        let end = self.digits[next + decimals - 1].at + 1;
        let cents = decimals == 2 && self.digits[next].gap == Gap::Separator('.');
        let unit =
            |c: &char| matches!(c, '元' | '万' | '亿' | '块' | '平' | '亩' | '吨' | '米' | '%' | '㎡' | '度');
        start > 0 && matches!(chars[start - 1], '¥' | '￥' | '$') || cents || chars.get(end).is_some_and(unit)
    }

    fn after_letter(&self, from: usize) -> bool {
        let start = self.digits[from].at;
        start > 0 && self.canonical.chars()[start - 1].is_ascii_alphabetic()
    }
}

/// How many digits an area code has, without its zero.
fn area_code_len(values: &[u8]) -> Option<usize> {
    match values {
        [1, ..] | [2, 0..=5 | 7..=9, ..] => Some(2),
        [first @ 3..=9, second, _] => {
            const SECONDS: [&[u8]; 7] = [
                &[1, 3, 4, 5, 7, 9],
                &[1, 2, 3, 5, 6, 7, 8],
                &[1, 2, 3, 4, 5, 6, 7, 8, 9],
                &[3, 6, 9],
                &[0, 1, 2, 3, 4, 5, 6, 7, 9],
                &[1, 2, 3, 5, 7, 8, 9],
                &[0, 1, 3, 4, 5, 7, 9],
            ];
            SECONDS[usize::from(first - 3)].contains(second).then_some(3)
        }
        _ => None,
    }
}

fn is_han(c: char) -> bool {
    matches!(c, '\u{4e00}'..='\u{9fff}' | '〇')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<PersonalData> {
        find(&Canonical::new(text)).into_iter().map(|(kind, _)| kind).collect()
    }

    #[test]
    fn a_number_starts_and_ends_where_its_run_has_a_gap() {
        assert_eq!(kinds("913800138000"), []);
        assert_eq!(kinds("张三13800138000一直关机"), [PersonalData::Mobile]);
        assert_eq!(kinds("13800138000 13900139000"), [PersonalData::Mobile; 2]);
    }

    #[test]
    fn a_landline_without_area_code_needs_a_cue_or_a_landline_before_it() {
        assert_eq!(kinds("88123456"), []);
        assert_eq!(kinds("电话88123456"), [PersonalData::Landline]);
        assert_eq!(kinds("0571-88123456、88123457"), [PersonalData::Landline; 2]);
        assert_eq!(kinds("客服电话4008123456，95588"), []);
    }

    #[test]
    fn an_extension_belongs_to_its_landline() {
        let found = find(&Canonical::new("0571-88123456转801找我"));
        assert_eq!(found, [(PersonalData::Landline, 0..17)]);
    }

    #[test]
    fn a_check_digit_or_a_cue_tells_citizens_numbers_and_cards() {
        assert_eq!(kinds("110105 19491231 002X"), [PersonalData::CitizenId]);
        assert_eq!(kinds("110105194912310021"), []);
        assert_eq!(kinds("身份证号：110105194912310021"), [PersonalData::CitizenId]);
        assert_eq!(kinds("4111 1111 1111 1111"), [PersonalData::BankCard]);
        assert_eq!(kinds("4111 1111 1111 1112"), []);
        assert_eq!(kinds("卡号4111 1111 1111 1112"), [PersonalData::BankCard]);
    }

    #[test]
    fn amounts_and_order_numbers_are_nobodys() {
        assert_eq!(kinds("合计13800138000元，￥13800138000，13800138000.25"), []);
        assert_eq!(kinds("订单号13800138000"), []);
    }
}
