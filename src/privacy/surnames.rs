//! Surnames, and the words that only look as if they began with one.

use super::canonical::is_han;

/// Surnames of one character, by how frequent they are.
const SURNAMES: &str = "王李张刘陈杨赵黄周吴徐孙胡朱郭何林罗郑梁谢宋唐许韩冯邓曹彭曾肖萧田董袁潘蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪\
     范廖贾夏韦付傅邹孟熊秦邱江尹薛闫阎段雷侯龙史陶黎贺顾毛郝龚邵钱严覃武戴莫孔汤倪葛伍乔殷聂詹樊欧凌颜章裴柳俞岳蓝翟骆卞虞柯涂游阮祝霍尚\
     缪申季滕蒲鲍喻温康柏甘窦宁左鲁辛冉晏蔺瞿邬奚闵邢洪庞庄焦耿芦芮靳桂卜臧屈谷娄苗卓栾刁丛褚麦宫纪舒童万白石金高方易文马牛包常齐安施米卫粟佘佟戚谌鄢敖冼匡邝牟帅仇隋邰漆仝荣戎邸伏甄湛蒙农苟敬麻揭迟储巩晁皮符奉莘嵇";

/// Surnames that begin so many words that only a form's `姓名：` or `我叫` makes them believable.
const RARELY_SURNAMES: &str = "于向房车成关管解时查平项封明盛单阳谈全应楼路冷沙双司占和楚原经相居";

const COMPOUND_SURNAMES: &str = "欧阳 司马 上官 诸葛 东方 皇甫 尉迟 公孙 慕容 长孙 宇文 司徒 令狐 夏侯 \
     端木 轩辕 南宫 西门 独孤 淳于 单于 太史 呼延 闻人";

/// Words that begin with a surname, places among them, two characters each.
const WORDS: &str = "\
    高一 高二 高三 安全 安置 安装 安心 安排 安危 安居 安保 安稳 安徽 安检 安抚 包括 包工 包含 包装 包裹 包车 \
     包庇 包办 卜卦 白天 白白 白领 白色 白血 常年 常被 常常 常住 常务 常识 常见 常规 常熟 陈述 \
     陈旧 陈列 程序 程度 成立 成为 成绩 成年 成员 成都 成本 丁字 杜绝 段落 方便 方面 方案 方向 \
     方式 方法 方能 方提 方才 方不 方可 方一 付款 付出 付费 付钱 付清 付完 付了 甘肃 甘愿 甘心 \
     高中 高价 高层 高出 高考 高校 高度 高血 高龄 高速 高铁 高空 高额 高薪 高声 高压 高管 高级 \
     高温 高呼 高达 葛洲 宫颈 谷山 谷歌 顾客 顾虑 顾及 顾问 关于 关注 关在 关系 关心 关键 关机 \
     关门 关闭 管理 管家 管道 管部 广东 贵州 何时 何以 何处 何种 何必 何况 何人 何在 何去 何方 \
     何地 何为 贺卡 洪水 胡乱 胡说 胡同 胡闹 黄色 黄昏 黄牛 黄土 霍乱 纪委 纪检 纪律 纪念 季度 \
     季节 焦急 焦虑 金属 金融 金额 金钱 孔雀 康复 康养 乐清 雷击 黎族 林场 林业 林地 林区 林木 \
     凌晨 凌乱 陆续 陆军 路边 罗列 罗湖 吕梁 马上 马路 马来 马桶 麦当 满意 毛坯 毛病 毛利 孟加 \
     苗木 苗族 莫名 莫非 莫大 莫过 牛奶 牛肉 宁波 宁静 宁愿 宁可 宁夏 宁乡 欧洲 欧美 平时 平均 \
     平常 平等 平台 平房 平民 平方 平日 蒲公 齐全 齐心 钱财 钱款 钱包 秦皇 屈服 屈原 屈辱 任何 \
     任意 任职 任由 任务 任凭 任教 任期 石灰 石油 石头 石材 时间 时候 时常 时有 史上 史无 施工 \
     施压 施行 施救 舒适 舒服 舒心 苏北 苏区 孙子 孙女 汤池 唐突 陶瓷 田地 田间 田园 田里 童年 \
     涂料 涂改 万分 万般 万元 万一 万万 王府 王者 王八 卫生 卫浴 卫星 温暖 温馨 温度 温泉 文化 \
     文件 文书 文盲 文字 文章 文旅 文物 武警 武功 武装 武器 夏天 夏季 夏日 项目 萧山 谢谢 辛苦 \
     辛辛 辛劳 辛酸 邢台 熊猫 许可 许多 许诺 许久 许昌 薛城 严重 严格 严厉 严惩 严肃 严禁 严查 \
     严峻 颜色 颜值 姚江 叶片 叶子 易俗 易燃 易于 殷切 殷勤 尤其 游客 游泳 游戏 游玩 游艇 游行 \
     余额 余款 余下 余生 袁州 岳父 岳母 曾经 曾多 曾在 曾向 曾有 曾是 曾被 曾去 曾因 曾于 曾与 \
     曾以 曾对 曾到 曾打 曾用 曾给 曾任 曾问 曾就 曾参 曾找 曾想 曾投 曾听 曾咨 曾两 曾先 曾数 \
     张口 张贴 张某 李某 王某 刘某 陈某 章程 章节 郑重 郑州 钟表 钟头 钟点 周边 周围 周末 周期 \
     周一 周二 周三 周四 周五 周六 周日 周转 周知 祝愿 祝福 祝贺 祝您 祝好 祝大 祝领 祝工 祝各 \
     庄园 庄严 卓越 邹城 左右 左边 左手 左侧 左腿 左眼 尚未 尚不 尚且 尚有 申请 申诉 申报 申领 \
     申办 申述 申购 申明 申冤 柳树 米饭 米粉 米线 车辆 车位 车主 车库 车间 车站 车祸 车停 车牌 \
     车子 车被 房屋 房子 房东 房产 房租 房门 房间 房管 房顶 房贷 房价 房款 房内 房客 向贵 向您 \
     向你 向我 向政 向领 向有 向上 向社 向市 向各 解决 解释 解除 解放 解答 查询 查看 查阅 查处 \
     查明 于是 于今 于去 于上 于当 于前 于昨 全体 全部 全家 全村 全国 全市 全省 全县 单位 单元 \
     单独 单方 单纯 单身 单亲 原告 原来 原因 原本 原先 居民 居住 居家 居然 应该 应当 应聘 明白 \
     明确 明知 明年 明天 楼上 楼下 楼道 楼栋 楼梯 楼盘 路人 路过 路上 路口 路灯 经理 经过 经济 \
     经常 经营 相关 相信 相应 封闭 封阳 封路 沙发 沙石 双方 双胞 双重 司机 农田 农村 农民 农业 \
     农户 冷静 麻烦 麻将 储蓄 储藏 符合 敬请 敬礼 敬业 敬爱 敬老 敬上 荣幸 荣誉 荣获 巩固 仇恨 \
     皮肤 皮卡 湛江 蒙受 蒙古 苟且 揭发 揭阳 揭露 迟迟 迟到 迟早 漆黑 占用 占地 占道 占有 谈判 \
     谈话 谈到 阳台 阳性 平江 项下 成交 帅气";

/// Places and words that a name may well begin with too (`金海波`), if it fills its place in a form.
const PLACES: &str = "\
    万国 万达 万科 万象 万润 万家 万户 金科 金地 金华 金茂 金海 金桥 金辉 金碧 金山 金色 江苏 \
     江西 江山 江北 江南 江宁 江干 江边 江门 江东 张家 李家 王家 郭家 朱家 邱家 伍家 吴家 谭家 \
     尹家 庄家 廖家 潘家 石家 晏家 翟家 詹家 俞家 齐家 安家 高桥 高塘 高新 高兴 龙湖 龙山 龙华 \
     龙岗 龙泉 龙头 黎明 文明 张开 成功 平安 安康 安宁 安静 徐州 徐汇 洪山 唐山 黄山 黄石 黄河 \
     黄兴 黄花 黄金 柳州 温州 苏州 苏宁 鲁班 雷锋 钱江 钱塘 秦淮 余杭 余姚 常德 常州 武汉 武进 \
     岳阳 岳麓 桂林 桂花 贵阳 海南 韦德 石化 杨柳 杨梅 杨浦 马王 宋城 汪洋 张扬 阳光 明明 和平 \
     齐鲁 荣成 盛大 周浦 周口 彭州 梁平 贾宝 乔迁 吴江 吴中 钱都 魏都 赵都";

/// What no given name holds.
const NEVER_IN_NAMES: &str = "的了是在我你您他她它们个些什么怎吗呢吧啊呀请问说叫去来到上下里某先老等这那哪被把让给从会要想就都也又再还很太没不未\
     无因所该已至便只但而且若则姓区县镇街户栋店厂局委员者款费住址您号";

/// What a given name may hold, but what rather begins the next word.
const SELDOM_IN_NAMES: &str = "有和与及或向对为以于前时并正总名市乡村路组楼园城站校院部司民工师族套元月日第两岁此其每另均即使需应必须可打电话拿买卖办送退购租做\
     吃看听找带收交报投反诉求职后如才能将";

/// How many characters of a surname begin `name`: none, one or two. `trusting` allows what is rarely a surname.
pub(super) fn surname_len(name: &[char], trusting: bool) -> usize {
    let [first, second, ..] = *name else { return 0 };
    if lists(COMPOUND_SURNAMES, first, second) {
        return if name.len() > 2 { 2 } else { 0 };
    }
    let is_surname = SURNAMES.contains(first) || trusting && RARELY_SURNAMES.contains(first);
    let is_word = lists(WORDS, first, second) || !trusting && lists(PLACES, first, second);
    usize::from(is_surname && !is_word)
}

/// Whether a given name is likely to hold this character.
pub(super) fn is_given(c: char) -> bool {
    is_possibly_given(c) && !SELDOM_IN_NAMES.contains(c)
}

/// Whether a given name may hold this character.
pub(super) fn is_possibly_given(c: char) -> bool {
    is_han(c) && !NEVER_IN_NAMES.contains(c)
}

/// Whether `words`, two characters each, list this one.
fn lists(words: &str, first: char, second: char) -> bool {
    words.contains(&String::from_iter([first, second]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn len(name: &str, trusting: bool) -> usize {
        surname_len(&name.chars().collect::<Vec<_>>(), trusting)
    }

    #[test]
    fn tells_surnames_from_words_that_begin_with_one() {
        assert_eq!(len("王小明", false), 1);
        assert_eq!(len("欧阳春", false), 2);
        assert_eq!(len("高中生", true), 0);
        assert_eq!((len("金海湾", false), len("金海波", true)), (0, 1));
        assert_eq!((len("于国庆", false), len("于国庆", true)), (0, 1));
        assert_eq!(len("他", true), 0);
    }
}
