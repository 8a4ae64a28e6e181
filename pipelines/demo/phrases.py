"""How the demo's pages speak: paired sentence patterns and the words that every topic shares.

Slots of a pattern (both languages fill them from the same draw): {A} {B} actors, {T} {U} things, {V} a verb (past in
English), {W} the same verb (base form), {Q} {R} traits, {P} {O} places, {H} a person, {D} a date, {Y} a year,
{N} {M} numbers, {K} a percentage, {C} {E} clauses. A page uses a pattern at most once, as a person would.
"""

from __future__ import annotations

PLACES = (
    "青石镇|Qingshi;云溪县|Yunxi;南浦港|Nanpu;白沙洲|Baisha;柳河湾|Liuhe Bend;北岭村|Beiling;"
    "望江路|Wangjiang Road;古槐巷|Guhuai Lane;东湖区|East Lake;石门峡|Shimen Gorge;长堤口|Changdi;"
    "凤山脚下|the foot of Mount Feng;老码头|the old wharf;桃源乡|Taoyuan;西关街|Xiguan Street;"
    "松林台地|the pine terrace;临海新城|the new town of Linhai;双桥镇|Shuangqiao;盐田村|Yantian;"
    "铁佛寺旁|the side of the Iron Buddha temple;龙潭水库|Longtan;河西走廊|the Hexi corridor;"
    "苍梧渡口|the Cangwu ferry;金鸡岭|Jinji Ridge;海棠社区|the Haitang estate;朝阳广场|Chaoyang Square;"
    "芦苇荡|the reed marsh;三岔路口|the three-way junction;枫林谷|Maple Valley;"
    "滨江公园|the riverside park;旧货市场|the flea market;青川北岸|the north bank of the Qing;"
    "高铁新区|the station district;观音桥头|Guanyin Bridge;大榕树下|the great banyan;"
    "渔人码头|the fishermen's quay;落霞坡|Sunset Slope;麦积镇|Maiji;雁门驿|Yanmen Post;"
    "紫云山庄|Ziyun Manor"
)
SURNAMES = (
    "王|Wang;李|Li;张|Zhang;陈|Chen;刘|Liu;赵|Zhao;黄|Huang;周|Zhou;吴|Wu;徐|Xu;孙|Sun;胡|Hu;朱|Zhu;"
    "高|Gao;林|Lin;何|He;郭|Guo;罗|Luo;梁|Liang;宋|Song;郑|Zheng;谢|Xie;韩|Han;唐|Tang;冯|Feng;于|Yu;"
    "董|Dong;萧|Xiao;程|Cheng;曹|Cao;袁|Yuan;邓|Deng;许|Xu;傅|Fu;沈|Shen;曾|Zeng;彭|Peng;吕|Lü;苏|Su;"
    "卢|Lu"
)
GIVEN_NAMES = (
    "建国|Jianguo;淑芬|Shufen;志远|Zhiyuan;晓梅|Xiaomei;文博|Wenbo;雨桐|Yutong;海涛|Haitao;思齐|Siqi;"
    "玉兰|Yulan;浩然|Haoran;明辉|Minghui;静怡|Jingyi;天佑|Tianyou;秀英|Xiuying;子涵|Zihan;国栋|Guodong;"
    "春燕|Chunyan;立新|Lixin;若琳|Ruolin;永康|Yongkang;佳宁|Jianing;振华|Zhenhua;月娥|Yue'e;俊杰|Junjie;"
    "慧敏|Huimin;长庚|Changgeng;念慈|Nianci;世昌|Shichang;婉清|Wanqing;启明|Qiming"
)
CLAUSES = (
    "雨季比往年来得早|the rains came earlier than usual;经费一直没有到位|the money had still not arrived;"
    "道路在夜里结了冰|the roads froze during the night;"
    "老一辈的经验没有人记下来|nobody had written down what the elders knew;"
    "新设备需要半个月调试|the new machines needed two weeks of adjustment;"
    "邻县已经有了成功的例子|a neighbouring county had already succeeded;"
    "原来的图纸找不到了|the original drawings were lost;"
    "参加的人比预想的多|more people came than expected;"
    "周边居民提出了不同意见|the neighbours held other views;"
    "去年的数据有明显的空缺|last year's figures had obvious gaps;材料价格连续上涨|prices kept rising;"
    "天气预报说周末放晴|the forecast promised a clear weekend;"
    "一位退休工人主动帮忙|a retired worker offered to help;"
    "第一轮结果并不理想|the first results were disappointing;"
    "报名的截止日期提前了|the deadline had been moved forward;"
    "两家单位的标准不一致|the two offices used different standards;"
    "许多细节只在口头流传|many details lived only in conversation;"
    "节假日的人手不够|hands were short over the holidays;"
    "测量仪器刚刚送去检定|the instruments had just gone for inspection;"
    "上级要求月底前完成|the work was due by the end of the month;"
    "媒体的报道引来了关注|newspaper reports had drawn attention;"
    "旧的办法已经行不通|the old way no longer worked;学生们正好放暑假|the students were on holiday;"
    "电力供应时断时续|the power came and went;附近的工程提前完工|the works nearby finished early;"
    "档案里只留下一行字|the archive held a single line;"
    "大家对时间的估计过于乐观|everyone had been too hopeful about time;"
    "样品在运输途中受了潮|the samples had become damp on the way;"
    "对方愿意分担一半费用|the other side was willing to share the cost;"
    "初步方案遭到了质疑|the first proposal had been questioned;"
    "当地人习惯了另一种做法|local people were used to another way;"
    "最冷的日子还没有到|the coldest days were still to come;"
    "专家组的建议迟迟没有公布|the experts' advice had not been published;"
    "几处关键数字对不上|a few key figures did not agree;"
    "夜班的记录更加完整|the night shift kept better notes;"
    "集市逢三逢八才开|the market opened only twice every ten days;"
    "山里的信号很差|there was hardly any signal in the hills;"
    "河面上的雾到中午才散|the mist lay on the river until noon;"
    "仓库的钥匙只有一把|there was only one key to the store;"
    "往返一趟要走三个小时|the way there and back took three hours"
)
#: sentence patterns, Chinese and English
PATTERNS = (
    ("{D}，{A}在{P}{W}了{T}，前后一共用了{N}天。", "On {D} {A} {V} {T} in {P}, which took {N} days in all."),
    (
        "由于{C}，{A}决定先{W}{T}，再考虑{U}。",
        "Because {C}, {A} decided to {W} {T} first and to think about {U} later.",
    ),
    (
        "据{H}回忆，{P}的{T}曾经{Q}，后来才慢慢变了样。",
        "As {H} remembers, {T} in {P} used to be {Q} and changed only slowly.",
    ),
    ("{A}和{B}合作，把{T}与{U}放在一起比较。", "Together with {B}, {A} compared {T} with {U}."),
    (
        "统计显示，与{Y}年相比，{T}方面的投入增加了{K}%。",
        "Figures show that spending on {T} grew by {K} per cent compared with {Y}.",
    ),
    (
        "虽然{C}，但是{A}没有放弃，仍旧每天{W}{T}。",
        "Although {C}, {A} did not give up and went on to {W} {T} every day.",
    ),
    ("负责人{H}说，最难的不是{T}，而是{U}。", "{H}, who is in charge, says that the hardest part is not {T} but {U}."),
    ("沿着{P}往里走大约{N}米，就能看到{T}。", "About {N} metres beyond {P} one comes upon {T}."),
    (
        "在很多人眼里，{T}{Q}，其实它的另一面是{R}。",
        "Many people think of {T} as {Q}; seen from the other side it is {R}.",
    ),
    ("{Y}年冬天，{C}，{T}第一次受到关注。", "In the winter of {Y}, when {C}, {T} drew attention for the first time."),
    ("为了弄清楚{T}的来历，{A}走访了{N}户人家。", "To find out where {T} came from, {A} called on {N} families."),
    ("{H}从小在{P}长大，对{T}再熟悉不过。", "{H} grew up in {P} and knows {T} better than anyone."),
    ("只要{C}，{A}就会重新{W}{U}。", "Whenever {C}, {A} would {W} {U} once more."),
    (
        "这份报告用了整整一章来讨论{T}，结论是它{Q}。",
        "The report gives a whole chapter to {T} and concludes that it is {Q}.",
    ),
    ("有人担心{T}会影响{U}，{A}认为这种担心并不必要。", "Some fear that {T} may affect {U}; {A} sees no need for it."),
    ("到{Y}年底，{A}已经在{P}、{O}等地{W}了{T}。", "By the end of {Y} {A} had {V} {T} in {P}, {O} and elsewhere."),
    ("如果把时间拉长到{N}年，{T}的变化就十分清楚了。", "Seen over {N} years, the change in {T} becomes quite plain."),
    (
        "会上，{H}用一张手绘的图解释了{T}为什么{Q}。",
        "At the meeting {H} used a drawing made by hand to show why {T} was {Q}.",
    ),
    ("不少读者来信询问{T}，我们请{A}作了解答。", "Many readers have written about {T}, so we asked {A} to answer."),
    ("与{O}相比，{P}的{T}显得更加{Q}。", "Compared with {O}, {T} in {P} seems more {Q}."),
    ("一开始，{C}；到了第{N}天，情况才有所好转。", "At first {C}; only after {N} days did things improve."),
    (
        "{A}把全部过程写成了{N}页的笔记，其中一半是关于{T}的。",
        "{A} set down the whole course in {N} pages of notes, half of them about {T}.",
    ),
    (
        "在{H}看来，{W}{T}需要的不只是技术，还有耐心。",
        "In the view of {H}, to {W} {T} takes patience as well as skill.",
    ),
    (
        "{D}上午，第一批参观者来到{P}，他们最想看的是{T}。",
        "On the morning of {D} the first visitors came to {P}; what they most wanted to see was {T}.",
    ),
    ("正因为{C}，{T}才显得格外重要。", "It is because {C} that {T} matters so much."),
    ("{A}估计，要完成{U}，至少还需要{N}个人手。", "{A} reckons that {U} will need at least {N} more hands."),
    ("说起{T}，{P}的老人都能讲出一段故事。", "Ask about {T}, and every old person in {P} has a story to tell."),
    (
        "过去，人们习惯把{T}交给{A}；如今，{B}也参与进来。",
        "People used to leave {T} to {A}; today {B} takes part as well.",
    ),
    ("经过{N}次试验，{T}的误差降到了{K}%以内。", "After {N} trials the error of {T} fell below {K} per cent."),
    ("{H}提醒说，{C}，因此不能急于{W}{T}。", "{H} warns that {C}, so nobody should hurry to {W} {T}."),
    ("这件事的起点可以追溯到{Y}年的{P}，当时{C}。", "It all goes back to {P} in {Y}, when {C}."),
    (
        "{A}的做法很简单：先{W}{T}，然后把结果贴在{P}的公告栏上。",
        "What {A} did was simple: {W} {T}, then pin the result to the notice board in {P}.",
    ),
    ("并不是所有人都赞成，{B}就主张把重点放在{U}上。", "Not everyone agreed; {B} would rather have stressed {U}."),
    ("仔细看去，{T}并不像传说中那样{Q}。", "Looked at closely, {T} was not as {Q} as people said."),
    ("{Y}年到{D}之间，相关的记录一共有{N}条。", "Between {Y} and {D} there are {N} entries on the matter."),
    (
        "值得一提的是，{A}没有使用任何进口设备就{W}了{T}。",
        "It is worth noting that {A} {V} {T} without any imported equipment.",
    ),
    (
        "当{C}的时候，{P}的居民自发组织起来照看{T}。",
        "When {C}, the people of {P} came together of their own accord to look after {T}.",
    ),
    (
        "{H}笑着说：“我花了{N}个小时才明白{T}是怎么回事。”",
        "“It took me {N} hours to understand {T},” {H} says with a smile.",
    ),
    (
        "从数字上看，{T}占到总量的{K}%，而{U}只占很小一部分。",
        "In numbers, {T} makes up {K} per cent of the total, and {U} only a small part.",
    ),
    ("下一步，{A}打算在{O}继续{W}{U}。", "As a next step {A} means to go on and {W} {U} in {O}."),
    (
        "{B}则从另一个角度出发，认为{T}与{U}之间没有直接联系。",
        "{B}, starting from another side, finds no direct link between {T} and {U}.",
    ),
    (
        "即使{C}，每月一次的例会也从未中断，最近一次是在{D}。",
        "Even when {C}, the monthly meetings went on; the last was held on {D}.",
    ),
    (
        "有一份{Y}年的旧报纸提到，{P}的{T}“{Q}，令人难忘”。",
        "A newspaper of {Y} calls {T} in {P} “{Q} and not easily forgotten”.",
    ),
    (
        "换句话说，{T}越是{Q}，{A}的工作就越需要细致。",
        "In other words, the more {T} is {Q}, the more care the work of {A} demands.",
    ),
    (
        "{A}随后公布了详细的清单，{T}排在第{N}位。",
        "{A} then published a detailed list in which {T} stood at number {N}.",
    ),
    ("在{P}停留的{M}天里，我们几乎每天都能遇到{H}。", "During our {M} days in {P} we met {H} almost daily."),
    ("这一年，{C}，{E}，事情一度陷入停顿。", "That year {C} and {E}, and for a while everything stood still."),
    ("对{A}来说，{T}既是负担，也是机会。", "For {A}, {T} is a burden and a chance at once."),
    (
        "{H}翻出{Y}年的日记，里面详细写着怎样{W}{T}。",
        "{H} brought out a diary of {Y} that tells in detail how to {W} {T}.",
    ),
    (
        "按照计划，{T}将分{M}期进行，首期安排在{P}。",
        "According to the plan {T} will come in {M} phases, the first of them in {P}.",
    ),
    ("最近的一次检查发生在{D}，结果表明{T}依然{Q}。", "The latest check took place on {D} and found {T} still {Q}."),
    (
        "相比之下，{U}得到的关注要少得多，尽管它同样{R}。",
        "By contrast {U} gets far less notice, though it is just as {R}.",
    ),
    (
        "夜里{M}点，{P}的灯还亮着，{A}正在{W}{T}。",
        "At {M} at night the lights in {P} were still on: {A} had yet to {W} {T}.",
    ),
    ("问题在于，{C}，而{A}手里只有{N}份样本。", "The trouble was that {C}, and {A} had only {N} samples."),
    ("后来的事实证明，先{W}{T}是正确的选择。", "Later events showed that it was right to {W} {T} first."),
    (
        "{O}也派人前来学习，带走了关于{T}的全部资料。",
        "{O} also sent people to learn, and they took home all the papers on {T}.",
    ),
    (
        "从{P}到{O}的{N}公里路上，随处可见{T}的痕迹。",
        "Along the {N} kilometres from {P} to {O}, traces of {T} are everywhere.",
    ),
    ("{A}承认，当初低估了{T}的复杂程度。", "{A} admits to having underestimated how involved {T} would be."),
    ("把{N}个样本放在一起，就会发现{T}大多{Q}。", "Put {N} samples side by side, and most of {T} turns out to be {Q}."),
    (
        "{H}的看法有所不同：既然{C}，不如干脆从{U}入手。",
        "{H} sees it differently: since {C}, one may as well begin with {U}.",
    ),
    ("这种情况在{Y}年之后越来越少，原因是{E}。", "Since {Y} this has become rarer, the reason being that {E}."),
    ("谁也没有想到，{T}竟然在{P}保存了{N}年。", "Nobody had thought that {T} could last {N} years in {P}."),
    (
        "同一时期，{B}在{O}{W}了{U}，两边的经验可以互相补充。",
        "In the same period {B} {V} {U} in {O}, and each side could learn from the other.",
    ),
    ("{A}每隔{M}个月就要{W}一次{T}，从不间断。", "Every {M} months, without fail, {A} would {W} {T}."),
    ("要理解{T}，首先得知道{P}在地图上的位置。", "To understand {T} one must first know where {P} lies on the map."),
    ("采访结束时，{H}送给我们一本关于{T}的小册子。", "When the interview was over, {H} gave us a booklet on {T}."),
    ("所谓{Q}，是指{T}在{N}天之内不需要任何照看。", "To be {Q} means that {T} needs no care for {N} days."),
    ("{C}，这让{A}更加坚定了{W}{U}的想法。", "{C}, and this made {A} all the more determined to {W} {U}."),
    ("市里拨出了{N}万元，其中{K}%用于{T}。", "The city granted {N} thousand yuan, {K} per cent of it for {T}."),
    (
        "{P}的条件并不好，{E}，但这里的{T}远近闻名。",
        "Conditions in {P} are poor and {E}, yet its name is known for {T}.",
    ),
    ("直到{D}，{A}才在{O}找到了与{T}有关的线索。", "Not until {D} did {A} find, in {O}, a clue concerning {T}."),
    (
        "年轻人更关心{U}，老人们则更愿意谈论{T}。",
        "The young care more for {U}, while the old would rather talk about {T}.",
    ),
    (
        "从结果来看，{A}的方法比{B}的方法快了{K}%。",
        "To judge by the results, the method of {A} was {K} per cent faster than that of {B}.",
    ),
    ("{H}补充道，{T}之所以{Q}，是因为{C}。", "{H} adds that {T} is {Q} because {C}."),
    (
        "这里的规矩是，谁{W}了{T}，谁就负责写下经过。",
        "The rule here is that whoever has {V} {T} also writes the account of it.",
    ),
    (
        "第{M}组数据来自{P}，比其他各组更加可靠。",
        "The data of group {M} come from {P} and are more reliable than the rest.",
    ),
    ("有意思的是，{T}在{O}却有完全不同的名字。", "Oddly enough, {T} goes by quite another name in {O}."),
    (
        "因此，{A}建议把{T}列入明年的计划，并由{H}牵头。",
        "For this reason {A} suggests putting {T} into next year's plan, with {H} in the lead.",
    ),
    (
        "{N}名志愿者分成{M}个小队，在{P}轮流{W}{T}。",
        "{N} volunteers, split into {M} teams, took turns to {W} {T} in {P}.",
    ),
    (
        "回过头看，{Y}年的那次尝试虽然失败了，却为{U}留下了宝贵的资料。",
        "Looking back, the attempt of {Y} failed, yet it left valuable material for {U}.",
    ),
    ("如今走进{P}，很难想象这里曾经{C}。", "Walking through {P} today, it is hard to imagine that here {C}."),
    (
        "{A}特意保留了{T}原来的样子，只在旁边立了一块说明牌。",
        "{A} left {T} just as it was and merely set up a sign beside it.",
    ),
    (
        "截至{D}，仍有{K}%的工作没有完成，主要集中在{U}。",
        "As of {D}, {K} per cent of the work remains undone, most of it on {U}.",
    ),
    (
        "{H}和{A}约定，等{T}稳定下来，再到{O}去看一看。",
        "{H} and {A} have agreed to go and look at {O} once {T} has settled.",
    ),
)
#: title patterns
TITLES = (
    ("{P}：{A}怎样{W}{T}", "{P}: how to {W} {T}"),
    ("{H}谈{T}", "{H} on {T}"),
    ("关于{T}的几点观察", "Some observations on {T}"),
    ("从{T}到{U}：{P}纪行", "From {T} to {U}: a journey to {P}"),
    ("{Y}年的{T}", "{T} in {Y}"),
    ("{A}与{T}的{N}天", "{N} days with {A} and {T}"),
    ("{T}为什么{Q}", "Why {T} is {Q}"),
    ("在{P}寻找{T}", "Looking for {T} in {P}"),
)
