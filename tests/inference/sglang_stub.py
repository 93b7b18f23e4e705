"""Plays `python -m sglang.launch_server` for the launcher: its words, its API, its way to end. Told by variables.

STUB_SAYS: a line instead of ever being ready; STUB_DRAIN: seconds that SIGTERM takes. What it was started with is
appended to $STUB_LOG as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.emulators.engine import StubEngine


def value(flag: str) -> str:
    """What stands behind a flag."""
    return sys.argv[sys.argv.index(flag) + 1]


async def serve() -> None:
    """Say what SGLang says, serve, drain."""
    sys.stdout.write("[now] Load weight begin. avail mem=22.77 GB\n")
    sys.stdout.flush()
    if words := os.environ.get("STUB_SAYS"):
        sys.exit(words)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    engine = StubEngine(port=int(value("--port")), model=value("--served-model-name"), slots=3, context=4096)
    async with engine:
        sys.stdout.write("[now] Capture target decode CUDA graph begin.\nThe server is fired up and ready to roll!\n")
        sys.stdout.flush()
        await stop.wait()
        await asyncio.sleep(float(os.environ.get("STUB_DRAIN", "0")))


def main() -> None:
    """Note how we were started, then serve."""
    config: dict[str, Any] = json.loads(Path(value("--config")).read_text())
    with Path(os.environ["STUB_LOG"]).open("a") as log:
        hashed = os.environ.get("SGLANG_MM_PRECOMPUTE_HASH")
        log.write(json.dumps({"argv": sys.argv, "config": config, "pid": os.getpid(), "hashed": hashed}) + "\n")
    asyncio.run(serve())


if __name__ == "__main__":
    main()
