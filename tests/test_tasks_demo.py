"""The tasks that the demo model can do, on Telegram and Discord, with pictures of the kind that it was taught by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from PIL import Image, ImageChops

from inference.demo.pages import Box
from inference.demo.pictures import Picture, example
from tests.emulators.discord_emulator import DiscordEmulator
from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_world import User
from tests.exhibits import encoded
from tests.road import on_discord, pictures
from tests.service import askpix_up
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Towns:
    """Both platforms."""

    telegram: TelegramEmulator
    discord: DiscordEmulator


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def towns(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Towns]:
    async with (
        TelegramEmulator() as telegram,
        DiscordEmulator() as discord,
        askpix_up(
            tmp_path_factory.mktemp("demo"), TELEGRAM_TOKEN=telegram.token, TELEGRAM_API_URL=telegram.url, OPEN="1",
            **on_discord(discord),
        ) as askpix,
    ):  # fmt: skip
        await wait_until(lambda: bool(discord.commands()), 20)
        yield Towns(telegram, discord)
    assert "Traceback" not in askpix.logs()


def box_drawn(picture: Image.Image, photo: Image.Image) -> Box:
    """Where something was drawn, from the numbers above it to its lower right corner; both pictures in one size."""
    changed = ImageChops.difference(picture.convert("RGB"), photo.convert("RGB").resize(picture.size)).convert("L")
    found = changed.point([0] * 91 + [255] * 165).getbbox()
    assert found
    return found


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    left, top, right, bottom = (
        max(one[0], other[0]),
        max(one[1], other[1]),
        min(one[2], other[2]),
        min(one[3], other[3]),
    )
    shared = max(0.0, right - left) * max(0.0, bottom - top)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def scaled(box: Box, photo: Picture, picture: Image.Image) -> Box:
    """A box of a photo in another size of it."""
    across, down = picture.width / photo.image.width, picture.height / photo.image.height
    return box[0] * across, box[1] * down, box[2] * across, box[3] * down


def found(user: User, photo: Picture, box: Box) -> float:
    """How well what was drawn for somebody is around this box of their photo."""
    (drawn,) = pictures(user.private)
    return overlap(box_drawn(drawn, photo.image), scaled(box, photo, drawn))


async def asks(user: User, photo: Picture, caption: str) -> None:
    """Send a picture as it is: Telegram makes JPEGs of photos."""
    await user.send_document(user.private, encoded(photo.image), "a.png", "image/png", caption=caption)


async def test_a_printed_word_is_read(towns: Towns) -> None:
    photo, other = example("word", 1), example("word", 4)
    ann, ben = towns.telegram.user(1), towns.discord.user(2)
    channel = towns.discord.guild(3).channel()
    await asks(ann, photo, "/ocr")
    await ben.slash("ocr", channel, image=encoded(other.image))
    await ann.private.wait_for(lambda texts: photo.page.text in "".join(texts), 20)
    await channel.wait_for(lambda texts: other.page.text in "".join(texts) and texts[0].endswith("\n```"), 20)


async def test_shapes_and_buttons_are_found_where_they_are(towns: Towns) -> None:
    scenes = [(example("scene", seed), towns.telegram.user(100 + seed)) for seed in (0, 3, 4)]
    windows = [(example("window", seed), towns.telegram.user(200 + seed)) for seed in (0, 1, 3)]
    await asyncio.gather(
        *(asks(user, photo, f"/find the {photo.things[0].shape}") for photo, user in scenes),
        *(asks(user, photo, f"/gui {photo.page.buttons[0][0]}") for photo, user in windows),
    )
    for photo, user in scenes + windows:
        await user.private.wait_for(lambda _, user=user: pictures(user.private), 30)
        label, box = (photo.things[0].shape, photo.things[0].box) if photo.things else photo.page.buttons[0]
        assert user.private.texts() == [f"1. {label}", ""]
        assert found(user, photo, box) > 0.5


async def test_things_are_counted(towns: Towns) -> None:
    photo = example("count", 3)
    ann, channel = towns.discord.user(300), towns.discord.guild(301).channel()
    await ann.slash("ask", channel, question="How many rings are there?", image=encoded(photo.image))
    count = sum(thing.shape == "ring" for thing in photo.things)
    await channel.wait_for(lambda texts: texts == [f"There are {count} rings."], 20)


async def test_a_shape_is_found_on_discord_and_looked_at(towns: Towns) -> None:
    photo = example("scene", 4)
    ann, channel = towns.discord.user(400), towns.discord.guild(401).channel()
    await ann.slash("zoom", channel, where=photo.things[0].shape, image=encoded(photo.image))
    await channel.wait_for(lambda texts: texts and "ring" in texts[0] and "bbox" not in texts[0], 20)
