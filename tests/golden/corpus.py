"""A tiny raw dump in three formats and three kinds of text, the same bytes on every machine.

Nothing here may come from a library whose output could change: words are drawn by xxh3, and gzip members hold stored
blocks, because the compressed size (a record's offset!) would differ between zlib builds.
"""

from __future__ import annotations

import itertools
import json
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xxhash

from data_specs.source import DigestCache, Source, SourceCard, open_source
from data_specs.token_store import index_bytes
from stages.tokenize.byte_bpe import byte_alphabet


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_CHINESE = _words(
    """
    春天 到来 之后 山谷 里 的 桃花 慢慢 开放 农民 在 田地 工作 老师 带领 学生 参观 博物馆 研究 人员 发现
    一种 新 材料 能够 降低 成本 提高 效率 城市 交通 变得 更加 方便 河流 两岸 的 居民 喜欢 晚上 散步
    图书馆 收藏 古代 文献 科学家 认为 气候 变化 影响 农业 医生 建议 多 喝水 早睡 早起 音乐 会 吸引 很多
    观众 历史 告诉 我们 和平 来之不易 工厂 引进 设备 生产 零件 海上 风力 发电 项目 开始 运行
    """
)
_ENGLISH = _words(
    """
    the of and a to in is that it for was on are as with his they at be this from have or by one had not
    but what all were when we there can an your which their said if do will each about how up out them
    then she many some so these would other into has more her two like him see time could no make than
    first been its who now people river market engine garden letter winter history teacher council
    measure farmer library journey weather harbour machine
    """
)
_NOUNS = _words(
    """
    row token shard batch record field value index score limit bucket signature cluster domain weight
    """
)


def draw(seed: str, position: int, words: Sequence[str]) -> str:
    """The word at ``position`` of the endless sequence that ``seed`` names."""
    return words[xxhash.xxh3_64_intdigest(f"{seed}/{position}".encode()) % len(words)]


def chinese(seed: str, num_sentences: int) -> str:
    """Paragraphs of three Chinese sentences."""
    sentences = []
    for n in range(num_sentences):
        words = [draw(seed, 100 * n + i, _CHINESE) for i in range(14)]
        sentences.append("".join(words[:7]) + "，" + "".join(words[7:]) + "。")
    return "\n\n".join("".join(sentences[i : i + 3]) for i in range(0, num_sentences, 3))


def english(seed: str, num_sentences: int) -> str:
    """Paragraphs of three English sentences."""
    sentences = []
    for n in range(num_sentences):
        words = [draw(seed, 100 * n + i, _ENGLISH) for i in range(12)]
        sentences.append(" ".join(words).capitalize() + ".")
    return "\n\n".join(" ".join(sentences[i : i + 3]) for i in range(0, num_sentences, 3))


def code(seed: str, num_functions: int) -> str:
    """A Python module."""
    parts = ['"""Module ' + seed + '."""\n']
    for n in range(num_functions):
        a, b, c = (draw(seed, 10 * n + i, _NOUNS) for i in range(3))
        parts.append(
            f"def {a}_of_{b}_{n}({b}, {c}=None):\n"
            f"    if {c} is None:\n        return {b}[{n}]\n"
            f"    total = sum({b}.get(key, {n}) for key in {c})\n    return total / max(1, len({c}))\n"
        )
    return "\n\n".join(parts)


def stored_gzip(body: bytes) -> bytes:
    """A gzip member of stored blocks: no compressor has a say in it."""
    blocks = [body[i : i + 0xFFFF] for i in range(0, len(body), 0xFFFF)] or [b""]
    deflated = b"".join(
        struct.pack("<BHH", i == len(blocks) - 1, len(block), len(block) ^ 0xFFFF) + block
        for i, block in enumerate(blocks)
    )
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + deflated + struct.pack("<II", zlib.crc32(body), len(body))


def warc_record(kind: str, url: str, body: bytes, content_type: str) -> bytes:
    """One WARC/1.0 record."""
    identity = xxhash.xxh3_128_hexdigest(url.encode() + body)
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2024-05-01T00:00:00Z\r\n"
        f"WARC-Record-ID: <urn:uuid:{identity}>\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body + b"\r\n\r\n"


def web_page(url: str, title: str, text: str, charset: str) -> bytes:
    """A response record: navigation, the article, an advert and a foot."""
    article = "".join(f"<p>{part}</p>" for part in text.split("\n\n"))
    html = (
        f"<!DOCTYPE html><html lang=zh><head><meta charset={charset}><title>{title}</title></head><body>"
        f"<nav><a href=/>首页</a> <a href=/news>新闻</a></nav><main><article><h1>{title}</h1>{article}</article></main>"
        f"<aside>广告：点击购买</aside><footer>版权所有</footer></body></html>"
    ).encode(charset)
    http = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset={charset}\r\nContent-Length: {len(html)}\r\n\r\n"
    return warc_record("response", url, http.encode() + html, "application/http; msgtype=response")


def write_corpus(folder: Path) -> dict[str, Source]:
    """Write the dump below ``folder``; returns its sources by name."""
    _write_web(folder / "web")
    _write_pages(folder / "pages")
    _write_modules(folder / "modules")
    cards = (
        _card("golden_web", "zh", "warc", "web/*.warc.gz"),
        _card("golden_pages", "en", "jsonl", "pages/*.jsonl", {"id": "key", "title": "head", "url": "link"}),
        _card("golden_modules", "code", "files", "modules/*.py"),
    )
    cache = DigestCache(folder / "digests.json")
    return {card.name: open_source(card, folder, cache) for card in cards}


def write_foreign(folder: Path) -> dict[str, Source]:
    """A foreign tokenizer of bytes alone, and a token set in the Megatron layout: every third document lacks its end
    (id 0)."""
    folder.mkdir(parents=True)
    lengths = [3 + n % 5 for n in range(40)]
    ids = [2 + xxhash.xxh3_64_intdigest(f"token/{place}".encode()) % 500 for place in range(sum(lengths))]
    for n, end in enumerate(itertools.accumulate(lengths)):
        if n % 3:
            ids[end - 1] = 0
    (folder / "set.bin").write_bytes(np.array(ids, "<i4").tobytes())
    (folder / "set.idx").write_bytes(index_bytes(lengths, "int32"))
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    body = {
        "version": "1.0",
        "added_tokens": [{"id": 256, "content": "<end>", **added}],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "vocab": byte_alphabet(), "merges": []},
    }
    (folder / "tokenizer.json").write_text(json.dumps(body), "utf-8")
    cache = DigestCache(folder / "digests.json")
    cards = _card("golden_tokens", "en", "files", "set.*"), _card("golden_tokenizer", "en", "files", "tokenizer.json")
    return {card.name: open_source(card, folder, cache) for card in cards}


def _card(name: str, domain: str, form: str, path: str, fields: dict[str, str] | None = None) -> SourceCard:
    language = "zh" if domain == "zh" else "en"
    return SourceCard(
        name=name, origin="made here", licence="Apache-2.0", languages=(language,), domain=domain, format=form,
        paths=(path,), fields=fields or {},
    )  # fmt: skip


def _write_web(folder: Path) -> None:
    """Two files of Chinese pages: one charset of GB18030, near-duplicates across files, a short page, a missing one."""
    folder.mkdir(parents=True)
    for part in range(2):
        members = [warc_record("warcinfo", "urn:info", b"software: golden\r\n", "application/warc-fields")]
        for n in range(40):
            text = chinese(f"zh{part}-{n}", 12 + n % 7)
            if part == 1 and n < 6:  # near-duplicates of the first file's pages: one sentence more
                text = chinese(f"zh0-{n}", 12 + n % 7) + "\n\n" + chinese(f"extra{n}", 1)
            if n == 20:
                text = "短。"
            if n == 21:
                text = text.replace("。", "。\u200b\x07", 3) + "\n\n联系：someone@example.com"
            charset = "gb18030" if n % 10 == 3 else "utf-8"
            members.append(web_page(f"https://example.org/{part}/{n}.html", f"第{n}篇", text, charset))
        gone = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\ngone"
        members.append(warc_record("response", f"https://example.org/{part}/gone", gone, "application/http"))
        (folder / f"part-{part}.warc.gz").write_bytes(b"".join(stored_gzip(member) for member in members))


def _write_pages(folder: Path) -> None:
    """JSON lines of English pages: exact duplicates, mojibake, an empty text, a line that is no JSON."""
    folder.mkdir(parents=True)
    lines = []
    for n in range(60):
        text = english(f"en-{n % 55}", 10 + n % 9 if n < 55 else 10 + (n - 55) % 9)  # the last five repeat the first
        if n == 7:
            text = text.replace(". ", " café. ", 3).encode().decode("latin-1")
        if n == 8:
            text = ""
        lines.append(
            json.dumps({"key": f"p{n}", "head": f"Page {n}", "link": f"https://example.com/{n}", "text": text})
        )
    lines.insert(30, '{"key": "broken", "text": "no end')
    (folder / "pages.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def _write_modules(folder: Path) -> None:
    """Python modules; two are the same but for their name."""
    folder.mkdir(parents=True)
    for n in range(30):
        (folder / f"module_{n:02d}.py").write_text(code(f"m{n if n != 29 else 0}", 6 + n % 5), "utf-8")
