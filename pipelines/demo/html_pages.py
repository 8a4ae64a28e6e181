"""Put an article on a web site: navigation, cookie banner, adverts, related links and a footer around the text.

Each language has four sites with mark-up of their own, from tidy HTML5 to nested boxes of the last decade.
"""

from __future__ import annotations

import html
import random
from collections.abc import Sequence

#: Sites per language: (host, name)
SITES = {
    "zh": (
        ("www.chenbao.example.com", "晨报网"),
        ("bbs.shanshui.example.net", "山水论坛"),
        ("www.difangzhi.example.org", "地方志在线"),
        ("blog.xiaoyuan.example.com", "小院博客"),
    ),
    "en": (
        ("www.morningpost.example.com", "The Morning Post"),
        ("notes.riverside.example.net", "Riverside Notes"),
        ("www.county-review.example.org", "County Review"),
        ("blog.backyard.example.com", "Backyard Journal"),
    ),
}
_NAVIGATION = {
    "zh": ("首页", "国内", "国际", "财经", "体育", "文化", "视频", "图片", "论坛", "登录", "注册", "手机版"),
    "en": ("Home", "News", "World", "Business", "Sport", "Culture", "Video", "Pictures", "Sign in", "Register"),
}
_RELATED = {
    "zh": ("春运首日客流创新高", "如何挑选一把好用的椅子", "专家：夜间少看手机",
           "本周末迎来大降温", "十种常见的阳台植物", "老照片里的城市变迁"),
    "en": ("Ten balcony plants that thrive", "Why trains run late in winter", "A short guide to good chairs",
           "Cold snap expected this weekend", "Old photographs of the city", "What to cook on a rainy day"),
}  # fmt: skip
_ADVERTS = {
    "zh": ("【广告】限时优惠，全场五折，点击立即购买！", "扫码关注，免费领取大礼包，名额有限先到先得！",
           "贷款秒批，无需抵押，加微信咨询客服！"),
    "en": ("Advertisement: 50% off everything, buy now!", "Subscribe today and get a free gift, limited offer!",
           "Instant loans, no paperwork, click here!"),
}  # fmt: skip
_COOKIES = {
    "zh": "本网站使用 Cookie 以改善您的浏览体验。继续访问即表示您同意我们的隐私政策。",
    "en": "We use cookies to improve your experience. By continuing you accept our privacy policy.",
}
_FOOTER = {
    "zh": "版权所有 © 2024 {site} 未经许可不得转载 | 京ICP备00000000号 | 关于我们 | 联系我们 | 网站地图",
    "en": "© 2024 {site}. All rights reserved. | About us | Contact | Terms of use | Site map",
}
_WORDS = {
    "zh": {"related": "相关阅读", "top": "热门排行", "accept": "同意", "share": "分享到：微信 微博 QQ空间",
           "comments": "暂无评论，快来抢沙发"},
    "en": {"related": "Related", "top": "Most read", "accept": "Accept", "share": "Share: Facebook Twitter Mail",
           "comments": "No comments yet. Be the first!"},
}  # fmt: skip


def page(language: str, site: int, title: str, paragraphs: Sequence[str], rng: random.Random, charset: str) -> str:
    """HTML of one page; ``charset`` goes into a meta tag, the empty text leaves it out."""
    name = SITES[language][site][1]
    body = "\n".join(f"<p>{html.escape(paragraph, quote=False)}</p>" for paragraph in paragraphs)
    parts = {
        "meta": f'<meta charset="{charset}">' if charset else "",
        "lang": "zh-CN" if language == "zh" else "en",
        "title": html.escape(title, quote=False),
        "site": name,
        "links": "".join(f'<li><a href="/{i}/">{label}</a></li>' for i, label in enumerate(_NAVIGATION[language])),
        "related": "".join(f'<li><a href="/r{i}.html">{text}</a></li>' for i, text in enumerate(_RELATED[language])),
        "advert": rng.choice(_ADVERTS[language]),
        "cookies": _COOKIES[language],
        "footer": _FOOTER[language].format(site=name),
        "body": body,
        **{f"word_{key}": text for key, text in _WORDS[language].items()},
    }
    return _LAYOUTS[site].format(**parts)


_LAYOUTS = (
    # a news site: HTML5 sections with meaningful names
    """<!DOCTYPE html>
<html lang="{lang}"><head>{meta}<title>{title} - {site}</title>
<style>.ad{{color:#c00}} nav li{{display:inline}}</style><script>var track={{id:"demo"}};</script></head>
<body><div id="cookie-banner" class="cookie-consent"><p>{cookies}</p><button>{word_accept}</button></div>
<header><nav class="navbar"><ul>{links}</ul></nav></header>
<main><article class="post"><h1>{title}</h1>
{body}
</article></main>
<aside class="sidebar"><div class="ad advertisement">{advert}</div><h3>{word_related}</h3><ul>{related}</ul></aside>
<footer class="footer"><p>{footer}</p></footer></body></html>
""",
    # a forum: nested boxes
    """<html lang="{lang}"><head>{meta}<title>{title} | {site}</title></head>
<body><div class="header"><div class="nav"><ul>{links}</ul></div></div>
<div class="ad banner-ad"><a href="/go">{advert}</a></div>
<div id="content" class="thread"><div class="post-body"><h1>{title}</h1>
{body}
</div></div>
<div class="share-buttons">{word_share}</div><div class="comments"><p>{word_comments}</p></div>
<div class="sidebar related"><h4>{word_top}</h4><ul>{related}</ul></div>
<div class="footer"><span>{footer}</span></div></body></html>
""",
    # an archive site: everything in one main element, cookies at the end
    """<!DOCTYPE html>
<html lang="{lang}"><head>{meta}<title>{title}</title><meta name="generator" content="demo"></head>
<body><nav id="menu"><ul>{links}</ul></nav>
<main id="main"><h1>{title}</h1>
{body}
</main>
<nav class="related"><h2>{word_related}</h2><ul>{related}</ul></nav>
<footer><p>{footer}</p></footer><div class="cookie-notice">{cookies} <a href="/ok">{word_accept}</a></div></body></html>
""",
    # a blog: article with share row and scripts in between
    """<!DOCTYPE html>
<html lang="{lang}"><head>{meta}<title>{title} – {site}</title><script>window.ads=[1,2,3];</script></head>
<body><div class="top-nav navigation"><ul>{links}</ul></div>
<div class="container"><article><h1 class="entry-title">{title}</h1>
<div class="entry-content">
{body}
</div></article>
<div class="share">{word_share}</div><div class="widget ad">{advert}</div>
<div class="widget related-posts"><ul>{related}</ul></div></div>
<footer id="colophon">{footer}</footer></body></html>
""",
)
