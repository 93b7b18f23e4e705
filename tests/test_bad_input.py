"""What people send that is no good photo: each gets one clear sentence or an answer, and nothing else breaks.

The whole service runs against the Telegram emulator; the engine is a stub that shows which pixels reached it.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from itertools import count

import pytest
import pytest_asyncio
from PIL import Image, ImageOps

from bots.phrases import say
from tests.bots.pictures import GREEN, RED, encoded, halves, near
from tests.bots.test_photos_refused import png_header
from tests.emulators.engine import StubEngine
from tests.emulators.telegram import TelegramEmulator
from tests.service import askpix_up

pytestmark = pytest.mark.asyncio(loop_scope="module")
users = count(2001)  # each test has a person of its own


class World:
    """One service for all of these tests."""

    def __init__(self, telegram: TelegramEmulator, engine: StubEngine) -> None:
        self.telegram = telegram
        self.engine = engine

    async def reply(self, data: bytes, name: str, mime: str, size: int | None = None, language: str = "en") -> str:
        """What somebody new is answered to a file with the question "What is this?"; it must be one message."""
        user = self.telegram.user(next(users), language_code=language)
        chat = user.private
        await user.send_document(chat, data, name, mime, caption="What is this?", declared_size=size)
        await chat.wait_for(lambda texts: bool(texts) and not texts[0].endswith("…"))
        (answer,) = chat.texts()
        return answer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with TelegramEmulator() as telegram, StubEngine(lambda _: ["I see it."]) as engine:
        async with askpix_up(
            tmp_path_factory.mktemp("data"), TELEGRAM_TOKEN=telegram.token, TELEGRAM_API_URL=telegram.url,
            ENGINE_URL=engine.url, OPEN="1",
        ) as service:  # fmt: skip
            yield World(telegram, engine)
        assert telegram.token not in service.logs()
        assert "Traceback" not in service.logs()


JPEG = encoded(halves(640, 480), "JPEG")


@pytest.mark.parametrize(
    ("data", "name", "mime", "size", "sentence"),
    [
        (b"just words", "a.jpg", "image/jpeg", None, say("en", "not_an_image")),
        (JPEG[: len(JPEG) // 2], "a.jpg", "image/jpeg", None, say("en", "broken_image")),
        (b"", "a.jpg", "image/jpeg", None, say("en", "empty")),
        (png_header(50_000, 50_000), "bomb.png", "image/png", None, say("en", "too_many_pixels", limit=34)),
        (JPEG, "big.jpg", "image/jpeg", 21_000_000, say("en", "too_large", limit=20)),
        (b"%PDF-1.7", "a.pdf", "application/pdf", None, say("en", "document_broken")),
        (b"PK", "a.zip", "application/zip", None, say("en", "no_document")),
        (encoded(Image.new("RGB", (6500, 20))), "line.png", "image/png", None, say("en", "too_narrow")),
    ],
    ids=["words", "truncated", "empty", "bomb", "21MB", "pdf", "zip", "narrow"],
)  # fmt: skip
async def test_a_file_that_cannot_be_read_gets_its_sentence(
    world: World, data: bytes, name: str, mime: str, size: int | None, sentence: str
) -> None:
    assert await world.reply(data, name, mime, size) == sentence


async def test_the_sentence_comes_in_the_askers_language(world: World) -> None:
    assert await world.reply(b"just words", "a.jpg", "image/jpeg", language="zh-hans") == say("zh", "not_an_image")


def frames(kind: str) -> bytes:
    """A moving picture: red and green halves, then something else."""
    return encoded(halves(), kind, save_all=True, append_images=[Image.new("RGB", (128, 64), "blue")])


def see_through() -> bytes:
    image = halves().convert("P")
    return encoded(image, "PNG", transparency=255)


def turned() -> bytes:
    """As a phone held sideways stores it: the pixels lie on their side, and EXIF says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(halves().rotate(90, expand=True), "JPEG", exif=exif)


@pytest.mark.parametrize(
    ("data", "mime"),
    [
        (frames("GIF"), "image/gif"),
        (frames("WEBP"), "image/webp"),
        (encoded(halves().convert("CMYK"), "JPEG"), "image/jpeg"),
        (see_through(), "image/png"),
        (turned(), "image/jpeg"),
    ],
    ids=["gif", "webp", "cmyk", "palette", "exif"],
)
async def test_unusual_pictures_reach_the_engine_upright_and_in_their_colours(
    world: World, data: bytes, mime: str
) -> None:
    assert await world.reply(data, "photo", mime) == "I see it."
    sent, *others = world.engine.requests[-1].pictures()
    assert len(others) == data.startswith((b"GIF8", b"RIFF")), "a moving picture is shown in its frames"
    seen = Image.open(io.BytesIO(sent)).convert("RGB")
    assert seen.width > seen.height
    assert near(seen, (0.25, 0.5), RED, 12)
    assert near(seen, (0.75, 0.5), GREEN, 12)


async def test_a_16_bit_picture_keeps_its_grey(world: World) -> None:
    grey = Image.new("I;16", (128, 128), 32_896)
    assert await world.reply(encoded(grey, "PNG"), "grey.png", "image/png") == "I see it."
    seen = ImageOps.grayscale(Image.open(io.BytesIO(world.engine.requests[-1].pictures()[0])))
    assert abs(int(seen.getextrema()[0]) - 128) <= 2  # pyright: ignore[reportArgumentType] : one band gives one pair


async def test_a_message_without_photo_or_text_is_told_what_can_be_read(world: World) -> None:
    user = world.telegram.user(next(users))
    await user.send_text(user.private, "")
    await user.private.wait_for(lambda texts: texts == [say("en", "unreadable")])
