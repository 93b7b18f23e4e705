"""What the documents name is there: pages, files, settings, make's targets, commands, and one version."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import askpix
from storage.settings import INTERNAL, variables

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
FOLDERS = r"(?:bench|bots|deploy|docs|inference|storage|tests|\.ci)"
SETTINGS = INTERNAL.union(*map(variables, askpix.SETTINGS))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
COMMANDS = {getattr(command.callback, "__name__", "") for command in askpix.app.registered_commands}


def read(*patterns: str) -> dict[str, str]:
    found = [file for pattern in patterns for file in sorted(ROOT.glob(pattern)) if file.is_file()]
    return {file.relative_to(ROOT).as_posix(): file.read_text() for file in found}


DOCUMENTS = read("*.md", "docs/*.md", "bench/*.md", "inference/demo/*.md")
SPEAKING = DOCUMENTS | read("compose.yaml", "Dockerfile", "Makefile", "deploy/**/*", "bots/phrases/*.toml")
each = pytest.mark.parametrize("name", DOCUMENTS)


def code(text: str) -> Iterator[str]:
    """What stands in a document as code, in blocks and in lines."""
    yield from FENCE.findall(text)
    yield from re.findall(r"`([^`]+)`", FENCE.sub("", text))


@each
def test_every_link_leads_to_a_file(name: str):
    links = re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", DOCUMENTS[name]))
    there = (ROOT / name).parent
    assert [link for link in links if "://" not in link and not (there / link.partition("#")[0]).exists()] == []


@each
def test_every_file_that_is_named_is_there(name: str):
    named = {path for words in code(DOCUMENTS[name]) for path in re.findall(rf"(?<![\w/]){FOLDERS}/[\w./*-]*\w", words)}
    assert [path for path in sorted(named) if not any(ROOT.glob(path))] == []


@each
def test_every_command_that_is_shown_is_one(name: str):
    for words in code(DOCUMENTS[name]):
        assert set(re.findall(r"\bmake ([a-z][a-z-]*)", words)) <= TARGETS, words
        assert set(re.findall(r"(?<!USER )\baskpix ([a-z]+)", words)) <= COMMANDS, words
        for module in re.findall(r"-m ((?:bench|inference)(?:\.\w+)+)", words):
            assert ROOT.joinpath(*module.split(".")).with_suffix(".py").exists(), module


@pytest.mark.parametrize("name", SPEAKING)
def test_every_setting_that_is_named_is_one(name: str):
    named = set(re.findall(r"ASKPIX_[A-Z_]+[A-Z]\b", SPEAKING[name]))
    if name == "compose.yaml":
        named.discard("ASKPIX_CPU_MEMORY")  # compose's own
    assert named <= SETTINGS


def test_the_readmes_lead_to_every_page_and_show_the_same():
    english, chinese = (DOCUMENTS[name] for name in ("README.md", "README.zh.md"))
    for page in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{page.name})" in english and f"(docs/{page.name})" in chinese
    for shape in (r"^## ", r"^\| ", r"^```", r"^- "):
        assert len(re.findall(shape, english, re.MULTILINE)) == len(re.findall(shape, chinese, re.MULTILINE)), shape
    for same in (r"\d+(?:[.,]\d+)*", r"ASKPIX_\w+", r"`(?:make|askpix) [a-z-]+", r"`/[a-z]+", r"\]\(([^)]+)\)"):
        found = [set(re.findall(same, text)) for text in (english, chinese)]
        assert found[0] - {"README.zh.md"} == found[1] - {"README.md"}


def test_the_version_is_the_same_everywhere():
    (version,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert re.findall(r"image: askpix:(\S+)", (ROOT / "compose.yaml").read_text()) == [version]
    released = re.findall(r"^## \[(\d.+?)\] - \d{4}-\d\d-\d\d$", DOCUMENTS["CHANGELOG.md"], re.MULTILINE)
    assert released[0] == version
