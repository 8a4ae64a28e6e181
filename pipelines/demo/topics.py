"""What the demo's pages are about: fourteen topics, every word in Chinese and English.

One entry per ``;``: nouns are ``Chinese|English``, verbs ``Chinese|past|base``. The grammar draws from one topic per
page, so that pages of a topic share words (as real pages do) without sharing sentences.
"""

from __future__ import annotations

#: topic -> {"actors", "things", "verbs", "traits"} in the compact notation above
TOPICS: dict[str, dict[str, str]] = {
    "water": {
        "actors": (
            "水利站|the water station;堤防巡查队|the dyke patrol;流域管理局|the river basin office;"
            "灌区工程师|the irrigation engineers;水文观测员|the gauge readers;"
            "村里的老船工|the old boatmen;防汛指挥部|the flood control room;测绘小组|the survey team;"
            "水质实验室|the water laboratory;闸门值班员|the sluice keepers"
        ),
        "things": (
            "一段旧渠道|an old stretch of canal;上游的水库|the upstream reservoir;"
            "石砌护岸|the stone revetment;两座泵站|two pumping stations;河口湿地|the estuary wetland;"
            "雨量记录|the rainfall records;进水闸|the intake gate;地下水位|the water table;"
            "引水隧洞|the diversion tunnel;泥沙样本|the sediment samples;汛期预案|the flood season plan;"
            "水文年鉴|the hydrological yearbook;鱼类洄游通道|the fish passage;"
            "堰塘清淤|the dredging of the ponds"
        ),
        "verbs": (
            "巡查|inspected|inspect;加固|reinforced|reinforce;测量|measured|measure;疏通|cleared|clear;"
            "重新设计|redesigned|redesign;监测|monitored|monitor;修补|patched|patch;评估|assessed|assess;"
            "登记|registered|register"
        ),
        "traits": (
            "水流平缓|calm;岸坡陡峭|steep;淤积严重|heavily silted;清澈见底|clear to the bottom;"
            "年久失修|long neglected;蓄水充足|well filled;结构稳固|solid;水质良好|clean"
        ),
    },
    "railway": {
        "actors": (
            "线路工区|the track gang;调度中心|the dispatch centre;机务段|the locomotive depot;"
            "年轻的列车长|the young conductor;信号工程师|the signal engineers;桥隧检修班|the bridge crew;"
            "车站志愿者|the station volunteers;铁路博物馆|the railway museum;"
            "货运代理商|the freight agents;道岔设计室|the switch design office"
        ),
        "things": (
            "一条支线铁路|a branch line;旧式蒸汽机车|the old steam engine;编组站|the marshalling yard;"
            "站台雨棚|the platform roof;接触网|the overhead wire;冬季时刻表|the winter timetable;"
            "无缝钢轨|the welded rail;山区隧道|the mountain tunnel;信号联锁系统|the interlocking;"
            "集装箱专列|the container train;候车大厅|the waiting hall;道床石砟|the ballast;"
            "轮轴探伤数据|the axle inspection data;联程车票|the through tickets"
        ),
        "verbs": (
            "检修|overhauled|overhaul;调整|adjusted|adjust;启用|opened|open;更换|replaced|replace;"
            "试验|tested|test;延长|extended|extend;拍摄|photographed|photograph;统计|counted|count;"
            "改造|rebuilt|rebuild"
        ),
        "traits": (
            "准点率高|punctual;坡度较大|steeply graded;客流密集|crowded;噪声很低|quiet;设备先进|modern;"
            "线路弯曲|winding;运力紧张|short of capacity;保养得当|well kept"
        ),
    },
    "astronomy": {
        "actors": (
            "天文台|the observatory;业余观星者|the amateur stargazers;"
            "射电望远镜组|the radio telescope group;博士生团队|a team of doctoral students;"
            "历法研究者|the calendar scholars;卫星测控站|the tracking station;"
            "光学车间|the optics workshop;科普馆讲解员|the planetarium guides;巡天计划|the sky survey;"
            "数据处理员|the data analysts"
        ),
        "things": (
            "一颗暗弱的彗星|a faint comet;变星的光变曲线|the light curve of a variable star;"
            "月面环形山|the lunar craters;双星轨道|the orbit of a binary star;"
            "星系的红移|the redshift of galaxies;古代星图|the ancient star map;"
            "流星雨的峰值|the peak of the meteor shower;镜面镀膜|the mirror coating;"
            "太阳黑子记录|the sunspot drawings;脉冲星信号|the pulsar signal;"
            "夜天光背景|the night sky background;小行星光谱|the asteroid spectra;"
            "导星相机|the guide camera;日食路径|the eclipse path"
        ),
        "verbs": (
            "观测|observed|observe;拍下|imaged|image;计算|calculated|calculate;校准|calibrated|calibrate;"
            "比对|compared|compare;编目|catalogued|catalogue;预报|forecast|forecast;"
            "复核|rechecked|recheck;描绘|sketched|sketch"
        ),
        "traits": (
            "亮度稳定|steady in brightness;十分遥远|very distant;信号微弱|weak;轨道扁长|elongated;"
            "罕见|rare;肉眼可见|visible to the naked eye;误差很小|precise;变化剧烈|violently variable"
        ),
    },
    "kitchen": {
        "actors": (
            "街角的面馆|the noodle shop on the corner;酱园师傅|the master of the sauce house;"
            "老字号茶楼|the old tea house;烹饪学校|the cooking school;豆腐作坊|the bean curd workshop;"
            "早市摊主|the morning market stallholders;美食记者|the food reporter;"
            "渔港厨师|the harbour cook;糕点学徒|the pastry apprentice;食堂管理员|the canteen manager"
        ),
        "things": (
            "一锅老汤|a pot of old stock;手擀面条|the hand-rolled noodles;腌制的萝卜|the pickled radish;"
            "桂花糕|the osmanthus cake;发酵豆酱|the fermented bean paste;竹制蒸笼|the bamboo steamers;"
            "早春的竹笋|the early bamboo shoots;辣椒油|the chilli oil;冬季菜单|the winter menu;"
            "糯米饭团|the sticky rice balls;陈年黄酒|the aged rice wine;家传刀法|the family knife work;"
            "砂锅鱼头|the fish head casserole;芝麻烧饼|the sesame flatbread"
        ),
        "verbs": (
            "熬煮|simmered|simmer;改良|improved|improve;品尝|tasted|taste;记录|wrote down|write down;"
            "传授|taught|teach;腌制|pickled|pickle;推出|introduced|introduce;烘烤|baked|bake;"
            "保留|kept|keep"
        ),
        "traits": (
            "香气浓郁|fragrant;口感爽滑|silky;咸淡适中|well seasoned;"
            "外酥里嫩|crisp outside and tender inside;价格公道|fairly priced;"
            "甜而不腻|sweet without being heavy;做法讲究|elaborate;颜色鲜亮|bright in colour"
        ),
    },
    "farming": {
        "actors": (
            "种植合作社|the growers' cooperative;农技推广站|the extension station;"
            "返乡青年|the young people who had come home;果园主|the orchard owners;"
            "育种专家|the plant breeders;养蜂人|the beekeepers;茶农协会|the tea growers' association;"
            "土壤检测队|the soil testing team;粮库管理员|the granary keepers;农机手|the tractor drivers"
        ),
        "things": (
            "一片梯田|a terrace of fields;耐旱小麦|the drought-proof wheat;温室大棚|the greenhouses;"
            "滴灌设备|the drip irrigation;秋收进度|the pace of the harvest;油菜花海|the rapeseed fields;"
            "绿肥作物|the green manure;老品种水稻|the old rice varieties;病虫害预警|the pest warnings;"
            "果树嫁接|the grafting of the trees;春茶采摘|the spring tea picking;"
            "仓储温度|the storage temperature;轮作方案|the rotation plan;"
            "蜂箱位置|the position of the hives"
        ),
        "verbs": (
            "试种|trialled|trial;推广|promoted|promote;收割|harvested|harvest;改良|improved|improve;"
            "照料|tended|tend;轮换|rotated|rotate;检测|analysed|analyse;采购|bought|buy;"
            "保护|protected|protect"
        ),
        "traits": (
            "长势喜人|thriving;土层深厚|deep-soiled;产量稳定|steady in yield;"
            "抗病性强|resistant to disease;日照充足|sunny;成熟较早|early to ripen;"
            "含水适中|moderately moist;品质优良|of fine quality"
        ),
    },
    "medicine": {
        "actors": (
            "县医院|the county hospital;社区护士|the community nurses;药剂科|the pharmacy;"
            "流行病学小组|the epidemiology group;康复中心|the rehabilitation centre;"
            "乡村医生|the village doctors;影像科医师|the radiologists;疫苗接种点|the vaccination site;"
            "营养门诊|the nutrition clinic;急救车队|the ambulance crews"
        ),
        "things": (
            "慢病档案|the chronic disease files;远程会诊|the remote consultations;"
            "抗生素用量|the use of antibiotics;术后护理流程|the care after surgery;"
            "体检结果|the health check results;血压监测|the blood pressure readings;"
            "急诊分诊|the emergency triage;药品库存|the drug stock;康复训练计划|the training plan;"
            "胸部影像|the chest images;睡眠质量|the quality of sleep;"
            "儿童生长曲线|the growth curves of children;手卫生记录|the hand hygiene log;"
            "传染病报告|the disease reports"
        ),
        "verbs": (
            "跟踪|followed|follow;简化|simplified|simplify;分析|analysed|analyse;公布|published|publish;"
            "核对|cross-checked|cross-check;改进|improved|improve;追溯|traced|trace;储备|stocked|stock;"
            "讨论|discussed|discuss"
        ),
        "traits": (
            "效果明显|effective;副作用轻微|mild in side effects;恢复较快|quick to heal;"
            "等候时间短|short on waiting;数据完整|complete;流程规范|well regulated;费用合理|affordable;"
            "风险可控|low in risk"
        ),
    },
    "school": {
        "actors": (
            "镇中心小学|the town primary school;物理老师|the physics teacher;校图书馆|the school library;"
            "家长委员会|the parents' council;支教志愿者|the volunteer teachers;教研组|the teaching group;"
            "高三学生|the final-year students;职业学院|the vocational college;"
            "校史编写组|the school history editors;校医|the school doctor"
        ),
        "things": (
            "阅读角|the reading corner;实验课教案|the laboratory lessons;课间活动|the break-time games;"
            "校园广播站|the school radio;作文比赛|the essay contest;数学竞赛题|the mathematics problems;"
            "住宿楼|the dormitory;旧课桌椅|the old desks;奖学金名单|the scholarship list;"
            "暑期夏令营|the summer camp;方言童谣|the nursery rhymes in dialect;毕业纪念册|the yearbook;"
            "编程社团|the programming club;晨读制度|the morning reading"
        ),
        "verbs": (
            "组织|organised|organise;编写|compiled|compile;翻新|renovated|renovate;评选|judged|judge;"
            "开设|set up|set up;总结|summed up|sum up;捐赠|donated|donate;观摩|visited|visit;"
            "调查|surveyed|survey"
        ),
        "traits": (
            "气氛活跃|lively;内容丰富|rich in content;秩序井然|orderly;深受欢迎|popular;循序渐进|gradual;"
            "设施完善|well equipped;题目新颖|original;负担较轻|light"
        ),
    },
    "museum": {
        "actors": (
            "省博物馆|the provincial museum;考古队|the excavation team;文物修复师|the conservators;"
            "古籍整理小组|the rare book group;展览策划人|the curators;"
            "地方志办公室|the local history office;民间收藏家|a private collector;"
            "陶瓷研究所|the ceramics institute;碑刻拓印师|the rubbing makers;"
            "讲解志愿者|the volunteer guides"
        ),
        "things": (
            "一批青铜器|a set of bronzes;出土竹简|the excavated bamboo slips;"
            "残破的壁画|the damaged mural;宋代瓷片|the Song dynasty shards;"
            "家谱手稿|the genealogy manuscripts;古墓的形制|the layout of the tomb;"
            "展柜照明|the case lighting;石刻铭文|the stone inscriptions;木结构戏台|the wooden stage;"
            "铜镜纹饰|the mirror patterns;海上贸易路线|the sea trade routes;"
            "馆藏目录|the catalogue of the holdings;丝织品残片|the silk fragments;"
            "老城门遗址|the remains of the city gate"
        ),
        "verbs": (
            "清理|cleaned|clean;修复|restored|restore;考证|verified|verify;展出|displayed|display;"
            "扫描|scanned|scan;临摹|copied|copy;编号|numbered|number;收藏|acquired|acquire;"
            "解读|deciphered|decipher"
        ),
        "traits": (
            "保存完好|well preserved;工艺精湛|finely made;年代久远|ancient;字迹清晰|legible;"
            "用途不明|of unknown use;色彩鲜艳|vivid;形制特殊|unusual in form;来历清楚|well documented"
        ),
    },
    "software": {
        "actors": (
            "开源社区|the open source community;测试工程师|the test engineers;"
            "数据库小组|the database group;初创公司|the start-up;运维值班员|the operator on duty;"
            "编译器作者|the compiler author;前端设计师|the interface designers;"
            "安全研究员|the security researchers;文档翻译者|the translators of the manual;"
            "性能团队|the performance team"
        ),
        "things": (
            "缓存策略|the caching policy;旧版接口|the old interface;日志系统|the logging system;"
            "内存泄漏|a memory leak;单元测试|the unit tests;检索索引|the search index;"
            "部署脚本|the deployment script;权限模型|the permission model;消息队列|the message queue;"
            "编码规范|the coding rules;用户手册|the user manual;并发错误|a race condition;"
            "数据迁移|the data migration;发布流程|the release process"
        ),
        "verbs": (
            "重构|refactored|refactor;修复|fixed|fix;审查|reviewed|review;上线|shipped|ship;"
            "压测|load-tested|load-test;替换|replaced|replace;说明|explained|explain;"
            "复现|reproduced|reproduce;优化|tuned|tune"
        ),
        "traits": (
            "运行稳定|stable;响应迅速|responsive;结构清晰|clearly structured;难以维护|hard to maintain;"
            "占用较少|small in memory;兼容性好|compatible;容易理解|easy to understand;"
            "依赖过多|full of dependencies"
        ),
    },
    "market": {
        "actors": (
            "批发市场|the wholesale market;小微企业主|the small business owners;"
            "统计部门|the statistics office;港口运营商|the port operator;地方银行|the local bank;"
            "外贸商会|the chamber of foreign trade;快递网点|the parcel depots;"
            "消费者协会|the consumers' association;家具厂|the furniture factory;"
            "财经专栏作者|the business columnist"
        ),
        "things": (
            "季度订单|the quarterly orders;蔬菜批发价|the wholesale price of vegetables;"
            "仓储租金|the warehouse rents;出口退税|the export rebate;库存周转|the turnover of stock;"
            "贷款利率|the lending rate;运费报价|the freight quotes;用工需求|the demand for workers;"
            "原料成本|the cost of materials;预售活动|the advance sales;账期安排|the payment terms;"
            "品牌商标|the trade mark;节前客流|the crowds before the festival;"
            "供应合同|the supply contracts"
        ),
        "verbs": (
            "公布|announced|announce;下调|lowered|lower;上调|raised|raise;谈判|negotiated|negotiate;"
            "预测|predicted|predict;追踪|tracked|track;签订|signed|sign;压缩|cut|cut;审计|audited|audit"
        ),
        "traits": (
            "波动较小|stable;竞争激烈|fiercely contested;利润微薄|thin in profit;需求旺盛|in demand;"
            "增长缓慢|slow to grow;成本偏高|costly;前景看好|promising;交易活跃|busy"
        ),
    },
    "ecology": {
        "actors": (
            "自然保护区|the nature reserve;鸟类调查队|the bird survey;护林员|the forest rangers;"
            "植物标本馆|the herbarium;湿地修复组|the wetland restoration group;"
            "红外相机项目|the camera trap project;高校生态学家|the university ecologists;"
            "牧民代表|the herders' representatives;海岸清洁队|the beach cleaners;"
            "苗圃工人|the nursery workers"
        ),
        "things": (
            "越冬候鸟|the wintering birds;珍稀兰花|the rare orchids;退化草场|the degraded pasture;"
            "红树幼苗|the mangrove seedlings;兽类足迹|the mammal tracks;外来入侵植物|the invasive plants;"
            "高山苔藓|the alpine mosses;鸟巢分布|the distribution of nests;"
            "溪流两栖动物|the stream amphibians;防火隔离带|the firebreaks;土壤种子库|the soil seed bank;"
            "昆虫授粉|the pollination by insects;猕猴种群|the macaque population;"
            "潮间带贝类|the shellfish of the tidal flats"
        ),
        "verbs": (
            "记录|recorded|record;清点|counted|count;移栽|transplanted|transplant;拍到|filmed|film;"
            "恢复|restored|restore;标记|tagged|tag;围护|fenced|fence;研究|studied|study;"
            "清除|removed|remove"
        ),
        "traits": (
            "数量回升|recovering in number;分布狭窄|narrowly distributed;对干旱敏感|sensitive to drought;"
            "枝叶繁茂|lush;行踪隐秘|elusive;适应力强|adaptable;生长缓慢|slow-growing;受到保护|protected"
        ),
    },
    "building": {
        "actors": (
            "建筑设计院|the design institute;木作匠人|the carpenters;街区改造办|the renewal office;"
            "结构工程师|the structural engineers;施工队|the builders;社区居民|the residents;"
            "园林绿化处|the parks department;消防验收组|the fire inspectors;"
            "灯光设计师|the lighting designer;古建测绘班|the old building survey"
        ),
        "things": (
            "临街骑楼|the arcade along the street;青砖外墙|the grey brick walls;屋顶花园|the roof garden;"
            "榫卯结构|the joinery;老厂房|the old factory halls;坡屋顶|the pitched roof;"
            "无障碍坡道|the wheelchair ramps;通风天井|the ventilating courtyard;"
            "停车棚|the bicycle shelter;施工图纸|the working drawings;"
            "抗震加固|the earthquake strengthening;雨水花园|the rain garden;楼道照明|the stairway lights;"
            "钢木连廊|the footbridge of steel and timber"
        ),
        "verbs": (
            "拆除|took down|take down;搭建|erected|erect;粉刷|painted|paint;保留|preserved|preserve;"
            "测绘|surveyed|survey;加建|added|add;验收|approved|approve;设计|designed|design;"
            "翻修|repaired|repair"
        ),
        "traits": (
            "采光良好|full of light;造价低廉|cheap to build;比例匀称|well proportioned;"
            "冬暖夏凉|warm in winter and cool in summer;隔音较差|poorly insulated;"
            "线条简洁|simple in line;用料扎实|solidly built;视野开阔|open to the view"
        ),
    },
    "music": {
        "actors": (
            "民乐团|the folk orchestra;唱片修复师|the record restorer;合唱队|the choir;"
            "说书艺人|the storytellers;古琴传人|the heirs of the zither school;"
            "乡村鼓乐队|the village drummers;电台编辑|the radio editor;乐器作坊|the instrument workshop;"
            "作曲系师生|the composition class;剧院经理|the theatre manager"
        ),
        "things": (
            "失传的曲谱|a lost score;冬至音乐会|the solstice concert;渔家号子|the fishermen's work songs;"
            "竹笛音色|the tone of the bamboo flute;老唱片母带|the master tapes;"
            "民歌采风|the collecting of folk songs;戏曲唱腔|the opera melodies;"
            "琴弦张力|the tension of the strings;巡演路线|the tour route;和声课程|the harmony course;"
            "庙会锣鼓|the gongs of the temple fair;录音棚设备|the studio equipment;"
            "儿童合奏课|the children's ensemble;演出海报|the posters"
        ),
        "verbs": (
            "演奏|performed|perform;录制|recorded|record;整理|edited|edit;改编|arranged|arrange;"
            "排练|rehearsed|rehearse;播放|broadcast|broadcast;调校|tuned|tune;聆听|listened to|listen to;"
            "传唱|sang|sing"
        ),
        "traits": (
            "旋律悠扬|melodious;节奏明快|brisk;音色浑厚|full in tone;情感真挚|heartfelt;"
            "编曲大胆|boldly arranged;技法娴熟|skilful;流传甚广|widely known;余韵悠长|lingering"
        ),
    },
    "weather": {
        "actors": (
            "气象台|the weather office;海洋预报员|the marine forecasters;高山观测站|the mountain station;"
            "人工影响天气办|the cloud seeding office;农业气象组|the farm weather group;"
            "雷达值班员|the radar operator;气候研究中心|the climate centre;渔政船|the fisheries vessel;"
            "应急广播站|the emergency radio;校园气象社|the school weather club"
        ),
        "things": (
            "一股强冷空气|a strong cold front;台风路径|the track of the typhoon;"
            "连续大雾|the persistent fog;积雪深度|the depth of snow;雷达回波|the radar echoes;"
            "沙尘天气|the dust storm;高温预警|the heat warning;海面温度|the sea temperature;"
            "探空气球|the weather balloons;冰雹灾情|the hail damage;霜冻日期|the dates of frost;"
            "降水概率|the chance of rain;日照时数|the hours of sunshine;阵风风速|the speed of the gusts"
        ),
        "verbs": (
            "预报|forecast|forecast;监视|watched|watch;发布|issued|issue;修正|corrected|correct;"
            "播报|reported|report;比较|compared|compare;模拟|simulated|simulate;回顾|reviewed|review;"
            "解释|explained|explain"
        ),
        "traits": (
            "来势凶猛|fierce;持续较久|long-lasting;范围有限|limited in area;逐渐减弱|slowly weakening;"
            "低于常年|below the average;突破历史极值|beyond the old record;变化无常|changeable;"
            "影响轻微|slight in effect"
        ),
    },
}
