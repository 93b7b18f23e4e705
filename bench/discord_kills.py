"""Discord's adapter killed in mid-answer: `python -m bench.discord_kills [KILLS]` (10; CHAOS_SEED replays the moments).

One person after another asks, in each way in turn; at a random moment of the answer the adapter gets SIGKILL. One JSON
line last, as bench/chaos.py's; `thinking` are answers that Discord still shows as awaited, killed_at the moments in
seconds since the placeholder stood.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.people import WAYS, OnDiscord
from bench.report import say
from tests.emulators.discord_emulator import DiscordEmulator
from tests.emulators.engine import StubEngine
from tests.service import Service, askpix_up
from tests.waiting import wait_until

PIECES = [f"Sentence {number} of the answer. " for number in range(1, 31)]
DELAY = 0.1  # seconds between them
WHOLE = "".join(PIECES).strip()
PATIENCE = 60.0


async def connected(discord: DiscordEmulator, sessions: int) -> None:
    """Wait until the adapter has identified itself so often, and is there."""
    gateway = discord.gateway
    await discord.until(lambda: len(gateway.noted("identify")) >= sessions and gateway.live(), PATIENCE)


async def kill_in(discord: DiscordEmulator, service: Service, number: int, moment: float) -> dict[str, int]:
    """Kill the adapter at this moment of an answer; what became of that."""
    person = OnDiscord(discord, 1000 + number, conversation=1)
    person.places.append(discord.guild().channel(f"place-{number}"))
    question = await person.by(WAYS[number % len(WAYS)], "red")
    await wait_until(lambda: bool(question.replies()), PATIENCE)
    await asyncio.sleep(moment)
    sessions = len(discord.gateway.noted("identify"))
    await service.kill("discord")
    await connected(discord, sessions + 1)
    await discord.until(lambda: any(reply.whole for reply in question.replies()), PATIENCE)
    await asyncio.sleep(2)  # a second answer would come now
    replies = question.replies()
    whole = [reply for reply in replies if reply.whole]
    return {
        "answered": sum(reply.text == WHOLE for reply in whole[:1]),
        "doubled": len(whole) - 1 + len([*person.loose()]),
        "orphans": len(replies) - len(whole),
    }


async def run(kills: int, seed: int) -> dict[str, Any]:
    """All kills, one after another, against an engine that takes three seconds an answer."""
    chance = random.Random(seed)
    moments = [chance.uniform(0, len(PIECES) * DELAY) for _ in range(kills)]
    counts = {"answered": 0, "doubled": 0, "orphans": 0}
    with tempfile.TemporaryDirectory() as folder:
        async with (
            DiscordEmulator() as discord,
            StubEngine(lambda _: PIECES, delay=DELAY) as engine,
            askpix_up(
                Path(folder), OPEN="1", ENGINE_URL=engine.url, DISCORD_TOKEN=discord.token,
                DISCORD_API_URL=discord.api_url, DISCORD_GATEWAY_URL=discord.gateway_url,
            ) as service,
        ):  # fmt: skip
            await connected(discord, 1)
            await discord.until(discord.commands, PATIENCE)
            for number, moment in enumerate(moments):
                found = await kill_in(discord, service, number, moment)
                counts = {name: counts[name] + found[name] for name in counts}
                say(f"  {WAYS[number % len(WAYS)]:8} killed after {moment:.2f} s: {found}")
            thinking = len(discord.thinking())
    killed_at = [round(moment, 2) for moment in moments]
    return {"asked": kills, **counts, "thinking": thinking, "killed_at": killed_at, "seed": seed}


def main() -> None:
    """Run, print, and fail when an answer is missing or there twice."""
    seed = int(os.environ.get("CHAOS_SEED", random.SystemRandom().randrange(10**6)))
    say(f"CHAOS_SEED={seed}")
    result = asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 10, seed))
    print(json.dumps(result))
    sys.exit(result["answered"] != result["asked"] or result["doubled"] > 0 or result["thinking"] > 0)


if __name__ == "__main__":
    main()
