"""What names and phrases say about a part of a page: elements by tag, words in ``class`` and ``id``, stock phrases.

Lists of words, no code: a page's author calls a menu ``nav``, a text ``entry-content``, and readers of any site meet
the same "read more". A word is a hint that the model weighs (:mod:`stages.ingest.block_model`), never a verdict.
"""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


#: Elements inside a line; every other known one starts a block of its own. Unknown elements are inline (CSS default).
INLINE = _words(
    "a abbr acronym b bdi bdo big cite code data del dfn em font i img input ins kbd label mark nobr q rp rt ruby s "
    "samp small span strike strong sub sup time tt u var wbr math annotation"
)
BLOCK = _words(
    "html body address article aside blockquote br button caption center col colgroup dd details dialog dir div dl dt "
    "fieldset figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr legend li main menu nav "
    "noscript ol p pre search section summary table tbody td tfoot th thead tr ul"
)
#: Elements whose content nobody reads on the page, or reads as a control.
SKIPPED = _words(
    "head script style template svg iframe object canvas audio video select textarea datalist noembed noframes "
    "map progress meter applet plaintext"
)
#: Elements whose content is no mark-up: it ends at their own end tag.
RAW = _words("script style iframe noembed noframes plaintext xmp")
VOID = _words("area base br col embed frame hr img input link meta param source track wbr")

#: Elements that matter above a block: one column of distances each.
MARKED = (
    ("nav", "menu"),
    ("header",),
    ("footer",),
    ("aside",),
    ("article",),
    ("main",),
    ("form", "fieldset"),
    ("table",),
    ("li",),
    ("figure", "figcaption"),
    ("button", "label"),
    ("a",),
    ("section",),
    ("blockquote",),
    ("pre", "code"),
    ("noscript",),
)

#: Words in ``class``, ``id``, ``role``, ``itemprop`` and ``style``. ``-`` stands for any break between words.
ATTRIBUTE_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("article", ("article", "post-content", "entry-content", "entry", "story", "post-body", "postbody", "articlebody",
                 "content-body", "richtext", "rich-text", "-rte-", "prose", "markdown", "wysiwyg", "post-text")),
    ("content", ("content", "main", "-body-", "-text-", "-post-", "-page-", "zhengwen", "artibody", "mw-parser")),
    ("comment", ("comment", "reply", "replies", "disqus", "respond", "pinglun")),
    ("nav", ("nav", "menu", "breadcrumb", "crumb", "pagination", "pager", "paging", "-toc-", "-tab-", "-tabs-", "skip",
             "sitemap", "daohang", "toolbar")),
    ("foot", ("foot", "bottom", "colophon", "copyright", "contentinfo", "legal", "disclaimer")),
    ("head", ("header", "masthead", "topbar", "top-bar", "-head-", "-top-", "logo")),
    ("side", ("sidebar", "-side-", "-aside-", "-rail-", "widget", "-right-", "-left-", "complementary", "secondary")),
    ("advert", ("-ad-", "-ads-", "advert", "sponsor", "promo", "adsense", "googlead", "outbrain", "taboola", "-dfp-",
                "guanggao", "banner")),
    ("share", ("share", "sharing", "social", "follow", "twitter", "facebook", "weixin", "weibo", "qrcode")),
    ("related", ("related", "recommend", "more-", "readmore", "popular", "trending", "-also-", "latest", "similar",
                 "recirc", "-next-", "-prev", "tuijian", "-hot-", "-rank", "read-next", "upsell")),
    ("popup", ("cookie", "consent", "gdpr", "modal", "popup", "overlay", "newsletter", "subscri", "signup", "sign-up",
               "login", "paywall", "-cta-", "alert", "notice", "dialog", "drawer", "tooltip")),
    ("meta", ("byline", "author", "-date-", "-time-", "timestamp", "meta", "-tag-", "-tags-", "categor", "credit",
              "-info-", "avatar", "stats", "-source-", "editor", "breadcrumb", "user")),
    ("product", ("product", "price", "cart", "-sku-", "spec", "variant", "-buy-", "review", "rating", "shop",
                 "accordion", "feature")),
    ("thread", ("thread", "message", "topic", "forum", "answer", "question", "discussion", "-bbs-", "-cooked-",
                "signature", "quote", "postrow", "usertext")),
    ("hidden", ("hidden", "sr-only", "visually-hidden", "screen-reader", "display:none", "display:-none", "offscreen",
                "collapse", "noprint")),
    ("list", ("list", "grid", "card", "item", "tile", "carousel", "slider", "gallery", "result", "teaser", "-row-",
              "thumb", "feed")),
    ("title", ("title", "headline", "heading", "hero", "subtitle", "intro", "-lead-", "descri", "-desc-", "summary",
               "excerpt", "caption")),
)  # fmt: skip
#: Parts that are left out whole, ``html`` and ``body`` excepted: rendered formulae whose source stands beside them, and
#: questions about cookies.
SKIPPED_WORDS = (
    "katex-html", "mathjax-preview", "-cookie-banner", "-cookie-consent", "-cookie-notice", "-cookie-bar-",
    "-cookiebar", "-cookie-law", "-cookie-popup", "-cookie-message", "-cookieconsent", "-onetrust-", "-cybotcookiebot",
    "-gdpr-banner", "-gdpr-consent", "-consent-banner", "-cc-window-",
)  # fmt: skip

#: Stock phrases in the text of a block.
TEXT_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("legal", ("copyright", "©", "all rights reserved", "privacy policy", "terms of", "terms and conditions",
               "trademark", "版权", "备案", "icp", "著作权", "免责声明", "许可证", "举报", "本网", "转载")),
    ("cookie", ("cookie", "gdpr", "javascript", "browser")),
    ("account", ("subscribe", "sign up", "sign in", "log in", "login", "register", "newsletter", "your email",
                 "unsubscribe", "my account", "登录", "注册", "订阅", "会员", "关注", "下载")),
    ("share", ("share", "follow us", "facebook", "twitter", "pinterest", "whatsapp", "linkedin", "print", "分享",
               "微信", "微博", "扫一扫", "二维码", "收藏", "客户端", "公众号", "打印")),
    ("more", ("read more", "continue reading", "related", "may also", "see also", "more from", "recommended",
              "view all", "show more", "load more", "learn more", "see all", "read next", "previous", "next",
              "most popular", "trending", "latest", "back to", "skip to", "click here", "find out", "get started",
              "阅读更多", "相关", "推荐", "更多", "查看", "点击", "上一篇", "下一篇", "热点", "排行", "返回", "首页")),
    ("advert", ("advertis", "sponsored", "affiliate", "广告", "推广", "赞助")),
    ("credit", ("editor", "photo", "image", "credit", "written by", "by ", "编辑", "来源", "记者", "原标题", "作者",
                "责编", "图片", "声明", "特别声明", "来自")),
    ("comment", ("comment", "reply", "replies", "leave a", "report", "upvote", "评论", "回复", "跟帖", "网友", "点赞",
                 "views", "likes", "joined", "posts")),
    ("trade", ("add to cart", "price", "shipping", "in stock", "review", "buy now", "quantity", "wishlist", "$", "€",
               "£", "sold out", "sale", "free trial", "contact us", "call us", "filter", "sort by", "购买", "价格")),
    ("time", ("ago", "posted", "published", "updated", "last modified", "发布", "时间", "min read", " am", " pm")),
)  # fmt: skip
