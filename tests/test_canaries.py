"""A hundred people at once, each with a picture of their own: no answer is ever about another's."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from tests.canary import canary, number_of
from tests.emulators.telegram_world import User
from tests.road import open_road

PEOPLE = 100


def test_a_picture_s_number_survives_what_telegram_and_we_do_to_it() -> None:
    numbers = [0, 1, 2**14 - 1, *random.Random(1).sample(range(2**14), 50)]
    assert [number_of(canary(number)) for number in numbers] == numbers


async def test_a_hundred_interleaved_people_are_each_told_of_their_own_picture(tmp_path: Path) -> None:
    numbers = random.Random(4).sample(range(2**14), 2 * PEOPLE)
    async with open_road(tmp_path) as road:
        people = [road.telegram.user(5000 + n) for n in range(PEOPLE)]

        async def talk(user: User, first: int, second: int) -> None:
            await user.send_photo(user.private, canary(first), "mine")
            await user.private.wait_for(lambda texts: texts == [f"saw {first}: mine"], 60)
            await user.send_photo(user.private, canary(second), "and this")
            await user.private.wait_for(lambda texts: texts[1:] == [f"saw {second}: and this"], 60)

        await asyncio.gather(*(talk(user, *numbers[2 * n : 2 * n + 2]) for n, user in enumerate(people)))
        theirs = dict(zip((user.id for user in people), zip(numbers[::2], numbers[1::2], strict=True), strict=True))
        owner = {number: id for id, pair in theirs.items() for number in pair}
        for request in road.asked():
            assert len({owner[number_of(picture)] for picture in request.pictures()}) == 1, (
                "a conversation is one's own"
            )
