"""Quotas of a day, rules that admins make, and priorities."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from storage import keys
from storage.connection import Client
from storage.limits import Daily, Limits, Rules, Usage
from storage.messages import Done, Refused
from storage.stores import Stores
from tests.storage.asks import make_ask

ANN, BOB = "telegram:1", "telegram:2"


def limits(redis: Client, rules: Rules = Rules(), **daily: Any) -> Limits:  # noqa: B008 : frozen
    return Limits(redis, rules, 1000, Daily(**daily))


async def used_up(limits: Limits, person: str, id: str = "", photos: int = 0) -> Refused:
    with pytest.raises(Refused) as refused:
        await limits.take(person, id, photos)
    return refused.value


async def test_the_ask_after_the_last_of_a_day_is_told_when_there_are_new_ones(redis: Client) -> None:
    found = limits(redis, asks=2)
    for n in range(2):
        await found.take(ANN, f"a{n}")
    refusal = await used_up(found, ANN, "a2")
    assert refusal.code == "quota_asks" and refusal.details["limit"] == 2
    assert 1 <= int(refusal.details["hours"]) <= 24
    await found.take(BOB, "b")
    assert (await found.usage(ANN))[0] == Usage(2, 0, 2, 0)


async def test_an_ask_that_is_read_again_is_counted_once_and_one_that_was_refused_not_at_all(redis: Client) -> None:
    found = limits(redis, asks=2)
    for _ in range(3):
        await found.take(ANN, "a", 2)
    await found.take(ANN, "b", 1)
    await found.give_back(ANN, "b", 1)
    assert (await found.usage(ANN)) == (Usage(1, 2, 3, 0), Usage(1, 2, 3, 0))
    await found.take(ANN, "c")
    assert (await used_up(found, ANN, "d")).code == "quota_asks"


async def test_photos_cost(redis: Client) -> None:
    found = limits(redis, cost=5)
    await found.take(ANN, "a", 3)
    assert (await used_up(found, ANN, "b", 1)).code == "quota_cost"
    await found.take(ANN, "c", 0)


async def test_asks_at_the_same_moment_do_not_pass_the_quota_together(redis: Client) -> None:
    found = limits(redis, asks=5)
    taken = await asyncio.gather(*(found.take(ANN, f"a{n}") for n in range(12)), return_exceptions=True)
    assert sum(isinstance(outcome, Refused) for outcome in taken) == 7


async def test_a_person_s_own_quota_wins_and_none_lifts_every_limit(redis: Client) -> None:
    found = limits(redis, asks=1, cost=1)
    await found.change(BOB, "quota", ANN, "0")
    assert await found.quota(ANN) == (0, 0)
    for n in range(3):
        await found.take(ANN, f"a{n}", 4)
    await found.change(BOB, "quota", ANN, "4")
    await used_up(found, ANN, "x", 0)
    assert await found.quota(ANN) == (4, 1)
    await found.change(BOB, "quota", ANN, "")
    assert await found.quota(ANN) == (1, 1)


@pytest.mark.parametrize("made", [False, True])
async def test_admins_have_no_quota_also_under_the_name_that_they_joined(redis: Client, *, made: bool) -> None:
    found = limits(redis, Rules(admins=frozenset() if made else frozenset({BOB})), asks=1)
    if made:
        await found.change(ANN, "admin", BOB)
    for n in range(3):
        assert await found.take(ANN, f"a{n}", 0, BOB), "says that they are admin"
    assert not await found.take("telegram:3", "c")


@pytest.mark.parametrize(
    ("now", "zone", "hours"),
    [
        ("2026-05-01T22:30:00+02:00", "Europe/Berlin", 2),
        ("2026-03-28T23:30:00+00:00", "Europe/Berlin", 23),  # half an hour into a day of 23 hours
        ("2026-10-24T22:30:00+00:00", "Europe/Berlin", 25),  # and into one of 25
        ("2026-05-01T23:59:59+00:00", "UTC", 1),
    ],
)
async def test_a_day_ends_at_its_zone_s_midnight_also_when_clocks_change(
    redis: Client, monkeypatch: pytest.MonkeyPatch, now: str, zone: str, hours: int
) -> None:
    at = datetime.fromisoformat(now).timestamp()
    monkeypatch.setattr(time, "time", lambda: at)
    found = limits(redis, asks=1, zone=UTC if zone == "UTC" else ZoneInfo(zone))
    await found.take(ANN, "a")
    assert (await used_up(found, ANN, "b")).details["hours"] == hours
    monkeypatch.setattr(time, "time", lambda: at + hours * 3600)
    await found.take(ANN, "b")


async def test_rules_of_admins_stand_beside_the_environment_s_and_deny_wins(redis: Client) -> None:
    found = limits(redis, Rules(allow=frozenset({BOB}), deny=frozenset({"telegram:3"})))
    assert not await found.admits(ANN)
    await found.change(BOB, "allow", ANN)
    await found.change(BOB, "allow", "telegram:3")
    await found.change(BOB, "deny", BOB)
    await found.change(BOB, "allow", "telegram:chat:-100")
    assert [await found.admits(person) for person in (ANN, BOB, "telegram:3")] == [True, False, False]
    assert await found.admits("telegram:9", "telegram:chat:-100")
    await found.change(BOB, "", ANN)
    assert not await found.admits(ANN)
    assert (await found.changes(1))[0][2] == f"no_rule {ANN}"


async def test_another_process_learns_of_a_rule_within_a_second(redis: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = limits(redis), limits(redis)
    assert not await other.admits(ANN)
    await one.change(BOB, "allow", ANN)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 1.1)
    assert await other.admits(ANN)


async def test_each_change_is_noted_with_who_and_when_and_old_ones_go(redis: Client) -> None:
    found = limits(redis)
    await found.change(ANN, "quota", BOB, "5")
    await found.change(ANN, "deny", BOB)
    await found.note(BOB, "pause")
    (at, who, what), second, third = await found.changes()
    assert abs(at - time.time()) < 5
    assert [(who, what), second[1:], third[1:]] == [(BOB, "pause"), (ANN, f"deny {BOB}"), (ANN, f"quota {BOB} 5")]
    for _ in range(1300):
        await found.note(BOB, "pause")
    assert await redis.xlen(keys.CHANGES) < 1200


async def test_a_denied_person_does_not_use_up_the_code_that_makes_admins(redis: Client) -> None:
    found = limits(redis)
    await found.change(ANN, "deny", BOB)
    code = await found.offer_admin()
    assert not await found.redeem(code, BOB)
    assert await found.redeem(code, ANN)


async def test_paused_nothing_is_claimed_nothing_lost_and_nobody_spins(stores: Stores) -> None:
    await stores.health.set_mode("paused")
    for person in (ANN, BOB):
        await stores.queue.enqueue(make_ask(person, person))
    assert (await stores.queue.claim("w", 4))[0] == []
    assert (await stores.queue.claim("w", 4, wait=0.01))[0] == []  # takes the token of the enqueuing
    assert await stores.redis.llen(keys.WAKE) == 0, "a worker that waits is not woken again and again"
    assert (await stores.health.service()).paused
    waiting = asyncio.create_task(stores.queue.claim("w", 4, wait=5))
    await stores.health.set_mode("")
    assert len((await asyncio.wait_for(waiting, 2))[0]) == 2


async def test_draining_what_is_there_is_finished_and_nothing_new_is_taken(stores: Stores) -> None:
    await stores.queue.enqueue(make_ask("a"))
    await stores.health.set_mode("draining")
    with pytest.raises(Refused, match="draining"):
        await stores.queue.enqueue(make_ask("b"))
    assert not await stores.queue.enqueue(make_ask("a")), "it is there already"
    ((claim,), _) = await stores.queue.claim("w", 4)
    assert await stores.queue.finish(claim, Done("x"))
    with pytest.raises(Refused, match="draining"):
        await stores.queue.amend(claim.ask, claim.fence, newest=True)
    await stores.health.set_mode("")
    assert await stores.queue.enqueue(make_ask("b"))


async def test_an_admin_s_ask_comes_first(stores: Stores) -> None:
    for n in range(3):
        await stores.queue.enqueue(make_ask(f"a{n}", f"telegram:{n + 5}"))
    await stores.queue.enqueue(make_ask("root", ANN), priority=1_000_000)
    ((claim,), _) = await stores.queue.claim("w", 1)
    assert claim.ask.id == "root"
