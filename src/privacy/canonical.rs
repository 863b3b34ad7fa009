//! One way of writing for the many that people use: full width becomes ASCII, dashes and middle dots become one of
//! each, tabs and controls become spaces, the traditional characters that the patterns know become simplified ones, and
//! invisible marks go.
//!
//! No character becomes two, and each remembers its place, so that whatever is found here points into the text as it
//! was written. Digits that are not ASCII stay: which of them are numbers is for `digits` to say.

use std::ops::Range;
use std::sync::LazyLock;

/// A text in canonical characters, and where each of them came from.
#[derive(Debug)]
pub(super) struct Canonical {
    text: String,
    chars: Vec<char>,
    /// The byte at which each character starts, and the length of `text`.
    bytes: Vec<usize>,
    /// The place of each character in the text as written.
    origins: Vec<usize>,
}

impl Canonical {
    pub(super) fn new(original: &str) -> Self {
        let mut canonical = Self {
            text: String::with_capacity(original.len()),
            chars: Vec::with_capacity(original.len() / 3),
            bytes: Vec::with_capacity(original.len() / 3 + 1),
            origins: Vec::with_capacity(original.len() / 3),
        };
        for (place, c) in original.chars().enumerate() {
            if is_invisible(c) {
                continue;
            }
            let c = plain(c);
            canonical.bytes.push(canonical.text.len());
            canonical.origins.push(place);
            canonical.chars.push(c);
            canonical.text.push(c);
        }
        canonical.bytes.push(canonical.text.len());
        canonical
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn chars(&self) -> &[char] {
        &self.chars
    }

    /// The canonical characters that the bytes of a match cover.
    pub(super) fn chars_at(&self, bytes: Range<usize>) -> Range<usize> {
        let char_at = |byte| self.bytes.partition_point(|&start| start < byte);
        char_at(bytes.start)..char_at(bytes.end)
    }

    /// Where canonical characters, at least one, stand in the text as written.
    pub(super) fn original(&self, chars: Range<usize>) -> Range<usize> {
        self.origins[chars.start]..self.origins[chars.end - 1] + 1
    }

    /// The text of some characters, empty if it does not have all of them.
    pub(super) fn slice(&self, chars: Range<usize>) -> &str {
        match (self.bytes.get(chars.start), self.bytes.get(chars.end)) {
            (Some(&start), Some(&end)) => self.text.get(start..end).unwrap_or_default(),
            _ => "",
        }
    }

    /// The text from the character `at` on.
    pub(super) fn from(&self, at: usize) -> &str {
        &self.text[self.bytes[at]..]
    }
}

/// Zero-width marks, marks of direction, what turns a digit into a picture of a key, and what stands where a character was
/// lost.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{20e3}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}')
        || c == char::REPLACEMENT_CHARACTER
}

/// Whether it is a Chinese character.
pub(super) fn is_han(c: char) -> bool {
    matches!(c, '\u{4e00}'..='\u{9fff}' | '〇')
}

fn plain(c: char) -> char {
    match c {
        '\n' | '\r' => c,
        // Tabs, and controls that a copy from a table or a terminal leaves behind.
        _ if c.is_whitespace() || c.is_control() => ' ',
        '\0'..='\u{7f}' => c,
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '‐'..='―' | '−' | '─' | '━' | '﹣' | '﹘' => '-',
        '·' | '•' | '・' | '‧' | '∙' | '⋅' | '●' | '･' => '·',
        '﹫' => '@',
        'Ⅹ' | 'ⅹ' | 'Х' | 'х' => 'X',
        _ => simplified(c),
    }
}

/// The traditional characters that the patterns of this module know.
const TRADITIONAL: &str = "號樓棟單戶層電話證帐帳聯繫絡機銀聲業訴舉報滬蘇贛遼雲魯瓊貴陝寧吳張陳劉黃趙楊孫馬鄭羅謝韓馮許鄧\
     蕭葉呂盧鍾譚陸賈鄒龔萬錢嚴賀顧龍蔣餘蘭閻歐陽諸門車撥線絲訂貳參陸";
const SIMPLIFIED: &str = "号楼栋单户层电话证账账联系络机银声业诉举报沪苏赣辽云鲁琼贵陕宁吴张陈刘黄赵杨孙马郑罗谢韩冯许邓\
     萧叶吕卢钟谭陆贾邹龚万钱严贺顾龙蒋余兰阎欧阳诸门车拨线丝订贰叁陆";

/// Pairs of them, sorted.
static SIMPLER: LazyLock<Vec<(char, char)>> = LazyLock::new(|| {
    let mut pairs: Vec<_> = TRADITIONAL.chars().zip(SIMPLIFIED.chars()).collect();
    pairs.sort_unstable();
    pairs
});

fn simplified(c: char) -> char {
    SIMPLER.binary_search_by_key(&c, |&(traditional, _)| traditional).map_or(c, |place| SIMPLER[place].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_every_shape_one_way_and_remembers_where_it_stood() {
        let canonical = Canonical::new("電話：１3\u{200b}8——０·");
        assert_eq!(canonical.text(), "电话:138--0·");
        assert_eq!(canonical.original(3..6), 3..7, "the zero-width mark lies inside");
    }

    #[test]
    fn tabs_and_controls_are_spaces_but_line_ends_stay() {
        assert_eq!(
            Canonical::new("1\t2\u{b}3\u{c}4\u{0}5\u{1f}6\u{85}7\u{3000}8\r\n").text(),
            "1 2 3 4 5 6 7 8\r\n"
        );
        assert_eq!(Canonical::new("1\u{2066}2\u{2069}3").text(), "123");
    }

    #[test]
    fn translates_bytes_into_characters() {
        let canonical = Canonical::new("住5栋");
        assert_eq!(canonical.chars_at(3..7), 1..3);
        assert_eq!((canonical.from(2), canonical.slice(1..3), canonical.slice(1..4)), ("栋", "5栋", ""));
    }

    #[test]
    fn each_traditional_character_has_its_simplified_one() {
        for (traditional, simple) in ["號号", "張张", "陸陆", "訂订", "丝丝"].map(|pair| {
            let mut chars = pair.chars();
            (chars.next().unwrap(), chars.next().unwrap())
        }) {
            assert_eq!(simplified(traditional), simple);
        }
    }
}
