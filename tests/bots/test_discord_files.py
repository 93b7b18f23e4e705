"""What Discord's surface fetches, and from whom it takes nothing."""

from __future__ import annotations

import pytest
from aiohttp import web

from bots.discord_bot import DiscordSurface
from bots.photos import MAX_MEGABYTES
from bots.surface import (
    FileRef,
    Gone,
    Unfit,
    Unreachable,
)
from storage.messages import Refused
from tests.bots.discord_town import PICTURE, Town
from tests.emulators.discord_shapes import Upload
from tests.emulators.server import LocalServer


async def test_a_picture_that_somebody_sent_is_fetched_and_one_that_is_gone_is_gone(
    town: Town, hall: DiscordSurface
) -> None:
    said = await town.ann.dm("x", [("a_b.png", PICTURE)])
    (file,) = (await town.hears()).photos
    assert await hall.fetch(file) == PICTURE
    town.discord.lose_file(said["attachments"][0])
    with pytest.raises(Gone):
        await hall.fetch(file)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1.example.invalid/a.png",
        "http://127.0.0.2/a.png",
        "https://cdn.discordapp.com.example.invalid/a.png",
        "https://evildiscordapp.com/a.png",
        "https://cdn.discordapp.com@127.0.0.2/a.png",
        "file:///etc/passwd",
        "/etc/passwd",
        "",
    ],
)
async def test_nothing_is_fetched_from_other_hosts(hall: DiscordSurface, address: str) -> None:
    with pytest.raises((Unfit, Gone)):
        await hall.fetch(FileRef(address))


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_store_of_files_in_trouble_is_worth_another_try(town: Town, hall: DiscordSurface, status: int) -> None:
    await town.ann.dm("x", [("a.png", PICTURE)])
    (file,) = (await town.hears()).photos
    town.discord.fail_next("GET /attachments", status)
    with pytest.raises(Unreachable) as raised:
        await hall.fetch(file)
    assert "http" not in str(raised.value)
    town.discord.drop_next("GET /attachments", 2)  # one try is two
    with pytest.raises(Unreachable):
        await hall.fetch(file)
    assert await hall.fetch(file) == PICTURE


async def test_a_file_that_is_larger_than_it_was_said_to_be_is_refused(town: Town, hall: DiscordSurface) -> None:
    content = b"\x89PNG" + bytes(MAX_MEGABYTES * 1_000_000)
    await town.ann.dm("x", [Upload("a.png", content, declared_size=10)])
    (file,) = (await town.hears()).photos
    assert file.size == 10
    with pytest.raises(Refused) as refused:
        await hall.fetch(file)
    assert (refused.value.code, refused.value.details) == ("too_large", {"limit": MAX_MEGABYTES})


class Strange(LocalServer):
    """A host that never comes to an end, or sends one elsewhere."""

    def __init__(self) -> None:
        self.visited: list[str] = []
        super().__init__([web.get("/{name}", self._serve)])

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.visited.append(request.path)
        if request.path == "/away":
            return web.Response(status=302, headers={"Location": "/there"})
        answer = web.StreamResponse()
        await answer.prepare(request)
        try:
            while True:
                await answer.write(bytes(1 << 16))
        except ConnectionError:
            return answer


async def test_a_file_without_end_is_refused_while_it_is_read(hall: DiscordSurface) -> None:
    async with Strange() as strange:
        with pytest.raises(Refused):
            await hall.fetch(FileRef(f"{strange.url}/endless"))


async def test_nobody_is_sent_elsewhere(hall: DiscordSurface) -> None:
    async with Strange() as strange:
        with pytest.raises(Gone):
            await hall.fetch(FileRef(f"{strange.url}/away"))
        assert strange.visited == ["/away"]
