"""What is wrong with the engine and the GPU."""

from __future__ import annotations

from inference import embedded, gpu
from inference.engine import Engine, EngineAddress
from inference.settings import InferenceSettings
from inference.stream import EngineError
from storage.doctor import Finding
from storage.settings import StorageSettings


async def examine(storage: StorageSettings, settings: InferenceSettings) -> list[Finding]:
    """Ask each engine what it serves, and the driver what it sees."""
    own = [found for number in range(max(1, gpu.count())) if (found := embedded.read_address(storage.data_dir, number))]
    given = [EngineAddress(url, settings.engine_key) for url in settings.engine_url]
    down = "engine_down" if given else "engine_restarts"
    found = [await _engine(address, down) for address in given or [EngineAddress(each.url, each.key) for each in own]]
    card = gpu.seen()
    seen = {"gpu": card.name, "used": card.used, "total": card.total} if card else {}
    return [
        *(found or [Finding("engine", None, "engine_rests")]),
        Finding("gpu", True if card else None, "gpu_seen" if card else "gpu_none", {**seen}),
    ]


async def _engine(address: EngineAddress, down: str) -> Finding:
    try:
        async with Engine(lambda: address) as engine:
            model = await engine.probe()
    except EngineError as error:
        return Finding("engine", False, down, {"url": address.url, "reason": str(error)})
    return Finding("engine", True, "engine_up", {"model": model.name, "slots": model.slots, "tokens": model.context})
