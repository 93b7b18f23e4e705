"""The claims about networks and servers that misbehave: everybody is answered once, and no secret is shown."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter
from typing import cast

from bench.proxy import CALM, Weather
from bench.scenes import PATIENCE, Outcome, Scene, open_scene
from bench.stage import until
from bots.phrases import say
from tests.emulators.discord_shapes import text_of
from tests.emulators.engine import FaultKind
from tests.emulators.server import Json
from tests.emulators.telegram_shapes import words as words_of
from tests.road import describe

MENDED = ("refuse", "break", "garbage", "end", "no_done")  # an engine's faults after which an answer comes
REFUSED = ("bad_request", "too_large")  # after these there is none, and its asker is told
STALL = 75.0  # seconds: an engine that says nothing for a minute has stalled
TELEGRAM = ("sendMessage", "editMessageText", "getUpdates", "getFile", "file")
DISCORD = (
    "POST /channels/{channel_id}/messages",
    "PATCH /channels/{channel_id}/messages/{message_id}",
    "GET /attachments",
)
RESETS = Weather((0.0, 0.01), reset=0.1)  # also of connections that are just being made
STORM = Weather((0.0, 0.2), refuse=0.1, cut=0.03, reset=0.03, twice=0.3)


async def engine_faults(*, quick: bool) -> Outcome:
    """An engine that breaks off, streams garbage, ends without [DONE] or answers 400, 413, 503."""
    kinds = [*MENDED, *REFUSED] * (1 if quick else 4)
    taken: dict[str, float] = {}
    async with open_scene() as scene:
        unsaid = 0
        for number, kind in enumerate(kinds, 1):
            scene.engine.fail(cast("FaultKind", kind), after=2)
            begun = time.monotonic()
            question = await scene.everywhere(number, f"question {number}", number)
            if kind in REFUSED:
                told = say("en", "engine_refused")
                scene.questions.remove(question)
                try:
                    await until(lambda q=question, t=told: [r.text for r in q.replies()] == [t], "a sentence", 20)
                except TimeoutError:
                    unsaid += 1
            else:
                await scene.answered(20, [question])
            taken[kind] = round(time.monotonic() - begun, 1)
        outcome = await scene.verdict(answered_after_s=taken, told_nothing=unsaid)
        return Outcome(outcome.kept and not unsaid, outcome.figures)


async def engine_stalls(*, quick: bool) -> Outcome:
    """An engine that falls silent in mid-answer: after a minute its asks are begun again, and nobody else waited."""
    people = 2 if quick else 7  # a slot is free
    async with open_scene(slots=8) as scene:
        scene.engine.fail("stall", after=2, times=people)
        for number in range(1, people + 1):
            await scene.everywhere(number, f"question {number}", number)
        await until(lambda: len(scene.engine.requests) == people, "all began")
        begun = time.monotonic()
        other = await scene.everywhere(1000, "somebody else")
        await scene.answered(10, [other])
        beside = time.monotonic() - begun
        await scene.answered(STALL)
        took = time.monotonic() - begun
        outcome = await scene.verdict(answered_after_s=round(took, 1), another_after_s=round(beside, 1))
        return Outcome(outcome.kept and beside < 5, outcome.figures)


async def platform_faults(*, quick: bool) -> Outcome:
    """429 storms of 1 to 60 s in some chats, 500, 502 with HTML, answers that are cut or halved, for every call."""
    people, longest, chance = (12, 4.0, random.Random(5)) if quick else (60, 60.0, random.Random(5))
    async with open_scene(slots=8, delay=0.05) as scene:
        stage = scene.stage
        for number in range(1, people + 1):
            wait = chance.uniform(1, longest)
            if number % 4 == 1:
                stage.telegram.flood(stage.telegram.user(number).id, wait)
            elif number % 4 == 2:
                stage.discord.flood(stage.discord.guild().channel(f"place-{number}"), wait)
            await scene.everywhere(number, f"question {number}", number)
            _spoil(scene, chance)
            await asyncio.sleep(0.2)
        took = await scene.answered(longest + PATIENCE)
        statuses = Counter(call.status for call in (*stage.telegram.calls, *stage.discord.calls))
        bad = {str(status): count for status, count in sorted(statuses.items()) if status == 0 or status >= 400}
        return await scene.verdict(answers=bad, longest_flood_s=longest, settled_s=round(took, 1))


def _spoil(scene: Scene, chance: random.Random) -> None:
    """Spoil the next call of one kind on each platform, unless one of that kind is still to be spoiled."""
    telegram, discord = scene.stage.telegram, scene.stage.discord
    call, route = chance.choice(TELEGRAM), chance.choice(DISCORD)
    hurt_telegram = chance.choice([
        lambda: telegram.fail_next(call, 500, "Internal Server Error"),
        lambda: telegram.fail_next(call, 502, html=True),
        lambda: telegram.drop_next(call, half=True),
        lambda: telegram.drop_next(call, after_processing=False),
    ])  # fmt: skip
    hurt_discord = chance.choice([
        lambda: discord.fail_next(route, 500),
        lambda: discord.fail_next(route, 502, html=True),
        lambda: discord.limit_next(route, chance.uniform(1, 3)),
        lambda: discord.drop_next(route, after_processing=False),
    ])  # fmt: skip
    if not telegram.faults_due(call):
        hurt_telegram()
    if not discord.faults_due(route):
        hurt_discord()


async def network(*, quick: bool) -> Outcome:
    """Delays, resets, cuts, doubled requests and refusals on all four ways out of the service, all at once."""
    people, seconds = (30, 20.0) if quick else (80, 60.0)
    async with open_scene(reply=_long, slots=8, delay=0.03) as scene:
        for proxy in scene.stage.proxies.values():
            proxy.weather = STORM
        for number in range(1, people + 1):
            await scene.everywhere(number, f"question {number}", number)
            await asyncio.sleep(seconds / people)
        for proxy in scene.stage.proxies.values():
            proxy.weather = CALM
        took = await scene.answered(90)
        befell = Counter[str]()
        for proxy in scene.stage.proxies.values():
            befell += proxy.counts
        return await scene.verdict(befell=dict(befell), settled_s=round(took, 1))


async def store_resets(*, quick: bool) -> Outcome:
    """Every connection to the store is reset again and again, while answers stream: nothing is lost or told wrongly."""
    people, resets = (12, 40) if quick else (60, 200)

    async with open_scene(reply=_long, slots=8, delay=0.1) as scene:
        proxy = scene.stage.proxies["store"]
        proxy.weather = RESETS

        async def cut() -> None:
            for number in range(resets):
                await asyncio.sleep(0.15 + number % 7 * 0.01)
                proxy.cut_all()
            proxy.weather = CALM

        async def ask() -> None:
            for number in range(1, people + 1):
                await scene.everywhere(number, f"question {number}", number)
                await asyncio.sleep(resets * 0.15 / people)

        await asyncio.gather(cut(), ask())
        took = await scene.answered(60)
        return await scene.verdict(
            resets=proxy.counts["reset"], connections=proxy.counts["connections"], settled_s=round(took, 1)
        )


async def secrets(*, quick: bool) -> Outcome:
    """Under all these faults no stack trace, no token and no file's address stands in a chat or in a log."""
    people = 8 if quick else 40
    chance = random.Random(6)
    async with open_scene(slots=8, delay=0.02) as scene:
        for name, proxy in scene.stage.proxies.items():
            proxy.weather = STORM if name != "store" else CALM
        for number in range(1, people + 1):
            await scene.everywhere(number, f"question {number}", number)
            _spoil(scene, chance)
            if number % 4 == 0:
                scene.engine.fail("garbage", after=1)
                scene.stage.telegram.drop_next("file", half=True)
            await asyncio.sleep(0.3)
        # What neither of us foresaw: an update that breaks the reader, an answer that is none.
        scene.stage.telegram.world.push("message", {"message_id": "x", "chat": {"id": "y"}, "from": [], "date": None})
        await scene.stage.restart("telegram")
        for proxy in scene.stage.proxies.values():
            proxy.weather = CALM
        await scene.answered(90)
        found = {name: len(each) for name, each in (("chats", _told(scene)), ("logs", _logged(scene)))}
        outcome = await scene.verdict(shown_in=found)
        return Outcome(not any(found.values()) and not outcome.figures["lost"], outcome.figures)


def _long(body: Json) -> list[str]:
    """An answer in many pieces."""
    return [*describe(body), *[" and so on"] * 20]


def _secrets(scene: Scene) -> re.Pattern[str]:
    stage = scene.stage
    tokens = [stage.telegram.token, stage.discord.token, *(each.token for each in stage.discord.interactions.all)]
    paths = [file.path for world in (stage.telegram.world, stage.discord.world) for file in world.files.values()]
    return re.compile("|".join(map(re.escape, [*tokens, *paths, "Traceback (most", 'File "', "/file/bot"])))


def _told(scene: Scene) -> list[str]:
    """What of all that was ever shown to anybody should not have been."""
    pattern, stage = _secrets(scene), scene.stage
    shown: list[str] = []
    for chat in stage.telegram.world.chats.values():
        for message in (*chat.bot_messages(), *chat.deleted):
            shown += [words_of(message), *(str(edit.get("text")) for edit in message["edits"])]
    for place in stage.discord.world.channels.values():
        for message in (*place.bot_messages(), *place.deleted):
            shown += [text_of(message), *(str(edit["content"]) for edit in message["edits"])]
    return [text for text in shown if pattern.search(text) or "http" in text]


def _logged(scene: Scene) -> list[str]:
    pattern = _secrets(scene)
    return [line for line in scene.stage.logs().splitlines() if pattern.search(line)]


CLAIMS = (engine_faults, engine_stalls, platform_faults, network, store_resets, secrets)
