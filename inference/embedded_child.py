"""The process that holds llama.cpp: an assertion in ggml aborts its whole process, so it gets one of its own.

Started by `inference.embedded` as a file, it imports nothing of askpix. The first line on stdin says what to serve,
by the names of llama.cpp's parameters (the key never shows in a process list); the end of stdin means that the parent
is gone. One line on stdout answers: `{"url": ...}` once it listens, or `{"error": code, "detail": text}`.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
from functools import reduce
from typing import Any


def _leave_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)  # nothing to save, and llama.cpp's threads would keep a polite exit waiting


def _read_wishes() -> dict[str, Any]:
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        os._exit(0)
    return json.loads(line)


def _start(wishes: dict[str, Any]) -> Any:
    # Here, so that a missing system library is reported and not only printed; the wheel has no types.
    xllamacpp: Any = importlib.import_module("xllamacpp")

    params = xllamacpp.CommonParams()
    for name, value in wishes.items():
        *path, last = name.split(".")
        setattr(reduce(getattr, path, params), last, value)
    return xllamacpp.Server(params)  # returns once it listens


def main() -> None:
    """Serve until the parent goes or sends SIGTERM."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent drains first
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever llama.cpp prints goes to the log
    wishes = _read_wishes()
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        server = _start(wishes)
    except (ImportError, OSError, RuntimeError) as error:
        code = "libgomp_missing" if "libgomp" in str(error) else "engine_missing"
        code = "engine_refused" if isinstance(error, RuntimeError) else code
        print(json.dumps({"error": code, "detail": str(error)}), file=answer, flush=True)
        sys.exit(1)
    print(json.dumps({"url": server.listening_address}), file=answer, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
