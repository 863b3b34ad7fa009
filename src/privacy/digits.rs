//! Runs of digits in any writing: ASCII, Chinese and ornamental ones, with the gaps that people leave between groups.
//!
//! What a run means is for `numbers` to say.

use super::canonical::Canonical;

/// How a digit is written. A number seldom changes its script, so a change may be the border of two numbers
/// (`张三138…`, `②138…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    Ascii,
    Chinese,
    Ornamental,
}

/// What stands between a digit and the one before it in its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    /// Nothing.
    None,
    /// Nothing, but the digits are of different scripts.
    Script,
    /// A few separators, of which this is the first that is not a space, if any.
    Separator(char),
}

/// One digit of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Digit {
    pub(super) value: u8,
    /// The canonical character.
    pub(super) at: usize,
    pub(super) gap: Gap,
}

/// Most separators between two groups of one number, as in `138 - 0013`.
const MAX_SEPARATORS: usize = 3;

/// All runs of at least `min_len` digits.
pub(super) fn runs(canonical: &Canonical, min_len: usize) -> Vec<Vec<Digit>> {
    let mut runs = Vec::new();
    let mut run: Vec<Digit> = Vec::new();
    let mut last_script = Script::Ascii;
    for (at, &c) in canonical.chars().iter().enumerate() {
        let Some((value, script)) = digit(c) else { continue };
        let gap = match run.last() {
            Some(last) => gap(&canonical.chars()[last.at + 1..at], last_script == script),
            None => Some(Gap::None),
        };
        if gap.is_none() {
            if run.len() >= min_len {
                runs.push(std::mem::take(&mut run));
            }
            run.clear();
        }
        run.push(Digit { value, at, gap: gap.unwrap_or(Gap::None) });
        last_script = script;
    }
    if run.len() >= min_len {
        runs.push(run);
    }
    runs
}

/// The gap that `between` is, if it does not end the run: `8966 三个月` is no number of one piece.
fn gap(between: &[char], same_script: bool) -> Option<Gap> {
    if between.is_empty() {
        return Some(if same_script { Gap::None } else { Gap::Script });
    }
    let separators = between.len() <= MAX_SEPARATORS
        && between.iter().all(|c| matches!(c, ' ' | '-' | '.' | '·' | '_' | ')'));
    let first = between.iter().copied().find(|&c| c != ' ').unwrap_or(' ');
    (same_script && separators).then_some(Gap::Separator(first))
}

fn digit(c: char) -> Option<(u8, Script)> {
    if c.is_ascii_digit() {
        return Some((c as u8 - b'0', Script::Ascii));
    }
    if c.is_ascii() {
        return None;
    }
    let chinese = match c {
        '零' | '〇' | '○' | '◯' => 0,
        '一' | '幺' | '壹' | '㈠' | '㊀' => 1,
        '二' | '两' | '贰' | '㈡' | '㊁' => 2,
        '三' | '叁' | '㈢' | '㊂' => 3,
        '四' | '肆' | '㈣' | '㊃' => 4,
        '五' | '伍' | '㈤' | '㊄' => 5,
        '六' | '陆' | '㈥' | '㊅' => 6,
        '七' | '柒' | '㈦' | '㊆' => 7,
        '八' | '捌' | '㈧' | '㊇' => 8,
        '九' | '玖' | '㈨' | '㊈' => 9,
        _ => return ornamental(c).map(|value| (value, Script::Ornamental)),
    };
    Some((chinese, Script::Chinese))
}

/// Circled, raised, mathematical and foreign digits.
fn ornamental(c: char) -> Option<u8> {
    let from = |first: char, value: u32| Some((u32::from(c) - u32::from(first) + value) as u8);
    match c {
        '⓪' | '⁰' => Some(0),
        '¹' => Some(1),
        '²' => Some(2),
        '³' => Some(3),
        '⁴'..='⁹' => from('⁴', 4),
        '₀'..='₉' => from('₀', 0),
        '①'..='⑨' => from('①', 1),
        '⑴'..='⑼' => from('⑴', 1),
        '⒈'..='⒐' => from('⒈', 1),
        '❶'..='❾' => from('❶', 1),
        '➀'..='➈' => from('➀', 1),
        '➊'..='➒' => from('➊', 1),
        '٠'..='٩' => from('٠', 0),
        '۰'..='۹' => from('۰', 0),
        '\u{1d7ce}'..='\u{1d7ff}' => Some(((u32::from(c) - 0x1d7ce) % 10) as u8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<String> {
        let runs = runs(&Canonical::new(text), 1);
        runs.iter().map(|run| run.iter().map(|digit| char::from(b'0' + digit.value)).collect()).collect()
    }

    #[test]
    fn reads_digits_of_every_script() {
        assert_eq!(values("１2三肆⑤𝟔٧幺〇"), ["123456710"]);
    }

    #[test]
    fn a_run_bears_separators_but_no_other_character() {
        assert_eq!(values("138 - 00·13，800"), ["1380013", "800"]);
        let run = &runs(&Canonical::new("三1 3-8"), 1)[0];
        let gaps: Vec<_> = run.iter().map(|digit| digit.gap).collect();
        assert_eq!(gaps, [Gap::None, Gap::Script, Gap::Separator(' '), Gap::Separator('-')]);
    }
}
