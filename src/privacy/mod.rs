//! Finds personal data in citizens' words, so that it can be masked before the words are stored or shown.
//!
//! The words are read as they were typed: full width, Chinese digits, groups with spaces. What is found is what a shape
//! or a cue vouches for; names of people that no word announces, and what a text tells of a person otherwise, are
//! beyond this module. Service numbers (400, 95, 12345) are nobody's.

use std::ops::Range;

use canonical::Canonical;
pub(crate) use canonical::is_invisible;

mod address;
mod canonical;
mod checksum;
mod cue;
mod digits;
mod email;
mod names;
mod numbers;
mod plate;
mod run;
mod surnames;

/// What kind of personal data a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PersonalData {
    /// A mobile telephone number.
    Mobile,
    /// A landline telephone number, with its area code and extension.
    Landline,
    /// The number of a citizen's identity card.
    CitizenId,
    /// The number of a bank card or account.
    BankCard,
    /// A vehicle's number plate.
    Plate,
    /// An e-mail address.
    Email,
    /// A person's name.
    Name,
    /// The part of an address that singles out a dwelling.
    Address,
}

impl PersonalData {
    /// The kind's name, in lower snake case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mobile => "mobile",
            Self::Landline => "landline",
            Self::CitizenId => "citizen_id",
            Self::BankCard => "bank_card",
            Self::Plate => "plate",
            Self::Email => "email",
            Self::Name => "name",
            Self::Address => "address",
        }
    }
}

/// A span of personal data, in characters of the text (not bytes).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PersonalSpan {
    /// What it is.
    pub kind: PersonalData,
    /// Where it stands.
    pub chars: Range<usize>,
}

/// Most readings of a text. What a mask uncovers seldom uncovers more, and no text may take long to read.
const MOST_READINGS: usize = 4;

/// Finds personal data, in order of place; spans do not overlap.
///
/// What only comes out beside a mask is found too, so that a masked text holds nothing that would be found again.
pub fn find(text: &str) -> Vec<PersonalSpan> {
    let mut spans = find_once(text);
    let mut fresh = spans.len();
    for _ in 1..MOST_READINGS {
        if fresh == 0 {
            break;
        }
        let known = spans.len();
        // No pattern holds a `*`, so that what is new overlaps nothing.
        spans.extend(find_once(&mask(text, &spans)));
        fresh = spans.len() - known;
    }
    spans.sort_by_key(|span| span.chars.start);
    spans
}

/// The text with all personal data that is found masked.
pub fn masked(text: &str) -> String {
    mask(text, &find(text))
}

/// The text with each character of the spans replaced by `*`, so that offsets stay valid (character for character).
pub fn mask(text: &str, spans: &[PersonalSpan]) -> String {
    let mut masked: Vec<char> = text.chars().collect();
    for PersonalSpan { chars, .. } in spans {
        let end = chars.end.min(masked.len());
        if let Some(chars) = masked.get_mut(chars.start..end) {
            chars.fill('*');
        }
    }
    masked.into_iter().collect()
}

/// Whether two texts read the same to whoever looks for personal data.
pub(crate) fn read_alike(one: &str, other: &str) -> bool {
    Canonical::new(one).text() == Canonical::new(other).text()
}

fn find_once(text: &str) -> Vec<PersonalSpan> {
    let canonical = Canonical::new(text);
    let numbers = numbers::find(&canonical);
    let mobiles =
        numbers.iter().filter(|(kind, _)| *kind == PersonalData::Mobile).map(|(_, chars)| chars.start);
    let names = [names::find(&canonical), names::before_mobiles(&canonical, mobiles)].concat();
    let of = |kind, found: Vec<Range<usize>>| found.into_iter().map(move |chars| (kind, chars));
    // The surer kinds come first and keep their place.
    let all = of(PersonalData::Email, email::find(&canonical))
        .chain(numbers)
        .chain(of(PersonalData::Plate, plate::find(&canonical)))
        .chain(of(PersonalData::Address, address::find(&canonical)))
        .chain(of(PersonalData::Name, names));
    let mut taken = vec![false; text.chars().count()];
    let mut spans: Vec<PersonalSpan> = Vec::new();
    for (kind, chars) in all {
        let chars = canonical.original(chars);
        if let Some(places) = taken.get_mut(chars.clone())
            && !places.contains(&true)
        {
            places.fill(true);
            spans.push(PersonalSpan { kind, chars });
        }
    }
    spans.sort_by_key(|span| span.chars.start);
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reading_finds_all_of_a_list_whatever_stands_side_by_side() {
        for piece in [
            "5栋一零一",
            "1栋1室",
            "1楼1室",
            "A座203号",
            "5栋101，",
            "3-2-501室，",
            "4111111111111111-",
            "11010519491231002X",
            "13800138000 ",
            "电话0571-88123456转801-",
            "电话8812345、",
            "湘A123456月1日",
            "我叫王小明，",
            "a@b.com ",
        ] {
            let text = piece.repeat(50);
            let spans = find_once(&text);
            assert!(spans.len() >= 12, "{} in {text}", spans.len());
            assert_eq!(find_once(&mask(&text, &spans)), [], "{text}");
        }
    }

    #[test]
    fn what_a_mask_uncovers_is_found() {
        assert_eq!(masked("电话8812345-13800138000"), "电话*******-***********");
        assert_eq!(masked("业主王明湘A12345"), "业主*********");
    }

    #[test]
    fn the_surer_kind_keeps_its_place() {
        let kinds: Vec<_> = find("发到13800138000@163.com").into_iter().map(|span| span.kind).collect();
        assert_eq!(kinds, [PersonalData::Email]);
    }
}
