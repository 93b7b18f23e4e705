"""The claims about people: whole answers, whole albums, nobody's history in another's, nobody held up by one."""

from __future__ import annotations

import asyncio
import itertools
import random
import re
import statistics
import tempfile
import time
from pathlib import Path

from bench.people import EMPTY
from bench.scenes import Outcome, answer_of, open_scene, quantiles
from bench.stage import until
from bots.discord_pages import discord_pages
from bots.splitting import telegram_pages
from inference.embedded import Embedded, keep, read_address
from inference.engine import Engine, EngineAddress
from storage.tasks import end
from tests.canary import canary, number_of
from tests.emulators.server import Json
from tests.inference.counting import counted, counted_by, few_photos
from tests.test_long_answers import LONG
from tests.waiting import wait_until

ALBUM, JITTER = 10, 3.0  # photos; seconds between the first and the last update of one
FLOOD = 60.0  # seconds for which some chats are closed
ANSWER = 0.5  # seconds that the scripted engine takes where people wait for each other


async def long_answer(*, quick: bool) -> Outcome:
    """More than 20,000 characters arrive complete, in order and formatted, on both platforms."""

    def long(_: Json) -> list[str]:
        return [LONG[at : at + 1000] for at in range(0, len(LONG), 1000)]

    pages = {"telegram": telegram_pages(LONG), "discord": discord_pages(LONG)}
    people = 2 if quick else 6
    async with open_scene(reply=long, delay=0.05) as scene:
        for number in range(1, people + 1):
            await scene.everywhere(number, f"question {number}")
        stage, missing = scene.stage, 0
        for number in range(1, people + 1):
            role = "telegram" if number % 2 else "discord"
            places = stage.discord.world.channels.values()
            where = stage.telegram.user(number).private if number % 2 else next(
                place for place in places if place.name == f"place-{number}"
            )  # fmt: skip
            expected = [page.text for page in pages[role]]
            try:
                await until(lambda where=where, expected=expected: where.texts() == expected, "all pages", 90)
            except TimeoutError:
                missing += 1
            shown = "\n".join(where.texts())
            missing += any(shown.count(f"Chapter {n}") != 1 for n in range(1000, 1065))
        figures = {"characters": len(LONG), "messages": {role: len(each) for role, each in pages.items()}}
        return Outcome(not missing, {"asked": people, "incomplete": missing, **figures})


async def albums(*, quick: bool) -> Outcome:
    """Ten photos whose updates come over 0 to 3 seconds in any order are one question with ten photos, every time."""
    runs, chance = 4 if quick else 20, random.Random(7)
    async with open_scene(chats=("telegram",), slots=8, first_delay=0.3) as scene:

        async def send(number: int) -> bool:
            user, numbers = scene.stage.telegram.user(number), chance.sample(range(2**14), ALBUM)
            jitter = [chance.choice((0.0, 1.0, chance.uniform(0, JITTER))) for _ in numbers]
            captions = [f"album {number}" if at == number % ALBUM else "" for at in range(ALBUM)]
            order = chance.sample(range(ALBUM), ALBUM)
            await user.send_album(user.private, [canary(n) for n in numbers], captions, jitter=jitter, order=order)
            wanted = [f"saw {', '.join(map(str, numbers))}: album {number}"]
            try:
                await user.private.wait_for(lambda texts: [text for text in texts if text != EMPTY] == wanted, 60)
                await asyncio.sleep(4)  # a second message would come now
            except TimeoutError:
                return False
            return user.private.texts() == wanted

        whole = await asyncio.gather(*(send(number) for number in range(1, runs + 1)))
        asked_anew = sum(scene.tries.values()) - runs
        return Outcome(all(whole), {"albums": runs, "one_question_of_ten": sum(whole), "asked_anew": asked_anew})


async def canaries(*, quick: bool) -> Outcome:
    """A hundred people at once on both platforms, each with pictures of their own: none is told of another's."""
    people = 20 if quick else 100
    numbers = random.Random(4).sample(range(2**14), 2 * people)
    async with open_scene(slots=8, delay=0.01) as scene:
        for turn in range(2):
            asked = [
                await scene.everywhere(number, f"turn {turn} of {number}", numbers[2 * (number - 1) + turn])
                for number in range(1, people + 1)
            ]
            await scene.answered(120, asked)
        owner = {number: at // 2 for at, number in enumerate(numbers)}
        leaks = sum(
            len({owner[number_of(picture)] for picture in request.pictures()}) > 1 for request in scene.engine.requests
        )
        talks = (
            set(re.findall(r"turn \d of (\d+)", str(request.body["messages"]))) for request in scene.engine.requests
        )
        leaks += sum(len(people_in_it) > 1 for people_in_it in talks)
        with_former = sum(len(request.pictures()) == 2 for request in scene.engine.requests)
        outcome = await scene.verdict(people=people, leaks=leaks, with_their_former_picture=with_former)
        return Outcome(outcome.kept and not leaks, outcome.figures)


async def starving(*, quick: bool) -> Outcome:
    """Fifty photos from one person move another's p95 by less than one answer's time."""
    rounds, probes, busy = 1 if quick else 4, 8, True
    async with open_scene(first_delay=ANSWER, slots=2, chats=("telegram",)) as scene:
        numbers, calm, beside = itertools.count(1), list[float](), list[float]()

        async def probe() -> float:
            begun = time.perf_counter()
            question = await scene.telegram(next(numbers), "short")
            await until(lambda: answer_of(question), "an answer")
            return time.perf_counter() - begun

        async def glutton(number: int) -> None:
            """Twenty questions are all that a minute allows: ten of one photo, and four albums of ten."""
            user = scene.stage.telegram.user(number)
            for n in range(10):
                await scene.telegram(number, f"one of many {n}", n)
            for _ in range(4):
                await user.send_album(user.private, [canary(n) for n in range(ALBUM)])

        async def idle() -> bool:
            counts = await scene.stage.stores.queue.counts()
            return not counts["queued"] + counts["running"]

        for each in range(rounds):
            calm += [await probe() for _ in range(probes)]
            await glutton(10_000 + each)
            beside += [await probe() for _ in range(probes)]
            busy = busy and not await idle()
            await wait_until(idle, 60)
        p95 = [quantiles(each)["p95"] for each in (calm, beside)]
        figures = {"photos_of_one": 50, "p95_alone_s": p95[0], "p95_beside_s": p95[1], "an_answer_s": ANSWER}
        return Outcome(busy and p95[1] - p95[0] < ANSWER, figures | {"still_busy_at_the_end": busy})


async def flood(*, quick: bool) -> Outcome:
    """A flood wait of 60 s in some chats leaves the others' p95 and the engine's throughput as they are."""
    seconds, closed = (12.0, 4) if quick else (25.0, 10)
    async with open_scene(slots=8) as scene:

        async def whole(number: int) -> float:
            begun = time.perf_counter()
            question = await scene.everywhere(number, f"question {number}")
            await until(lambda: answer_of(question), "an answer")
            return time.perf_counter() - begun

        async def stretch() -> tuple[list[float], float]:
            begun, taken = time.perf_counter(), list[float]()
            numbers = itertools.count(100)  # the same chats as before, and then perhaps others
            requests = len(scene.engine.requests)
            while (spent := time.perf_counter() - begun) < seconds:
                taken += await asyncio.gather(*(whole(next(numbers)) for _ in range(4)))
            return taken, (len(scene.engine.requests) - requests) / spent

        await stretch()  # warm
        calm, rate = await stretch()
        for number in range(1, 2 * closed + 1):
            if number % 2:
                scene.stage.telegram.flood(scene.stage.telegram.user(number).id, FLOOD)
            else:
                scene.stage.discord.flood(scene.stage.discord.guild().channel(f"place-{number}"), FLOOD)
            await scene.everywhere(number, f"question {number}")
        beside, rate_beside = await stretch()
        calls = (*scene.stage.telegram.calls, *scene.stage.discord.calls)
        refused = sum(call.status == 429 for call in calls)
        p95 = [statistics.quantiles(each, n=20, method="inclusive")[18] for each in (calm, beside)]
        figures = {
            "p95_s": [round(each, 3) for each in p95], "ratio": round(p95[1] / p95[0], 3),
            "n": [len(calm), len(beside)],
            "engine_per_s": [round(rate, 1), round(rate_beside, 1)], "closed_chats": 2 * closed,
            "calls_refused": refused,
        }  # fmt: skip
        waiting = not any(answer_of(question) for question in scene.questions if _closed(question.name, closed))
        patient = refused <= 2 * 2 * closed  # a sign to the asker, and the first try of the answer
        return Outcome(waiting and patient and p95[1] < max(1.3 * p95[0], p95[0] + 0.1), figures)


def _closed(name: str, closed: int) -> bool:
    """Whether a question is one of a closed Telegram chat."""
    platform, chat, _ = name.split(":")
    return platform == "telegram" and int(chat) <= 2 * closed


async def budget(*, quick: bool) -> Outcome:
    """The tokens that we count for a prompt are the engine's own prompt_tokens, exactly, whatever is in it."""
    rounds, chance, apart, photos = 20 if quick else 120, random.Random(3), list[int](), 0
    with tempfile.TemporaryDirectory() as folder:
        serving = asyncio.create_task(keep(Embedded(Path(folder), threads=1, context_tokens=8192)))
        try:
            await until(lambda: read_address(Path(folder)) or serving.done(), "the engine", 30)
            found = read_address(Path(folder))
            assert found
            async with Engine(lambda: EngineAddress(found.url, found.key, found.model)) as engine:
                await engine.probe()
                for _ in range(rounds):
                    turns, kept, shown = few_photos(chance, chance.choice((1, 1, 2, 3)))
                    photos += shown
                    apart.append(await counted(engine, turns, kept) - await counted_by(engine, turns, kept))
        finally:
            await end([serving])
    return Outcome(not any(apart), {"prompts": rounds, "photos": photos, "counted_otherwise": sum(map(bool, apart))})


CLAIMS = (long_answer, albums, canaries, starving, flood, budget)
