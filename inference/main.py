"""The two roles of the inference half, put together from their settings: a worker, and the machine's engine."""

from __future__ import annotations

import asyncio
import shlex
import sys
from functools import partial
from typing import Any

import msgspec

from inference import embedded, gpu, hub, launch, plan
from inference.answer import Answerer
from inference.embedded import EngineFailed
from inference.engine import EngineAddress
from inference.engines import Engines
from inference.launch import Tell
from inference.settings import InferenceSettings
from inference.worker import Worker
from storage.settings import StorageSettings
from storage.stores import living
from storage.tasks import first_of

DEFAULT_MODEL = "Qwen/Qwen3-VL-2B-Instruct"  # of a machine with a GPU and SGLang


async def work(storage: StorageSettings, settings: InferenceSettings, stop: asyncio.Event) -> None:
    """Run a worker until `stop`, on the engine of the settings or else on the embedded one of the data folder.

    Raises CannotRun.
    """

    def own(number: int) -> EngineAddress | None:
        found = embedded.read_address(storage.data_dir, number)
        return EngineAddress(found.url, found.key, found.model) if found else None

    given = [partial(EngineAddress, url, settings.engine_key) for url in settings.engine_url]
    addresses = given or [partial(own, number) for number in range(_replicas(settings))]
    model = settings.model if settings.engine_url else None
    slots, context = settings.concurrency, settings.context_tokens
    made: list[Worker] = []
    async with Engines(addresses, model=model, slots=slots, context=context) as engine:
        async with living(storage, "worker", lambda: made[0].figures() if made else {}) as (stores, name):
            secret = await stores.health.secret()
            answerer = Answerer(engine, stores.queue, stores.replies, stores.history, stores.images, secret)
            made.append(Worker(name, engine, stores.queue, answerer, stores.health))
            await made[0].run(stop)


async def serve(storage: StorageSettings, settings: InferenceSettings, stop: asyncio.Event, tell: Tell) -> None:
    """Run the machine's engine until `stop`; it is ready when its heartbeat is there. Raises EngineFailed.

    `tell(code, **details)` hears how far its start is.
    """
    ready: asyncio.Queue[embedded.EngineAddress] = asyncio.Queue()

    async def live() -> None:
        model = (await ready.get()).model
        async with living(storage, "engine", lambda: {"model": model.name}):
            await stop.wait()

    async def run() -> None:
        chosen = await _choose(storage, settings, tell)
        await first_of(*(embedded.keep(each, ready.put_nowait) for each in chosen))

    await first_of(run(), live(), stop.wait())


async def _choose(storage: StorageSettings, settings: InferenceSettings, tell: Tell) -> list[embedded.Keepable]:
    """SGLang, one a replica, where there is a GPU to plan with, else the CPU engine. Fetches the model."""
    card = None if settings.gpu == "cpu" else launch.find_card(settings.gpu)
    python = settings.sglang_python or sys.executable
    version = await launch.installed(python) if card else None
    name = settings.model or (DEFAULT_MODEL if version else str(embedded.DEMO))
    if card and not version:
        tell("no_sglang", gpu=card.title)
    folder = await hub.obtain(name, storage.data_dir / "models", tell)
    served = folder.name if name == str(folder) else name
    if not (folder / "config.json").exists():
        context, slots = settings.context_tokens or 0, settings.concurrency or embedded.SLOTS
        return [embedded.Embedded(storage.data_dir, folder, context, slots, settings.bind)]
    if not card or not version:
        raise EngineFailed("sglang_missing" if card else "needs_gpu", name)
    wanted = _plan(card, str(folder), settings, version)
    if not wanted.fits:
        raise EngineFailed("does_not_fit", wanted.gpu)
    tell("plan", gpu=wanted.gpu, mib=wanted.total_mib, tokens=wanted.kv_tokens)
    if (count := _replicas(settings)) > max(1, gpu.count()):
        raise EngineFailed("few_gpus", str(gpu.count()))
    extra = shlex.split(settings.engine_args or "")
    make = partial(launch.LaunchSettings, storage.data_dir, wanted, served, settings.bind, extra, python)
    numbers = range(count) if count > 1 else (None,)
    return [launch.SGLang(make(number=number), tell) for number in numbers]


def _replicas(settings: InferenceSettings) -> int:
    return settings.replicas or max(1, gpu.count())


async def planned(settings: InferenceSettings) -> dict[str, Any]:
    """The plan of these settings (plan.Plan's fields), for a GPU that need not be here. Raises EngineFailed."""
    card = launch.find_card(settings.gpu)
    if card is None:
        raise EngineFailed("no_gpu", ", ".join(plan.catalogue().card))
    version = await launch.installed(settings.sglang_python or sys.executable)
    return msgspec.to_builtins(_plan(card, settings.model or DEFAULT_MODEL, settings, version or plan.NEWEST))


def _plan(card: plan.Card, model: str, settings: InferenceSettings, version: tuple[int, ...]) -> plan.Plan:
    shape = plan.shape_of(model)
    if shape is None:
        raise EngineFailed("no_shape", model)
    context = settings.context_tokens or plan.CONTEXT
    slots, weights = settings.concurrency, settings.quantization
    return plan.plan(plan.Wish(card, model, shape, context, slots, weights, settings.kv_dtype, version))
