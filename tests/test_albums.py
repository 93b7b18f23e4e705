"""Albums over the whole road: one message in the end that speaks of every photo, whatever dies in between."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

from bots.phrases import say
from tests.canary import canary
from tests.emulators.telegram_world import User
from tests.road import GROUP, open_road

LATEST = 3.0  # seconds between the first and the last update of an album
VICTIMS = ("telegram", "worker", "valkey")
EMPTY = say("en", "placeholder")


async def send(user: User, numbers: Sequence[int], rng: random.Random, caption: str = "") -> None:
    """An album of these pictures; its updates come over some seconds in any order, now and then many at once."""
    jitter = [rng.choice((0.0, 0.0, 1.0, rng.uniform(0, LATEST))) for _ in numbers]
    order = rng.sample(range(len(numbers)), len(numbers))
    at = rng.randrange(len(numbers))
    captions = [caption if index == at else "" for index in range(len(numbers))]
    await user.send_album(user.private, [canary(n) for n in numbers], captions, jitter=jitter, order=order)


async def test_albums_of_every_size_end_as_one_message_each_whatever_is_killed_while_they_come(tmp_path: Path) -> None:
    rng = random.Random(1)
    async with open_road(tmp_path, first_delay=0.3) as road:

        async def talk(count: int) -> None:
            user = road.telegram.user(5000 + count)
            numbers = rng.sample(range(2**14), count)
            await send(user, numbers, rng, "mine")
            await user.send_text(user.private, "and now?")
            wanted = sorted([f"saw {', '.join(map(str, numbers))}: mine", "saw nothing: and now?"])
            # A process that dies between placing a message and noting it leaves an empty one behind.
            await user.private.wait_for(lambda texts: sorted(text for text in texts if text != EMPTY) == wanted, 40)

        async def kill() -> None:
            for victim in rng.sample(VICTIMS, len(VICTIMS)):
                await asyncio.sleep(rng.uniform(0, 0.8))
                await road.restart(victim)

        await asyncio.gather(kill(), *(talk(count) for count in range(2, 11)))


async def test_in_a_group_a_film_s_mention_behind_the_photos_is_asked_about_all_of_them(tmp_path: Path) -> None:
    async with open_road(tmp_path, privacy=False) as road:
        group, contents = road.telegram.group(GROUP), [canary(1), canary(2), canary(3), b"film"]
        captions = ["", "", "", "@askpix_bot which?"]
        messages = await road.ann.send_album(group, contents, captions, kinds=["photo", "photo", "photo", "video"])
        wanted = sorted([say("en", "not_an_image"), "saw 1, 2, 3: which?"])
        await group.wait_for(lambda texts: sorted(texts) == wanted, 20)  # a group's rate: the sentence took a call
        answered = {message["text"]: message["reply_to_message"]["message_id"] for message in group.bot_messages()}
        assert [answered[text] for text in wanted] == [messages[3]["message_id"], messages[0]["message_id"]]
