//! Names of people, after words that announce one: `我叫…`, `姓名：…`, `业主…。`.
//!
//! A text is full of words that begin with a surname, so a name is believed only as far as the words before it and the
//! end of it carry. A surname with a title (`王先生`) names nobody.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::canonical::{Canonical, is_han};
use super::surnames::{is_given, is_possibly_given, surname_len};

/// Who signs, complains or is complained of.
const ROLES: &str = "联系人|申请人|投诉人|举报人|反映人|诉求人|来电人|信访人|上访人|控告人|求助人|当事人|受害人|报告人|检举人|户主|业主|车主|房主|住户";

/// After these a name is due, whatever follows it.
static ANNOUNCED: LazyLock<Regex> = LazyLock::new(|| {
    let forms = "姓 ?名|户名|署名|反应人|来信人|咨询人|建议人|反馈人|留言人|被告|法定代表人|法人代表|负责人|村民|居民|持卡人|收款人|开户人|\
                 收件人|患者|学生|家长|本人姓名|本人";
    let entry = format!("(?:{ROLES}|{forms})(?:姓名|名字|名称)?(?:\\([^()]{{1,6}}\\))? ?:[ \\n]{{0,4}}");
    let said =
        "(?:我(?:的名字)?叫做?|本人(?:名字)?叫做?|我的?名(?:字(?:叫|是)|叫)):? {0,4}|姓名[是为叫] {0,4}";
    Regex::new(&format!("{entry}|{said}")).expect("a pattern known good")
});

/// After these a name may follow, if it ends where the clause does.
static POSSIBLE: LazyLock<Regex> = LazyLock::new(|| {
    let relatives = "儿子|女儿|父亲|母亲|爸爸|妈妈|丈夫|妻子|老公|老婆|爱人|孩子|爷爷|奶奶";
    let person = format!("(?:{ROLES}|市民)[为是]?|村民|居民|姓名|本人[是系]?|我[是系]");
    let family = format!("(?:{relatives})名?叫|我的?(?:{relatives})(?:名?叫)?");
    Regex::new(&format!("(?:{person}|{family}) {{0,2}}")).expect("a pattern known good")
});

/// What may follow a name without a mark between.
static AFTER_NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        "^(?:联系|电话|手机|身份证|性别|男|女|家住|现住|住在|住址|住|地址|年龄|今年|现年|出生|生于|是|系|在|于|来自|现在|原|因|与|和|向|工号|单位|户籍|籍贯|\
         来电|来信|反映|投诉|本人|我|想|要|对|就|从|有|为|曾|签|敬上|等|先生|女士|同志)",
    )
    .expect("a pattern known good")
});

/// What shows even where no name need be that one has ended.
static SURELY_AFTER_NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("^(?:联系电话|电话|手机|身份证|性别|家住|来电|反映|投诉|今年|现年|[男女][,、 ])")
        .expect("a pattern known good")
});

/// What an organisation's name holds near its head.
const ORGANISATIONS: &str =
    "公司 集团 委员会 业委会 小区 学校 学院 中学 小学 医院 工程 银行 花园 中心 社区 街道 全体";

/// What makes a surname a form of address, whatever follows it.
const TITLES: &str = "女士 小姐 大姐 大哥 大爷 大妈 阿姨 同志 师傅 警官 律师 医生 主任 主席 经理 书记 局长 科长 处长 队长 院长 站长 所长 校长 村长 镇长 县长 \
                      市长 厅长 会计";

/// The same, at the end of a word.
const SHORT_TITLES: [&str; 4] = ["总", "工", "某", "家"];

/// Every name found, in canonical characters.
pub(super) fn find(canonical: &Canonical) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    // What holds the next cue is no name: 王业主.
    for (cues, announced) in [(&ANNOUNCED, true), (&POSSIBLE, false)] {
        for cue in cues.find_iter(canonical.text()) {
            let start = canonical.chars_at(cue.range()).end;
            if let Some(len) = name_len(canonical, start, announced)
                && !POSSIBLE.is_match(canonical.slice(start..start + len))
            {
                found.push(start..start + len);
            }
        }
    }
    found
}

/// A name right before each mobile number, as in `王建国 138…`, if it stands alone.
pub(super) fn before_mobiles(
    canonical: &Canonical,
    mobiles: impl Iterator<Item = usize>,
) -> Vec<Range<usize>> {
    let chars = canonical.chars();
    let name_before = |mobile: usize| {
        let marks = chars[..mobile].iter().rev().take(3).take_while(|c| matches!(c, ' ' | ':' | '(')).count();
        let end = mobile - marks;
        let len = chars[..end].iter().rev().take(5).take_while(|&&c| is_han(c)).count();
        let name = &chars[end - len..end];
        let surname = surname_len(name, false);
        let fits = surname > 0
            && (surname + 1..=surname + 2).contains(&len)
            && name[surname..].iter().all(|&c| is_given(c));
        (fits && !is_titled(&name[surname..]) && !is_place(name)).then_some(end - len..end)
    };
    mobiles.filter_map(name_before).collect()
}

fn name_len(canonical: &Canonical, start: usize, announced: bool) -> Option<usize> {
    let rest = &canonical.chars()[start..];
    let word = &rest[..rest.iter().take(12).take_while(|&&c| is_han(c)).count()];
    if announced && let Some(len) = dotted_len(canonical, start).or_else(|| spaced_len(rest)) {
        return Some(len);
    }
    let surname = surname_len(word, announced);
    let most = if surname == 2 { 4 } else { 3 };
    if surname == 0 || is_place(word) || is_titled(&word[surname..]) {
        return None;
    }
    let given_len = word[surname..].iter().take_while(|&&c| is_given(c)).count();
    let whole = word.len() <= most && clause_ends(rest.get(word.len()));
    if whole && surname + given_len == word.len() {
        return Some(word.len());
    }
    let after_name: &Regex = if announced { &AFTER_NAME } else { &SURELY_AFTER_NAME };
    for len in surname + 1..=most.min(surname + given_len) {
        if after_name.is_match(canonical.from(start + len)) {
            return Some(len);
        }
    }
    if !announced {
        return None;
    }
    // A name that fills its place in a form may hold what else would begin a word: `林正和。`.
    if whole && word[surname..].iter().all(|&c| is_possibly_given(c)) {
        return Some(word.len());
    }
    if given_len == 0 {
        return None;
    }
    let long: String = word.iter().collect();
    let organisation = ORGANISATIONS.split(' ').any(|part| long.contains(part));
    let rare = surname_len(word, false) == 0;
    (!organisation && !rare).then_some(most.min(surname + given_len))
}

/// Whether a surname is followed by a title only, as in `王先生`.
fn is_titled(rest: &[char]) -> bool {
    let rest: String = rest.iter().collect();
    SHORT_TITLES.contains(&rest.as_str()) || TITLES.split(' ').any(|title| rest.starts_with(title))
}

/// Whether it is a place such as `罗家湾` that begins with a surname.
fn is_place(word: &[char]) -> bool {
    matches!(word, [_, '家', place, ..] if "村冲湾坪坳坝塘岭庄屯桥河沟山巷街园".contains(*place))
}

/// The length of a name such as `阿依古丽·买买提`: two or three parts, the last of which surely ends. Slogans and
/// compounds have dots too.
fn dotted_len(canonical: &Canonical, start: usize) -> Option<usize> {
    let chars = canonical.chars().get(start..)?;
    let is_part = |c: &char| is_han(*c) && !NEVER_IN_PARTS.contains(*c);
    let ends = |len: usize| {
        clause_ends(chars.get(len))
            || SURELY_AFTER_NAME.is_match(canonical.from(start + len))
            || chars.get(len) == Some(&'是')
    };
    let mut len = 0;
    for dots in 0..MOST_PARTS {
        let part = chars[len..].iter().take(MOST_IN_PART + 1).take_while(|c| is_part(c)).count();
        if (2..=MOST_IN_PART).contains(&part) && chars.get(len + part) == Some(&'·') {
            len += part + 1;
            continue;
        }
        return (2..=part.min(MOST_IN_PART)).map(|part| len + part).find(|&len| dots > 0 && ends(len));
    }
    None
}

/// Most parts of a dotted name, and most characters of each.
const MOST_PARTS: usize = 3;
const MOST_IN_PART: usize = 6;

/// What no part of a dotted name holds. Names from other languages hold much that a Chinese one does not.
const NEVER_IN_PARTS: &str = "的了是在我你您他她们吗呢吧请想";

/// The length of a name of two characters that a form spreads, as in `王  芳`.
fn spaced_len(rest: &[char]) -> Option<usize> {
    let spaces = rest.iter().skip(1).take_while(|&&c| c == ' ').count();
    let given = *rest.get(1 + spaces)?;
    let surname = surname_len(&[*rest.first()?, given], true);
    let alone = rest.get(2 + spaces).is_none_or(|&c| !is_han(c));
    ((1..=4).contains(&spaces) && surname == 1 && is_given(given) && alone).then_some(2 + spaces)
}

/// Whether the character after a name ends its clause.
fn clause_ends(after: Option<&char>) -> bool {
    after.is_none_or(|&c| {
        matches!(
            c,
            ',' | '。'
                | ';'
                | '!'
                | '?'
                | ':'
                | '、'
                | '.'
                | '('
                | ')'
                | ' '
                | '\n'
                | '\r'
                | '*'
                | '】'
                | '》'
        ) || c.is_ascii_digit()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let canonical = Canonical::new(text);
        find(&canonical).into_iter().map(|chars| canonical.chars()[chars].iter().collect()).collect()
    }

    #[test]
    fn takes_an_announced_name_as_far_as_it_goes() {
        assert_eq!(names("我叫王小明是城南的居民"), ["王小明"]);
        assert_eq!(names("姓名：李芳性别：女"), ["李芳"]);
        assert_eq!(names("申请人：欧阳春梅，"), ["欧阳春梅"]);
        assert_eq!(names("联系人：张  静"), ["张  静"]);
        assert_eq!(names("姓名：林和正，"), ["林和正"]);
    }

    #[test]
    fn takes_a_possible_name_only_where_it_surely_ends() {
        assert_eq!(names("本人王小明，退休"), ["王小明"]);
        assert_eq!(names("业主王小明反映"), ["王小明"]);
        assert_eq!(names("业主王业主王业主，"), [""; 0]);
        assert_eq!(names("本人从事餐饮，业主方便出入，居民高度关注"), [""; 0]);
    }

    #[test]
    fn takes_all_parts_of_a_dotted_name() {
        assert_eq!(names("我叫阿依古丽·买买提，"), ["阿依古丽·买买提"]);
        assert_eq!(names("姓名：扎西・多吉 13800138000"), ["扎西·多吉"]);
        assert_eq!(names("联系人:努尔·买买提·热合曼电话已留"), ["努尔·买买提·热合曼"]);
        assert_eq!(names("我叫扎西·多吉是牧民"), ["扎西·多吉"]);
    }

    #[test]
    fn leaves_dots_that_no_word_announces_or_that_run_on() {
        assert_eq!(names("我是绝望·想跳楼的人，我是万科·金域华府的业主"), [""; 0]);
        assert_eq!(names("居民小区·东门·西门·南门的路灯不亮"), [""; 0]);
        assert_eq!(names("我叫绝望·想跳楼，姓名：东门·西门·南门·北门，我叫翠竹·金域华府六号地块"), [""; 0]);
    }

    #[test]
    fn leaves_titles_places_and_organisations() {
        assert_eq!(names("联系人：张经理，业主王女士，村民：罗家湾，申请人：金海物业公司"), [""; 0]);
    }

    #[test]
    fn takes_a_name_that_stands_alone_before_a_mobile_number() {
        let canonical = Canonical::new("，王小明 138");
        assert_eq!(before_mobiles(&canonical, [5].into_iter()).first(), Some(&(1..4)));
        let canonical = Canonical::new("请致电方便的话138");
        assert!(before_mobiles(&canonical, [7].into_iter()).is_empty());
    }
}
