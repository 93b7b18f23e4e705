"""What happens inside an engine: whose processor time, which functions, which kernels. Linux, one NVIDIA card."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pynvml as nvml  # pyright: ignore[reportMissingTypeStubs] : it has none

from bench.report import cpu_seconds

_nvml: Any = nvml
STACKS = 5  # seconds of sampling
STEPS = 30  # in a profile


def processes(session: int) -> dict[int, str]:
    """The engine's processes by what they do."""
    found: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                if int((folder / "stat").read_text().rpartition(") ")[2].split()[3]) == session:
                    words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found[int(folder.name)] = _role(int(folder.name) == session, words)
    return found


def _role(first: bool, words: str) -> str:
    if first:
        return "tokenizer"
    for mark, name in (("detoken", "detokenizer"), ("sched", "scheduler"), ("resource_tracker", "tracker")):
        if mark in words:
            return name
    return "others"


def _gpu() -> Any:
    _nvml.nvmlInit()
    return _nvml.nvmlDeviceGetHandleByIndex(0)


def memory(session: int) -> dict[str, int]:
    """MiB on the card by process."""
    running, found = processes(session), Counter[str]()
    for each in _nvml.nvmlDeviceGetComputeRunningProcesses(_gpu()):
        if each.pid in running:
            found[running[each.pid]] += (each.usedGpuMemory or 0) // 2**20
    return dict(found)


@contextmanager
def busy(session: int) -> Generator[dict[str, float]]:
    """Cores that each process kept busy, and the share of time in which the card computed; filled at the end."""
    shares: dict[str, float] = {}
    card: list[int] = []
    over = threading.Event()

    def watch() -> None:
        with suppress(_nvml.NVMLError):
            handle = _gpu()
            while not over.wait(0.2):
                card.append(int(_nvml.nvmlDeviceGetUtilizationRates(handle).gpu))

    before = {pid: cpu_seconds(pid) for pid in processes(session)}
    begun, watching = time.monotonic(), threading.Thread(target=watch)
    watching.start()
    try:
        yield shares
    finally:
        over.set()
        watching.join()
        took, spent = time.monotonic() - begun, dict[str, float]()
        for pid, role in processes(session).items():
            spent[role] = spent.get(role, 0) + cpu_seconds(pid) - before.get(pid, 0)
        shares.update({role: round(seconds / took, 2) for role, seconds in spent.items() if seconds / took > 0.02})
        if card:
            shares["card"] = round(sum(card) / len(card) / 100, 2)


def stacks(session: int, out: Path) -> dict[str, Any]:
    """py-spy's samples of tokenizer and scheduler: each function's share of the time, with what it calls."""
    running = {role: pid for pid, role in processes(session).items() if role in ("tokenizer", "scheduler")}
    files = {role: Path(f"{out}.{role}.stacks") for role in running}
    time.sleep(1)
    spying = [
        subprocess.Popen(
            ["py-spy", "record", "-p", str(pid), "-d", str(STACKS), "-r", "100", "-f", "raw", "-o", str(files[role])],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        for role, pid in running.items()
    ]  # fmt: skip
    said = [each.communicate()[1][-200:].decode(errors="replace") for each in spying]
    return {role: _shares(file) if file.exists() else said for role, file in files.items()}


def _shares(file: Path) -> dict[str, float]:
    whole, total = Counter[str](), STACKS * 100
    for line in file.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        for function in {re.sub(r":\d+\)$", ")", frame) for frame in stack.split(";")}:
            whole[function] += int(count)
    return {function: round(count / total, 2) for function, count in whole.most_common(60) if count > 0.02 * total}


def kernels(url: str, folder: Path, seconds: float, steps: int = STEPS) -> dict[str, Any]:
    """The card's time in some steps, by kernel; the engine writes a trace there."""
    folder.mkdir(exist_ok=True)
    time.sleep(0.5)
    body = json.dumps({"output_dir": str(folder), "num_steps": steps, "activities": ["GPU"]}).encode()
    headers = {"Content-Type": "application/json"}
    asked = urllib.request.Request(f"{url}/start_profile", body, headers)  # noqa: S310 : our own engine
    with urllib.request.urlopen(asked, timeout=60):  # noqa: S310 : as above
        pass
    end = time.monotonic() + min(30, seconds)
    while not (files := list(folder.rglob("*.json.gz"))) and time.monotonic() < end:
        time.sleep(0.3)
    time.sleep(1)
    spans = [
        each
        for each in json.loads(gzip.decompress(files[0].read_bytes()))["traceEvents"]
        if each.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset")
    ]
    times, counts = Counter[str](), Counter[str]()
    for each in spans:
        name = re.sub(r"<.*", "", each["name"])[:60]
        times[name] += each["dur"]
        counts[name] += 1
    long = max(each["ts"] + each["dur"] for each in spans) - min(each["ts"] for each in spans)
    shutil.rmtree(folder)
    return {
        "ms": round(long / 1000, 2),
        "computing": round(sum(times.values()) / long, 3),
        "kernels": len(spans),
        "most": {name: [counts[name], round(took / 1000, 2)] for name, took in times.most_common(14)},
    }
