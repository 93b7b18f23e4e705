"""The service under load while its processes are killed at random: is a question lost, or answered twice?

`make chaos` (CHAOS_SECONDS, default 60; CHAOS_SEED replays the order of kills). One JSON line last:
asked, answered, lost, doubled (two answers to one question), failed (answered with an apology), wrong (the answer is
not the question's), orphans (empty placeholders that a crash left), unheard (commands to which, as Discord told their
askers, the bot did not respond: not among the asked), kills by role, settled_s (from the last question to the last
answer).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.people import Asker, OnDiscord, OnTelegram, Question
from bots.phrases import say
from tests.emulators.discord_emulator import DiscordEmulator
from tests.emulators.telegram import TelegramEmulator
from tests.service import Service, askpix_up

ON_TELEGRAM, ON_DISCORD = 10, 6
ROLES = ("telegram", "discord", "worker", "valkey", "llama", "engine")
PAUSE = (3.5, 5.0)  # seconds between one person's questions: within the rate limit
BETWEEN = (0.5, 2.0)  # seconds between kills
CONVERSATION = 3  # questions of one
READY = 3.0  # seconds from discord.py's session to its first look at what was missed; it waits two for its servers
PATIENCE = 60.0  # seconds after the last kill until a question counts as lost
APOLOGIES = {say("en", "gave_up"), say("en", "went_wrong"), say("en", "download_failed"), say("en", "photo_gone")}


class Chaos:
    """One run: people who ask, an adversary who kills, and the count at the end."""

    def __init__(self, people: list[Asker], service: Service, seed: int) -> None:
        self.people = people
        self.service = service
        self.random = random.Random(seed)
        self.questions: list[Question] = []
        self.kills: Counter[str] = Counter()

    async def ask(self, person: Asker, chance: random.Random, until: float) -> None:
        """Ask again and again, without waiting for answers."""
        while time.monotonic() < until:
            self.questions.append(await person.ask())
            await asyncio.sleep(chance.uniform(*PAUSE))

    async def run(self, seconds: float) -> None:
        """For so long everybody asks and processes are killed."""
        until = time.monotonic() + seconds
        askers = (self.ask(person, random.Random(number), until) for number, person in enumerate(self.people))
        await asyncio.gather(self.kill(until), *askers)

    async def kill(self, until: float) -> None:
        """Kill one process after the other, sometimes before the last one is back."""
        while time.monotonic() < until:
            await asyncio.sleep(self.random.uniform(*BETWEEN))
            role = self.random.choice(ROLES)
            pid = await self.service.pid(role)
            if pid is None:
                continue  # not back from the last kill yet
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue
            self.kills[role] += 1
            print(f"  killed {role:9} asked {len(self.questions)}", file=sys.stderr)

    def result(self) -> dict[str, Any]:
        """Judge every question by the messages that reply to it."""
        counts = Counter[str]()
        heard = [question for question in self.questions if not question.unheard()]
        for question in heard:
            replies = question.replies()
            whole = [reply.text for reply in replies if reply.whole]
            counts["answered"] += bool(whole)
            counts["doubled"] += len(whole) > 1
            counts["failed"] += any(text in APOLOGIES for text in whole)
            counts["wrong"] += bool(whole) and not any(question.answer in text or text in APOLOGIES for text in whole)
            counts["orphans"] += sum("stop" in reply.buttons for reply in replies if whole)
        counts["doubled"] += sum(max(0, person.surplus()) for person in self.people if isinstance(person, OnDiscord))
        return {
            "asked": len(heard), "answered": counts["answered"], "lost": len(heard) - counts["answered"],
            "doubled": counts["doubled"], "failed": counts["failed"], "wrong": counts["wrong"],
            "orphans": counts["orphans"], "unheard": len(self.questions) - len(heard), "kills": dict(self.kills),
        }  # fmt: skip


async def run(seconds: float, seed: int) -> dict[str, Any]:
    """One whole run in a data folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            TelegramEmulator() as telegram,
            DiscordEmulator() as discord,
            askpix_up(
                Path(folder), OPEN="1", TELEGRAM_TOKEN=telegram.token, TELEGRAM_API_URL=telegram.url,
                DISCORD_TOKEN=discord.token, DISCORD_API_URL=discord.api_url, DISCORD_GATEWAY_URL=discord.gateway_url,
            ) as service,
        ):  # fmt: skip
            await discord.until(lambda: discord.commands() and discord.gateway.live(), PATIENCE)
            await asyncio.sleep(READY)
            people: list[Asker] = [
                *(OnTelegram(telegram, number, ON_TELEGRAM, CONVERSATION) for number in range(1, ON_TELEGRAM + 1)),
                *(OnDiscord(discord, number, CONVERSATION) for number in range(1001, 1001 + ON_DISCORD)),
            ]
            chaos = Chaos(people, service, seed)
            await chaos.run(seconds)
            calm = time.monotonic()
            while (result := chaos.result())["lost"] and time.monotonic() < calm + PATIENCE:
                print(f"  waiting for {result['lost']} answers", file=sys.stderr)
                await asyncio.sleep(1)
            result["settled_s"] = round(time.monotonic() - calm, 1)
            await asyncio.sleep(2)  # a second answer would come now
            found = chaos.result() | {"settled_s": result["settled_s"], "seconds": seconds, "seed": seed}
            if found["lost"] or found["failed"] or found["wrong"]:
                show_bad(chaos)
            return found


def show_bad(chaos: Chaos) -> None:
    """What a person who looks for the reason needs: the questions that went wrong, and the logs' words on them."""
    bad: set[str] = set()
    for question in chaos.questions:
        texts = [reply.text for reply in question.replies()]
        if not question.unheard() and not any(question.answer in text for text in texts):
            bad.add(question.name)
            print(
                f"  not as expected {question.name} ({question.answer[:20]}): {[t[:80] for t in texts]}",
                file=sys.stderr,
            )
    for line in chaos.service.logs().splitlines():
        if " E " in line or any(id in line.split() for id in bad):
            print(f"  {line}", file=sys.stderr)


def main() -> None:
    """Run, print, and fail when a question was lost or answered twice."""
    seconds = float(os.environ.get("CHAOS_SECONDS", "60"))
    seed = int(os.environ.get("CHAOS_SEED", random.SystemRandom().randrange(10**6)))
    print(f"chaos for {seconds:.0f} s, CHAOS_SEED={seed}", file=sys.stderr)
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # a bot that dies in mid-request is no news here
    result = asyncio.run(run(seconds, seed))
    print(json.dumps(result))
    sys.exit(1 if result["lost"] or result["doubled"] or result["failed"] else 0)


if __name__ == "__main__":
    main()
