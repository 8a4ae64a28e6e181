"""Pages that a corpus should not keep: gambling and keyword spam, advert pages, stubs."""

from __future__ import annotations

import random

_GAMBLING = {
    "zh": (
        "在线赌场", "百家乐", "老虎机", "注册送彩金", "真人荷官", "六合彩", "时时彩", "足球投注",
        "开户优惠", "提款秒到", "棋牌游戏", "赔率最高", "娱乐城", "充值返利", "代理加盟", "博彩平台",
    ),
    "en": (
        "casino bonus", "free spins", "slot machine", "online poker", "best odds", "betting tips", "instant payout",
        "jackpot", "roulette", "sign up bonus", "cheap pills", "replica watches", "payday loan", "work from home",
    ),
}  # fmt: skip
_OFFERS = {
    "zh": ("限时优惠，全场{n}折起！", "立即购买，包邮到家！", "加微信 vx{n} 免费领取样品！",
           "原价{m}元，现在只要{n}元！", "点击下方链接抢购，数量有限！", "扫描二维码关注公众号领取红包！",
           "客服热线全天在线，欢迎咨询！", "买一送一，假一赔十！", "官方旗舰店正品保证，七天无理由退货！"),
    "en": ("Limited offer: {n}% off everything!", "Buy now and get free shipping!",
           "Only {n} dollars instead of {m}!", "Click here to order today!",
           "Call our hotline now, operators are waiting!", "Two for the price of one!",
           "Sign up for our newsletter and win a prize!", "Money back guarantee, no questions asked!"),
}  # fmt: skip


def spam(language: str, rng: random.Random) -> tuple[str, list[str]]:
    """Title and paragraphs stuffed for a search engine: one phrase of keywords again and again, now and then cut."""
    words = rng.sample(_GAMBLING[language], 5)
    joint = " " if language == "en" else ""
    paragraphs = []
    for _ in range(rng.randint(6, 10)):
        runs = [joint.join(words) for _ in range(rng.randint(3, 5))]
        paragraphs.append(joint.join([*runs, rng.choice(words), rng.choice(words)]))
    return "_".join(words[:3]), paragraphs


def advert(language: str, rng: random.Random) -> tuple[str, list[str]]:
    """Title and paragraphs of an offer page: price after price, each with the same calls to act."""
    joint = " " if language == "en" else ""
    calls = [offer for offer in _OFFERS[language] if "{" not in offer]
    prices = [offer for offer in _OFFERS[language] if "{" in offer]
    refrain = joint.join(rng.sample(calls, 4))
    paragraphs = [
        joint.join([rng.choice(prices).format(n=rng.randint(3, 99), m=rng.randint(100, 999)), refrain])
        for _ in range(rng.randint(6, 9))
    ]
    return prices[0].format(n=rng.randint(3, 9), m=0), paragraphs
