//! Vehicles' number plates (GA 36): a province, a letter, five or six places.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::canonical::Canonical;

static PLATE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        "[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-Za-z](?: {0,2}[·.\\-]? {0,2})\
         (?:[A-Za-z0-9]{4}[警学挂港澳领试超]|[A-Za-z0-9]{5,6}|[A-Za-z]?[零〇一二三四五六七八九]{4,5})",
    )
    .expect("a pattern known good")
});

/// What a date or a time begins with that stands right after a plate: `湘A12345` `6月1日`.
static DATE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("^[0-9]{1,4}(?:年|月|日|号|天|点|时|:|-[0-9])").expect("a pattern known good")
});

/// Every plate found, in canonical characters.
pub(super) fn find(canonical: &Canonical) -> Vec<Range<usize>> {
    let text = canonical.text();
    PLATE
        .find_iter(text)
        .filter_map(|plate| {
            // The sixth place may be the first digit of what follows.
            let ends =
                [plate.end(), plate.end() - plate.as_str().chars().next_back().map_or(0, char::len_utf8)];
            let end =
                ends.into_iter().find(|&end| is_plate(&text[plate.start()..end]) && ends_at(&text[end..]))?;
            Some(canonical.chars_at(plate.start()..end))
        })
        .collect()
}

/// Whether a plate may end before `after`.
fn ends_at(after: &str) -> bool {
    !after.starts_with(|c: char| c.is_ascii_alphanumeric()) || DATE.is_match(after)
}

/// Whether what has a plate's outline has its digits: five places with two digits, or six with a letter for the engine.
fn is_plate(plate: &str) -> bool {
    let places: Vec<char> = plate.chars().skip(2).filter(|c| !matches!(c, ' ' | '·' | '.' | '-')).collect();
    let letters = places.iter().filter(|c| c.is_ascii_alphabetic()).count();
    let digits = places.len() - letters;
    match places.len() {
        5 => digits >= 2,
        6 => digits >= 3 && (1..=3).contains(&letters),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<String> {
        let canonical = Canonical::new(text);
        find(&canonical).into_iter().map(|chars| canonical.chars()[chars].iter().collect()).collect()
    }

    #[test]
    fn knows_plates_of_cars_old_and_new() {
        assert_eq!(
            cut("湘A12345，粤B·D12345，京a 1b234，浙A1234警，粤Z1234港"),
            ["湘A12345", "粤B·D12345", "京a 1b234", "浙A1234警", "粤Z1234港"]
        );
        assert_eq!(
            cut("湘A123456月1日违停，湘A123452023年，湘AD123456月，湘A12345 6月"),
            ["湘A12345", "湘A12345", "湘AD12345", "湘A12345"]
        );
        assert_eq!(cut("苏E5栋，新A版，湘A123456，川S302省道"), [""; 0]);
    }
}
