"""Words for the fuzzer that are hard."""

from __future__ import annotations

from random import Random

# What is hard in words: marks of every language, ends of numbers, invisible and doubled characters.
WORDS = (
    "", " ", "\n", "\n\n", "\t", "\x00", "\r", "a", "word ", "中文", "\U0001f642",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467", "é", "é", "\u202e", "\u200b", "\ufeff", "\ufffe",
    "\uffff", "\ufdd0", "\U000e0041", "@everyone", "@here", "<@1>", "<@&1>", "<#1>", "<t:0:R>",
    "@askpix_bot", "/", "/ask ", "/ocr ", "/find ", "/zoom", "/start ", "*", "**", "_", "__", "~~", "||",
    "`", "```", "```html\n", "~~~", "> ", ">>> ", "# ", "-# ", "- ", "1. ", "| a | b |\n", "|---|:-:|\n",
    "$", "$$", "\\(", "\\)", "\\[", "\\frac{", "}", "[", "]", "(", ")", "[a](http://b)", "[a](<http://b>)",
    "![i](x)", "http://a.b/c_d?e=%00", "https://", "<b>", "</html>", "<html>", "<!doctype html>",
    "<|im_end|>", "<|vision_start|>", "&lt;", "\\", '"', "'", "{", "}", ":", ",",
    '{"bbox_2d": [1, 2, 3, 4], "label": "x"}', '"point_2d": [', "1e999", "NaN", "-1", "00",
    "9999999999999999999999999999999999999999", "0.1", "//", "/*", "*/", "=1+1", "page 9", "第1页", "第",
    "pages 1-9999", "{0}", "{x}", "%s", "cell1", "cell", "askpix:",
)  # fmt: skip


def words(rng: Random, most: int = 40) -> str:
    """A text of pieces that are hard, often one of them many times."""
    text = "".join(rng.choices(WORDS, k=rng.randrange(most)))
    return text * rng.choice((1, 1, 1, 2, 50, 400)) if len(text) < 60 else text
