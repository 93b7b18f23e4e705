"""The claims about many: two hundred people at once, ten thousand who wait, five hundred updates in a burst."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bench.queue import make_ask
from bench.report import rss_mb
from bench.scenes import Outcome, answer_of, open_scene, quantiles
from bench.stage import Stage, until
from storage.embedded import Store
from storage.messages import Done, Refused
from storage.stores import open_stores
from storage.tasks import end

PEOPLE, SLOTS = 200, 16
PAUSE = 3.5  # seconds between one person's questions: within the rate limit
LOOK = 0.5  # seconds between two looks for an answer: 200 people who look are a load; its times are the platforms' own
SAMPLE = 2.0  # seconds between two looks at the processes
WAITING = 10_000
GROWTH = 6.0  # MB a minute of a role's memory, in the second half of a run, that count as flat
OPEN = 40  # descriptors by which the looks before and after may differ: a role's pool to the store stays
QUIET = 50.0  # seconds in which connections that are kept for the next call to a platform are closed


async def crowd(*, quick: bool) -> Outcome:
    """200 people at once, each a conversation with photos: how soon, how fair, and nothing grows."""
    seconds = 40.0 if quick else 180.0
    async with open_scene(slots=SLOTS, first_delay=0.1, delay=0.05, workers=2) as scene:
        until_when = time.monotonic() + seconds
        answers: dict[int, int] = dict.fromkeys(range(1, PEOPLE + 1), 0)
        firsts: list[float] = []
        wholes: list[float] = []

        async def one(number: int, turn: int) -> None:
            begun = time.perf_counter()
            question = await scene.everywhere(number, f"turn {turn} of {number}", number + 200 * (turn % 50))
            await until(lambda: answer_of(question), "an answer", 120, every=LOOK)
            edits = [edit for reply in question.replies() for edit in reply.edits]
            answers[number] += 1
            firsts.append(next(at for at, text in edits if text.startswith("saw")) - begun)
            wholes.append(max(at for at, _ in edits) - begun)

        async def talk(number: int) -> None:
            turn = 0
            while time.monotonic() < until_when:
                await one(number, turn := turn + 1)
                await asyncio.sleep(PAUSE)

        looks: list[dict[str, tuple[float, int]]] = []
        watching = asyncio.create_task(_watch(scene.stage, looks))
        await asyncio.gather(*map(talk, answers))
        await end([watching])
        await asyncio.sleep(QUIET)
        await _look(scene.stage, looks)
        memory = {role: _slope([look[role][0] for look in looks]) for role in looks[0]}
        opened = {role: looks[-1][role][1] - looks[0][role][1] for role in looks[0] if role != "valkey"}
        rss = {role: [looks[0][role][0], looks[-1][role][0]] for role in looks[0]}
        outcome = await scene.verdict(
            people=PEOPLE, first_edit_s=quantiles(firsts), whole_s=quantiles(wholes),
            answers_per_s=round(len(wholes) / seconds, 1), answers_each=[min(answers.values()), max(answers.values())],
            rss_mb=rss, rss_mb_per_min=memory, more_descriptors=opened,
        )  # fmt: skip
        flat = quick or max(slope for role, slope in memory.items() if role != "valkey") < GROWTH  # it keeps the photos
        fair = min(answers.values()) * 2 >= max(answers.values())
        return Outcome(outcome.kept and fair and flat and max(opened.values()) <= OPEN, outcome.figures)


async def _watch(stage: Stage, looks: list[dict[str, tuple[float, int]]]) -> None:
    """Note the memory (MB) and the open descriptors of every role, again and again."""
    while True:
        await _look(stage, looks)
        await asyncio.sleep(SAMPLE)


async def _look(stage: Stage, looks: list[dict[str, tuple[float, int]]]) -> None:
    pids = {**stage.pids, "valkey": await stage.pid("valkey") or 0}
    looks.append({role: (rss_mb([pid]), _descriptors(pid)) for role, pid in pids.items()})


def _descriptors(pid: int) -> int:
    return len([*Path(f"/proc/{pid}/fd").iterdir()])


def _slope(values: Sequence[float]) -> float:
    """MB a minute over the second half."""
    half = values[len(values) // 2 :]
    if len(half) < 3:
        return 0.0
    return round(statistics.linear_regression(range(len(half)), half).slope * 60 / SAMPLE, 2)


async def waiting(*, quick: bool) -> Outcome:
    """10,000 asks wait: the next is refused with a sentence, each step stays quick, turns stay fair, all are served."""
    people = 500
    with tempfile.TemporaryDirectory() as folder:
        async with Store(Path(folder)) as url, open_stores(url) as stores:
            queue, numbers = stores.queue, itertools.count()
            asks = [make_ask(f"person{next(numbers) % people}") for _ in range(WAITING)]
            enqueued = await _timed(queue.enqueue(ask) for ask in asks)
            refused = 0
            try:
                await queue.enqueue(make_ask("one more"))
            except Refused as refusal:
                refused = int(refusal.code == "queue_full")
            places = await _timed(queue.places([ask.id for ask in asks[at::997]]) for at in range(50))
            memory = rss_mb([(await stores.redis.info("server"))["process_id"]])
            served: list[str] = []
            claimed: list[float] = []
            while len(served) < WAITING:
                begun = time.perf_counter()
                claims, _ = await queue.claim("bench", 8)
                claimed.append(time.perf_counter() - begun)
                assert claims
                await asyncio.gather(*(queue.finish(claim, Done("A blue square.")) for claim in claims))
                served += [claim.ask.lane for claim in claims]
            first_round = len(set(served[:people]))
            ended = await queue.counts()
            figures = {
                "waiting": WAITING, "refused_beyond": refused, "people": people, "served_in_first_round": first_round,
                "enqueue_ms": _ms(enqueued), "places_ms": _ms(places), "claim_8_ms": _ms(claimed),
                "store_rss_mb": memory, "done": ended["done"], "left": ended["queued"] + ended["running"],
            }  # fmt: skip
            kept = refused == 1 and first_round == people and ended["done"] == WAITING and not figures["left"]
            return Outcome(kept, figures)


async def burst(*, quick: bool) -> Outcome:
    """500 updates are there at once, and the adapter is killed twice while it reads them: none is lost."""
    people = 100 if quick else 500
    async with open_scene(slots=SLOTS, chats=("telegram",)) as scene:
        begun = time.perf_counter()
        for number in range(1, people + 1):
            await scene.telegram(number, f"question {number}")
        for _ in range(2):
            await asyncio.sleep(0.4)
            await scene.stage.restart("telegram")
        with suppress(TimeoutError):  # verdict() says how many are missing
            await until(lambda: all(q.replies() for q in scene.questions), "all have a message", 20 if quick else 60)
        placed = time.perf_counter() - begun
        await scene.answered(20 if quick else 60)
        took = time.perf_counter() - begun
        return await scene.verdict(all_placed_s=round(placed, 1), all_answered_s=round(took, 1))


async def _timed(calls: Iterable[Awaitable[object]]) -> list[float]:
    taken: list[float] = []
    for call in calls:
        begun = time.perf_counter()
        await call
        taken.append(time.perf_counter() - begun)
    return taken


def _ms(seconds: Sequence[float]) -> Mapping[str, float]:
    return quantiles(value * 1000 for value in seconds)


CLAIMS = (crowd, waiting, burst)
