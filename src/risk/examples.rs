//! Sentences that the built-in rules must tell apart: those that only look risky, and those that are.

use super::RiskRules;

/// They look risky and are not.
const HARMLESS: [&str; 40] = [
    // Figures of speech.
    "办个证跑了五趟,真是累死了",
    "物业的态度能把人气死,请管一管",
    "商场天天放喇叭喊跳楼价清仓,吵得没法午休",
    "楼下新开的炸鸡店排队占了人行道",
    "这家奶茶店最近火了,门口停满了车",
    "游乐园的跳楼机要排两个小时,能不能加一台",
    "今年夏天热死人了,公交站能不能装个凉棚",
    "窗口的小姑娘笑死我了,服务真好,点个赞",
    "孩子放学回来饿死了,食堂的菜量太少",
    "等公交等得想死我了,103路能不能加密班次",
    "他打羽毛球的杀球很厉害,希望社区多开几块场地",
    "这个路口的停车线画得要命,请重新画一下",
    // Stories, films, games.
    "图书馆里那本写自杀的小说能不能下架,不适合儿童",
    "昨晚电视剧里跳楼的镜头太吓人,建议改到深夜播",
    "电影院放的片子里有人放火烧楼,请问怎么分级",
    "孩子沉迷游戏,整天说游戏里要砍死谁,请管管网吧",
    "剧本杀店里演杀人案,音响开到半夜,太吵",
    "话剧讲的是矿工讨薪的故事,想问还有没有票",
    // Drills, lessons, campaigns.
    "社区周六搞消防演练,请问居民怎么报名",
    "学校组织地震演习时假装房屋倒塌,孩子觉得很有意思",
    "请问反诈宣传讲座什么时候到我们小区来",
    "派出所的民警来讲座,教老人识破诈骗,讲得很好",
    "想领一份防溺水的宣传手册给孩子看",
    "心理课上老师讲怎样劝阻轻生的人,课件能公开吗",
    // Suggestions.
    "建议开展预防传销的教育活动,让大学生少走弯路",
    "建议学校开设防止自残的心理辅导",
    "建议完善制度,从源头上防止拖欠农民工工资",
    // Denials.
    "我们这里没有停水,是我家水龙头坏了",
    "公司从未拖欠工资,我想咨询的是公积金",
    "我并没有上访的意思,只想问问政策",
    "我没想过轻生,医生只是让我多休息",
    "老板不是骗子,只是发货慢了几天",
    "他从没威胁我,我们只是吵了几句",
    // Clauses.
    "保险条款写着被保险人自杀的免责,这一条合法吗",
    "请问意外险的保单里坠落属于保险责任吗",
    "刑法里非法集资的司法解释在哪里能查到",
    // Past and settled.
    "上周停电的事已经解决了,谢谢供电师傅",
    "拖欠的工资已经全部发放,感谢劳动监察大队",
    "去年被骗的钱派出所已经追回,送上锦旗",
    "楼下井盖破损的问题已修好,给市政点赞",
];

/// They are risky, some in spellings that dodge filters.
const RISKY: [(&str, &str); 40] = [
    ("self_harm", "问题再不解决我就从楼顶跳下去"),
    ("self_harm", "我真的不想活了,谁都不管我"),
    ("self_harm", "孩子在学校被欺负,回家割腕,手上全是血"),
    ("self_harm", "被你们逼得走投无路,我今天就去跳 楼"),
    ("self_harm", "天天想自鲨,没有人能帮我"),
    ("self_harm", "我要 zisha 你们才满意吗"),
    ("self_harm", "再拖下去我就tiao楼"),
    ("self_harm", "活着没意思,药都准备好了"),
    ("self_harm", "我妈喝了农yao,现在还在医院"),
    ("self_harm", "自*杀算了,反正没人在乎"),
    ("threat", "不给我一个说法,我就把你们办公楼炸了"),
    ("threat", "再不退钱我就跟老板同归于尽"),
    ("threat", "邻居拿刀说要砍死我全家,报警没用"),
    ("threat", "逼急了我去买汽油把售楼部烧了"),
    ("threat", "他打电话恐吓我,说再告就要打断腿"),
    ("threat", "再这样我就把信访局zha了"),
    ("threat", "城管再掀我的摊,我就弄 死他"),
    ("life_safety", "电梯昨晚从十二楼掉到三楼,老人被困一个多小时"),
    ("life_safety", "隔壁房子墙体开裂,随时会塌,里面还住着人"),
    ("life_safety", "丈夫喝酒后家暴,用菜刀砍伤我"),
    ("life_safety", "楼上天天往下扔东西,昨天砸伤了一个孩子,迟早出人命"),
    ("life_safety", "幼儿园午饭后二十多个孩子呕吐,怀疑食物中毒"),
    ("group_incident", "我们两百多户业主明天集体去市政府上访"),
    ("group_incident", "全体村民坚决反对建垃圾场,已经联名签字"),
    ("group_incident", "几十名家长在教育局门口拉横幅"),
    ("group_incident", "业主在售楼部门口wei权,来了上百人"),
    ("wage_arrears", "工地干了半年,老板拖欠我们二十个人的工资不给"),
    ("wage_arrears", "包工头跑了,农民工的血汗钱至今一分没拿到"),
    ("wage_arrears", "公司欠xin三个月,找谁都不理"),
    ("wage_arrears", "餐馆老板拖 欠工zi,还把我们赶出来"),
    ("wage_arrears", "学校代课老师的绩效奖金一直没发"),
    ("fraud", "老人被养老公司骗了八万块投资款,老板失联"),
    ("fraud", "我哥被关在出租屋里搞传xiao,天天上课洗脑"),
    ("fraud", "接到冒充公检法的电话,转走了我所有积蓄"),
    ("fraud", "理财平台突然无法提现,法人跑路,几千人被坑"),
    ("utility_outage", "小区停shui三天了,老人孩子没法过"),
    ("utility_outage", "整栋楼从昨晚断电到现在,冰箱里的东西全坏了"),
    ("utility_outage", "家里暖气停了一个星期,零下十度怎么住"),
    ("public_hazard", "学校门口的井盖不见了,晚上容易掉进去"),
    ("public_hazard", "路边电线垂下来离地一米多,还冒火花"),
];

/// Dangers that stand beside words of a guard: a negation, a story, a lesson, an end.
const NOT_GUARDED: [(&str, &str); 85] = [
    ("fraud", "没想到被骗了八万块"),
    ("fraud", "这不是传销是什么"),
    ("fraud", "养老公司以健康讲座为名骗老人的钱"),
    ("fraud", "我和姐姐分别被骗两万元"),
    ("fraud", "公司搞宣传活动拉人头,三级返利"),
    ("utility_outage", "物业说已经恢复供电,其实现在还停电"),
    ("utility_outage", "停水两天,问题没有得到解决"),
    ("utility_outage", "没有任何通知就停水"),
    ("wage_arrears", "拖欠的工资说是已经发放,但我一分没拿到"),
    ("wage_arrears", "劳动法第五十条规定不得克扣,公司拖欠我两个月工资"),
    ("life_safety", "电影院楼道着火,人出不来"),
    ("life_safety", "像电影里一样,电梯突然坠落"),
    ("public_hazard", "建议社区马上处理电线裸露的事,太危险"),
    ("self_harm", "不是我想不开,是真的活不下去"),
    ("self_harm", "我也不想跳楼,可是没有别的路"),
    ("self_harm", "孩子在游戏里输了钱,说要跳楼"),
    ("self_harm", "他看小说被老师骂,回家就喝农药了"),
    ("threat", "监控镜头拍到他持刀砍人"),
    ("life_safety", "监控镜头拍到他持刀砍人"),
    ("life_safety", "剧本杀店着火了,里面有人被困"),
    ("fraud", "刷短剧被骗三万"),
    ("self_harm", "孩子上完心理课说不想活了"),
    ("life_safety", "学校演练时看台倒塌,三名学生重伤"),
    ("life_safety", "医生讲课时突然昏迷,正在抢救"),
    ("self_harm", "孩子在作文里写不想活了"),
    ("self_harm", "女儿写了一篇想自杀的作文"),
    ("self_harm", "作文最后一句是早点死就好了,老师没管"),
    ("utility_outage", "停水通知都没有,家里没水三天了"),
    ("utility_outage", "停水通知都没有"),
    ("fraud", "我被骗了八万元,请帮我追回"),
    ("wage_arrears", "公司拖欠工资三个月,请帮我要回来"),
    ("life_safety", "电梯突然坠落,请帮忙修好"),
    ("utility_outage", "停水三天了,居民都来电投诉"),
    ("wage_arrears", "拖欠我三个月工资,别的工人都发了"),
    ("wage_arrears", "别的工人已经发了,就拖欠我的工资"),
    ("wage_arrears", "希望拖欠的工资早日全部发放"),
    ("life_safety", "劝架反被砍伤"),
    ("threat", "举报后反被威胁"),
    ("fraud", "我反被骗了三万"),
    ("life_safety", "如果再不来修,燃气泄漏会出人命"),
    ("public_hazard", "如果再不来修,燃气泄漏会出人命"),
    ("life_safety", "保单上写着的丈夫从工地坠落身亡"),
    ("life_safety", "车被洪水淹没被困在桥下"),
    ("fraud", "短剧里的广告骗我三万,已报案"),
    ("fraud", "别的人被骗了三万"),
    ("fraud", "社区的防骗讲座刚开完,我妈就被骗了八万"),
    ("self_harm", "电影散场后他说想自杀"),
    ("life_safety", "看电影中途有人晕倒"),
    ("threat", "要不是被他威胁我也不会搬走"),
    ("fraud", "反诈中心说我妈被骗了"),
    ("threat", "劝阻被威胁"),
    ("life_safety", "消防演练中两个孩子被砸伤"),
    ("self_harm", "我想自杀教育局也不管"),
    ("fraud", "能不能帮我把被骗的钱追回"),
    ("life_safety", "谢谢你们派人来,电梯里还困着人,被困两小时了"),
    ("fraud", "签合同被骗三万"),
    ("wage_arrears", "公司违反合同约定拖欠工资三个月"),
    ("utility_outage", "停电通知昨天才贴,今天就停了"),
    ("fraud", "希望公安开展打击传销窝点的行动"),
    ("wage_arrears", "工资已经发了一半,还拖欠两万"),
    ("utility_outage", "上次停水已经解决了,今天家里没水"),
    ("utility_outage", "停水的事已经解决了,今天又停水"),
    ("self_harm", "我儿子天天玩游戏,说活着没意思,想自杀"),
    ("life_safety", "拍电影的棚子着火,有人被困"),
    ("self_harm", "他在小说里写着想死,割腕两次了"),
    ("life_safety", "鬼屋里有人晕倒,送去抢救"),
    ("threat", "新闻里曝光的老板扬言要砍死我"),
    ("fraud", "民警来讲座前,我爸已经被骗五万"),
    ("life_safety", "消防员演练结束后真的起火,小区楼里有人"),
    ("self_harm", "孩子看完网剧就割腕"),
    ("life_safety", "镜头里看到老人被压住"),
    ("life_safety", "话剧散场时看台垮塌"),
    ("threat", "她反被人恐吓"),
    ("life_safety", "举报人反遭毒打"),
    ("fraud", "帮我追回被骗的养老钱,谢谢"),
    ("wage_arrears", "帮忙要回拖欠的工资"),
    ("utility_outage", "别的楼都来电了,就我们停电"),
    ("self_harm", "意外险和遗书都准备好了,我不想活"),
    ("wage_arrears", "能不能帮我们把拖欠的工资要回来"),
    ("life_safety", "剧本里没有的事:房子突然坍塌"),
    ("fraud", "看报道才知道自己被骗"),
    ("self_harm", "刚参加完心理讲座的女儿跳楼了"),
    ("life_safety", "保险条款我看不懂,丈夫被砸死了谁管"),
    ("life_safety", "如果再发生坠落就会出人命"),
    ("fraud", "如果不是被骗谁会报警"),
];

#[test]
fn what_only_resembles_a_guard_cancels_nothing() {
    let rules = RiskRules::built_in();
    for (risk, text) in NOT_GUARDED {
        assert!(rules.find(text).iter().any(|alarm| alarm.risk == risk), "{risk}: {text}");
    }
}

#[test]
fn plain_words_are_no_dodged_spellings() {
    let rules = RiskRules::built_in();
    for text in [
        "这条楼道的灯坏了",
        "我想4月份办理",
        "只能去4S店吗",
        "社区宣传消失了",
        "来自S县的车",
        "兰亭水岸几点关门",
    ] {
        assert!(rules.find(text).is_empty(), "{text}: {:?}", rules.find(text));
    }
}

#[test]
fn harmless_sentences_raise_no_alarm() {
    let rules = RiskRules::built_in();
    let alarms: Vec<_> =
        HARMLESS.iter().filter_map(|text| Some((text, rules.find(text).into_iter().next()?))).collect();
    assert!(alarms.is_empty(), "{alarms:#?}");
}

#[test]
fn risky_sentences_raise_the_alarm_that_is_theirs() {
    let rules = RiskRules::built_in();
    let raises = |risk: &str, text: &str| rules.find(text).iter().any(|alarm| alarm.risk == risk);
    let missed: Vec<_> = RISKY.iter().filter(|(risk, text)| !raises(risk, text)).collect();
    assert!(missed.is_empty(), "{missed:#?}");
}
