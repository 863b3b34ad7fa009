//! The words before a number that tell what it is.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use super::canonical::Canonical;

/// What the words before a number say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cue {
    CitizenId,
    BankCard,
    Phone,
    /// An order, a contract, a meter: a number of a thing.
    Serial,
}

/// Longest way from a cue to its number, as in `联系电话（座机，白天）：`.
const REACH: usize = 14;

/// The words for each. Where two cues end at the same place, the first of them counts: `身份证号` over `证号`.
const CUES: [(Cue, &str); 4] = [
    (Cue::CitizenId, "身份证 身份证号 身份号码 公民身份 证件号"),
    (Cue::BankCard, "银行卡 卡号 账号 账户 储蓄卡 信用卡 工资卡 存折 开户"),
    (Cue::Phone, "电话 座机 固话 手机 联系 致电 来电 拨打 传真 tel Tel TEL phone Phone"),
    (
        Cue::Serial,
        "订单 单号 编号 流水 工号 案号 合同 文号 证号 许可证 注册号 代码 条码 发票 批号 准字 专利号 工单 信访件 档案 表号 户号 串号 IMEI imei \
         车架号 学号 准考证 查询码 受理号 追溯码 QQ qq 群",
    ),
];

/// The characters of a cue, its rank among those that end at the same place, and the cue.
type Spelling = (Vec<char>, usize, Cue);

/// The spellings that begin with a character.
static SPELLINGS: LazyLock<HashMap<char, Vec<Spelling>>> = LazyLock::new(|| {
    let mut spellings: HashMap<char, Vec<_>> = HashMap::new();
    for (rank, (cue, words)) in CUES.into_iter().enumerate() {
        for word in words.split(' ').map(|word| word.chars().collect::<Vec<_>>()) {
            if let Some(&first) = word.first() {
                spellings.entry(first).or_default().push((word, rank, cue));
            }
        }
    }
    spellings
});

/// All cues of a text, so that many numbers are told apart at the price of one reading.
#[derive(Debug)]
pub(super) struct Cues<'a> {
    canonical: &'a Canonical,
    /// Their characters, by where they end; of two that end at the same place, the one that counts comes last.
    found: Vec<(Range<usize>, Cue)>,
}

impl<'a> Cues<'a> {
    pub(super) fn new(canonical: &'a Canonical) -> Self {
        let chars = canonical.chars();
        let mut found = Vec::new();
        for (start, first) in chars.iter().enumerate() {
            for (word, rank, cue) in SPELLINGS.get(first).into_iter().flatten() {
                if chars[start..].starts_with(word) {
                    found.push((start..start + word.len(), *rank, *cue));
                }
            }
        }
        found.sort_by_key(|(chars, rank, _)| (chars.end, Reverse(*rank)));
        Self { canonical, found: found.into_iter().map(|(chars, _, cue)| (chars, cue)).collect() }
    }

    /// The cue nearest before the character `at`, in the same sentence. The word for a thing must stand right there: in
    /// `合同纠纷，138…` the number is not the contract's.
    pub(super) fn before(&self, at: usize) -> Option<Cue> {
        let reach = at.saturating_sub(REACH);
        let earlier = self.found.partition_point(|(chars, _)| chars.end <= at);
        let near = self.found[..earlier].iter().rev().take_while(|(chars, _)| chars.end > reach);
        near.filter(|(chars, _)| chars.start >= reach)
            .find(|(chars, cue)| {
                *cue != Cue::Serial || self.all(chars.end..at, |c| " 号码数是为:#.()-".contains(c))
            })
            .filter(|(chars, _)| self.all(chars.end..at, |c| !matches!(c, '。' | ';' | '!' | '?' | '\n')))
            .map(|(_, cue)| *cue)
    }

    fn all(&self, chars: Range<usize>, is_kind: impl Fn(char) -> bool) -> bool {
        self.canonical.chars().get(chars).is_some_and(|chars| chars.iter().all(|c| is_kind(*c)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cue(words: &str) -> Option<Cue> {
        let canonical = Canonical::new(words);
        Cues::new(&canonical).before(canonical.chars().len())
    }

    #[test]
    fn the_nearest_words_of_the_sentence_count() {
        assert_eq!(cue("我的身份证号码是："), Some(Cue::CitizenId));
        assert_eq!(cue("银行卡丢了，订单号"), Some(Cue::Serial));
        assert_eq!(cue("订单查不到，客服電話 "), Some(Cue::Phone));
        assert_eq!(cue("打过电话。然后"), None);
        assert_eq!((cue("合同编号为："), cue("合同纠纷，")), (Some(Cue::Serial), None));
        assert_eq!(cue("共计"), None);
    }
}
