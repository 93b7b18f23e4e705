"""The ceilings: how much code there may be. Complexity is ruff's to hold."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRODUCT_LINES = 7_000  # the demo model's own code and phrases, which are data, apart
FILE_LINES = 350
FUNCTION_LINES = 60

PRODUCT = ROOT.joinpath("askpix.py"), *(ROOT / name for name in ("bots", "inference", "storage"))
PYTHON = *PRODUCT, ROOT / "bench", ROOT / "tests"


def code_under(*places: Path) -> list[Path]:
    """Python and Lua files, in order."""
    found = {file for place in places for file in (place.rglob("*") if place.is_dir() else [place])}
    return sorted(file for file in found if file.suffix in {".py", ".lua"} and file.is_file())


def lines(file: Path) -> int:
    return len(file.read_text().splitlines())


def named(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def test_the_product_stays_under_its_ceiling():
    demo = ROOT / "inference" / "demo"
    product = {named(file): lines(file) for file in code_under(*PRODUCT) if demo not in file.parents}
    total = sum(product.values())
    longest = sorted(product, key=lambda name: -product[name])[:5]
    assert total <= PRODUCT_LINES, f"{total} lines of product code, {PRODUCT_LINES} allowed; longest: {longest}"


@pytest.mark.parametrize("file", code_under(*PYTHON), ids=named)
def test_a_file_stays_short(file: Path):
    assert lines(file) <= FILE_LINES, f"{named(file)} has {lines(file)} lines, {FILE_LINES} allowed: split it by topic"


@pytest.mark.parametrize("file", [file for file in code_under(*PYTHON) if file.suffix == ".py"], ids=named)
def test_its_functions_stay_short(file: Path):
    functions = (
        node
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    long = {
        node.name: size for node in functions if (size := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES
    }
    assert not long, f"{named(file)} has functions over {FUNCTION_LINES} lines: {long}"
