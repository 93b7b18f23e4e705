"""The worker: claims as many asks as the engine has slots, renews their leases, and drains when it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress

import msgspec

from inference import gpu
from inference.answer import Answerer, FenceLost, Figures, Stop
from inference.engine import Engine
from inference.engines import Engines
from inference.stream import EngineDown, EngineError
from storage.connection import RETRY, StoreDown, forever, persist
from storage.health import Health
from storage.logs import about
from storage.messages import Ask, Model, encode
from storage.queue import Claim, Queue
from storage.tasks import end

log = logging.getLogger(__name__)

PROBE_EVERY = 1.0  # seconds: a dead engine is noticed by every waiting slot within five
DRAIN = 25.0  # seconds an answer may still take after SIGTERM; then it goes back to the queue
PARTING = 2.0  # seconds for a last word with the store; what it did not hear, the next life's reset makes good
SMOOTHING = 0.2  # weight of the newest answer in the measured speed
LOOK = 5.0  # seconds between looks at the GPU


class Held(msgspec.Struct):
    """One claim in work."""

    claim: Claim
    stop: Stop = msgspec.field(default_factory=Stop)
    task: asyncio.Task[None] | None = None


class Worker:
    """One worker process's work. `name` is stable over restarts: it gives back what its former life held."""

    def __init__(self, name: str, engine: Engine | Engines, queue: Queue, answerer: Answerer, health: Health) -> None:
        self._name = name
        self._engine = engine
        self._queue = queue
        self._answerer = answerer
        self._health = health
        self._metrics = health.metrics
        self._gpu = ""
        self._model: Model | None = None
        self._up = asyncio.Event()
        self._free = asyncio.Event()
        self._held: dict[str, Held] = {}
        self._careful = False  # the engine broke: one ask at a time, or the one that broke it takes others with it
        self._speeds: dict[str, float] = {}  # "first" and "seconds" of an answer, smoothed
        self._last_error = ""

    def figures(self) -> dict[str, str | int | float]:
        """What the heartbeat carries: the engine's state, slots, running asks, measured seconds an answer, the GPU."""
        state = "up" if self._up.is_set() else "down"
        found: dict[str, str | int | float] = {"engine": state, "running": len(self._held), "error": self._last_error}
        if self._model:
            found |= {"model": self._model.name, "slots": self._model.slots}
        found |= {name: round(seconds, 3) for name, seconds in self._speeds.items()}
        return found | ({"gpu": self._gpu} if self._gpu else {})

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, then drain. Raises CannotRun."""
        works = (self._probe(), forever(self._renew), forever(self._hear_stops))
        loops = [asyncio.create_task(work) for work in works]
        looking = asyncio.create_task(self._look_at_gpu())  # which ends where there is none
        claiming = asyncio.create_task(self._claim(stop))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([stopping, claiming, *loops], return_when=asyncio.FIRST_COMPLETED)
            stop.set()
            await self._end_claiming(claiming)
            await self._drain()
        finally:
            await end([claiming])  # before asks are given back: its call, still at the store, would take them
            await end([stopping, looking, *loops, *self._answering()])
        for task in (*loops, claiming):
            if not task.cancelled():
                task.result()  # a loop that ended by itself has failed

    async def _end_claiming(self, claiming: asyncio.Task[None]) -> None:
        """Wake a waiting claim rather than cancel it: a cancelled one may have taken asks that nobody then holds."""
        self._free.set()
        self._up.set()
        with suppress(*StoreDown):  # TimeoutError is an OSError, and so one of them
            async with asyncio.timeout(PARTING):
                await self._queue.wake()
                await asyncio.wait([claiming])

    async def _drain(self) -> None:
        """Let answers end, then have each give its claim back; who cannot is cancelled by our caller."""
        if answering := self._answering():
            await asyncio.wait(answering, timeout=DRAIN)
            for task in answering:
                task.cancel()
            await asyncio.wait(answering, timeout=PARTING)

    def _answering(self) -> list[asyncio.Task[None]]:
        return [held.task for held in self._held.values() if held.task]

    async def _claim(self, stop: asyncio.Event) -> None:
        await persist(lambda: self._queue.reset(self._name))
        due: float | None = None
        while not stop.is_set():
            await self._up.wait()
            if stop.is_set():
                return
            slots = self._model.slots if self._model else 0
            free = min(slots, 1 if self._careful else slots) - len(self._held)
            if free <= 0:
                self._free.clear()
                await self._free.wait()
                continue
            wait = self._queue.lease / 4 if due is None else min(self._queue.lease / 4, max(due, 0.001))
            try:
                claims, due = await self._queue.claim(self._name, free, wait)
            except StoreDown:  # the claim may have been made and its reply lost
                await asyncio.sleep(RETRY)
                await persist(lambda: self._queue.reset(self._name, self._held))
                continue
            for claim in claims:
                held = Held(claim)
                former = self._held.get(claim.ask.id)
                if former and former.task:  # its lease was lost while the store was away
                    former.task.cancel()
                self._held[claim.ask.id] = held
                held.task = asyncio.create_task(self._work(held, stop))

    async def _work(self, held: Held, stop: asyncio.Event) -> None:
        """Answer one claim; whatever happens, it is closed, given back, or known to be another's."""
        claim, model = held.claim, self._model
        started = time.monotonic()
        about(claim.ask.id)
        if claim.ask.asked_at and claim.fence == 1:
            self._metrics.waited.observe(max(0.0, time.time() - claim.ask.asked_at))
        try:
            if model is None or stop.is_set() or not self._up.is_set():
                await self._give_back(claim)
                return
            figures = await self._answerer.answer(claim, model, held.stop)
            self._careful = False
            self._measure(claim.ask, figures)
            log.info("answered %s in %.2f s", claim.ask.id, time.monotonic() - started)
        except EngineDown as error:
            self._careful = self._careful or error.started
            self._engine_is_down(error)
            log.info("%s goes back to the queue: %s", claim.ask.id, error)
            await self._give_back(claim, failed=error.started)
        except FenceLost:
            log.info("lost %s", claim.ask.id)
        except (*StoreDown, asyncio.CancelledError):
            await self._give_back(claim)
        except Exception:  # the last guard: one ask's bug must neither stop the others nor lose the ask
            log.exception("failed on %s", claim.ask.id)
            self._last_error = "a bug in the worker, see its log"
            self._metrics.fault(self._last_error)
            await self._give_back(claim, failed=True)
        finally:
            if self._held.get(claim.ask.id) is held:
                del self._held[claim.ask.id]
            self._free.set()

    async def _give_back(self, claim: Claim, *, failed: bool = False) -> None:
        if await persist(lambda: self._queue.release(claim, failed=failed)) == 2:
            self._metrics.answers.labels("failed").inc()

    def _measure(self, ask: Ask, figures: Figures) -> None:
        """Count a closed ask: how it ended, its seconds, its tokens."""
        metrics, generation = self._metrics, figures.generation
        metrics.answers.labels(figures.outcome).inc()
        if figures.first is not None:
            for name, new in (("first", figures.first), ("seconds", figures.seconds)):
                old = self._speeds.get(name, new)
                self._speeds[name] = old + SMOOTHING * (new - old)
            metrics.first.observe(figures.first)
            metrics.answer.observe(figures.seconds)
            metrics.tokens.labels("prompt").inc(generation.prompt_tokens)
            metrics.tokens.labels("cached").inc(generation.cached_tokens)
            metrics.tokens.labels("answer").inc(generation.tokens)
            # In a terminal each question has a lane of its own.
            person = ask.person if ask.lane == ask.outbox else ask.lane
            metrics.used(person, generation.prompt_tokens + generation.tokens)

    def _engine_is_down(self, error: EngineError) -> None:
        self._last_error = str(error)
        if self._up.is_set():
            log.warning("the engine is down: %s", error)
            self._metrics.fault(self._last_error)
            self._up.clear()

    async def _probe(self) -> None:
        """Watch the engine; publish its model when it comes up or changes."""
        while True:
            try:
                model = await self._engine.probe()
                if model != self._model:
                    await self._answerer.check(model)
                if model != self._model or not self._up.is_set():
                    await persist(lambda model=model: self._health.publish_model(model))
                    log.info("the engine is up: %s, %d slots, %d tokens", model.name, model.slots, model.context)
                self._model = model
                self._up.set()
            except EngineError as error:
                self._engine_is_down(error)
            await asyncio.sleep(PROBE_EVERY)

    async def _look_at_gpu(self) -> None:
        while found := await asyncio.to_thread(gpu.seen):
            self._gpu = encode(found).decode()
            await asyncio.sleep(LOOK)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._queue.lease / 4)
            held = list(self._held.values())
            states = await self._queue.renew([each.claim for each in held])
            for each, state in zip(held, states, strict=True):
                if state == "cancelled":
                    each.stop.request()
                elif state == "lost" and each.task:
                    each.task.cancel()

    async def _hear_stops(self) -> None:
        async for id, fence in self._queue.cancelled():
            held = self._held.get(id)
            if held and held.claim.fence == fence:
                held.stop.request()
