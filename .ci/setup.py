"""Makes an environment of this checkout: `python3 .ci/setup.py ENVIRONMENT NAME LOCK…`, nothing but hash-pinned wheels.

Standard library only, and no syntax newer than Python 3.7, so that an old one can still say what is missing.
A second call, or a second caller at the same time, finds the stamp ENVIRONMENT/NAME.stamp and is done at once.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("python3", "python3.14", "python3.13", "python3.12", "python3.11")  # the first that will do


def answers(python: str, code: str) -> bool:
    """Whether this interpreter runs `code` without an error."""
    return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0


def choose_python() -> str:
    """The interpreter to build on; exits with one sentence when there is none."""
    new_enough = [
        python
        for python in filter(None, map(shutil.which, PYTHONS))
        if answers(python, "import sys; sys.exit(sys.version_info < (3, 11))")
    ]
    if not new_enough:
        sys.exit("askpix needs Python 3.11 or newer: install the package python3.12 (macOS: brew install python@3.12).")
    for python in new_enough:
        if answers(python, "import ensurepip, venv"):
            return python
    sys.exit("Python's venv module is missing: install the package python3-venv (sudo apt install python3-venv).")


def check_libraries() -> None:
    """The embedded engine's wheel needs one library that a bare Linux lacks; on macOS it brings its own."""
    if sys.platform != "linux":
        return
    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError:
        sys.exit("The library libgomp.so.1 is missing: install the package libgomp1 (sudo apt install libgomp1).")


def run_pip(python: str, *arguments: str) -> None:
    """Run pip; on a terminal its packages are counted in one line, and what it says is shown when it fails."""
    said: list[str] = []
    command = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT) as pip:
        for line in pip.stdout or ():
            said.append(line)
            if line.startswith("Collecting ") and sys.stderr.isatty():
                count = sum(earlier.startswith("Collecting ") for earlier in said)
                sys.stderr.write(f"\r\033[K  {count} {line.split()[1]}")
                sys.stderr.flush()
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    if pip.returncode:
        sys.stderr.writelines(said[-20:])
        sys.exit("The packages could not be installed: the lines above say why.")


def install(folder: Path, locks: list[str]) -> None:
    """Fill the environment with the locks' packages and, unless it is another tool's, with this checkout itself."""
    python = str(folder / "bin/python")
    if not (Path(python).exists() and answers(python, "import pip, sys; sys.exit(sys.version_info < (3, 11))")):
        base = choose_python()
        subprocess.run([base, "-m", "venv", "--clear", str(folder)], check=True)
    sys.stderr.write(f"Installing {', '.join(locks)} into {folder.name} …\n")
    wanted = [part for lock in locks for part in ("-r", lock)]
    run_pip(python, "install", "--require-hashes", "--no-deps", "--only-binary", ":all:", *wanted)
    if folder.name == ".venv":
        run_pip(python, "install", "--no-index", "--no-deps", "--no-build-isolation", "-e", ".")


def main() -> None:
    """See the module's docstring."""
    name, stamp_name, *locks = sys.argv[1:]
    folder = ROOT / name
    stamp = folder / f"{stamp_name}.stamp"
    seen = hashlib.sha256()
    for file in (*locks, "pyproject.toml", ".ci/setup.py"):
        seen.update((ROOT / file).read_bytes())
    checkout = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(checkout, fcntl.LOCK_EX)  # let go by the kernel when this process ends
    if not (stamp.exists() and stamp.read_text() == seen.hexdigest()):
        check_libraries()
        install(folder, locks)
    stamp.write_text(seen.hexdigest())


if __name__ == "__main__":
    main()
