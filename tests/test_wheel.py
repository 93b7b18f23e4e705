"""The built wheel, installed into an empty environment and used far from the checkout."""

import os
import re
import subprocess
import sys
import venv
import zipfile
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("bots", "inference", "storage")

pytestmark = pytest.mark.timeout(120)  # imports every runtime package for the first time there


def run(*command: str | Path, cwd: Path) -> str:
    """Run without this checkout on the path; its output, or a failure that shows it."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ASKPIX_"))}
    done = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    return next(folder.glob("askpix-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The folder of the commands of an environment with the runtime's packages alone, linked from this one."""
    folder = wheel.parent / "env"
    venv.create(folder, with_pip=False)
    packages = next(folder.glob("lib/python*/site-packages"))
    for name in re.findall(r"^[\w.-]+", (ROOT / "requirements.lock").read_text(), re.MULTILINE):
        with suppress(PackageNotFoundError):  # of another platform; what is really missing is not imported below
            for file in distribution(name).files or ():
                if ".." not in file.parts:  # not its commands
                    (packages / file).parent.mkdir(parents=True, exist_ok=True)
                    (packages / file).symlink_to(file.locate())
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin/python", "install", "-q", "--no-deps", "--no-compile")
    run(*pip, "--no-index", wheel, cwd=folder)
    return folder / "bin"


def test_the_wheel_holds_the_whole_product_and_nothing_else(wheel: Path):
    listing = subprocess.run(["git", "ls-files", "askpix.py", *PACKAGES], cwd=ROOT, capture_output=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if not name.partition("/")[0].endswith(".dist-info")}
    assert set(listing.stdout.decode().split()) - held == set()
    assert {name.partition("/")[0] for name in held} == {"askpix.py", *PACKAGES}


def test_the_command_of_the_wheel_answers(installed: Path, tmp_path: Path):
    assert "ask" in run(installed / "askpix", "--help", cwd=tmp_path)


def test_every_module_of_the_wheel_imports(wheel: Path, installed: Path, tmp_path: Path):
    modules = [
        name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for name in zipfile.ZipFile(wheel).namelist()
        if name.endswith(".py") and not name.startswith("inference/demo/")  # that one has an environment of its own
    ]
    where = f"import {', '.join(modules)}; print(askpix.__file__, bots.__file__, inference.__file__, storage.__file__)"
    warnings = ("-W", "error", "-W", "ignore:'audioop':DeprecationWarning")  # discord.py's, on Python 3.11 and 3.12
    files = run(installed / "python", *warnings, "-c", where, cwd=tmp_path).split()
    assert all(installed.parent in Path(file).parents for file in files)
