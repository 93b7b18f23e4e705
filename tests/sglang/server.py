"""Real SGLang on a CPU, in a process of its own: its environment, its flags, its life and death."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from inference.engine import EngineAddress

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-sglang/bin/python"
SHIM = Path(__file__).parent / "shim"
SLOTS = 2
QUEUE = 2  # requests that wait at SGLang for a slot; one more is refused
CACHE = 20_000  # tokens: two requests of the demo model's whole context
START = 240.0  # seconds; 25 on a calm machine, 100 on a busy one


class SGLang:
    """One server on one port of 127.0.0.1 and with one key, over all of its lives. The folder gets its log."""

    def __init__(self, checkpoint: Path, folder: Path, *flags: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.address = EngineAddress(f"http://127.0.0.1:{port}", secrets.token_hex(16))
        self.log = folder / "sglang.log"
        config = json.loads((checkpoint / "config.json").read_text())
        size = json.loads((checkpoint / "preprocessor_config.json").read_text())["size"]
        self.context: int = config["text_config"]["max_position_embeddings"]
        self.pixels: tuple[int, int] = size["shortest_edge"], size["longest_edge"]
        media = {"image": dict(zip(("min_pixels", "max_pixels"), self.pixels, strict=True))}
        self._command: list[Any] = [
            PYTHON, "-m", "sglang.launch_server", "--host", "127.0.0.1", "--port", port, "--api-key", self.address.key,
            "--model-path", checkpoint, "--served-model-name", "askpix-demo", "--enable-cache-report",
            "--max-running-requests", SLOTS, "--max-queued-requests", QUEUE, "--max-total-tokens", CACHE,
            "--mem-fraction-static", "0.1",  # of this machine's memory
            "--mm-process-config", json.dumps(media),  # else it does not say what the checkpoint's processor does
            "--device", "cpu", "--attention-backend", "torch_native", "--disable-overlap-schedule",
            "--sleep-on-idle",  # without it an idle server burns a core
            *flags,
        ]  # fmt: skip
        self._environ = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), "PYTHONPATH": str(SHIM),
            "SGLANG_USE_CPU_ENGINE": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
            "TORCHDYNAMO_DISABLE": "1",  # else the first photo waits 20 s for a compiler
        }  # fmt: skip

    def start(self) -> None:
        """Begin to start; `wait` says when it is done."""
        self._process = subprocess.Popen(
            list(map(str, self._command)), env=self._environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,  # so that all three of its processes can be killed at once
        )  # fmt: skip
        self._told = threading.Event()
        self._reading = threading.Thread(target=self._read, args=(self._process, self._told))
        self._reading.start()

    def _read(self, process: subprocess.Popen[bytes], told: threading.Event) -> None:
        with process, self.log.open("ab") as log:
            for line in process.stdout or ():
                log.write(line)
                log.flush()
                if b"ready to roll" in line:
                    told.set()
        told.set()

    def wait(self) -> None:
        """Wait until it serves; fails with its last words when it does not."""
        said = self._told.wait(START)
        if not said or self._process.poll() is not None:
            raise AssertionError(self.log.read_text(errors="replace")[-4000:])

    def kill(self) -> None:
        """Kill -9 everything at once, as a lost machine does; returns when it is gone."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # its own group: nothing else is in it
        self._reading.join()

    def stop(self) -> None:
        """End it as a service manager does."""
        self._process.terminate()
        self._reading.join(20)
        self.kill()
