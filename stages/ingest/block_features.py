"""What the model sees of a block: itself, its neighbours, the parts of the page above it, its look-alikes, the page.

In the manner of boilerplate detection by shallow features (Kohlschuetter et al., WSDM 2010) and of Readability's
candidates: a block of running text is *good*, and an element is judged by the good text below it. All counts are in
tokens (one Han character, or one run of other letters and digits), so that Chinese and English pages measure alike.
Importing this module loads Numba.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.ingest import page_words
from stages.ingest.page_scan import (
    AFTER_BREAK,
    BLOCK_PARENT,
    BOLD,
    CAPITALS,
    COMMAS,
    DEPTH,
    ENDS_IN_STOP,
    HAN_TOKENS,
    INNER,
    LETTERS,
    LINK_TOKENS,
    LINKS,
    NODE,
    NUMBERS,
    PARENT,
    PHRASES,
    RULES,
    STOPS,
    SYMBOLS,
    TAG,
    TOKENS,
    Scan,
)
from stages.ingest.page_tables import NUM_HINT_COLUMNS, NUM_MARKS, TAGS
from stages.text.kernel import mix64

_TEXT_NAMES = tuple(f"says_{name}" for name, _ in page_words.TEXT_GROUPS)
_HINT_NAMES = tuple(f"under_{names[0]}" for names in page_words.MARKED) + tuple(
    f"named_{name}" for name, _ in page_words.ATTRIBUTE_GROUPS
)
NAMES: tuple[str, ...] = (
    "tokens", "link_share", "word_length", "stops", "comma_share", "number_share", "capital_share", "bold_share",
    "ends_in_stop", "after_break", "symbol_share", "links", "heading", "tag", "depth", "place", "place_in_blocks",
    "rules",
    *_TEXT_NAMES, *_HINT_NAMES,
    "before_1_tokens", "before_1_links", "before_2_tokens", "before_2_links", "after_1_tokens", "after_1_links",
    "after_2_tokens", "after_2_links", "heading_before", "heading_after", "good_near", "tokens_near", "links_near",
    "to_good_before", "to_good_after",
    "alike_blocks", "alike_tokens", "alike_share", "alike_links", "alike_good", "same_text", "same_text_before",
    "up_1_share", "up_1_links", "up_1_good", "up_2_share", "up_2_links", "up_2_good", "up_3_share", "up_3_links",
    "up_3_good", "up_5_share", "up_5_links", "up_5_good",
    "from_h1", "core_80", "core_50", "core_place", "best_share", "in_best", "from_best",
    "page_tokens", "page_good", "page_links", "page_blocks", "page_good_length", "page_thread", "page_product",
    "page_article", "page_main", "page_list", "page_han", "page_core_links",
)  # fmt: skip
NUM_FEATURES = len(NAMES)

_FIRST_TEXT = 18
_FIRST_HINT = _FIRST_TEXT + len(_TEXT_NAMES)
_FIRST_NEAR = _FIRST_HINT + NUM_HINT_COLUMNS
_FIRST_ALIKE = _FIRST_NEAR + 15
_FIRST_UP = _FIRST_ALIKE + 7
_FIRST_CORE = _FIRST_UP + 12
_FIRST_PAGE = _FIRST_CORE + 7
_LEVELS = np.array([1, 2, 3, 5])
_WINDOW = 4
_HINTS = [name for name, _ in page_words.ATTRIBUTE_GROUPS]
_THREAD, _PRODUCT, _LIST = (NUM_MARKS + _HINTS.index(name) for name in ("thread", "product", "list"))
_ARTICLE, _MAIN = 4, 5
_H1 = TAGS["h1"]
#: Tags that the model tells apart, as one number that grows from running text to mark-up.
_TAG_ORDER = np.zeros(256, np.float32)
for _rank, _group in enumerate(
    ("p pre blockquote", "h1 h2 h3 h4 h5 h6", "li dd dt", "td th caption", "article main section", "figcaption summary",
     "div", "button"), 1
):  # fmt: skip
    for _name in _group.split():
        _TAG_ORDER[TAGS[_name]] = _rank
#: Level of a heading by tag; 0 is none.
_HEADING = np.zeros(256, np.int32)
for _level in range(1, 7):
    _HEADING[TAGS[f"h{_level}"]] = _level


def block_features(page: Scan) -> np.ndarray:
    """Features of every block, float32 [blocks, NUM_FEATURES], columns as in :data:`NAMES`."""
    features = np.zeros((len(page.blocks), NUM_FEATURES), np.float32)
    if len(page.blocks):
        looks = looks_of(page)
        copies = np.argsort(page.texts, kind="stable")
        _fill(page.nodes, page.hints, page.blocks, page.texts, looks, by_look(looks), copies, _TAG_ORDER, _HEADING,
              features)  # fmt: skip
    return features


def looks_of(page: Scan) -> np.ndarray:
    """Hash of the tags and classes of every block's element and the two above it, uint64 [blocks]."""
    return _looks(page.nodes, page.looks, page.blocks)


def by_look(looks: np.ndarray) -> np.ndarray:
    """Rows of blocks, those of one look together."""
    return np.argsort(looks, kind="stable")


@njit(cache=True, nogil=True)
def _looks(nodes, looks, blocks):
    found = np.zeros(blocks.shape[0], np.uint64)
    for row in range(blocks.shape[0]):
        node = blocks[row, NODE]
        hashed = looks[node]
        for _ in range(2):
            node = nodes[node, BLOCK_PARENT]
            hashed = mix64(hashed * np.uint64(31) + looks[node])
        found[row] = hashed
    return found


@njit(cache=True, nogil=True)
def _is_good(block):
    tokens = block[TOKENS]
    return tokens >= 10 and block[LINK_TOKENS] * 10 < tokens * 3 and (block[STOPS] > 0 or tokens >= 25)


@njit(cache=True, nogil=True)
def _share(part, whole):
    return np.float32(part / whole) if whole > 0 else np.float32(0)


@njit(cache=True, nogil=True)
def _fill(nodes, hints, blocks, texts, looks, look_order, by_text, tag_order, heading, out):
    num_blocks, num_nodes = blocks.shape[0], nodes.shape[0]
    # sums below every element: tokens, tokens in links, tokens of good blocks
    sums = np.zeros((num_nodes, 3), np.int64)
    good = np.zeros(num_blocks, np.int64)
    before = np.zeros(num_blocks + 1, np.int64)
    first_h1 = -1
    thread = product = listed = han = 0
    num_good = 0
    for row in range(num_blocks):
        block = blocks[row]
        tokens = np.int64(block[TOKENS])
        good[row] = tokens if _is_good(block) else 0
        num_good += good[row] > 0
        node = block[NODE]
        sums[node, 0] += tokens
        sums[node, 1] += block[LINK_TOKENS]
        sums[node, 2] += good[row]
        before[row + 1] = before[row] + tokens
        if first_h1 < 0 and nodes[node, TAG] == _H1:
            first_h1 = row
        thread += tokens * (hints[node, _THREAD] < 12)
        product += tokens * (hints[node, _PRODUCT] < 12)
        listed += tokens * (hints[node, _LIST] < 6)
        han += block[HAN_TOKENS]
    has_article = has_main = False
    for node in range(num_nodes - 1, 0, -1):
        for column in range(3):
            sums[nodes[node, PARENT], column] += sums[node, column]
        has_article |= hints[node, _ARTICLE] == 0
        has_main |= hints[node, _MAIN] == 0
    total, total_links, total_good = sums[0, 0], sums[0, 1], sums[0, 2]
    core_80, core_50, best = _core(nodes, sums, 8), _core(nodes, sums, 5), _best(nodes, blocks, good)
    in_core_80, in_core_50 = _levels_apart(nodes, core_80) == 0, _levels_apart(nodes, core_50) == 0
    apart = _levels_apart(nodes, best)
    core_start, core_end = num_blocks, -1
    for row in range(num_blocks):
        if in_core_50[blocks[row, NODE]]:
            core_start = min(core_start, row)
            core_end = row

    for row in range(num_blocks):
        block, node = blocks[row], blocks[row, NODE]
        tokens = np.float32(block[TOKENS])
        line = out[row]
        line[0] = tokens
        line[1] = _share(block[LINK_TOKENS], tokens)
        line[2] = _share(block[LETTERS], tokens - block[HAN_TOKENS])
        line[3] = block[STOPS]
        line[4] = _share(block[COMMAS], tokens)
        line[5] = _share(block[NUMBERS], tokens)
        line[6] = _share(block[CAPITALS], tokens)
        line[7] = _share(block[BOLD], tokens)
        line[8] = block[ENDS_IN_STOP]
        line[9] = block[AFTER_BREAK]
        line[10] = _share(block[SYMBOLS], tokens + 1)
        line[11] = block[LINKS]
        line[12] = heading[nodes[node, TAG]]
        line[13] = tag_order[nodes[node, TAG]]
        line[14] = nodes[node, DEPTH]
        line[15] = _share(before[row], total)
        line[16] = np.float32(row / num_blocks)
        line[17] = block[RULES]
        for group in range(_FIRST_HINT - _FIRST_TEXT):
            line[_FIRST_TEXT + group] = block[PHRASES] >> group & 1
        for column in range(NUM_HINT_COLUMNS):
            line[_FIRST_HINT + column] = hints[block[INNER], column]

        near = _FIRST_NEAR
        for offset in range(4):
            other = row + (-1, -2, 1, 2)[offset]
            if 0 <= other < num_blocks:
                line[near + 2 * offset] = blocks[other, TOKENS]
                line[near + 2 * offset + 1] = _share(blocks[other, LINK_TOKENS], blocks[other, TOKENS])
            else:
                line[near + 2 * offset] = -1
        line[near + 8] = heading[nodes[blocks[row - 1, NODE], TAG]] if row > 0 else -1
        line[near + 9] = heading[nodes[blocks[row + 1, NODE], TAG]] if row + 1 < num_blocks else -1
        near_tokens = near_links = near_good = 0
        for other in range(max(0, row - _WINDOW), min(num_blocks, row + _WINDOW + 1)):
            near_tokens += blocks[other, TOKENS]
            near_links += blocks[other, LINK_TOKENS]
            near_good += good[other]
        line[near + 10], line[near + 11] = near_good, near_tokens
        line[near + 12] = _share(near_links, near_tokens)

        up = _FIRST_UP
        above, level = node, 1
        for which in range(4):
            while level < _LEVELS[which] and above > 0:
                above = nodes[above, BLOCK_PARENT]
                level += 1
            line[up + 3 * which] = _share(sums[above, 0], total)
            line[up + 3 * which + 1] = _share(sums[above, 1], sums[above, 0])
            line[up + 3 * which + 2] = _share(sums[above, 2], total_good)

        core = _FIRST_CORE
        line[core] = row - first_h1 if first_h1 >= 0 else -1000
        line[core + 1] = in_core_80[node]
        line[core + 2] = in_core_50[node]
        line[core + 3] = -1 if row < core_start else (1 if row > core_end else 0)
        line[core + 4] = _share(sums[best, 0], total)
        line[core + 5] = apart[node] == 0
        line[core + 6] = apart[node]

        page = _FIRST_PAGE
        line[page], line[page + 1], line[page + 2] = total, _share(total_good, total), _share(total_links, total)
        line[page + 3], line[page + 4] = num_blocks, _share(total_good, num_good)
        line[page + 5], line[page + 6] = _share(thread, total), _share(product, total)
        line[page + 7], line[page + 8] = has_article, has_main
        line[page + 9], line[page + 10] = _share(listed, total), _share(han, total)
        line[page + 11] = _share(sums[core_80, 1], sums[core_80, 0])

    # tokens since the last good block, and until the next one
    last = -1
    for row in range(num_blocks):
        out[row, _FIRST_NEAR + 13] = before[row] - before[last + 1] if last >= 0 else 100000
        if good[row]:
            last = row
    last = -1
    for row in range(num_blocks - 1, -1, -1):
        out[row, _FIRST_NEAR + 14] = before[last] - before[row + 1] if last >= 0 else 100000
        if good[row]:
            last = row
    _fill_alike(blocks, looks, look_order, good, total, total_good, out)
    start = 0
    for place in range(1, num_blocks + 1):
        if place == num_blocks or texts[by_text[place]] != texts[by_text[start]]:
            for inside in range(start, place):
                out[by_text[inside], _FIRST_ALIKE + 5] = place - start
                out[by_text[inside], _FIRST_ALIKE + 6] = inside - start
            start = place


@njit(cache=True, nogil=True)
def _fill_alike(blocks, looks, order, good, total, total_good, out):
    start = 0
    for place in range(1, blocks.shape[0] + 1):
        if place < blocks.shape[0] and looks[order[place]] == looks[order[start]]:
            continue
        tokens = links = fine = 0
        for inside in range(start, place):
            tokens += blocks[order[inside], TOKENS]
            links += blocks[order[inside], LINK_TOKENS]
            fine += good[order[inside]]
        for inside in range(start, place):
            line = out[order[inside]]
            line[_FIRST_ALIKE] = place - start
            line[_FIRST_ALIKE + 1] = _share(tokens, place - start)
            line[_FIRST_ALIKE + 2] = _share(tokens, total)
            line[_FIRST_ALIKE + 3] = _share(links, tokens)
            line[_FIRST_ALIKE + 4] = _share(fine, total_good)
        start = place


@njit(cache=True, nogil=True)
def _core(nodes, sums, tenths):
    """The deepest element that holds at least so many tenths of the good text."""
    core = 0
    if sums[0, 2] == 0:
        return core
    for node in range(1, nodes.shape[0]):
        # an element stands after the one above it, so the last that fits is the deepest of one chain
        if sums[node, 2] * 10 >= sums[0, 2] * tenths and nodes[node, DEPTH] > nodes[core, DEPTH]:
            core = node
    return core


@njit(cache=True, nogil=True)
def _best(nodes, blocks, good):
    """Readability's candidate: good text counts whole for the element above its own, half for the next one up."""
    scores = np.zeros(nodes.shape[0], np.float64)
    for row in range(blocks.shape[0]):
        if good[row]:
            above = nodes[blocks[row, NODE], BLOCK_PARENT]
            scores[above] += good[row]
            scores[nodes[above, BLOCK_PARENT]] += good[row] / 2
    best = 0
    for node in range(1, nodes.shape[0]):
        if scores[node] > scores[best]:
            best = node
    return best


@njit(cache=True, nogil=True)
def _levels_apart(nodes, element):
    """Levels from ``element`` up to the first one that also holds the node; 0 for what it holds itself."""
    apart = np.full(nodes.shape[0], -1, np.int32)
    level = 0
    while True:
        apart[element] = level
        if element == 0:
            break
        element = nodes[element, PARENT]
        level += 1
    for node in range(1, nodes.shape[0]):  # an element stands after the one above it
        if apart[node] < 0:
            apart[node] = apart[nodes[node, PARENT]]
    return apart
