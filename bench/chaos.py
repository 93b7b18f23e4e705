"""The whole service under load while an adversary acts: is a question lost, or answered twice?

`make chaos` (CHAOS_SECONDS, default 60; CHAOS_SEED replays the adversary's plan). One JSON line last:
asked, answered, lost, doubled (two answers to one question), failed (answered with an apology), wrong (the answer is
not the question's), halves (parts of an answer in another message beside the whole one), disordered (answered before an
earlier question of the same conversation, commands apart), orphans (empty placeholders that a crash left), unheard
(commands to which, as Discord told their askers, the bot did not respond: not among the asked), deeds by kind, network
(what befell connections), died (by role), settled_s (from the end of the last deed to the last answer).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import sys
import time
from collections import Counter
from functools import partial
from itertools import pairwise
from typing import Any

from bench.adversary import Adversary, plan
from bench.people import EMPTY, Asker, OnDiscord, OnTelegram, Question
from bench.report import say as tell
from bench.report import stoppable
from bench.stage import Stage, open_stage
from bots.phrases import say
from storage import keys
from storage.connection import persist
from storage.messages import Turn, decode

ON_TELEGRAM, ON_DISCORD = 10, 6
PAUSE = (3.5, 5.0)  # seconds between one person's questions: within the rate limit
CONVERSATION = 3  # questions of one
PATIENCE = 120.0  # seconds after the last deed until a question counts as lost
APOLOGIES = {say("en", "gave_up"), say("en", "went_wrong"), say("en", "download_failed"), say("en", "photo_gone")}


class Chaos:
    """One run: people who ask, and the count at the end."""

    def __init__(self, people: list[Asker], stage: Stage) -> None:
        self.people = people
        self.stage = stage
        self.questions: list[Question] = []

    async def ask(self, person: Asker, chance: random.Random, until: float) -> None:
        """Ask again and again, without waiting for answers."""
        while time.monotonic() < until:
            self.questions.append(await person.ask())
            await asyncio.sleep(chance.uniform(*PAUSE))

    async def run(self, seconds: float) -> None:
        """For so long everybody asks."""
        until = time.monotonic() + seconds
        askers = (self.ask(person, random.Random(number), until) for number, person in enumerate(self.people))
        await asyncio.gather(*askers)

    async def result(self) -> dict[str, Any]:
        """Judge every question by the messages that reply to it."""
        counts, beside = Counter[str](), await self.beside()
        heard = [question for question in self.questions if not question.unheard()]
        for question in heard:
            replies = question.replies()
            whole = [reply.text for reply in replies if reply.whole]
            counts["answered"] += bool(whole) or beside[question.name] > 0
            counts["doubled"] += len(whole) + beside.pop(question.name, 0) > 1
            counts["failed"] += any(text in APOLOGIES for text in whole)
            counts["wrong"] += bool(whole) and not any(question.answer in text or text in APOLOGIES for text in whole)
            rest = [reply for reply in replies if whole and not reply.whole]
            counts["orphans"] += sum(reply.text == EMPTY for reply in rest)
            counts["halves"] += sum(reply.half for reply in rest)
        unheard = {question.name for question in self.questions} - {question.name for question in heard}
        counts["doubled"] += sum(count - (name in unheard) for name, count in beside.items())  # answers to nobody, too
        return {
            "asked": len(heard), "answered": counts["answered"], "lost": len(heard) - counts["answered"],
            "doubled": counts["doubled"], "failed": counts["failed"], "wrong": counts["wrong"],
            "orphans": counts["orphans"], "halves": counts["halves"], "unheard": len(self.questions) - len(heard),
        }  # fmt: skip

    async def beside(self) -> Counter[str]:
        """How many answers each command has that stand beside it, by the store's word."""
        found = Counter[str]()
        for person in self.people:
            for place, message in person.loose() if isinstance(person, OnDiscord) else ():
                found[
                    await persist(partial(self.stage.stores.replies.ask_of, "discord", place, message)) or message
                ] += 1
        return found

    async def disordered(self) -> list[tuple[str, str]]:
        """Questions whose turn stands, in any history, before that of a question that was asked earlier; with it."""
        asked = {question.name: number for number, question in enumerate(self.questions)}
        urgent = {question.name for question in self.questions if question.urgent}
        found: list[tuple[str, str]] = []
        async for key in self.stage.stores.redis.scan_iter(keys.history("*")):
            turns = [decode(raw, Turn) for raw in await self.stage.stores.redis.lrange(key, 0, -1)]
            order = [turn.ask for turn in turns if turn.role == "user" and turn.ask in asked and turn.ask not in urgent]
            found += [(early, late) for early, late in pairwise(order) if asked[late] < asked[early]]
        return found


async def run(seconds: float, seed: int) -> dict[str, Any]:
    """One whole run in data folders of its own."""
    async with open_stage(workers=2, seed=seed) as stage:
        people: list[Asker] = [
            *(OnTelegram(stage.telegram, number, ON_TELEGRAM, CONVERSATION) for number in range(1, ON_TELEGRAM + 1)),
            *(OnDiscord(stage.discord, number, CONVERSATION) for number in range(1001, 1001 + ON_DISCORD)),
        ]
        chaos, adversary = Chaos(people, stage), Adversary(stage, plan(seed, seconds))
        await asyncio.gather(chaos.run(seconds), adversary.run())
        calm = time.monotonic()
        while (result := await chaos.result())["lost"] and time.monotonic() < calm + PATIENCE:
            tell(f"  waiting for {result['lost']} answers")
            await asyncio.sleep(1)
        settled = round(time.monotonic() - calm, 1)
        await asyncio.sleep(2)  # a second answer would come now
        disordered = await chaos.disordered()
        found = await chaos.result() | {
            "disordered": len(disordered), "deeds": dict(adversary.done),
            "network": {name: dict(proxy.counts) for name, proxy in stage.proxies.items()}, "died": stage.died,
            "settled_s": settled, "seconds": seconds, "seed": seed, "load_1m": round(os.getloadavg()[0], 1),
        }  # fmt: skip
        if bad(found):
            for early, late in disordered:
                tell(f"  {early} was answered before {late}")
            await show_bad(chaos)
        return found


def bad(result: dict[str, Any]) -> bool:
    """Whether a run broke a promise."""
    return any(result[name] for name in ("lost", "doubled", "failed", "wrong", "halves", "disordered"))


async def show_bad(chaos: Chaos) -> None:
    """What a person who looks for the reason needs: the questions that went wrong, and the logs' words on them."""
    names, beside = set[str](), await chaos.beside()
    for question in chaos.questions:
        replies = question.replies()
        texts = [reply.text for reply in replies]
        whole = [reply.text for reply in replies if reply.whole]
        if (
            not question.unheard()
            and not beside[question.name]
            and (len(whole) != 1 or question.answer not in whole[0])
        ):
            names.add(question.name)
            tell(f"  not as expected {question.name} ({question.answer[:20]}): {[text[:80] for text in texts]}")
            found = await chaos.stage.stores.replies.progress(question.name)
            tell(f"    {found and (found.open, found.fence, found.slots)}")
    former = ""
    for line in chaos.stage.logs().splitlines():
        if " E " in former + line or any(id in line for id in names):
            tell(f"  {line}")
        former = line


def main() -> None:
    """Run, print, and fail when a question was lost or answered twice."""
    seconds = float(os.environ.get("CHAOS_SECONDS", "60"))
    seed = int(os.environ.get("CHAOS_SEED", random.SystemRandom().randrange(10**6)))
    tell(f"chaos for {seconds:.0f} s, CHAOS_SEED={seed}")
    stoppable()
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # a bot that dies in mid-request is no news here
    result = asyncio.run(run(seconds, seed))
    print(json.dumps(result))
    sys.exit(bad(result))


if __name__ == "__main__":
    main()
