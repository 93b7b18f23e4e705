"""What `make setup` says on a machine that lacks something, and that two at a time do not get in each other's way."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MISSING_ENSUREPIP = f'case "$2" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"'
TOO_OLD = "exit 1"  # to every question, also whether it is new enough


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with nothing to install."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/setup.py", tmp_path / ".ci/setup.py")
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "empty.lock").touch()
    return tmp_path


def start(checkout: Path, **environ: str) -> subprocess.Popen[str]:
    command = [sys.executable, checkout / ".ci/setup.py", "env", "run", "empty.lock"]
    return subprocess.Popen(command, env=os.environ | environ, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("python", "sentence"),
    [(MISSING_ENSUREPIP, "install the package python3-venv"), (TOO_OLD, "needs Python 3.11 or newer: install")],
    ids=["no ensurepip", "too old"],
)
def test_a_python_that_will_not_do_is_named_in_one_sentence(checkout: Path, python: str, sentence: str):
    (checkout / "bin").mkdir()
    (checkout / "bin/python3").write_text(f"#!/bin/sh\n{python}\n")
    (checkout / "bin/python3").chmod(0o755)
    setup = start(checkout, PATH=str(checkout / "bin"))
    said = setup.communicate()[1]
    assert setup.returncode == 1
    assert sentence in said
    assert said.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the engine's wheel brings its own libraries")
def test_a_missing_library_is_named_in_one_sentence(checkout: Path):
    (checkout / "libgomp.so.1").touch()  # found first, and no library
    setup = start(checkout, LD_LIBRARY_PATH=str(checkout))
    said = setup.communicate()[1]
    assert setup.returncode == 1
    assert "install the package libgomp1" in said
    assert said.count("\n") == 1


def test_two_at_a_time_make_one_environment_and_a_third_has_nothing_to_do(checkout: Path):
    said = [setup.communicate()[1] for setup in [start(checkout), start(checkout)]]
    assert sum("Installing" in one for one in said) == 1
    assert (checkout / "env/bin/python").exists()
    third = start(checkout)
    assert third.communicate()[1] == ""
    assert third.returncode == 0
