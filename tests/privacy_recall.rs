//! Personal data in invented texts of every shape: how much of it is found.

use std::collections::BTreeMap;

use jiesu::privacy::{PersonalData, PersonalSpan, find};

/// A small generator of numbers (xorshift), so that the texts are the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % sides
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.roll(choices.len())]
    }

    fn digits(&mut self, len: usize) -> String {
        (0..len).map(|_| char::from(b'0' + self.roll(10) as u8)).collect()
    }
}

fn grouped(digits: &str, lens: &[usize], separator: &str) -> String {
    let mut rest = digits;
    let mut groups = Vec::new();
    for &len in lens {
        let (group, after) = rest.split_at(len.min(rest.len()));
        groups.push(group);
        rest = after;
    }
    groups.push(rest);
    groups.retain(|group| !group.is_empty());
    groups.join(separator)
}

fn full_width(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_graphic() { char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c) } else { c })
        .collect()
}

fn chinese(text: &str) -> String {
    text.chars()
        .map(|c| {
            c.to_digit(10).map_or(c, |digit| "零一二三四五六七八九".chars().nth(digit as usize).unwrap_or(c))
        })
        .collect()
}

fn luhn(payload: &str) -> String {
    let sum: u32 = payload
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let value = u32::from(digit - b'0') << ((place + 1) % 2);
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    format!("{payload}{}", (10 - sum % 10) % 10)
}

fn citizen_id(dice: &mut Dice) -> String {
    let region = dice.pick(&["110105", "330106", "430121", "510104", "320507", "650102", "440305"]);
    let (year, month, day) = (1935 + dice.roll(80), 1 + dice.roll(12), 1 + dice.roll(28));
    let head = format!("{region}{year}{month:02}{day:02}{}", dice.digits(3));
    let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = head.bytes().zip(weights).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    format!("{head}{}", &"10X98765432"[(sum % 11) as usize..][..1])
}

fn mobile(dice: &mut Dice) -> String {
    let digits = format!("1{}{}", 3 + dice.roll(7), dice.digits(9));
    let number = match dice.roll(9) {
        0 => grouped(&digits, &[3, 4, 4], " "),
        1 => grouped(&digits, &[3, 4, 4], "-"),
        2 => grouped(&digits, &[3, 4, 4], "."),
        3 => full_width(&digits),
        4 => chinese(&digits),
        5 => grouped(&digits, &[1; 11], " "),
        6 => grouped(&digits, &[3, 4, 4], "—"),
        _ => digits,
    };
    format!("{}{number}", dice.pick(&["", "", "", "", "+86", "+86 ", "0086", "86-"]))
}

fn landline(dice: &mut Dice) -> String {
    let number = format!("{}{}", 2 + dice.roll(7), dice.digits(7));
    let area = dice.pick(&["010", "021", "025", "0731", "0571", "0755", "0512"]);
    match dice.roll(8) {
        0 => format!("{area}{number}"),
        1 => format!("({area}){number}"),
        2 => format!("（{area}）{}", &number[..7]),
        3 => format!("{area} {} {}", &number[..4], &number[4..]),
        4 => format!("{area}－{number}"),
        5 => format!("{area}-{number}转{}", 100 + dice.roll(900)),
        6 => chinese(&format!("{area}{number}")),
        _ => format!("{area}-{number}"),
    }
}

fn card(dice: &mut Dice) -> String {
    let prefix = dice.pick(&["622202", "622848", "621700", "955880", "436742", "520108"]);
    let len = if prefix.starts_with("62") { 12 } else { 9 };
    let digits = luhn(&format!("{prefix}{}", dice.digits(len)));
    match dice.roll(4) {
        0 => grouped(&digits, &[4, 4, 4, 4], " "),
        1 => grouped(&digits, &[4, 4, 4, 4], "-"),
        2 => full_width(&digits),
        _ => digits,
    }
}

fn plate(dice: &mut Dice) -> String {
    let head = format!(
        "{}{}",
        dice.pick(&["京", "沪", "浙", "湘", "粤", "苏", "川"]),
        dice.pick(&["A", "B", "C", "F"])
    );
    let tail = match dice.roll(5) {
        0 => format!("D{}", dice.digits(5)),
        1 => format!("{}警", dice.digits(4)),
        2 => format!("{}K{}", dice.digits(2), dice.digits(2)),
        3 => format!("{}挂", dice.digits(4)),
        _ => dice.digits(5),
    };
    let plate = format!("{head}{}{tail}", dice.pick(&["", "", "·", " ", "."]));
    if dice.roll(6) == 0 { full_width(&plate) } else { plate }
}

fn email(dice: &mut Dice) -> String {
    let user = format!("{}{}", dice.pick(&["lihua", "wang.wei", "zhao_l", "xq-chen", ""]), dice.digits(6));
    let host = dice.pick(&["qq.com", "163.com", "mail.example.com.cn", "sina.cn", "foxmail.com"]);
    format!("{user}{}{host}", dice.pick(&["@", "@", "@", "＠", " at "]))
}

fn name(dice: &mut Dice) -> String {
    let surname = dice.pick(&[
        "王", "李", "张", "刘", "陈", "赵", "黄", "周", "高", "方", "欧阳", "司马", "石", "安", "万", "何",
    ]);
    let given = dice.pick(&[
        "小明", "丽华", "伟", "芳", "国强", "秀英", "子涵", "建国", "晓燕", "志军", "桂兰", "海波", "静",
        "磊", "德福", "春梅",
    ]);
    match dice.roll(12) {
        0 => "阿依古丽·买买提".to_owned(),
        1 => "扎西·多吉".to_owned(),
        _ => format!("{surname}{given}"),
    }
}

fn address(dice: &mut Dice) -> String {
    let (building, unit, floor, door) =
        (1 + dice.roll(60), 1 + dice.roll(6), 1 + dice.roll(30), 1 + dice.roll(4));
    match dice.roll(9) {
        0 => format!("12号院{building}号楼{unit}单元{floor}0{door}室"),
        1 => format!("{building}栋{floor}0{door}"),
        2 => format!("{building}-{unit}-{floor}0{door}室"),
        3 => format!("{building}幢{unit}单元{floor}0{door}"),
        4 => format!("三号楼二单元{}0{door}室", 1 + dice.roll(9)),
        5 => format!("五栋一单元三零{}室", dice.pick(&["一", "二", "三"])),
        6 => full_width(&format!("{building}栋{unit}单元{floor}0{door}室")),
        7 => format!("88弄{building}号{floor}0{door}室"),
        _ => format!("{building}号楼{unit}单元{floor}层{floor}0{door}户"),
    }
}

/// Texts with one gap, `{}`, for a kind of data.
fn sentences(kind: PersonalData) -> &'static [&'static str] {
    match kind {
        PersonalData::Mobile => &[
            "路灯坏了三天，手机号：{}，请尽快回电。",
            "请联系{}处理垃圾清运的事",
            "电话{}一直没人回复",
            "微信tel{}同号",
            "（{}）希望有人管管",
            "打{}找我就行，谢谢！",
        ],
        PersonalData::Landline => &[
            "家里电话：{}，白天有人。",
            "座机{}，晚上打",
            "请回复，联系方式 {} 。",
            "物业电话是{}，总占线",
            "拨打{}无人接听",
        ],
        PersonalData::CitizenId => &[
            "身份证号：{}，社保查不到记录。",
            "本人证件{}办理落户被退回",
            "身份证{}，请核实",
            "补贴一直没到账（{}）麻烦查一下",
            "我的身份证号码是{}。",
        ],
        PersonalData::BankCard => &[
            "退款请打到银行卡{}。",
            "卡号：{}，开户行在城西支行",
            "工资卡 {} 三个月没进账",
            "转到了{}这张卡里",
            "账号{}收到的钱不对",
        ],
        PersonalData::Plate => &[
            "一辆{}的渣土车半夜超速",
            "车牌号：{}，占用盲道停车。",
            "白色轿车{}堵住消防通道",
            "举报{}，乱鸣笛",
            "网约车（{}）拒载",
        ],
        PersonalData::Email => &["请回复到{}，谢谢", "邮箱：{}", "材料发到 {} 了，没人理", "我的邮箱是{}。"],
        PersonalData::Name => &[
            "我叫{}，家住城东，反映噪音问题。",
            "您好，我叫{}，今年六十岁。",
            "姓名：{} 反映下水道堵塞",
            "联系人：{}，请白天联系",
            "申请人：{}\n申请低保复核",
            "投诉人：{}，电话见附件",
            "本人{}，退休职工，医保报销被拒。",
            "我是{}，想咨询居住证。",
            "业主{}，反映电梯故障",
            "联系人:{}电话已留",
            "我叫{}是城南的居民",
        ],
        PersonalData::Address => &[
            "住在和顺小区{}，楼上漏水。",
            "幸福路{}的住户养鸡",
            "我家是翠竹苑{}，暖气不热",
            "春江花园{}装修噪音大",
            "地址：长青街{}。",
        ],
    }
}

fn value(kind: PersonalData, dice: &mut Dice) -> String {
    match kind {
        PersonalData::Mobile => mobile(dice),
        PersonalData::Landline => landline(dice),
        PersonalData::CitizenId => {
            let id = citizen_id(dice);
            match dice.roll(6) {
                0 => full_width(&id),
                1 => grouped(&id, &[6, 8, 4], " "),
                2 => id.to_lowercase(),
                3 => chinese(&id),
                _ => id,
            }
        }
        PersonalData::BankCard => card(dice),
        PersonalData::Plate => plate(dice),
        PersonalData::Email => email(dice),
        PersonalData::Name => name(dice),
        PersonalData::Address => address(dice),
    }
}

const KINDS: [PersonalData; 8] = [
    PersonalData::Mobile,
    PersonalData::Landline,
    PersonalData::CitizenId,
    PersonalData::BankCard,
    PersonalData::Plate,
    PersonalData::Email,
    PersonalData::Name,
    PersonalData::Address,
];

fn is_covered(chars: &std::ops::Range<usize>, spans: &[PersonalSpan], text: &[char]) -> bool {
    chars.clone().all(|at| {
        matches!(text[at], '+' | '（' | '）' | '(' | ')') || spans.iter().any(|span| span.chars.contains(&at))
    })
}

#[test]
fn finds_nearly_all_data_of_every_kind_and_shape() {
    let mut dice = Dice(0x5eed_2024);
    let mut found: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
    for _ in 0..420 {
        let mut text = String::new();
        let mut planted = Vec::new();
        let first = dice.roll(KINDS.len());
        for kind in
            [KINDS[first], KINDS[(first + 1 + dice.roll(7)) % KINDS.len()], KINDS[dice.roll(KINDS.len())]]
        {
            let value = value(kind, &mut dice);
            let sentence = dice.pick(sentences(kind));
            let (before, after) = sentence.split_once("{}").unwrap();
            text.push_str(before);
            let start = text.chars().count();
            text.push_str(&value);
            planted.push((kind, start..start + value.chars().count()));
            text.push_str(after);
            text.push_str(dice.pick(&["", "。", "\n", " 😀 "]));
        }
        let spans = find(&text);
        let chars: Vec<char> = text.chars().collect();
        for (kind, place) in planted {
            let counts = found.entry(kind.name()).or_default();
            counts.0 += 1;
            let exact = spans.iter().any(|span| span.kind == kind && span.chars.end == place.end);
            if is_covered(&place, &spans, &chars) {
                counts.1 += 1;
                counts.2 += usize::from(exact);
            } else {
                println!("missed {} `{}` in {text}", kind.name(), chars[place].iter().collect::<String>());
            }
        }
    }
    let (planted, hits) = found.values().fold((0, 0), |sum, counts| (sum.0 + counts.0, sum.1 + counts.1));
    println!("planted, covered, of the right kind and end: {found:?}");
    assert_eq!(planted, 3 * 420);
    assert!(hits * 100 >= planted * 98, "{hits} of {planted}");
}
