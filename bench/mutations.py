"""Are the claims' scenarios able to fail? `python -m bench.mutations [NAME…]`; without a name all of mutations.toml.

Each mutation takes one protection out of a temporary copy of this checkout and runs the quick form of one claim there,
which must find the claim broken. Before that each of these claims must be kept by the copy as it is. One line each, a
table of Markdown, one JSON line last; fails when a mutation survives.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from bench.report import say, stoppable

ROOT = Path(__file__).parent.parent
LONGEST = 300.0  # seconds of one scenario


class Ran(NamedTuple):
    """How a claim fared: kept, broken, or without a verdict; its figures and seconds."""

    verdict: str
    figures: dict[str, Any]
    seconds: float


def copy_to(folder: Path) -> None:
    """This checkout's files, tracked and new ones, without what git ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def apply(folder: Path, edits: Sequence[Sequence[str]]) -> None:
    """Edit files of a copy; raises ValueError where the text to replace does not stand there once."""
    for name, old, new in edits:
        text = (folder / name).read_text()
        if text.count(old) != 1:
            raise ValueError(f"{name} holds {old!r} {text.count(old)} times: the mutation is out of date")
        (folder / name).write_text(text.replace(old, new))


def check(folder: Path, claim: str) -> Ran:
    """Run one claim on a copy, in a session of its own that is ended when it takes too long."""
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.claims", "--quick", claim], cwd=folder, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    said = b""
    try:
        with suppress(subprocess.TimeoutExpired):
            said, _ = process.communicate(timeout=LONGEST)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()
    seconds = round(time.monotonic() - begun, 1)
    with suppress(ValueError, IndexError):
        found: dict[str, Any] = json.loads(said.splitlines()[-1])["claims"][claim]
        return Ran("kept" if found.pop("kept") else "broken", found, seconds)
    return Ran("no verdict", {}, seconds)


def run(names: Sequence[str]) -> dict[str, Ran]:
    """The claims on an unchanged copy first (under their own names), then each mutation on a copy of its own."""
    known: dict[str, dict[str, Any]] = tomllib.loads((ROOT / "bench/mutations.toml").read_text())
    chosen = names or [*known]
    found: dict[str, Ran] = {}
    with tempfile.TemporaryDirectory(prefix="askpix-mutations-") as scratch:
        plain = Path(scratch, "plain")
        copy_to(plain)
        for claim in sorted({known[name]["claim"] for name in chosen}):
            found[f"unchanged:{claim}"] = ran = check(plain, claim)
            say(f"{ran.verdict:10} {ran.seconds:5.1f} s  {claim} as it is {json.dumps(ran.figures)[:300]}")
        for name in chosen:
            folder = Path(scratch, name)
            shutil.copytree(plain, folder)
            apply(folder, known[name]["edits"])
            found[name] = ran = check(folder, known[name]["claim"])
            say(f"{ran.verdict:10} {ran.seconds:5.1f} s  {name}: {known[name]['what']} {json.dumps(ran.figures)[:300]}")
            shutil.rmtree(folder)
    for name in chosen:
        entry, ran = known[name], found[name]
        say(f"| {entry['what']} | `{entry['claim']}` | {ran.verdict}: {_shown(ran.figures)} |")
    return found


def _shown(figures: dict[str, Any]) -> str:
    """The figures that are not as they should be, in short."""
    names = ("lost", "doubled", "wrong", "turns_doubled", "stuck")
    bad = {name: figures[name] for name in names if figures.get(name)}
    return json.dumps(bad or figures)[:160].replace("|", "/")


def main() -> None:
    """Run, print, and fail when a mutation survives or a claim is broken without one."""
    stoppable()
    found = run(sys.argv[1:])
    print(json.dumps({"bench": "mutations", "load_1m": round(os.getloadavg()[0], 1), "found": {
        name: {"verdict": ran.verdict, "seconds": ran.seconds, **ran.figures} for name, ran in found.items()
    }}))  # fmt: skip
    sys.exit(any(ran.verdict != ("kept" if ":" in name else "broken") for name, ran in found.items()))


if __name__ == "__main__":
    main()
