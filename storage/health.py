"""What the service says of itself: the model that runs, and whether asks are being answered."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from storage import keys
from storage.connection import Client
from storage.heartbeat import RoleRecord, roles
from storage.messages import Model, decode, encode
from storage.metrics import Metrics
from storage.vision import CHAT_LIMITS, PixelLimits, share

CONTEXT = 32_768  # tokens, until a model has run: the plan's own


@dataclass(frozen=True, slots=True)
class Service:
    """How asks fare now: `reason` is a phrase code when nobody answers; slots and seconds an answer give the ETA.

    paused: an admin lets nothing begin; what runs goes on.
    """

    reason: str | None
    slots: int
    seconds: float | None
    paused: bool = False

    def eta(self, place: int) -> float | None:
        """Seconds until an ask with `place` asks before it begins, by measured speed; None while unmeasured."""
        return None if self.seconds is None else (place // max(1, self.slots) + 1) * self.seconds


@dataclass(frozen=True, slots=True)
class Room:
    """What one file of a question may take: the pixels of its one photo, or tokens with pictures of `whole` size."""

    limits: PixelLimits
    whole: PixelLimits
    context: int


class Health:
    """Reads and writes what the service says of itself."""

    def __init__(self, redis: Client, metrics: Metrics | None = None) -> None:
        self._redis = redis
        self.metrics = metrics or Metrics()

    async def publish_model(self, model: Model) -> None:
        """Say which model answers; the record stays while the engine is down, so that intake can go on."""
        await self._redis.set(keys.MODEL, encode(model))

    async def model(self) -> Model | None:
        """The model that answers or answered last; None before the first engine ever ran."""
        raw = await self._redis.get(keys.MODEL)
        return None if raw is None else decode(raw, Model)

    async def room(self, files: int) -> Room:
        """What each of so many files of one question may take, for the model that runs."""
        model, files = await self.model(), max(1, files)
        if not model:
            return Room(CHAT_LIMITS, CHAT_LIMITS, CONTEXT // files)
        whole = PixelLimits(model.min_pixels, model.max_pixels)
        return Room(share(whole, files, model.context), whole, model.context // files)

    async def secret(self) -> bytes:
        """32 random bytes, the same for every process of this store."""
        await self._redis.set(keys.SECRET, secrets.token_bytes(32), nx=True)
        return await self._redis.get(keys.SECRET)

    async def service(self) -> Service:
        """Judge by the workers' heartbeats, and by what an admin wants."""
        return service_of(await roles(self._redis), paused=await self.mode() == "paused")

    async def mode(self) -> str:
        """What an admin wants: "" for all to go on, "paused": nothing begins, "draining": nothing comes in."""
        return (await self._redis.get(keys.MODE) or b"").decode()

    async def set_mode(self, mode: str) -> None:
        """Say what an admin wants, until another word; it survives restarts. Raises StoreDown."""
        async with self._redis.pipeline(transaction=True) as pipe:
            if mode:
                pipe.set(keys.MODE, mode)
            else:
                pipe.delete(keys.MODE)
            pipe.execute_command("LPUSH", keys.WAKE, 1)  # a worker looks at once, and not in four seconds
            pipe.ltrim(keys.WAKE, 0, 0)
            await pipe.execute()


def service_of(alive: Iterable[RoleRecord], *, paused: bool = False) -> Service:
    """How asks fare, by the roles that live."""
    workers = [role for role in alive if role.role == "worker"]
    up = [role.figures for role in workers if role.figures.get("engine") == "up"]
    slots = sum(int(figures.get("slots", 0)) for figures in up)
    speeds = [float(figures["seconds"]) for figures in up if "seconds" in figures]
    reason = None if up else "engine_down" if workers else "worker_down"
    return Service(reason, slots, sum(speeds) / len(speeds) if speeds else None, paused)
