"""Models from the Hugging Face hub: fetched once into the data folder, resumable, each file held to its checksum.

A child process downloads (`python -m inference.hub`), since the hub's client leaves threads that nothing can stop. It
came with Gradio and obeys HF_ENDPOINT and HF_TOKEN. A folder is whole when `askpix.sha256` lies in it.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import importlib
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE
from operator import attrgetter
from pathlib import Path
from typing import Any

from inference.embedded import EngineFailed
from inference.launch import Tell

WHOLE = "askpix.sha256"
CHECKPOINT = ("*.json", "*.safetensors", "*.txt", "*.jinja")
GGUF = ("*Q4_K_M.gguf", "mmproj*Q8_0.gguf")  # one of each kind: what the CPU engine takes, in its smaller forms
_LOOK_SECONDS = 1.0


async def obtain(name: str, models: Path, tell: Tell) -> Path:
    """The folder of a model: `name` itself if it is one, else what the hub has under it. Raises EngineFailed."""
    here, folder = Path(name), models / name
    if await asyncio.to_thread(here.is_dir):
        return here
    if await asyncio.to_thread((folder / WHOLE).exists):
        return folder
    if len(name.split("/")) != 2 or name.startswith(("/", ".")):
        raise EngineFailed("model_missing", name)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "inference.hub", name, str(folder), stdout=PIPE, stderr=DEVNULL
    )
    try:
        failed = await _follow(child, folder, tell)
        await child.wait()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if failed or child.returncode:
        raise EngineFailed(failed or "model_offline", name)
    return folder


async def _follow(child: asyncio.subprocess.Process, folder: Path, tell: Tell) -> str:
    """Say how much is there, once a second; the code of what went wrong, empty if nothing did."""
    total, shown, reading = 0, -1, asyncio.create_task(_line(child))
    while True:
        await asyncio.wait([reading], timeout=_LOOK_SECONDS)
        word = ""
        if reading.done():
            word, _, value = reading.result().partition(" ")
            if word not in ("total", "check"):
                return value if word == "failed" else ""
            total, reading = int(value), asyncio.create_task(_line(child))
        there = total if word == "check" else await asyncio.to_thread(_size, folder)
        percent = min(100, there * 100 // total) if total else 0
        if percent != shown and (percent // 5 != shown // 5 or sys.stdout.isatty()):
            tell("download", percent=percent, gb=round(total / 1e9, 2))
            shown = percent
        if word == "check":
            tell("check")


async def _line(child: asyncio.subprocess.Process) -> str:
    return (await child.stdout.readline()).decode().strip() if child.stdout else ""


def _size(folder: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())


def _fetch(name: str, folder: Path) -> str:
    """Download and check; "done", or "failed" with a code."""
    hub: Any = importlib.import_module("huggingface_hub")
    patterns = GGUF if name.upper().endswith("GGUF") else CHECKPOINT
    try:
        files = hub.HfApi().model_info(name, files_metadata=True)
        wanted = [*hub.utils.filter_repo_objects(
            files.siblings, allow_patterns=patterns, ignore_patterns="*/*", key=attrgetter("rfilename")
        )]  # fmt: skip
        total = sum(file.size or 0 for file in wanted)
        _say(f"total {total}")
        for file in wanted:
            _file(hub, hub.hf_hub_url(name, file.rfilename, revision=files.sha), folder / file.rfilename, file.size)
    except (hub.errors.RepositoryNotFoundError, hub.errors.GatedRepoError, hub.errors.HFValidationError):
        return "failed model_unknown"
    except (OSError, hub.errors.HTTPError, hub.errors.XetDownloadError) as error:
        full = isinstance(error, OSError) and error.errno == errno.ENOSPC
        return "failed model_disk" if full else "failed model_offline"
    _say(f"check {total}")
    sums: dict[str, str] = {}
    for file in wanted:
        with (folder / file.rfilename).open("rb") as data:
            sums[file.rfilename] = hashlib.file_digest(data, "sha256").hexdigest()
        if file.lfs and file.lfs.sha256 != sums[file.rfilename]:
            (folder / file.rfilename).unlink()
            return "failed model_damaged"
    (folder / WHOLE).write_text(json.dumps(sums, indent=1))
    return "done"


def _file(hub: Any, url: str, to: Path, size: int) -> None:
    """One file, from where a former try broke off; the hub's own snapshot_download begins anew in every process."""
    if to.exists() and to.stat().st_size == size:
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    part = to.with_name(f"{to.name}.part")
    with part.open("ab") as out:
        begun = out.tell()
        hub.file_download.http_get(
            url, out, resume_size=begun, headers=hub.utils.build_hf_headers(), expected_size=size
        )
    part.replace(to)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _say(_fetch(sys.argv[1], Path(sys.argv[2])))
