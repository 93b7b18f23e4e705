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
        # Telegram trims a text's ends, at its start only what is in no entity.
        assert page.text == page.text.rstrip()
        assert page.text == page.text.lstrip() or entities(page)[0].offset == 0
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
    shown = "\n".join(page.text for page in pages)
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
    assert code in "\n".join(page.text for page in pages)
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
        "$5, $10/month (~$7), $1,000-$2,000 or (5$) and (6$)",
        "$HOME/$USER, $PATH",
        "价格是$5到$6，或$7。",
        "a || b || c",
        "See [1].\n\n[1]: https://a.b/c\n[2]: https://a.b/d",
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
    "text",
    [
        "…",
        "a …",
        "**bold",
        "**bold …",
        "    a    \n\n：🙂",
        "# a \u2028\n\n🙂",
        "$$\n",
        "```py\nprint(1 …",
        "| a |\n|-",
        "[link](http://a",
        "$x^",
    ],
)
def test_an_answer_that_is_half_written_is_shown(text: str) -> None:
    check(telegram_pages(text))


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        (r"\(x^2\) and \[ \frac{a+b}{2} \] so $$E = mc^2$$.", "x² and (a+b)/2 so E = mc²."),
        ("设$x$为未知数，$x_1^2=4$。", "设x为未知数，x₁²=4。"),
        ("$$\n\\sqrt{b^2-4ac} \\pm \\pi\n$$", "√(b²-4ac) ± π"),
        (
            "It costs $5; $n$ of them cost $5n$, $f(x) < 3$ for $10.",
            "It costs $5; n of them cost 5n, f(x) < 3 for $10.",
        ),
        (r"`$x^2$`, `\(\alpha\)` and \(\alpha\)", r"$x^2$, \(\alpha\) and α"),
        ("```\n$x^2$ \\(\\alpha\\) ||x||\n[1]: a\n```", "$x^2$ \\(\\alpha\\) ||x||\n[1]: a"),
        ("1. do\n   ```sh\n   ls\n\n   cd\n   ```\n2. next", "1. do\nls\n\ncd\n2. next"),
        ("H$_2$O, 10$^{-3}$, \\$5 and \\$6", "H₂O, 10⁻³, $5 and $6"),
        ("# T\n\ntext\n\n- [ ] a\n- [x] b", "T\ntext\n\n⬜ a\n✅ b"),
    ],
)
def test_formulas_become_readable_and_code_stays_as_it_is(markdown: str, shown: str) -> None:
    assert [page.text for page in telegram_pages(markdown)] == [shown]


@pytest.mark.parametrize(
    ("markdown", "bold"),
    [
        ("**注意：**请看", ["注意"]),
        ("他说**“好”**吧（见图）**是**的", ["好", "是"]),
        ("**甲**和（乙）**丙**", ["甲", "丙"]),
        ("**用 `x()`**和（乙）**`丙`**丁", ["用 x()", "丙"]),
        ("**Note:** text", ["Note:"]),
    ],
)
def test_bold_is_seen_between_chinese_characters_too(markdown: str, bold: list[str]) -> None:
    (page,) = telegram_pages(markdown)
    assert page.text.replace("\u2060", "") == re.sub(r"[*`]", "", markdown)
    assert [
        page.text[e.offset : e.offset + e.length].strip("\u2060") for e in entities(page) if e.type == "bold"
    ] == bold


def test_a_small_table_is_aligned_by_the_width_that_is_seen() -> None:
    table = "| 水果 | price | n |\n|:---|---:|:-:|\n| 苹果 🍎 | **$5** | `a\\|b` |\n| fig || [x](http://a) |"
    (page,) = telegram_pages(f"See:\n{table}\nEnd.")
    assert page.text == (
        "See:\n\n水果    | price |  n\n--------+-------+----\n苹果 🍎 |    $5 | a|b\nfig     |       |  x\n\nEnd."
    )
    assert [entity.type for entity in entities(page)] == ["pre"]


def test_a_table_too_wide_for_a_phone_becomes_a_block_of_lines_a_row() -> None:
    rows = "| **A** | a text that is long enough to be too wide for it | x<br>y |\n| B | | 3 |"
    (page,) = telegram_pages(f"| Name | Description | Notes |\n|---|---|---|\n{rows}")
    assert page.text == (
        "Name: A\nDescription: a text that is long enough to be too wide for it\nNotes: x y\nName: B\nNotes: 3"
    )
    assert [page.text[e.offset : e.offset + e.length] for e in entities(page)] == ["Name: A", "Name: B"]


def test_a_table_that_widens_behind_a_full_page_does_not_change_it() -> None:
    before = [f"{'word ' * 640}\n\n| a | b |\n|--|--|"]
    rows = [f"| {'x' * (n // 3)} | {n} |" for n in range(150)]
    shown: list[Page] = []
    for n in range(150):
        pages = telegram_pages("\n".join(before + rows[:n]) + " …")
        assert pages[: len(shown) - 1] == shown[:-1]
        shown = pages
    assert len(shown) > 2


def test_a_table_of_the_psql_kind_in_a_code_block_is_left_alone() -> None:
    code = "a | b\n--+--\n1 | " + 70 * "x"
    assert [page.text for page in telegram_pages(f"```\n{code}\n```")] == [code]


@pytest.mark.parametrize(
    ("begun", "shown"),
    [
        ("a **bo", "a bo …"),
        ("a **bold*", "a bold …"),
        ("这是**", "这是 …"),
        ("a `co", "a co …"),
        ("a [link](http://a", "a link …"),
        ("a [li", "a li …"),
        ("```py\nx\n``", "x …"),
        ("a\n\n```p", "a …"),
        ("- a\n  ```py\n  x\n  ``", "• a\nx …"),
        ("a\n-", "a …"),
        ("- a\n- [ ", "• a …"),
        ("1. a\n2.", "1. a …"),
        ("| a | b |\n|-", "a | b …"),
        ("| a | b |\n|--|--|\n| 1", "a | b\n--+--\n1 | …"),
        ("so \\(x^2", "so x² …"),
        ("$$\n\\pi", "π …"),
        ("**", "…"),
    ],
)
def test_half_a_mark_is_not_shown_and_an_open_one_counts(begun: str, shown: str) -> None:
    assert [page.text for page in telegram_pages(f"{begun} …")] == [shown]


@pytest.mark.parametrize(
    ("piece", "first", "last"),
    [
        ("Some words here. And more words there.\n\n", "Some", "there."),
        ("- some item of a list\n  - and one below\n", "• some", "below"),
        ("A sentence without a line break. ", "A", "break."),
        ("一个没有换行的句子，很长。", "一个没有", "很长。"),
        ("```py\ndef f():\n    return 1\n```\n", "def", "1"),
        ("word ", "word", "word"),
        ("## Title\n\nText.\n\n", "Title", "Text."),
    ],
)
def test_a_page_ends_where_the_text_has_a_joint(piece: str, first: str, last: str) -> None:
    pages = telegram_pages(piece * (9000 // len(piece)))
    check(pages)
    assert len(pages) > 1
    assert all(page.text.startswith(first) and page.text.endswith(last) for page in pages)


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
