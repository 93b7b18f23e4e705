"""What holds for every file that is tracked."""

import itertools
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-dev.lock", "requirements-sglang.lock")

# Spelt apart, so that this file does not hold what it looks for.
MACHINE_PATHS = re.compile("/" + r"(?:work|tmp|opt/pypi|opt/wheels|root|home/\w+)/")
REGISTRY_HOSTS = re.compile(r"(?:files\.python" + r"hosted|py" + r"pi|registry\.np" + r"mjs)\.org", re.IGNORECASE)
EXCEPTIONS = re.compile(r"#\s*(?:noqa|type:\s*ignore|pyright:\s*(?:ignore|basic|\w+=)|ruff:\s*noqa)(?P<rest>.*)$")
REASONED = re.compile(r"^(?::\s*[A-Z0-9, ]+?|\[[\w, ]+\])\s*[:#-]\s*\S.{4,}")  # the rules, then the reason


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listing.stdout.decode().split("\0") if name]


def texts() -> dict[str, list[str]]:
    """The lines of every tracked text file, by its name."""
    found: dict[str, list[str]] = {}
    for file in tracked():
        try:
            found[file.relative_to(ROOT).as_posix()] = file.read_text().splitlines()
        except (UnicodeDecodeError, FileNotFoundError):  # a model or a picture; a file that was just removed
            continue
    return found


@pytest.mark.parametrize("pattern", [MACHINE_PATHS, REGISTRY_HOSTS], ids=["machine paths", "registry hosts"])
def test_no_file_names_somebodys_machine(pattern: re.Pattern[str]):
    held = [
        f"{name}:{number}"
        for name, lines in texts().items()
        for number, line in enumerate(lines, 1)
        if pattern.search(line)
    ]
    assert held == []


def test_every_exception_to_a_rule_says_why_behind_it_or_above_it():
    bare: list[str] = []
    for name, lines in texts().items():
        if not name.endswith(".py") or ROOT / name == Path(__file__):
            continue
        for above, line in itertools.pairwise(["", *lines]):
            found = EXCEPTIONS.search(line)
            if found and not REASONED.match(found["rest"]) and not above.lstrip().startswith("# "):
                bare.append(f"{name}: {line.strip()}")
    assert bare == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_every_file_and_names_no_index(lock: str):
    text = (ROOT / lock).read_text()
    requirements = re.split(r"\n(?=\S)", text.strip())
    assert requirements
    for requirement in requirements:
        assert re.match(r"[a-z0-9-]+==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement
    assert not re.search(r"://|--(?:extra-)?index|--find-links|^-", text, re.MULTILINE)


def test_the_locks_agree_with_each_other():
    pins: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE):
            pins.setdefault(name, set()).add(version)
    assert {name: versions for name, versions in pins.items() if len(versions) > 1} == {}
