"""Pages that are made from the code are as it is now, and say every setting and only sentences that exist."""

from functools import cache

import pytest

import askpix
from bench.pages import TROUBLES, pages
from bots.phrases import phrases
from storage.settings import PREFIX, present

made = cache(lambda: {path.name: (path, text) for path, text in pages()})


@pytest.mark.parametrize("name", ["settings.md", "troubleshooting.md", "scale.md"])
def test_a_page_is_as_make_docs_writes_it(name: str):
    path, text = made()[name]
    assert path.read_text() == text, "run make docs"


def test_no_other_page_is_made():
    assert set(made()) == {"settings.md", "troubleshooting.md", "scale.md"}


def test_every_setting_is_on_its_page_once():
    _, page = made()["settings.md"]
    for kind in askpix.SETTINGS:
        for env, _, _ in present(kind()):
            assert page.count(f"`{PREFIX}{env}`") == 1


def test_every_trouble_that_doctor_finds_in_words_is_a_phrase():
    for sentences in TROUBLES.values():
        assert sentences.keys() <= phrases("en").keys()
