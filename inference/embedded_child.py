"""The process that holds llama.cpp: an assertion in ggml aborts its whole process, so it gets one of its own.

Started by `inference.embedded` as a file, it imports nothing of askpix. The first line on stdin says what to serve
(the key never shows in a process list); the end of stdin means that the parent is gone. One line on stdout answers:
`{"url": ...}` once it listens, or `{"error": code, "detail": text}`.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
from typing import Any

PROMPT_CACHE_MIB = 256  # llama.cpp's own default is 8192
WARNINGS = 2  # llama.cpp's verbosity: 1 errors, 2 warnings, 3 everything it does


def _leave_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)  # nothing to save, and llama.cpp's threads would keep a polite exit waiting


def _read_wishes() -> dict[str, Any]:
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 65_536)
        if not piece:
            os._exit(0)
        line += piece
    return json.loads(line)


def _start(wishes: dict[str, Any]) -> Any:
    # Here, so that a missing system library is reported and not only printed; the wheel has no types.
    xllamacpp: Any = importlib.import_module("xllamacpp")

    params = xllamacpp.CommonParams()
    params.model.path = wishes["text"]
    params.mmproj.path = wishes["vision"]
    params.model_alias = {wishes["name"]}
    params.hostnames = [wishes["bind"]]
    params.port = wishes["port"]
    params.api_keys = [wishes["key"]]
    params.n_parallel = wishes["slots"]
    params.n_ctx = wishes["context"] * wishes["slots"]
    params.cpuparams.n_threads = wishes["threads"]
    params.image_min_tokens = wishes["min_tokens"]
    params.image_max_tokens = wishes["max_tokens"]
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.n_gpu_layers = 0
    params.mmproj_use_gpu = False
    params.fit_params = False  # it would shrink the context to fit a GPU's memory
    params.ui = False
    params.endpoint_metrics = True
    params.verbosity = WARNINGS
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
