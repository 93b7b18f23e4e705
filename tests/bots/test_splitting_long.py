"""Long answers of everything: no page nearly empty, every word in order, and full pages that stay while they grow."""

from __future__ import annotations

import re
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from bots.splitting import TELEGRAM_LIMIT, telegram_pages
from bots.surface import Page
from tests.bots.test_splitting import check, units, words


def prose(n: int) -> str:
    return (
        f"Some **bold {n}** and _slanted_ `code {n}` in [a link](http://a.b/c_{n}), 你好世界 🙂👍🏽, \\(x_1\\), $5. "
        * (n % 9)
    )


BLOCKS: list[Callable[[int], str]] = [
    prose,
    lambda n: f"{'#' * (n % 4 + 1)} Title **{n}**",
    lambda n: "\n".join(f"{'  ' * (i % 3)}- item {i} of **list {n}**" for i in range(n)),
    lambda n: "\n\n".join(f"{i}. step {i}\n   - within {n}" for i in range(1, n)),
    lambda n: "```py\n" + "\n".join(f"{'    ' * (i % 3)}line_{i} = {n} # 🙂" for i in range(2 * n)) + "\n```",
    lambda n: "| 名 | n |\n|----|--:|\n" + "\n".join(f"| 苹果{i} | **{n}** |" for i in range(n)),
    lambda n: f"| name | {'wide ' * 12} |\n|--|--|\n" + "\n".join(f"| {i} | cell {n} |" for i in range(n)),
    lambda n: "\n".join(f"> quoted *words* {i}" for i in range(n)),
]
ANSWERS = st.lists(st.tuples(st.sampled_from(BLOCKS), st.integers(1, 60)), min_size=20, max_size=60)


def answer(parts: list[tuple[Callable[[int], str], int]]) -> str:
    """Cut at a line's end: half a word like `_slan` is shown with a mark that a whole one has not."""
    return "\n\n".join(block(n) for block, n in parts)[:20_000].rpartition("\n")[0]


@settings(max_examples=12, deadline=None)
@given(ANSWERS)
def test_no_page_of_a_long_answer_is_nearly_empty(parts: list[tuple[Callable[[int], str], int]]) -> None:
    pages = telegram_pages(answer(parts))
    check(pages)
    assert all(units(page.text) > TELEGRAM_LIMIT / 3 for page in pages[:-1])
    shown = words(" ".join(page.text for page in pages))
    expected = words(re.sub(r"\(http[^)]*\)?|```py|\| (name|wide)[^\n]*|\b_|_\b|\$", " ", answer(parts)))
    left = iter(shown)
    # In order; a wide table says its header with each row, and x_1 is shown as x₁.
    assert all(word in left for word in expected if word != "x_1")


@settings(max_examples=6, deadline=None)
@given(ANSWERS, st.integers(0, 130))
def test_a_full_page_stays_as_it_is_while_the_answer_grows(
    parts: list[tuple[Callable[[int], str], int]], start: int
) -> None:
    text = answer(parts)
    before: list[Page] = []
    for length in range(start, len(text), 131):
        pages = telegram_pages(f"{text[:length]} …")
        assert pages[: len(before) - 1] == before[:-1]
        before = pages
    assert telegram_pages(text)[: len(before) - 1] == before[:-1]
