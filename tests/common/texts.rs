//! Requests that nobody wrote: phrases in a random order, as long as is asked for.

use rand::Rng;
use rand::seq::IndexedRandom as _;

/// What requests are put together from: what happened, where and when, in simplified and traditional characters, with
/// what people type between them.
const PHRASES: [&str; 48] = [
    "楼下的路灯坏了半个月",
    "小区东门外的井盖松动",
    "物业只收费不管事",
    "电梯一周停了三次",
    "顶楼漏水，墙皮都掉了",
    "晚上十一点工地还在打桩",
    "公交车四十分钟不来一趟",
    "孩子转学的材料交了没人回",
    "老板拖欠我们五个月工资",
    "退休金少发了二百多块",
    "饭馆的油烟直接排到窗前",
    "河道里全是垃圾，臭得很",
    "停水两天没有任何通知",
    "暖气片摸上去是凉的",
    "占道摆摊，消防车进不来",
    "健身房关门，卡里的钱不退",
    "快递站把包裹弄丢了还不赔",
    "村里的卫生室没有医生",
    "医保卡在外地刷不出来",
    "流浪狗追着老人咬",
    "共享单车堆满了盲道",
    "红绿灯只有五秒，过不去",
    "幼儿园门口没有减速带",
    "老旧小区加装电梯迟迟不批",
    "請問補辦證件要帶什麼材料",
    "隔壁違章搭建擋住了陽光",
    "垃圾車淩晨四點就來，吵得睡不著",
    "這條馬路坑坑窪窪，騎車摔了兩次",
    "學校食堂的飯菜涼了也不熱",
    "希望有關部門儘快處理",
    "请尽快派人来看看",
    "打了好几次电话都没人接",
    "已经反映过三回了",
    "谢谢",
    "急！",
    "😡😡",
    "🙏",
    "👨‍👩‍👧 一家三口",
    "3号楼2单元1502",
    "2025年10月8日上午9点",
    "费用3,680.50元",
    "ＡＢＣ座１２层",
    "wifi信号",
    "APP总是报错 error 502",
    "ETC unreadable at the toll gate",
    "see www.example.com/a?b=1",
    "①②③㎡",
    "…………",
];
const MARKS: [&str; 8] = ["，", "。", "；", "！", "？", ",", " ", "\n"];

/// A text of exactly `chars` characters, at least one of them visible.
pub(crate) fn text(random: &mut impl Rng, chars: usize) -> String {
    let mut text = Vec::with_capacity(chars);
    while text.len() < chars {
        text.extend(pick(random, &PHRASES).chars());
        text.extend(pick(random, &MARKS).chars());
    }
    text.into_iter().take(chars).collect()
}

fn pick<'a>(random: &mut impl Rng, words: &[&'a str]) -> &'a str {
    words.choose(random).expect("there are words")
}
