"""What a process measures: for Prometheus as it is; for the store what came since the last heartbeat, which carries it.

The store has it by the minute, the hour and the day. Histograms have fixed buckets, so those of many processes and
minutes add up, and percentiles are read from the sum.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter as Tally
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, tzinfo
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from storage import keys

log = logging.getLogger(__name__)

BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 60, 120, 300, 600)  # seconds
PORTS = {"worker": 0, "telegram": 1, "discord": 2, "web": 3, "engine": 4}  # above ASKPIX_METRICS_PORT
SECOND = 10  # ports from a role's first process on this machine to its second

# Of the service as a whole, shown by the process that keeps house: what it is, and its label.
GAUGES = {
    "askpix_queue_asks": ("Asks that are waiting or running.", "state"),
    "askpix_queue_oldest_seconds": ("For how long the oldest waiting ask has waited.", ""),
    "askpix_engine_up": ("Whether an engine answers.", ""),
    "askpix_instances": ("Processes that live.", "role"),
    "askpix_gpu_memory_bytes": ("The GPU's memory.", "kind"),
    "askpix_gpu_utilization_ratio": ("How busy the GPU is.", ""),
    "askpix_gpu_temperature_celsius": ("The GPU's temperature.", ""),
    "askpix_gpu_power_watts": ("The GPU's power.", ""),
    "askpix_store_memory_bytes": ("Memory of Valkey or Redis.", ""),
}

Service = Mapping[tuple[str, str], float]  # a gauge's name and the value of its label -> its value


class Metrics(Collector):
    """Counters and histograms of one process, and its view of the service. No label names a person, chat or ask."""

    def __init__(self, zone: tzinfo = UTC) -> None:
        self.registry = made = CollectorRegistry()
        seconds: Any = {"registry": made, "buckets": BUCKETS}
        self.first = Histogram("askpix_first_token_seconds", "From claim to first word.", **seconds)
        self.answer = Histogram("askpix_answer_seconds", "From claim to last word.", **seconds)
        self.waited = Histogram("askpix_queue_wait_seconds", "From question to claim.", **seconds)
        self.answers = Counter("askpix_answers", "Asks that were closed.", ["outcome"], registry=made)
        self.tokens = Counter(
            "askpix_tokens", "Tokens of prompts, those of them cached, of answers.", ["kind"], registry=made
        )
        self.asks = Counter("askpix_asks", "Asks that came in.", ["platform"], registry=made)
        self.refusals = Counter("askpix_refusals", "Asks that were not taken.", ["reason"], registry=made)
        self.faults = Counter("askpix_engine_errors", "Times that the engine failed.", registry=made)
        self.build = Info("askpix_build", "What runs.", registry=made)
        self.service: Service = {}
        made.register(self)
        self._zone = zone
        self._told: dict[str, float] = {}
        self._people: Tally[str] = Tally()
        self._fault = ""
        self._sent: tuple[dict[str, float], Tally[str], str] = ({}, Tally(), "")

    def collect(self) -> Iterator[Metric]:
        """The gauges of the service, where they are known."""
        for name, (text, label) in GAUGES.items():
            family = GaugeMetricFamily(name, text, labels=[label] if label else [])
            for (known, of), value in self.service.items():
                if known == name:
                    family.add_metric([of] if label else [], value)
            if family.samples:
                yield family

    def used(self, person: str, tokens: int) -> None:
        """Tokens of one person's ask, for `/usage`."""
        self._people[person] += tokens

    def fault(self, error: str) -> None:
        """The engine failed."""
        self.faults.inc()
        self._fault = error

    def write_on(self, pipe: Any) -> None:
        """Append to a pipeline what is new; until `written` says that the store has it, it counts as new."""
        counted, people, now = dict(_samples(self.registry)), Tally(self._people), time.time()
        self._sent = counted, people, self._fault
        fresh = {name: more for name, value in counted.items() if (more := value - self._told.get(name, 0))}
        for key, ttl in fresh and (
            (keys.minute(int(now // 60)), keys.MINUTE_TTL), (keys.day(date(now, self._zone)), keys.HOUR_TTL)
        ):  # fmt: skip
            for name, value in fresh.items():
                pipe.hincrbyfloat(key, name, value)
            pipe.expire(key, ttl)
        for person, tokens in people.items():
            for period in periods(now, self._zone):
                pipe.hincrby(keys.used(person, period), "tokens", tokens)
                pipe.expire(keys.used(person, period), keys.USE_TTL)
        if self._fault:
            pipe.hset(keys.FAULT, mapping={"error": self._fault, "at": now})
            pipe.expire(keys.FAULT, keys.FAULT_TTL)

    def written(self) -> None:
        """The store has what `write_on` appended last."""
        self._told, people, fault = self._sent
        self._people -= people
        self._fault = "" if self._fault == fault else self._fault


def _samples(registry: CollectorRegistry) -> Iterator[tuple[str, float]]:
    """What only grows, by the name that the store has for it: `first_token_seconds_bucket|0.5`."""
    for metric in registry.collect():
        if metric.type in ("counter", "histogram"):
            for sample in metric.samples:
                if not sample.name.endswith("_created"):
                    yield "|".join((sample.name.removeprefix("askpix_"), *sample.labels.values())), sample.value


def date(now: float, zone: tzinfo) -> str:
    """The day of a moment (s since 1970) in a zone: 2026-05-01."""
    return datetime.fromtimestamp(now, zone).date().isoformat()


def periods(now: float, zone: tzinfo) -> tuple[str, str]:
    """The day and the month of a moment."""
    today = date(now, zone)
    return today, today[:7]


def merged(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The sum of what was counted in several stretches of time."""
    found: dict[str, float] = {}
    for part in parts:
        for name, value in part.items():
            found[name] = found.get(name, 0.0) + value
    return found


def percentile(counted: Mapping[str, float], name: str, share: float) -> float | None:
    """A percentile (0 to 1) of a histogram in seconds, within its bucket by proportion; None where it is empty."""
    whole = counted.get(f"{name}_count", 0.0)
    if not whole:
        return None
    below = passed = 0.0
    for edge in BUCKETS:
        reached = counted.get(f"{name}_bucket|{float(edge)}", 0.0)
        if reached >= share * whole:
            return below + (edge - below) * (share * whole - passed) / (reached - passed)
        below, passed = edge, reached
    return below  # longer than the last bucket


@asynccontextmanager
async def served(metrics: Metrics, instance: str, base: int, bind: str = "127.0.0.1") -> AsyncGenerator[None]:
    """Serve a process's metrics while entered: GET /metrics, for everybody who reaches `bind`. base 0: not at all."""
    _, role, number = instance.rsplit(":", 2)
    port = base + PORTS.get(role, 9) + SECOND * (int(number) - 1)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(5):
                asked = await reader.readuntil(b"\r\n\r\n")
                found = asked.startswith((b"GET /metrics ", b"GET /metrics?"))
                body, status = (generate_latest(metrics.registry), b"200 OK") if found else (b"", b"404 Not Found")
                head = b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
                writer.write(head % (status, CONTENT_TYPE.encode(), len(body)) + body)
                await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(answer, bind, port) if base else None
    except OSError:
        log.info("port %d is taken: the metrics are not served", port)
        server = None
    try:
        yield
    finally:
        if server:
            server.close()
