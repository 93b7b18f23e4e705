"""Pages that are made from the code are as it is now, and say every setting and only sentences that exist."""

from pathlib import Path

import pytest

import askpix
from bench.pages import TROUBLES, pages
from bots.phrases import phrases
from storage.settings import PREFIX, present

PAGES = dict(pages())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_as_make_docs_writes_it(path: Path):
    assert path.read_text() == PAGES[path], "run make docs"


def test_every_setting_is_on_its_page_once():
    page = next(text for path, text in PAGES.items() if path.name == "settings.md")
    for kind in askpix.SETTINGS:
        for env, _, _ in present(kind()):
            assert page.count(f"`{PREFIX}{env}`") == 1


def test_every_trouble_that_doctor_finds_in_words_is_a_phrase():
    for sentences in TROUBLES.values():
        assert sentences.keys() <= phrases("en").keys()
