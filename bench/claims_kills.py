"""The claims about what dies: whoever is killed at the worst moment, no question is lost and none answered twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from functools import partial

from bench import chaos
from bench.adversary import tear
from bench.scenes import Outcome, Scene, open_scene
from bench.stage import until
from bots.phrases import say
from storage import keys
from tests.emulators.server import Json
from tests.road import describe, newest

DONE = rb"EVALSHA.*\r\n\$4\r\ndone\r\n"  # the worker's call that closes an ask
SLOT = rb"RPUSH\r\n\$\d+\r\n[^\r]*slots:"  # an adapter's call that stores which message holds an answer
SHOWN = {"telegram": rb"callback_data.{1,40}again", "discord": rb"askpix:again"}  # an edit of a whole answer
LEASE = 15.0
IN_TIME = 5.0  # seconds until every waiting message says that the engine is down


async def kills(*, quick: bool) -> Outcome:
    """The adversary of `make chaos` for a time: nothing lost, doubled, wrong or out of order."""
    result = await chaos.run(30 if quick else 60, seed=2755)  # with many kills of adapters
    return Outcome(not chaos.bad(result), result)


async def worker_between(*, quick: bool) -> Outcome:
    """The worker dies when the store has taken its answer, and before it hears of that: nothing is asked again."""
    rounds = 2 if quick else 10
    async with open_scene() as scene:
        await scene.everywhere(rounds + 1, "one before")  # the store's first answer to a script is that it has none
        await scene.answered()
        for number in range(1, rounds + 1):
            trap = scene.stage.proxies["store"].trap(DONE, partial(_kill, scene, "worker"))
            question = await scene.everywhere(number, f"question {number}")
            await asyncio.wait_for(trap.sprung.wait(), 30)
            await scene.answered(30, [question])
            await scene.stage.back_again("worker")
        asked_again = sum(scene.tries.values()) - len(scene.questions)
        outcome = await scene.verdict(kills=scene.stage.died["worker"], asked_again=asked_again)
        return Outcome(outcome.kept and not asked_again, outcome.figures)


async def adapter_between(*, quick: bool) -> Outcome:
    """An adapter dies when its last edit is shown, and before it hears of that; or just before that edit."""
    rounds = 1 if quick else 5
    async with open_scene(delay=0.05) as scene:
        for number in range(1, 4 * rounds + 1):
            role = "telegram" if number % 2 else "discord"
            kill = partial(_kill, scene, role)
            trap = scene.stage.proxies[role].trap(SHOWN[role], kill, before=number % 4 < 2)
            question = await scene.everywhere(number, f"question {number}")
            await asyncio.wait_for(trap.sprung.wait(), 30)
            await scene.answered(30, [question])
            await scene.stage.back_again(role)
        await scene.answered()
        left = [await scene.stage.stores.redis.xlen(keys.outbox(role)) for role in SHOWN]
        outcome = await scene.verdict(kills=sum(scene.stage.died.values()), outbox_left=sum(left))
        return Outcome(outcome.kept and not any(left), outcome.figures)


async def slot_between(*, quick: bool) -> Outcome:
    """The store took which message holds an answer, and its reply is lost; then the adapter dies: the answer stays."""
    rounds, lost = 1 if quick else 5, 0
    async with open_scene(reply=_long, delay=0.1) as scene:
        for number in range(1, 2 * rounds + 1):
            role = "telegram" if number % 2 else "discord"
            trap = scene.stage.proxies["store"].trap(SLOT, lambda: None)
            question = await scene.everywhere(number, f"question {number}")
            await asyncio.wait_for(trap.sprung.wait(), 30)
            await until(lambda asked=question: any("saw" in reply.text for reply in asked.replies()), "it grows")
            lost += 1
            await scene.stage.restart(role)
            await scene.answered(30, [question])
        await scene.answered()
        return await scene.verdict(replies_lost=lost, kills=sum(scene.stage.died.values()))


async def order(*, quick: bool) -> Outcome:
    """Each person's questions are answered in their order, whoever is killed, and however long each answer takes."""
    people, each = (8, 4) if quick else (20, 12)
    chance = random.Random(8)

    def slowly(body: Json) -> AsyncIterator[str]:
        async def texts() -> AsyncIterator[str]:
            await asyncio.sleep(chance.choice((0.0, 0.1, 0.6)))
            for text in describe(body):
                yield text

        return texts()

    async with open_scene(reply=slowly, slots=8, workers=2, chats=("telegram",)) as scene:

        async def talk(number: int) -> None:
            for turn in range(each):
                await scene.telegram(number, f"turn {turn} of {number}", turn if turn % 2 else None)
                await asyncio.sleep(chance.uniform(0.0, 0.3))

        async def kill() -> None:
            for role in chance.sample(("worker", "telegram", "worker2"), 2 if quick else 3):
                await asyncio.sleep(0.7)
                await scene.stage.restart(role)

        await asyncio.gather(kill(), *map(talk, range(1, people + 1)))
        await scene.answered()
        told: dict[str, list[int]] = {}
        for turn in await scene.turns():
            if turn.role == "user":
                _, chat, message = turn.ask.split(":")
                told.setdefault(chat, []).append(int(message))
        disordered = sum(numbers != sorted(numbers) for numbers in told.values())
        outcome = await scene.verdict(people=people, disordered=disordered)
        return Outcome(outcome.kept and not disordered, outcome.figures)


async def same_id(*, quick: bool) -> Outcome:
    """Two workers with the same name, as of two containers with one host name: each restart takes the other's asks."""
    people = 6 if quick else 24
    async with open_scene(reply=_long, delay=0.2, slots=8, workers=2, twins=True) as scene:
        for number in range(1, people + 1):
            await scene.everywhere(number, f"a question of some length {number}")
        for role in ("worker2", "worker", "worker2")[: 1 if quick else 3]:
            await scene.stage.restart(role)
        await scene.answered()
        return await scene.verdict(asked_again=sum(scene.tries.values()) - people)


async def zombie(*, quick: bool) -> Outcome:
    """A worker is stopped in mid-answer for longer than its lease and comes back while another gives the answer."""
    tries: dict[str, int] = {}

    def numbered(body: Json) -> list[str]:
        words = newest(body)[1]
        tries[words] = tries.get(words, 0) + 1
        return [f"try {tries[words]} "] * 10 + describe(body)

    people = 4 if quick else 16
    async with open_scene(reply=numbered, delay=0.5, slots=8, workers=2) as scene:
        for number in range(1, people + 1):
            await scene.everywhere(number, f"question {number}")
            await asyncio.sleep(0.1)
        await until(lambda: len(tries) == people, "all began")
        zombie = await scene.stage.signal("worker", signal.SIGSTOP)
        begun = time.monotonic()
        await until(lambda: 2 in tries.values(), "another takes over", 4 * LEASE)
        await asyncio.sleep(1.0)
        taken = time.monotonic() - begun
        os.kill(zombie or 0, signal.SIGCONT)  # the other is in mid-answer
        await scene.answered()
        again = sum(count == 2 for count in tries.values())
        outcome = await scene.verdict(taken_over=again, after_s=round(taken, 1))
        texts = [reply.text for question in scene.questions for reply in question.replies()]
        mixed = sum(
            max(text.count("try 1"), text.count("try 2")) != 10 or ("try 1" in text and "try 2" in text)
            for text in texts
        )
        late = sum(tries[q.answer.partition(": ")[2]] == 2 and "try 1" in q.replies()[0].text for q in scene.questions)
        return Outcome(outcome.kept and again > 0 and not (mixed or late), outcome.figures | {"mixed": mixed + late})


async def torn_record(*, quick: bool) -> Outcome:
    """The store is killed, half of a record is appended to its log, and it comes back with all that it promised."""
    rounds = 1 if quick else 5
    async with open_scene(delay=0.05) as scene:
        number, torn = 0, 0
        for _ in range(rounds):
            for _ in range(6):
                number += 1
                await scene.everywhere(number, f"question {number}", number)
            await asyncio.sleep(0.3)
            torn += await tear(scene.stage)
        await scene.answered()
        return await scene.verdict(torn=torn)


async def engine_down(*, quick: bool) -> Outcome:
    """The engine dies: every waiting message says so within five seconds, and is answered when it is back."""
    people, told = 6 if quick else 40, say("en", "engine_down")
    async with open_scene(delay=0.5, slots=8) as scene:
        for number in range(1, people + 1):
            await scene.everywhere(number, f"question {number}")
        await until(lambda: all(question.replies() for question in scene.questions), "all have a message")
        await scene.engine.stop()
        begun = time.perf_counter()
        late: list[float] = []
        try:
            await until(lambda: all(q.replies()[0].text == told for q in scene.questions), "all are told", 20)
        except TimeoutError:
            late = [20.0]
        for question in scene.questions:
            late += [at - begun for at, text in question.replies()[0].edits if text == told and at > begun][:1]
        await scene.engine.start()
        await scene.answered()
        outcome = await scene.verdict(told_after_s=round(max(late), 2))
        return Outcome(outcome.kept and max(late) <= IN_TIME, outcome.figures)


async def downtime(*, quick: bool) -> Outcome:
    """What was written to the bot on Discord during ten minutes of downtime is answered, once."""
    people = 4 if quick else 20
    async with open_scene(chats=("discord",)) as scene:
        clock, gateway = scene.stage.discord.clock, scene.stage.discord.gateway
        clock.shift = -1200.0
        for number in range(1, people // 2 + 1):
            await scene.discord(number, f"before {number}")
        await scene.answered()
        await scene.stage.signal("discord")
        await until(lambda: not gateway.live(), "the bot is gone")
        clock.shift = -600.0
        for number in range(1, people + 1):
            await scene.discord(number, f"meanwhile {number}", number)
        clock.shift = 0.0
        missed = [question for question in scene.questions if "meanwhile" in question.answer]
        unseen = not any(question.replies() for question in missed)
        took = await scene.answered(90)
        return await scene.verdict(missed=len(missed), nobody_listened=unseen, answered_after_s=round(took, 1))


def _long(body: Json) -> list[str]:
    """An answer of some seconds."""
    return [*describe(body), *[" and so on"] * 30]


def _kill(scene: Scene, role: str) -> None:
    os.kill(scene.stage.pids[role], signal.SIGKILL)


CLAIMS = (
    kills,
    worker_between,
    adapter_between,
    slot_between,
    order,
    same_id,
    zombie,
    torn_record,
    engine_down,
    downtime,
)
