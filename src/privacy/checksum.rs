//! What makes a number a citizen's number or a bank card's: check digits, dates, prefixes.

/// Whether eighteen values, the last of which may be 10 for `X`, are a citizen's number: a province, a date of birth,
/// and the check digit of ISO 7064 MOD 11-2 (GB 11643).
pub(super) fn is_citizen_id(values: &[u8]) -> bool {
    values.len() == 18
        && is_province(&values[..2])
        && is_date(number(&values[6..10]), number(&values[10..12]), number(&values[12..14]))
        && values.iter().fold(0, |rest, &value| (rest * 2 + u32::from(value)) % 11) == 1
}

/// Whether fifteen digits may be a citizen's number of before 1999, which has no check digit.
pub(super) fn is_old_citizen_id(values: &[u8]) -> bool {
    values.len() == 15
        && is_province(&values[..2])
        && is_date(1900 + number(&values[6..8]), number(&values[8..10]), number(&values[10..12]))
}

/// Whether eight digits are a day such as 20190814.
pub(super) fn is_day(values: &[u8]) -> bool {
    values.len() == 8 && is_date(number(&values[..4]), number(&values[4..6]), number(&values[6..]))
}

/// Luhn's check (ISO/IEC 7812).
pub(super) fn is_luhn(values: &[u8]) -> bool {
    let sum: u32 = values
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &value)| {
            let value = u32::from(value) << (place % 2);
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether digits have the length and the first digits of a card: UnionPay, Visa, Mastercard, JCB, American Express,
/// Diners, and the older cards of Chinese banks.
pub(super) fn is_card_prefix(values: &[u8]) -> bool {
    let two = number(&values[..2]);
    match values.len() {
        13 => values[0] == 4,
        14 => matches!(two, 30 | 36 | 38),
        15 => matches!(two, 34 | 37),
        16..=19 => matches!(two, 40..=49 | 51..=56 | 60 | 62 | 65 | 35) || number(&values[..3]) == 955,
        _ => false,
    }
}

/// GB/T 2260.
fn is_province(values: &[u8]) -> bool {
    matches!(number(values), 11..=15 | 21..=23 | 31..=37 | 41..=46 | 50..=54 | 61..=65 | 71 | 81..=83 | 91)
}

fn is_date(year: u32, month: u32, day: u32) -> bool {
    let last = match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    (1900..2100).contains(&year) && (1..=last).contains(&day)
}

fn number(values: &[u8]) -> u32 {
    values.iter().fold(0, |number, &value| number * 10 + u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(digits: &str) -> Vec<u8> {
        digits.chars().map(|c| c.to_digit(10).map_or(10, |value| value as u8)).collect()
    }

    #[test]
    fn knows_citizens_numbers_by_province_date_and_check_digit() {
        // The example of GB 11643.
        assert!(is_citizen_id(&values("11010519491231002X")));
        assert!(!is_citizen_id(&values("110105194912310021")), "check digit");
        assert!(!is_citizen_id(&values("990105194912310025")), "province");
        assert!(is_old_citizen_id(&values("110105491231002")));
        assert!(!is_old_citizen_id(&values("110105491331002")), "month");
    }

    #[test]
    fn knows_cards_by_luhns_check_and_first_digits() {
        assert!(is_luhn(&values("4111111111111111")) && is_card_prefix(&values("4111111111111111")));
        assert!(!is_luhn(&values("4111111111111112")));
        assert!(!is_card_prefix(&values("1730258164093275")));
    }

    #[test]
    fn knows_days() {
        assert!(is_day(&values("20190814")));
        assert!(!is_day(&values("20191814")));
    }
}
