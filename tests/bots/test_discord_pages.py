"""Answers as Discord's Markdown: each page fits and stands by itself, and a reader there sees what the model wrote."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bots import splitting
from bots.discord_pages import DISCORD_LIMIT, discord_pages
from bots.splitting import telegram_pages
from bots.surface import Page
from tests.bots.discord_reader import Seen, read
from tests.bots.test_splitting import MARKS, PARAGRAPH, units, words
from tests.bots.test_splitting_long import ANSWERS

HOSTILE = [
    *MARKS, "<@123>", "<@&1>", "<#1>", "<t:0:R>", "<:x:1>", "<a:x:1>", "</do:1>", "@everyone", "@here", "::map::",
    "-# ", ">>> ", "#", "##### ", "******", "````", "~~~~\n", "> ```\n", "[a](http://a.b/c_(d))", "[![a](http://i)](http://l)",
    "[@here](http://a)", "![](http://i)", "[x](<@1>)", "___",
]  # fmt: skip
TEXTS = st.lists(
    st.sampled_from(HOSTILE) | st.text(max_size=5, alphabet=st.characters(exclude_categories=["Cs"])), max_size=60
).map("".join)


def check(pages: list[Page]) -> list[Seen]:
    """The pages as they are seen, after what holds for all of them."""
    assert pages
    for page in pages:
        assert page.format == ()
        assert page.text.strip()
        assert page.text == page.text.strip()  # Discord trims a message's ends
        assert units(page.text) <= DISCORD_LIMIT
    seen = [read(page.text) for page in pages]
    for each in seen:
        assert not each.live
    return seen


def shown(markdown: str) -> str:
    """The text of the only page."""
    (page,) = discord_pages(markdown)
    check([page])
    return page.text


# Long answers


def test_a_long_answer_of_everything_fits_its_pages_and_loses_nothing() -> None:
    markdown = "".join(PARAGRAPH.format(n=n) for n in range(100))
    assert len(markdown) > 20_000
    seen = check(discord_pages(markdown))
    text = "\n".join(each.text for each in seen)
    code = "\n".join(block for each in seen for _, block in each.blocks)
    for n in range(100):
        assert f"def f_{n}(x: list[int]) -> bool:\n    return x < {n}  # 🙂" in code
        assert re.search(rf"^n{n} +\| {n}$", code, re.MULTILINE)
        assert f"Part {n}" in text
    assert text.count("Some bold, slanted and inline words, 你好世界 🙂👍🏽, and a<b, b>c.") == 100


@pytest.mark.parametrize("letter", ["a", "好", "🙂", "👨‍👩‍👧", "👍🏽", "e\u0301"])
@pytest.mark.parametrize("length", [1, 999, 1000, 1001, 1999, 2000, 2001, 20_000])
def test_one_word_of_any_length_is_cut_only_between_its_letters(letter: str, length: int) -> None:
    pages = discord_pages(letter * length)
    check(pages)
    assert "".join(page.text for page in pages) == letter * length
    assert all(page.text == letter * (len(page.text) // len(letter)) for page in pages)


def test_a_line_of_code_that_is_longer_than_a_page_is_code_on_every_page() -> None:
    line = "x" * 3000
    seen = check(discord_pages(f"See:\n\n```py\n    {line}\n```"))
    assert "".join(code for each in seen for _, code in each.blocks) == f"    {line}"
    assert {language for each in seen for language, _ in each.blocks} == {"py"}


def test_a_fence_ends_and_opens_again_with_the_same_language_and_indents_at_every_end_of_a_page() -> None:
    code = "\n".join(f"    line_{n} = '好🙂' < {n} ** 2 * `<@{n}>`" for n in range(300))
    pages = discord_pages(f"See:\n\n```c++\n{code}\n```\n\nDone.")
    seen = check(pages)
    assert len(pages) > 5
    assert "\n".join(block for each in seen for _, block in each.blocks) == code
    assert all(page.text.startswith("```c++\n    line_") for page in pages[1:])
    assert all(page.text.endswith("\n```") for page in pages[:-1])


@pytest.mark.parametrize(
    ("mark", "text"),
    [("**", "bold " * 900), ("~~", "gone " * 900), ("*", "slanted " * 900), ("> ", "quoted " * 900)],
)
def test_formatting_ends_and_opens_again_at_every_end_of_a_page(mark: str, text: str) -> None:
    pages = discord_pages(f"{mark}{text.strip()}{mark.strip() if mark != '> ' else ''}")
    seen = check(pages)
    assert len(pages) > 2
    assert words(" ".join(each.text for each in seen)) == words(text)
    assert all(page.text.startswith(mark) for page in pages)
    assert all(each.marks == ({} if mark == "> " else {mark: 2}) for each in seen)


def test_a_link_over_two_pages_is_a_link_on_both() -> None:
    seen = check(discord_pages(f"[{'word ' * 500}end](http://a.b/c)"))
    assert [target for each in seen for _, target in each.links] == ["http://a.b/c"] * 2


def test_of_a_link_that_would_fill_the_page_the_words_stay() -> None:
    assert shown(f"See [this](http://a.b/{'x' * 5000}).") == "See this."


@pytest.mark.parametrize(
    "piece",
    [
        "**", "*", "_", "__", "~~", "||", "`", "``` ", "```\n", "````\n", "~~~\n```\n", "[", "[a](b) ", "![", "\\",
        "<", "<@1>", "@everyone ", ":a", "> ", "- ", "1. ", "# ", "##### ", "######\n", "# a\n", "> a\n", "- a\n",
        "|", "|a|b|\n|-|-|\n", "$", "\\(", " ", "\n", "\t", "a ", "*a* ", "**a**", "`a` ", "http://a.b/", "\ufffe",
        "\uffff ", "&amp;", "\u200b", "-# ", "@here![^1]", "http://a.b/******",
    ],
)  # fmt: skip
def test_a_model_that_loops_is_shown(piece: str) -> None:
    text = (piece * 20_000)[:20_000]
    check(discord_pages(text))
    check(discord_pages(f"{text} …"))


# What Discord reads otherwise than the model meant it


@pytest.mark.parametrize(
    ("markdown", "code"),
    [
        ("~~~md\n```py\nx\n```\n~~~", ("md", "```py\nx\n```")),
        ("````\n```py\nx\n```\n````", ("", "```py\nx\n```")),
        ("```text title='a b'\nx\n```", ("text", "x")),
        ("```\n\n    x\n\ny\n```", ("", "    x\n\ny")),
        ("```py\nx", ("py", "x")),
        ("- a\n  ```py\n  x\n    y\n  ```\n- b", ("py", "x\n  y")),
        ("``` `a`` ```", None),
        ("```\n```", None),
        ("a ``` b", None),
    ],
)
def test_every_fence_of_markdown_is_one_of_discords(markdown: str, code: tuple[str, str] | None) -> None:
    (seen,) = check(discord_pages(markdown))
    assert seen.blocks == ([code] if code else [])


def test_code_in_a_quotation_is_quoted_code() -> None:
    assert shown("> see:\n> ```py\n> x\n> y\n> ```\n\nafter") == "> see:\n> ```py\n> x\n> y\n> ```\n\nafter"


@pytest.mark.parametrize(
    "text",
    [
        "<@123> <@!123> <@&1> <#1> <t:0:R> <t:-5> <:x:1> <a:x_y:1> </do it:12> <id:guide>",
        "@everyone, @here",
        "std::map::iterator, 12:100:30",
        "2 * 3 * 4 = 24, a*, *b",
        "snake_case _x and x__y",
        "a || b || c",
        "C:\\path\\new and \\(",
        "~~a, ~5",
        "a `b",
        "a ** b",
        ">>> print(1)",
        "-# small",
        "[a\\](http://b.c)",
        "See [1].\n\n[1]: https://a.b/c_d",
        "List<String>, <div>, <!-- x -->",
        "$5 and $6",
    ],
)
def test_what_only_looks_like_markup_is_seen_as_it_is(text: str) -> None:
    (telegram,) = telegram_pages(text)
    (seen,) = check(discord_pages(text))
    assert seen.text == telegram.text
    assert not seen.marks
    assert not seen.links


@pytest.mark.parametrize("text", ["`<@123> @everyone`", "```\n<@123> <t:0:R>\n```"])
def test_in_code_nothing_gets_a_backslash(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    ("markdown", "page"),
    [
        ("# One\n\n## Two *x*\ntext\n\n### Three", "# One\n## Two *x*\ntext\n\n### Three"),
        ("# [a](http://b)", "# [a](<http://b>)"),
        ("#### Four **x**\ntext\n##### Five\n###### `Six`", "**Four x**\ntext\n**Five**\n**`Six`**"),
        ("\\# a\n\n#b", "\\# a\n\n#b"),
        ("a\n\n---\n\nb", "a\n\n————————\n\nb"),
        ("- [ ] a\n- [x] b", "⬜ a\n✅ b"),
        ("* a\n  * b\n    1. c\n+ d", "- a\n  - b\n    1. c\n- d"),
        ("__bold__ ~~gone~~ ***both***", "**bold** ~~gone~~ ***both***"),
        ("**a *b* `c`**", "**a *b* `c`**"),
        ("`` a`b `` ``c``", "``a`b`` `c`"),
        ("[a](<http://b> 'title') and ![c](http://d)", "[a](<http://b>) and 🖼[c](<http://d>)"),
        ("[a](http://b/c_(d)))", "[a](<http://b/c_%28d%29>))"),
        ("[https://a](https://b) [https://a](https://a)", "<https://a> (<https://b>) <https://a>"),
        ("[a](#b) [c](mailto:d@e)", "a (`#b`) c (`mailto:d@e`)"),
        ("https://a.b/c__d__*e?f=@here <https://g.h>", "https://a.b/c__d__*e?f=@here <https://g.h>"),
        (
            "https://a.b/c。(https://a.b)**好** https://a.b`x`",
            "<https://a.b/c>。(<https://a.b>)**好** <https://a.b>`x`",
        ),
        (r"\(x^2\) and $$\frac{a_1}{b}$$, $n$ * $m$", r"x² and a₁/b, n \* m"),
        ("*c***d**", "*c*\u200b**d**"),
        ("**注意：**请看", "**注意**：请看"),
    ],
)
def test_markdown_becomes_discords(markdown: str, page: str) -> None:
    assert shown(markdown) == page


def test_a_table_is_aligned_in_a_block_of_code() -> None:
    table = "| 水果 | price |\n|:---|---:|\n| 苹果 🍎 | **$5** |\n| fig | `<@1>` |"
    assert shown(f"See:\n{table}\nEnd.") == (
        "See:\n\n```\n水果    | price\n--------+------\n苹果 🍎 |    $5\nfig     | <@1>\n```\n\nEnd."
    ).replace("fig     | <@1>", "fig     |  <@1>")


def test_a_table_that_is_too_wide_becomes_lines() -> None:
    rows = f"| A | {'too wide ' * 8} | <@1> |\n| B | | 3 |"
    assert shown(f"| Name | Text | Notes |\n|---|---|---|\n{rows}") == (
        f"**Name: A**\nText: {('too wide ' * 8).strip()}\nNotes: \\<@1>\n**Name: B**\nNotes: 3"
    )


def test_a_table_over_several_pages_has_its_header_on_each() -> None:
    rows = "\n".join(f"| some name {n} | {n * n} |" for n in range(300))
    seen = check(discord_pages(f"| name | value |\n|--|--|\n{rows}"))
    assert len(seen) > 3
    assert all(code.startswith("name ") for each in seen for _, code in each.blocks)
    assert [int(n) for each in seen for n in re.findall(r"^some name (\d+)", each.text, re.MULTILINE)] == [*range(300)]


@pytest.mark.parametrize(
    "text", ["", " ", "\n\n", "…", "[](x)", "\u200b", "```", "#", "######", "######\n" * 9, "** **"]
)
def test_a_text_without_words_is_still_a_page_that_is_not_empty(text: str) -> None:
    check(discord_pages(text))
    check(discord_pages(f"{text} …"))


# An answer that grows


@pytest.mark.parametrize(
    ("begun", "page"),
    [
        ("a **bo", "a **bo** …"),
        ("a `co", "a `co` …"),
        ("a [link](http://a", "a link …"),
        ("```py\nx\n``", "```py\nx\n``` …"),
        ("a\n\n```p", "a …"),
        ("- a\n- [ ", "- a …"),
        ("a\n\n#", "a …"),
        ("| a | b |\n|--|--|\n| 1", "```\na | b\n--+--\n1 |\n``` …"),
        ("so \\(x^2", "so x² …"),
        ("<@12", "\\<@12 …"),
        ("**", "…"),
    ],
)
def test_half_a_mark_is_not_shown_and_an_open_one_counts(begun: str, page: str) -> None:
    assert shown(f"{begun} …") == page


def test_a_growing_answer_costs_its_last_block() -> None:
    text = "".join(PARAGRAPH.format(n=n) for n in range(60))
    discord_pages(f"{text} …")
    shown = splitting._shown  # pyright: ignore[reportPrivateUsage] : what it costs is not seen
    for length in range(1, 40):
        known = shown.cache_info().misses
        discord_pages(f"{text}{'one word more ' * length} …")
        assert shown.cache_info().misses - known <= 2


# Any text


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_no_markdown_whatever_raises_or_breaks_a_page(text: str) -> None:
    check(discord_pages(text))
    check(discord_pages(f"{text} …"))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=12), st.integers(500, 1500))
def test_long_hostile_markdown_fits_its_pages(pieces: list[str], times: int) -> None:
    check(discord_pages(("".join(pieces) * times)[:12_000]))


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_the_same_words_are_seen_as_on_telegram(text: str) -> None:
    seen = "".join(each.text for each in check(discord_pages(text)))
    for address in ("u", "@1"):
        seen = seen.replace(f" ({address})", "")  # what leads nowhere on the web is named behind its words
    expected = "".join(page.text for page in telegram_pages(text))
    assert re.findall(r"\w", seen) == re.findall(r"\w", expected)


def answer(parts: list[tuple[Callable[[int], str], int]]) -> str:
    """Blocks that are whole, about 20,000 characters."""
    text = ""
    for block, n in parts:
        if len(text) < 20_000:
            text += block(n) + "\n\n"
    return text


@settings(max_examples=12, deadline=None)
@given(ANSWERS)
def test_every_word_of_a_long_answer_is_seen_in_order(parts: list[tuple[Callable[[int], str], int]]) -> None:
    pages = discord_pages(answer(parts))
    seen = words(" ".join(each.text for each in check(pages)))
    expected = words(re.sub(r"\(http[^)]*\)?|```py|\| (name|wide)[^\n]*|(?<!\w)_|_(?!\w)|\$", " ", answer(parts)))
    left = iter(seen)
    assert all(word in left for word in expected if word != "x_1")
    assert all(units(page.text) > DISCORD_LIMIT / 3 for page in pages[:-1])


@settings(max_examples=6, deadline=None)
@given(ANSWERS, st.integers(0, 130))
def test_a_full_page_stays_as_it_is_while_the_answer_grows(
    parts: list[tuple[Callable[[int], str], int]], start: int
) -> None:
    text = answer(parts)[:12_000]
    before: list[Page] = []
    for length in range(start, len(text), 131):
        pages = discord_pages(f"{text[:length]} …")
        assert pages[: len(before) - 1] == before[:-1]
        before = pages
    assert discord_pages(text)[: len(before) - 1] == before[:-1]
