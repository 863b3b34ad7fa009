//! What is personal data and what is not, in texts of every shape, hostile ones among them.

use std::time::{Duration, Instant};

use jiesu::privacy::{PersonalData, PersonalSpan, find, mask, masked};
use proptest::prelude::*;

#[test]
fn leaves_what_belongs_to_nobody() {
    for text in [
        "坐地铁3号线到2023年新开的站，第3项没写清楚",
        "12号楼电梯坏了，1号楼和3栋也停水",
        "依据建发〔2020〕12号文，补偿89.5平方米，共计1234567.89元",
        "订单号13912345678，编号：13912345678，转账20190814175747",
        "订单号1730258164093275418，快递单号SF1380013800012",
        "拨打400-123-4567、95588和12345都没用",
        "4008881234一直占线，客服电话96111",
        "本人是退休教师，本人于2019年离职，本人从事餐饮",
        "联系人员说不管，业主高兴，居民安居乐业",
        "我叫了救护车，我叫他来，我叫车去医院，我叫管理员",
        "我是高中生，我是江苏人，我是党员，我是万科业主",
        "业主方便，业主权益，业主安全。业主同意",
        "姓名、电话都留了，联系人：物业公司，申请人：王家村村委会",
        "建了3栋5层楼房，每栋2单元，一栋两单元，共150户",
        "6栋150户居民，15栋20平米，3栋2017年交房",
        "时间2021-03-05 08:15:30，流水20190814175747123",
        "三室两厅，一室一厅，CT室，区劳动仲裁院312室",
        "G320国道、S302省道，国标GB 12348-2008",
        "王先生、李女士来电，联系人：张经理",
        "两三百人，一二三楼，二〇一九年八月",
        "1-3-217号商铺，2017-3-18",
        "我是绝望·想跳楼的人，我是万科·金域华府的业主",
        "居民小区·东门·西门·南门的路灯不亮",
    ] {
        let found: Vec<_> = find(text)
            .into_iter()
            .map(|span| text.chars().skip(span.chars.start).take(span.chars.len()).collect::<String>())
            .collect();
        assert!(found.is_empty(), "{found:?} in {text}");
    }
}

#[test]
fn masks_the_dwelling_and_leaves_the_street() {
    assert_eq!(masked("幸福路12号院3号楼2单元501室漏水"), "幸福路**************漏水");
    assert_eq!(masked("和顺小区5栋1202养狗"), "和顺小区******养狗");
    assert_eq!(masked("住3-2-501室，5栋停水"), "住********，5栋停水");
}

#[test]
fn finds_numbers_however_they_are_written() {
    for (text, kind) in [
        ("第三13800138000", PersonalData::Mobile),
        ("合同纠纷，13800138000", PersonalData::Mobile),
        ("一三八零零一三八零零零一直打不通", PersonalData::Mobile),
        ("幺三八〇〇幺三八〇〇〇", PersonalData::Mobile),
        ("①③⑧⓪⓪①③⑧⓪⓪⓪", PersonalData::Mobile),
        ("②13800138000", PersonalData::Mobile),
        ("1️⃣3️⃣8️⃣0️⃣0️⃣1️⃣3️⃣8️⃣0️⃣0️⃣0️⃣", PersonalData::Mobile),
        ("(+86)138 0013 8000", PersonalData::Mobile),
        ("138\u{200b}0013\u{200b}8000", PersonalData::Mobile),
        ("座机88123456转801", PersonalData::Landline),
        ("聯繫電話：8812345", PersonalData::Landline),
        ("身份证号110105194912310021", PersonalData::CitizenId),
        ("旧号码110105491231002", PersonalData::CitizenId),
        ("银行卡号6222021234567890123", PersonalData::BankCard),
        ("138\t0013\t8000", PersonalData::Mobile),
        ("138\u{b}0013\u{0}8000", PersonalData::Mobile),
        ("湘A123456月1日", PersonalData::Plate),
        ("我的号13800138000平时开机", PersonalData::Mobile),
        ("请回13800138000万分感谢", PersonalData::Mobile),
        ("打给13800138000元旦后", PersonalData::Mobile),
        ("粤Z·1234港", PersonalData::Plate),
        ("zhangsan ＠ 163.com", PersonalData::Email),
    ] {
        let kinds: Vec<_> = find(text).into_iter().map(|span| span.kind).collect();
        assert_eq!(kinds, [kind], "{text}");
    }
}

#[test]
fn a_wrong_check_digit_or_a_local_number_needs_a_cue() {
    assert!(find("编码110105194912310021").is_empty());
    assert!(find("共88123456").is_empty());
    assert!(find("6222021234567890123").is_empty());
}

#[test]
fn an_empty_text_holds_nothing() {
    assert!(find("").is_empty());
    assert_eq!(mask("", &[]), "");
    assert_eq!(mask("短", &[PersonalSpan { kind: PersonalData::Name, chars: 5..9 }]), "短");
}

#[test]
fn an_extension_ends_before_the_next_number() {
    assert_eq!(masked("0571-88123456转801-1234567"), "*****************-1234567");
    assert_eq!(
        masked("座机0571-88123456转801 13800138000，路灯坏了"),
        "座机***************** ***********，路灯坏了"
    );
}

/// Far more than any text takes, and far less than one that is read again and again.
const PATIENCE: Duration = Duration::from_secs(3);

#[test]
fn no_text_takes_long() {
    let pieces = [
        "5栋一零一",
        "1栋1室",
        "1号",
        "1楼1室",
        "A座203号",
        "3栋5",
        "3-2-501室",
        "1-2-",
        "1 ",
        "1",
        "一",
        "电1 1 1 1 1 1 1 ",
        "电话1 ",
        "13800138000",
        "13800138000 ",
        "13800138000-",
        "4111111111111111-",
        "0571-88123456转801 ",
        "电话8812345、",
        "一三八",
        "湘A123456月",
        "a@",
        "a.",
        "a@b.",
        "a ",
        "我叫",
        "我叫王·",
        "业主王",
        "姓名：王 ",
        "本人",
        "编号1234567 ",
        "身份证1",
        "\t",
    ];
    for piece in pieces {
        let text = piece.repeat(10_000 / piece.chars().count());
        // The best of three, as other tests run at the same time.
        let took = (0..3)
            .map(|_| {
                let start = Instant::now();
                find(&text);
                start.elapsed()
            })
            .min();
        assert!(took < Some(PATIENCE), "{took:?} for `{piece}`");
    }
}

/// Texts of what numbers, names and addresses are made of, side by side.
const PIECES: &str = "([0-9]{3,12}|[一二三零〇两①３ \\-.@·\\t+()（）X]|1[3-9][0-9]{9}|1[3-9][0-9] ?[0-9]{4}-[0-9]{4}|0571-[2-8][0-9]{7}\
     |转[0-9]{1,6}|[.·\t \\-]{1,4}|电话|座机|身份证|卡号|编号|我叫王|业主|李明|阿依·买买提|，|元|平|[0-9A-C三]栋|单元|室|[0-9]{3}室|一零一|[0-9]{4}号\
     |湘A[0-9]{5}|月|\\PC){0,40}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn masking_keeps_every_place_and_twice_is_once(text in PIECES) {
        let spans = find(&text);
        let once = masked(&text);
        prop_assert_eq!(once.chars().count(), text.chars().count());
        prop_assert!(spans.windows(2).all(|pair| pair[0].chars.end <= pair[1].chars.start));
        for (at, (before, after)) in text.chars().zip(once.chars()).enumerate() {
            let inside = spans.iter().any(|span| span.chars.contains(&at));
            prop_assert_eq!(after, if inside { '*' } else { before });
        }
        prop_assert_eq!(masked(&once), once);
    }

    #[test]
    fn a_mobile_number_is_gone_whatever_stands_around_it(
        before in PIECES, number in "1[3-9][0-9]{9}", separator in "[.·\t \\-]?", after in PIECES
    ) {
        let planted = [&number[..3], &number[3..7], &number[7..]].join(&separator);
        let text = format!("{before}。请回{planted}，{after}");
        let start = format!("{before}。请回").chars().count();
        let left: String = masked(&text).chars().skip(start).take(planted.chars().count()).collect();
        prop_assert!(left.chars().all(|c| c == '*'), "{} in {}", left, text);
    }

    #[test]
    fn a_mobile_number_after_an_extension_is_gone(
        number in "1[3-9][0-9]{9}", extension in "转[0-9]{1,6}", separator in "[.·\t -]{1,3}", after in "[^0-9A-Za-z*]{0,9}"
    ) {
        let text = format!("座机0571-88123456{extension}{separator}{number}，{after}");
        prop_assert!(!masked(&text).contains(&number), "{}", masked(&text));
    }

    #[test]
    fn any_string_is_read(text in any::<String>()) {
        prop_assert!(find(&text).iter().all(|span| span.chars.end <= text.chars().count()));
    }
}
