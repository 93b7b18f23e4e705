"""The ceilings: how much code there may be. Complexity is ruff's to hold."""

import ast
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRODUCT_LINES = 9_600  # of code; the demo model's own code and phrases, which are data, apart
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


_NO_CODE = {
    tokenize.COMMENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER, tokenize.INDENT, tokenize.NEWLINE,
    tokenize.NL,
}  # fmt: skip


def lines_of_code(file: Path) -> int:
    """Without blank lines, comments and docstrings: what explains the code is never taken out to fit."""
    if file.suffix == ".lua":
        return sum(1 for line in file.read_text().splitlines() if line.strip() and not line.strip().startswith("--"))
    with file.open("rb") as source:
        tokens = [token for token in tokenize.tokenize(source.readline) if token.type not in _NO_CODE]
    code = {line for token in tokens for line in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            code -= set(range(node.lineno, (node.end_lineno or 0) + 1))
    return len(code)


def named(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def test_the_product_stays_under_its_ceiling():
    demo = ROOT / "inference" / "demo"
    product = {named(file): lines_of_code(file) for file in code_under(*PRODUCT) if demo not in file.parents}
    total = sum(product.values())
    longest = sorted(product, key=lambda name: -product[name])[:5]
    assert total <= PRODUCT_LINES, f"{total} lines of code in the product, {PRODUCT_LINES} allowed; longest: {longest}"


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
