//! The words before a number that tell what it is.

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

/// The cue nearest before the character `at`, in the same sentence. The word for a thing must stand right there: in
/// `合同纠纷，138…` the number is not the contract's.
pub(super) fn before(canonical: &Canonical, at: usize) -> Option<Cue> {
    let words = canonical.before(at, REACH);
    let words = words.rsplit(['。', ';', '!', '?', '\n']).next().unwrap_or(words);
    // Most numbers of a table have no words before them.
    if !words.contains(char::is_alphabetic) {
        return None;
    }
    let mut nearest: Option<(usize, Cue)> = None;
    for (cue, spellings) in CUES {
        let end = spellings
            .split(' ')
            .filter_map(|spelling| words.rfind(spelling).map(|start| start + spelling.len()))
            .max();
        if let Some(end) = end
            && (cue != Cue::Serial || words[end..].chars().all(|c| " 号码数是为:#.()-".contains(c)))
            && nearest.is_none_or(|(nearest, _)| end > nearest)
        {
            nearest = Some((end, cue));
        }
    }
    nearest.map(|(_, cue)| cue)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cue(words: &str) -> Option<Cue> {
        let canonical = Canonical::new(words);
        before(&canonical, canonical.chars().len())
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
