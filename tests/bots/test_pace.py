"""How often a chat is written to: bursts, refills, ends before progress, and floods of one chat alone."""

from __future__ import annotations

import asyncio
import math
from itertools import pairwise

import pytest

from bots.pace import Pace
from bots.surface import Rate
from bots.telegram_bot import GROUP, PRIVATE

RATE = Rate(3, 0.1)


def clock() -> float:
    return asyncio.get_running_loop().time()


async def taken(pace: Pace, n: int, chat: str = "a", rate: Rate = RATE) -> float:
    """Seconds that n turns took."""
    begun = clock()
    for _ in range(n):
        await pace.turn(chat, rate)
    return clock() - begun


async def test_a_burst_is_free_and_what_follows_comes_at_the_rate() -> None:
    pace = Pace()
    assert await taken(pace, 3) < 0.05
    assert 0.19 <= await taken(pace, 2) < 0.35


async def test_a_quiet_chat_gets_its_burst_again_and_no_more() -> None:
    pace, rate = Pace(), Rate(3, 0.03)
    await taken(pace, 3, rate=rate)
    await asyncio.sleep(0.2)
    assert await taken(pace, 5, rate=rate) >= 0.05


async def test_chats_do_not_wait_for_each_other() -> None:
    pace = Pace()
    await taken(pace, 3)
    held = asyncio.create_task(taken(pace, 20))
    assert await taken(pace, 3, "b") < 0.05
    held.cancel()


async def test_progress_leaves_one_call_to_ends() -> None:
    pace, end = Pace(), asyncio.Event()
    await pace.turn("a", RATE, progress_until=end)
    await pace.turn("a", RATE, progress_until=end)
    progress = asyncio.create_task(pace.turn("a", RATE, progress_until=end))
    await asyncio.sleep(0)
    assert await taken(pace, 1) < 0.05
    assert not progress.done()
    await asyncio.wait_for(progress, 2)


async def test_an_end_that_comes_while_its_progress_waits_takes_the_call_at_once() -> None:
    pace, end, rate = Pace(), asyncio.Event(), Rate(2, 30.0)
    await pace.turn("a", rate, progress_until=end)
    progress = asyncio.create_task(pace.turn("a", rate, progress_until=end))
    await asyncio.sleep(0)
    end.set()
    await asyncio.wait_for(progress, 1)


async def test_a_rate_without_a_burst_still_lets_progress_through() -> None:
    pace = Pace()
    for _ in range(2):
        await asyncio.wait_for(pace.turn("a", Rate(1, 0.01), progress_until=asyncio.Event()), 1)


async def test_many_who_wait_at_once_never_exceed_the_rate() -> None:
    pace, at = Pace(), list[float]()

    async def one() -> None:
        await pace.turn("a", Rate(3, 0.03))
        at.append(clock())

    await asyncio.gather(*(one() for _ in range(12)))
    assert len(at) == 12
    for early, late in zip(at, at[3:], strict=False):  # four turns never lie in one stretch
        assert late - early >= 0.03 * 3 - 0.005


async def test_ends_and_progress_together_never_exceed_the_rate_and_progress_is_spread() -> None:
    pace, at, progress = Pace(), list[float](), list[float]()

    async def ends() -> None:
        for pause in (0.0, 0.0, 0.2, 0.1, 0.3):
            await asyncio.sleep(pause)
            await pace.turn("a", RATE)
            at.append(clock())

    async def grow() -> None:
        for _ in range(5):
            await pace.turn("a", RATE, progress_until=asyncio.Event())
            progress.append(clock())

    await asyncio.gather(ends(), grow())
    both = sorted(at + progress)
    assert min(late - early for early, late in zip(both, both[3:], strict=False)) >= 0.3 - 0.005
    assert min(late - early for early, late in pairwise(progress)) >= 0.15 - 0.005


@pytest.mark.parametrize(("rate", "calls", "seconds"), [(PRIVATE, 3, 3), (GROUP, 3, 3), (GROUP, 20, 60)])
def test_what_telegram_allows_is_more_than_any_stretch_of_bursts_holds(rate: Rate, calls: int, seconds: int) -> None:
    assert math.ceil(seconds / (rate.burst * rate.seconds)) * rate.burst <= calls


async def test_a_flood_closes_one_chat_and_then_lets_through_one_by_one() -> None:
    pace = Pace()
    await taken(pace, 1)
    await taken(pace, 1, "b")
    pace.flooded("a", 0.2)
    begun = clock()
    held = [asyncio.create_task(taken(pace, 1)) for _ in range(2)]
    assert await taken(pace, 2, "b") < 0.1
    first, second = sorted(await asyncio.gather(*held))
    assert first >= 0.2 - 0.02
    # Its turn, whenever a busy machine noticed the first one's.
    assert second >= 0.2 + RATE.seconds - 0.02
    assert clock() - begun >= 0.2


async def test_a_flood_reaches_those_who_wait_already() -> None:
    pace = Pace()
    await taken(pace, 3)
    waiting = asyncio.create_task(taken(pace, 1))
    await asyncio.sleep(0)
    pace.flooded("a", 0.3)
    assert await waiting >= 0.3


async def test_a_flood_of_a_chat_that_nobody_wrote_to_is_nothing() -> None:
    Pace().flooded("a", 5)


async def test_quiet_chats_are_forgotten_but_not_closed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    pace, loop = Pace(), asyncio.get_running_loop()
    for n in range(1001):
        await pace.turn(str(n), RATE)
    pace.flooded("7", 10_000)
    real, ahead = loop.time, loop.time() + 700
    monkeypatch.setattr(loop, "time", lambda: ahead)
    await pace.turn("new", RATE)
    monkeypatch.setattr(loop, "time", real)
    assert set(pace._chats) == {"7", "new"}  # pyright: ignore[reportPrivateUsage] : what is forgotten cannot be seen
