//! Numbers that belong to a person: telephones, citizens' numbers, bank cards.
//!
//! A number starts and ends where a run of digits does, or at a gap in it. Its own shape decides where that suffices,
//! the words before it where it does not.

use std::ops::Range;

use super::PersonalData;
use super::canonical::Canonical;
use super::checksum;
use super::cue::{Cue, Cues};
use super::digits::{self, Gap};
use super::run::{Run, Units};

/// A kind and its canonical characters.
type Number = (PersonalData, Range<usize>);

/// Every number found, in canonical characters.
pub(super) fn find(canonical: &Canonical) -> Vec<Number> {
    let runs = digits::runs(canonical, SHORTEST);
    if runs.is_empty() {
        return Vec::new();
    }
    let cues = Cues::new(canonical);
    let mut found: Vec<Number> = Vec::new();
    for run in &runs {
        let mut run = Run::new(canonical, run);
        loop {
            // A number may cover digits of the next run, as `转801` does in `0571-88123456转801 138…`. What is left of a
            // run is read as if it began there.
            run = run.rest_from(found.last().map_or(0, |(_, chars)| chars.end));
            let last = found.last().cloned();
            let next = (0..run.len()).find_map(|from| number_from(&run, &cues, from, last.as_ref()));
            match next {
                Some(number) => found.push(number),
                None => break,
            }
        }
    }
    found
}

/// The digits of the shortest number.
const SHORTEST: usize = 7;

/// The number that starts with the digit `from`; `last` is what was found before.
fn number_from(run: &Run, cues: &Cues, from: usize, last: Option<&Number>) -> Option<Number> {
    if !run.starts(from) || run.len() < from + SHORTEST {
        return None;
    }
    let cue = cues.before(run.place(from)?);
    citizen_id(run, from, cue)
        .or_else(|| mobile(run, from, cue))
        .or_else(|| area_landline(run, from, cue))
        .or_else(|| bank_card(run, from, cue))
        .or_else(|| local_landline(run, from, cue, last))
}

fn citizen_id(run: &Run, from: usize, cue: Option<Cue>) -> Option<Number> {
    let kind = PersonalData::CitizenId;
    let named = cue == Some(Cue::CitizenId);
    if let Some(end) = run.x_after(from + 17) {
        let mut values = run.values(from..from + 17);
        values.push(10);
        if named || checksum::is_citizen_id(&values) {
            return Some((kind, run.place(from)?..end));
        }
    }
    if run.ends(from + 18) && (named || checksum::is_citizen_id(&run.values(from..from + 18))) {
        return Some((kind, run.chars(from..from + 18)?));
    }
    let old = named
        || cue != Some(Cue::Serial)
            && !run.after_letter(from)
            && matches!(run.groups(from..from + 15)[..], [15] | [6, 6, 3])
            && checksum::is_old_citizen_id(&run.values(from..from + 15));
    if old && run.ends(from + 15) {
        return Some((kind, run.chars(from..from + 15)?));
    }
    // A digit lost, or one too many.
    let slip = [17, 19, 16].into_iter().find(|&len| named && run.ends(from + len))?;
    Some((kind, run.chars(from..from + slip)?))
}

fn mobile(run: &Run, from: usize, cue: Option<Cue>) -> Option<Number> {
    let start = from + run.country_code(from).unwrap_or(0);
    let start = if start == from && run.value(from) == Some(0) { from + 1 } else { start };
    // A word may begin with a digit, as in 一三八…零一直打不通.
    let end = start + 11;
    if run.value(start) != Some(1)
        || !(3..=9).contains(&run.value(start + 1)?)
        || !(run.ends(end) || run.ends_as_a_word_begins(end))
    {
        return None;
    }
    let groups = run.groups(start..end);
    let grouped = match groups[..] {
        [11] | [3, 8] | [3, 4, 4] | [4, 4, 3] | [3, 3, 5] | [4, 3, 4] | [7, 4] | [3, 3, 3, 2] => true,
        [5, 6] => run.gap(start + 5) == Some(Gap::Separator(' ')),
        [3, ref pairs @ .., last] => groups.len() > 3 && pairs.iter().all(|&len| len == last) && last >= 2,
        _ => groups.len() == 11,
    };
    let counted =
        cue != Some(Cue::Phone) && (run.is_amount(from, end, Units::Sure) || cue == Some(Cue::Serial));
    if !grouped || counted {
        return None;
    }
    Some((PersonalData::Mobile, run.with_country_sign(from, end)?))
}

/// A landline with its area code, and its extension.
fn area_landline(run: &Run, from: usize, cue: Option<Cue>) -> Option<Number> {
    let country = run.country_code(from);
    let start = from + country.unwrap_or(0);
    // Abroad the zero is left out: +86-731-….
    let area = match run.value(start)? {
        0 => start + 1,
        _ if country.is_some() => start,
        _ => return None,
    };
    let number = area + area_code_len(&run.values(area..(area + 3).min(run.len())))?;

    let len = [8, 7].into_iter().find(|&len| run.ends(number + len))?;
    if cue == Some(Cue::Serial)
        || run.groups(area..number).len() > 1
        || !(2..=8).contains(&run.value(number)?)
        || !run.is_local_number(number..number + len)
        || run.is_amount(from, number + len, Units::Sure)
    {
        return None;
    }
    Some((
        PersonalData::Landline,
        run.with_country_sign(from, number)?.start..run.with_extension(number + len)?,
    ))
}

/// A landline without its area code, which only the words before it tell.
fn local_landline(run: &Run, from: usize, cue: Option<Cue>, last: Option<&Number>) -> Option<Number> {
    let listed = last.is_some_and(|(kind, chars)| {
        *kind == PersonalData::Landline
            && run.between(chars.end, from).is_some_and(|between| {
                (1..=2).contains(&between.len())
                    && between.iter().all(|c| matches!(c, '、' | ',' | '/' | '或' | '和' | ' '))
            })
    });
    let alone = from == 0 || run.gap(from) == Some(Gap::Script) || listed;
    if !(cue == Some(Cue::Phone) || listed) || !alone || !(2..=8).contains(&run.value(from)?) {
        return None;
    }
    let len = [8, 7].into_iter().find(|&len| run.ends(from + len))?;
    if !run.is_local_number(from..from + len)
        || checksum::is_day(&run.values(from..from + len))
        || run.is_amount(from, from + len, Units::Any)
    {
        return None;
    }
    let end = run.with_extension(from + len)?;
    (!run.is_joined(end)).then_some((PersonalData::Landline, run.place(from)?..end))
}

fn bank_card(run: &Run, from: usize, cue: Option<Cue>) -> Option<Number> {
    let named = cue == Some(Cue::BankCard);
    for len in [19, 18, 17, 16, 15, 14, 13] {
        if !run.ends(from + len) {
            continue;
        }
        let groups = run.groups(from..from + len);
        let (last, rest) = groups.split_last()?;
        let grouped = rest.iter().all(|&len| len == 4) && *last <= 4 || matches!(groups[..], [_] | [6, _]);
        let values = run.values(from..from + len);
        let shaped = grouped
            && checksum::is_luhn(&values)
            && checksum::is_card_prefix(&values)
            && cue != Some(Cue::Serial)
            && !run.after_letter(from)
            && !run.is_amount(from, from + len, Units::Any)
            && (from == 0 || run.gap(from) != Some(Gap::Separator('-')));
        let moment = len == 14 && values.get(..8).is_some_and(checksum::is_day);
        if named && !moment && (grouped || groups.len() == len) || shaped {
            return Some((PersonalData::BankCard, run.chars(from..from + len)?));
        }
    }
    None
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
    fn an_extension_belongs_to_its_landline_and_is_no_part_of_the_next_number() {
        let found = |text| find(&Canonical::new(text));
        let landline = |chars| (PersonalData::Landline, chars);
        assert_eq!(found("0571-88123456转801找我"), [landline(0..17)]);
        assert_eq!(found("0571-88123456-801"), [landline(0..17)]);
        assert_eq!(found("0571-88123456转801-1234567"), [landline(0..17)]);
        assert_eq!(found("转1234567"), []);
        assert_eq!(
            found("座机0571-88123456转801 13800138000，路灯坏了"),
            [landline(2..19), (PersonalData::Mobile, 20..31)]
        );
        assert_eq!(found("0571-88123456转13800138000"), [landline(0..13), (PersonalData::Mobile, 14..25)]);
    }

    #[test]
    fn the_rest_of_a_run_is_read_as_if_it_began_there() {
        let card = "4111111111111111";
        assert_eq!(kinds(&[card; 3].join("-")), [PersonalData::BankCard; 3]);
        assert_eq!(kinds("电话13800138000 88123456"), [PersonalData::Mobile, PersonalData::Landline]);
    }

    #[test]
    fn words_that_begin_like_a_unit_make_no_amount() {
        for after in ["平时开机", "万分感谢", "元旦后", "万一", "平台", "米线店", "元月", "万", "块"]
        {
            assert_eq!(kinds(&format!("我的号13800138000{after}")), [PersonalData::Mobile], "{after}");
        }
        assert_eq!(kinds("电话88123456平时没人"), [PersonalData::Landline]);
        assert_eq!(kinds("联系后付了88123456万"), []);
        for unit in ["元", "万元", "平米", "平方", "亩", "吨", "元的"] {
            assert_eq!(kinds(&format!("共13800138000{unit}")), [], "{unit}");
        }
    }

    #[test]
    fn a_check_digit_or_a_cue_tells_citizens_numbers_and_cards() {
        assert_eq!(kinds("110105 19491231 002X"), [PersonalData::CitizenId]);
        assert_eq!(kinds(&"11010519491231002X".repeat(3)), [PersonalData::CitizenId; 3]);
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
