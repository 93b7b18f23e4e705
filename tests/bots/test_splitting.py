"""Answers as pages: each fits, every entity lies in its page, and nothing of the text is lost on the way."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telegramify_markdown.entity import MessageEntity

from bots.splitting import TELEGRAM_LIMIT, telegram_pages
from bots.surface import Page

MARKS = [
    "**", "*", "_", "__", "~~", "||", "`", "```", "```py\n", "~~~", "\n", "\n\n", " ", "    ", "\t", "# ", "- ",
    "1. ",
    "> ", "|", "|a|b|\n|-|-|\n", "[x]", "(http://a.b)", "![i](u)", "<b>", "</b>", "<!--", "&amp;", "&", "\\", "\\(",
    "\\)", "\\[", "\\]", "$", "$$", "\\frac{1}{2}", "🙂", "👨‍👩‍👧", "你好", "e\u0301", "\u200d", "\u202e", "\0", "\r",
    "---",
    "[^1]", "[^1]: n", "- [ ] ", "word ", "tg://user?id=1", "\ufeff", "…", "\u2028", "\ufdd0",
]  # fmt: skip

PARAGRAPH = """## Part {n}

Some **bold**, _slanted_ and `inline` words, 你好世界 🙂👍🏽, and a<b, b>c.

1. first
   - within
2. second

```python
def f_{n}(x: list[int]) -> bool:
    return x < {n}  # 🙂
```

| name | value |
|------|-------|
| n{n} | {n}   |

"""


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def entities(page: Page) -> list[MessageEntity]:
    assert all(isinstance(entity, MessageEntity) for entity in page.format)
    return list(page.format)  # pyright: ignore[reportReturnType] : the assertion above


def check(pages: list[Page]) -> None:
    assert pages
    for page in pages:
        assert page.text.strip()
        data = page.text.encode("utf-16-le")
        assert len(data) // 2 <= TELEGRAM_LIMIT
        for entity in entities(page):
            assert entity.offset >= 0
            assert entity.length > 0
            assert entity.offset + entity.length <= len(data) // 2
            data[2 * entity.offset : 2 * (entity.offset + entity.length)].decode("utf-16-le")  # cuts no pair in two


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def test_a_long_answer_of_everything_fits_its_pages_and_loses_nothing() -> None:
    markdown = "".join(PARAGRAPH.format(n=n) for n in range(100))
    assert len(markdown) > 20_000
    pages = telegram_pages(markdown)
    check(pages)
    assert len(pages) >= units(markdown) // TELEGRAM_LIMIT // 2
    shown = "".join(page.text for page in pages)
    for n in range(100):
        assert f"def f_{n}(x: list[int]) -> bool:\n    return x < {n}  # 🙂" in shown
        assert f"Part {n}" in shown
        assert re.search(rf"n{n} +\| {n}\b", shown)
    assert shown.count("a<b, b>c") == shown.count("你好世界 🙂👍🏽") == 100


@pytest.mark.parametrize("letter", ["a", "好", "🙂"])
@pytest.mark.parametrize("length", [1, 2047, 2048, 2049, 4095, 4096, 4097, 20_000])
def test_one_word_of_any_length_is_cut_only_between_its_letters(letter: str, length: int) -> None:
    pages = telegram_pages(letter * length)
    check(pages)
    assert "".join(page.text for page in pages) == letter * length
    assert len(pages) == -(-units(letter) * length // TELEGRAM_LIMIT)


def test_a_code_block_over_several_pages_is_code_on_every_page_and_keeps_its_indents() -> None:
    code = "\n".join(f"    line_{n} = '好🙂' < {n}" for n in range(600))
    pages = telegram_pages(f"See:\n\n```python\n{code}\n```\n\nDone.")
    check(pages)
    assert len(pages) > 3
    assert code in "".join(page.text for page in pages)
    for page in pages:
        assert [entity.language for entity in entities(page) if entity.type == "pre"] == ["python"]


@pytest.mark.parametrize(
    "text",
    [
        "The tag <img src='x'> is used, a<b and b>c",
        "List<String> and Map<K, V>",
        "<div>block</div>",
        "<think>hm</think>",
        "<|im_start|>",
        "<!-- a remark --> and more",
        "x <- y <= z << 2",
        "2 * 3 * 4 = 24",
        "C:\\path\\new",
        "price is $5 and $6",
        "https://a.b/c_d_e?f=1",
    ],
)
def test_what_only_looks_like_markup_is_shown_as_it_is(text: str) -> None:
    assert [page.text for page in telegram_pages(text)] == [text]


def test_less_than_stays_itself_in_code_too() -> None:
    (page,) = telegram_pages("`a<b>` and\n\n```html\n<br>\n```")
    assert page.text == "a<b> and\n\n<br>"


@pytest.mark.parametrize("text", ["", " ", "\n\n", "…", "[](x)", "\u200b"])
def test_a_text_without_words_is_still_one_page(text: str) -> None:
    check(telegram_pages(text))


@pytest.mark.parametrize(
    "text", ["…", "a …", "**bold", "**bold …", "```py\nprint(1 …", "| a |\n|-", "[link](http://a", "$x^"]
)
def test_an_answer_that_is_half_written_is_shown(text: str) -> None:
    check(telegram_pages(text))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(MARKS) | st.text(max_size=5, alphabet=st.characters(exclude_categories=["Cs"])), max_size=60
    )
)
def test_no_markdown_whatever_raises_or_breaks_a_page(pieces: list[str]) -> None:
    check(telegram_pages("".join(pieces)))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(MARKS), min_size=1, max_size=12), st.integers(500, 1500))
def test_long_hostile_markdown_fits_its_pages(pieces: list[str], times: int) -> None:
    check(telegram_pages(("".join(pieces) * times)[:12_000]))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(PARAGRAPH)))
def test_an_answer_that_breaks_off_anywhere_is_shown_with_all_its_words(at: int) -> None:
    begun = PARAGRAPH[:at]
    pages = telegram_pages(begun)
    check(pages)
    shown = " ".join(page.text for page in pages)
    for word in words(re.sub(r"```\w*", "", begun)):
        assert word.strip("_") in shown
