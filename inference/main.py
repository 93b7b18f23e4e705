"""The two roles of the inference half, put together from their settings: a worker, and the CPU engine."""

from __future__ import annotations

import asyncio
from pathlib import Path

from inference import embedded
from inference.answer import Answerer
from inference.engine import Engine, EngineAddress, Wishes
from inference.settings import InferenceSettings
from inference.worker import Worker
from storage.settings import StorageSettings
from storage.stores import living
from storage.tasks import first_of


async def work(storage: StorageSettings, settings: InferenceSettings, stop: asyncio.Event) -> None:
    """Run a worker until `stop`, on the engine of the settings or else on the embedded one of the data folder.

    Raises ContextTooSmall.
    """

    def address() -> EngineAddress | None:
        if settings.engine_url:
            return EngineAddress(settings.engine_url, settings.engine_key)
        found = embedded.read_address(storage.data_dir)
        return EngineAddress(found.url, found.key, found.model) if found else None

    wishes = Wishes(settings.model if settings.engine_url else None, settings.concurrency, settings.context_tokens)
    made: list[Worker] = []
    async with Engine(address, wishes) as engine:
        async with living(storage, "worker", lambda: made[0].figures() if made else {}) as (stores, name):
            secret = await stores.health.secret()
            answerer = Answerer(engine, stores.queue, stores.replies, stores.history, stores.images, secret)
            made.append(Worker(name, engine, stores.queue, answerer, stores.health))
            await made[0].run(stop)


async def serve(storage: StorageSettings, settings: InferenceSettings, stop: asyncio.Event) -> None:
    """Run the CPU engine until `stop`; it is ready when its heartbeat is there. Raises EmbeddedFailed."""
    wanted = embedded.EmbeddedSettings(
        storage.data_dir, Path(settings.model) if settings.model else embedded.DEMO, settings.context_tokens or 0,
        settings.concurrency or embedded.EmbeddedSettings.slots, settings.bind,
    )  # fmt: skip
    ready: asyncio.Future[embedded.EngineAddress] = asyncio.get_running_loop().create_future()

    async def live() -> None:
        model = (await ready).model
        async with living(storage, "engine", lambda: {"model": model.name}):
            await stop.wait()

    def known(address: embedded.EngineAddress) -> None:
        if not ready.done():
            ready.set_result(address)

    await first_of(embedded.serve(wanted, known), live(), stop.wait())
