"""`askpix engine` with real SGLang on the CPU: the launcher that a GPU has, the CPU's flags behind the plan's."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx
import pytest

from inference.embedded import EngineAddress, read_address
from tests.service import environment
from tests.sglang.server import PYTHON, SHIM
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(600)

FLAGS = (
    "--device cpu --attention-backend torch_native --mm-attention-backend sdpa --disable-overlap-schedule "
    "--mem-fraction-static 0.1 --max-total-tokens 8192 --sleep-on-idle"
)


async def served(folder: Path, but: int = 0) -> EngineAddress:
    """The engine that is announced, another one than the process `but`."""
    found: list[EngineAddress] = []

    def there() -> bool:
        address = read_address(folder)
        found[:] = [address] if address and address.pid != but else []
        return bool(found)

    await wait_until(there, 240)
    return found[0]


async def test_it_serves_survives_a_kill_and_ends(tmp_path: Path):
    checkpoint = Path(__file__).parents[2] / "inference/demo/checkpoint"
    settings = {
        "GPU": "4090d", "SGLANG_PYTHON": str(PYTHON), "MODEL": str(checkpoint), "CONTEXT_TOKENS": "2048",
        "CONCURRENCY": "2", "ENGINE_ARGS": FLAGS,
    }  # fmt: skip
    cpu = {
        "PYTHONPATH": str(SHIM), "SGLANG_USE_CPU_ENGINE": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
        "TORCHDYNAMO_DISABLE": "1", "TMPDIR": str(tmp_path),
    }  # fmt: skip
    command = (sys.executable, "-P", "-m", "askpix", "engine")
    engine = await asyncio.create_subprocess_exec(*command, env=environment(tmp_path, settings) | cpu)
    try:
        first = await served(tmp_path)
        model = first.model
        assert (model.name, model.context, model.slots, model.max_pixels) == ("checkpoint", 2048, 2, 1_310_720)
        async with httpx.AsyncClient(trust_env=False) as http:
            refused = await http.get(f"{first.url}/v1/models", headers={"Authorization": "Bearer wrong"})
            assert refused.status_code == 401
        os.kill(first.pid, signal.SIGKILL)
        second = await served(tmp_path, but=first.pid)
        assert (second.url, second.key) == (first.url, first.key)
        log = (tmp_path / "logs/sglang.log").read_text(errors="replace")
        assert "server_args" in log and first.key not in log
    finally:
        engine.send_signal(signal.SIGTERM)
        await asyncio.wait_for(engine.wait(), 60)
    assert read_address(tmp_path) is None
