"""The service under load while its processes are killed at random: is a question lost, or answered twice?

`make chaos` (CHAOS_SECONDS, default 60; CHAOS_SEED replays the order of kills). One JSON line last:
asked, answered, lost, doubled (two answers to one question), failed (answered with an apology), wrong (the answer is
not the question's), orphans (empty placeholders that a crash left), kills by role, settled_s (from the last question
to the last answer).
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
from collections import Counter, defaultdict
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from bots.phrases import say
from tests.emulators.server import Json
from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_world import User
from tests.service import Service, askpix_up

USERS = 16
ROLES = ("telegram", "worker", "valkey", "llama", "engine")
PAUSE = (3.5, 5.0)  # seconds between one user's questions: within the rate limit
BETWEEN = (0.5, 2.0)  # seconds between kills
CONVERSATION = 3  # questions of one person
PATIENCE = 60.0  # seconds after the last kill until a question counts as lost
APOLOGIES = {say("en", "gave_up"), say("en", "went_wrong"), say("en", "download_failed"), say("en", "photo_gone")}
TO_100 = ", ".join(str(n) for n in range(1, 101)) + "."


def picture(colour: str) -> bytes:
    """A plain picture."""
    out = BytesIO()
    Image.new("RGB", (320, 240), colour).save(out, "JPEG")
    return out.getvalue()


PICTURES = {colour: picture(colour) for colour in ("red", "green", "blue", "yellow")}


class Chaos:
    """One run: users who ask, an adversary who kills, and the count at the end."""

    def __init__(self, telegram: TelegramEmulator, service: Service, seed: int) -> None:
        self.telegram = telegram
        self.service = service
        self.random = random.Random(seed)
        self.expected: dict[tuple[int, int], str] = {}  # chat and message of a question -> what its answer holds
        self.kills: Counter[str] = Counter()

    async def ask(self, user: User, until: float) -> None:
        """Ask again and again, without waiting for answers."""
        chance = random.Random(user.id)
        asked = 0
        while time.monotonic() < until:
            if asked == CONVERSATION:  # somebody else takes over: the demo model loses its way in long conversations
                user, asked = self.telegram.user(user.id + USERS), 0
            kind = chance.choice((*PICTURES,)) if asked else "count"  # the demo model counts only once
            asked += 1
            if kind == "count":
                message, answer = await user.send_text(user.private, "Count to one hundred."), TO_100
            else:
                message = await user.send_photo(user.private, PICTURES[kind], caption="What colour is this?")
                answer = kind
            self.expected[user.id, message["message_id"]] = answer
            await asyncio.sleep(chance.uniform(*PAUSE))

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
            print(f"  killed {role:9} asked {len(self.expected)}", file=sys.stderr)

    def result(self) -> dict[str, Any]:
        """Judge every question by the messages that reply to it."""
        replies: dict[tuple[int, int], list[Json]] = defaultdict(list)
        for user in {user for user, _ in self.expected}:
            for message in self.telegram.user(user).private.bot_messages():
                asked = message.get("reply_to_message", {}).get("message_id", 0)
                replies[user, asked].append(message)
        counts = Counter[str]()
        for question, answer in self.expected.items():
            # Under a whole answer stands a button that asks it again; what waits or grows can be stopped.
            whole = [message["text"] for message in replies[question] if "again" in str(message.get("reply_markup"))]
            counts["answered"] += bool(whole)
            counts["doubled"] += len(whole) > 1
            counts["failed"] += any(text in APOLOGIES for text in whole)
            counts["wrong"] += bool(whole) and not any(answer in text or text in APOLOGIES for text in whole)
            counts["orphans"] += sum(
                "stop" in str(message.get("reply_markup")) for message in replies[question] if whole
            )
        return {
            "asked": len(self.expected), "answered": counts["answered"],
            "lost": len(self.expected) - counts["answered"], "doubled": counts["doubled"],
            "failed": counts["failed"], "wrong": counts["wrong"], "orphans": counts["orphans"],
            "kills": dict(self.kills),
        }  # fmt: skip


async def run(seconds: float, seed: int) -> dict[str, Any]:
    """One whole run in a data folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            TelegramEmulator() as telegram,
            askpix_up(Path(folder), TELEGRAM_TOKEN=telegram.token, TELEGRAM_API_URL=telegram.url, OPEN="1") as service,
        ):
            chaos = Chaos(telegram, service, seed)
            until = time.monotonic() + seconds
            users = [telegram.user(number) for number in range(1, USERS + 1)]
            await asyncio.gather(chaos.kill(until), *(chaos.ask(user, until) for user in users))
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
    for (user, message), answer in chaos.expected.items():
        texts = [
            found["text"]
            for found in chaos.telegram.user(user).private.bot_messages()
            if found.get("reply_to_message", {}).get("message_id") == message
        ]
        if not any(answer in text for text in texts):
            bad.add(f"telegram:{user}:{message}")
            print(f"  not as expected {user}:{message} ({answer[:20]}): {[t[:80] for t in texts]}", file=sys.stderr)
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
