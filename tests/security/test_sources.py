"""What the sources never do, and what docs/security.md says of its own tests."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = [ROOT / name for name in ("bots", "inference", "storage")]
FILES = [file for folder in FOLDERS for file in folder.rglob("*.py") if "demo" not in file.parts]
PRODUCT = [ROOT / "askpix.py", *FILES]

# What turns bytes into objects or code: a store, a file or a network could give these to us.
LOADERS = {
    "pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml", "xmlrpc",
    "jsonpickle",
}  # fmt: skip
CALLS = {"eval", "exec", "compile", "__import__"}


def found(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Import(names):
                yield from (name.name.partition(".")[0] for name in names)
            case ast.ImportFrom(module=str(module)):
                yield module.partition(".")[0]
            case ast.Call(ast.Name(name)):
                yield name
            case ast.Call(keywords=words) if any(word.arg == "shell" for word in words):
                yield "shell="
            case _:
                pass


@pytest.mark.parametrize("file", PRODUCT, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_no_bytes_become_objects_or_code(file: Path) -> None:
    assert {*found(file)} & (LOADERS | CALLS | {"shell="}) == set()


def test_what_the_lua_scripts_get_is_arguments_and_never_code() -> None:
    for script in (ROOT / "storage" / "scripts").glob("*.lua"):
        assert not re.search(r"\b(loadstring|load|dofile|cmsgpack|struct\.unpack)\b", script.read_text()), script.name


def test_every_test_that_the_threat_model_names_is_there() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)`(?: ((?:`test_\w+`(?:, )?)+))?", text)
    assert len(named) > 20
    for file, tests in named:
        source = (ROOT / file).read_text()
        for test in re.findall(r"`(\w+)`", tests):
            assert f"def {test}(" in source, f"{file}::{test}"
