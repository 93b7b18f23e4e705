"""What is measured: it adds up over processes and minutes, names nobody, and survives an absent store."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from storage import keys
from storage.connection import Client, connect
from storage.heartbeat import Heartbeat, Schedule
from storage.metrics import GAUGES, Metrics, date, merged, percentile, periods, served
from storage.status import counted


async def beat(redis: Client, metrics: Metrics, name: str = "h:worker:1") -> None:
    """One heartbeat, which takes along what was measured."""
    async with Schedule() as schedule, Heartbeat(redis, schedule, name, "worker", "1", dict, metrics):
        pass


async def minute(redis: Client) -> dict[str, float]:
    """What the store has of this minute and the one before."""
    now = int(time.time() // 60)
    return merged([counted(await redis.hgetall(keys.minute(each))) for each in (now - 1, now)])


async def test_what_two_processes_measure_adds_up_and_each_beat_brings_only_what_is_new(redis: Client) -> None:
    one, other = Metrics(), Metrics()
    for metrics, seconds in ((one, 0.4), (other, 4.0)):
        metrics.first.observe(seconds)
        metrics.tokens.labels("answer").inc(10)
        await beat(redis, metrics)
        await beat(redis, metrics)
    found = await minute(redis)
    assert found["tokens_total|answer"] == 20
    assert found["first_token_seconds_count"] == 2
    assert 0.3 < (percentile(found, "first_token_seconds", 0.5) or 0) <= 0.5
    assert 3 < (percentile(found, "first_token_seconds", 0.95) or 0) <= 5
    assert counted(await redis.hgetall(keys.day(date(time.time(), UTC))))["tokens_total|answer"] == 20


async def test_what_was_measured_while_the_store_was_away_comes_with_a_later_beat(
    redis: Client, tmp_path: Path
) -> None:
    metrics, nobody = Metrics(), connect(f"unix://{tmp_path}/nobody")
    metrics.answers.labels("done").inc()
    metrics.used("telegram:1", 7)
    metrics.fault("ClientConnectorError")
    await beat(nobody, metrics)
    await nobody.aclose()
    await beat(redis, metrics)
    assert (await minute(redis))["answers_total|done"] == 1
    assert await redis.hget(keys.FAULT, "error") == b"ClientConnectorError"
    used = [await redis.hget(keys.used("telegram:1", period), "tokens") for period in periods(time.time(), UTC)]
    assert used == [b"7", b"7"]


async def test_what_is_counted_while_a_beat_is_written_is_not_lost() -> None:
    metrics = Metrics()
    metrics.used("telegram:1", 1)

    class Pipe:
        """Remembers what was asked of it."""

        def __init__(self) -> None:
            self.calls: list[tuple[Any, ...]] = []

        def __getattr__(self, name: str) -> Any:
            def call(*args: Any, **_: Any) -> None:
                self.calls.append((name, *args))

            return call

    metrics.write_on(Pipe())
    metrics.used("telegram:1", 2)
    metrics.answers.labels("done").inc()
    metrics.fault("later")
    metrics.written()
    metrics.write_on(pipe := Pipe())
    assert [call[-1] for call in pipe.calls if call[0] == "hincrby"] == [2, 2]
    assert {call[2] for call in pipe.calls if call[0] == "hincrbyfloat"} == {
        "answers_total|done",
        "engine_errors_total",
    }
    assert "hset" in [call[0] for call in pipe.calls]


@pytest.mark.parametrize("value", [0.01, 0.2, 0.6, 3, 45, 599, 10_000])
def test_a_percentile_lies_in_the_bucket_of_what_was_measured(value: float) -> None:
    metrics = Metrics()
    for _ in range(100):
        metrics.first.observe(value)
    samples = {
        "|".join((sample.name.removeprefix("askpix_"), *sample.labels.values())): sample.value
        for metric in metrics.registry.collect() for sample in metric.samples
    }  # fmt: skip
    found = percentile(samples, "first_token_seconds", 0.5)
    assert found is not None and abs(found - min(value, 600)) <= 0.5 * min(value, 600) + 0.05


def test_nothing_measured_has_no_percentile() -> None:
    assert percentile({}, "first_token_seconds", 0.5) is None


@pytest.mark.parametrize(
    ("at", "zone", "day"),
    [
        ("2026-03-29T00:59:59+00:00", "Europe/Berlin", "2026-03-29"),
        ("2026-03-28T23:30:00+00:00", "Europe/Berlin", "2026-03-29"),
        ("2026-10-24T22:30:00+00:00", "Europe/Berlin", "2026-10-25"),
        ("2026-10-25T22:59:59+00:00", "Europe/Berlin", "2026-10-25"),
        ("2026-10-25T23:00:00+00:00", "Europe/Berlin", "2026-10-26"),
        ("2026-01-31T18:30:00+00:00", "Asia/Kolkata", "2026-02-01"),
    ],
)
def test_days_and_months_are_those_of_the_zone_also_on_the_days_of_its_clock_changes(
    at: str, zone: str, day: str
) -> None:
    from datetime import datetime

    assert periods(datetime.fromisoformat(at).timestamp(), ZoneInfo(zone)) == (day, day[:7])


async def test_metrics_are_served_to_prometheus_on_this_machine_alone(unused_tcp_port: int) -> None:
    metrics = Metrics()
    metrics.service = {(name, "x" if label else ""): 1.0 for name, (_, label) in GAUGES.items()}
    async with served(metrics, "host:worker:1", unused_tcp_port), httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"http://127.0.0.1:{unused_tcp_port}/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        families = {family.name for family in text_string_to_metric_families(answer.text)}
        assert {"askpix_first_token_seconds", "askpix_tokens", *GAUGES} <= families
        assert (await http.get(f"http://127.0.0.1:{unused_tcp_port}/other")).status_code == 404
        reader, writer = await asyncio.open_connection("127.0.0.1", unused_tcp_port)
        writer.write(b"rubbish" * 20_000)
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


async def test_a_port_that_is_taken_stops_nothing(unused_tcp_port: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "storage"):
        async with served(Metrics(), "h:worker:1", unused_tcp_port), served(Metrics(), "h:worker:1", unused_tcp_port):
            pass
    assert f"port {unused_tcp_port} is taken" in caplog.text


def test_names_follow_prometheus_s_conventions_and_labels_are_few() -> None:
    metrics = Metrics()
    metrics.service = {(name, "x" if label else ""): 1.0 for name, (_, label) in GAUGES.items()}
    for family in metrics.registry.collect():
        assert family.name.startswith("askpix_")
        assert family.documentation.endswith(".")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert labels <= {"kind", "outcome", "platform", "reason", "role", "state", "version"}
