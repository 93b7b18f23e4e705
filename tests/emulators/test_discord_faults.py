"""What goes wrong at Discord: floods, empty buckets, pages of HTML, cut connections, files that are gone."""

from __future__ import annotations

import time

import aiohttp
import pytest

from tests.emulators.discord_emulator import DOWNLOAD, DiscordEmulator
from tests.emulators.discord_http import REAL_RATES
from tests.emulators.discord_raw import RawBot
from tests.emulators.discord_rest import ROUTES
from tests.emulators.discord_shapes import DEFER, Upload

SEND = "POST /channels/{channel_id}/messages"


async def test_who_does_not_know_the_token_is_refused(emulator: DiscordEmulator, raw: RawBot) -> None:
    for headers in ({}, {"Authorization": "Bot wrong"}, {"Authorization": emulator.token}):
        async with raw.session.get(f"{emulator.api_url}/api/v10/users/@me", headers=headers) as response:
            assert (response.status, (await response.json())["message"]) == (401, "401: Unauthorized")


@pytest.mark.parametrize("route", ["GET /nowhere", "GET /channels", "PUT /users/@me", "DELETE /channels/5/typing"])
async def test_unknown_routes_are_noted(emulator: DiscordEmulator, raw: RawBot, route: str) -> None:
    assert await raw.code(route) == (404, 0)
    method, path = route.split(" ")
    assert [(call.method, call.path) for call in emulator.unknown] == [(method, f"/api/v10{path}")]
    emulator.unknown.clear()


async def test_bodies_that_are_no_json(emulator: DiscordEmulator, raw: RawBot) -> None:
    channel = emulator.guild().channel()
    url = f"{emulator.api_url}/api/v10/channels/{channel.id}/messages"
    headers = {"Authorization": f"Bot {emulator.token}"}
    form = aiohttp.FormData({"wrong": "part"})
    form.add_field("files[1]", b"the first is missing", filename="x")
    for data in (b"{", b"[]", form):
        async with raw.session.post(url, data=data, headers=headers) as response:
            assert (response.status, (await response.json())["code"]) == (400, 50109)


async def test_a_flooded_channel_leaves_the_others_alone(emulator: DiscordEmulator, raw: RawBot) -> None:
    one, other = emulator.guild().channel("one"), emulator.guild().channel("other")
    emulator.flood(one, 60)
    status, answer = await raw.send(one, "x")
    assert (status, answer["global"]) == (429, False)
    assert 59 < answer["retry_after"] <= 60
    assert (raw.headers["Via"], raw.headers["X-RateLimit-Scope"]) == ("1.1 google", "user")
    assert int(raw.headers["Retry-After"]) >= answer["retry_after"]
    assert (await raw.send(other, "x"))[0] == 200
    emulator.flood("global", 60)
    status, answer = await raw.send(other, "x")
    assert (status, answer["global"], raw.headers["X-RateLimit-Global"]) == (429, True, "true")


async def test_a_flooded_interaction(emulator: DiscordEmulator, raw: RawBot) -> None:
    await raw.sync({"name": "ask", "description": "Ask"})
    asked = await emulator.user(1001).slash("ask")
    await raw.answer(asked, DEFER)
    emulator.flood(asked, 0.05)
    path = f"PATCH {raw.hook(asked, '@original')}"
    assert (await raw(path, {"content": "x"}))[0] == 429
    emulator.flood(asked, 0)
    assert (await raw(path, {"content": "x"}))[0] == 200


async def test_a_small_bucket_says_when_it_is_full_again(emulator: DiscordEmulator, raw: RawBot) -> None:
    channel, other = emulator.guild().channel(), emulator.guild().channel("other")
    emulator.limits.rates[SEND] = (2, 30.0)
    left: list[str] = []
    for _ in range(2):
        await raw.send(channel, "x")
        left.append(raw.headers["X-RateLimit-Remaining"])
    assert (left, raw.headers["X-RateLimit-Limit"]) == (["1", "0"], "2")
    assert 29 < float(raw.headers["X-RateLimit-Reset-After"]) <= 30
    assert 28 < float(raw.headers["X-RateLimit-Reset"]) - time.time() < 31
    status, answer = await raw.send(channel, "x")
    assert (status, answer["message"]) == (429, "You are being rate limited.")
    assert 28 < answer["retry_after"] <= 30
    bucket = raw.headers.get("X-RateLimit-Bucket")
    assert (await raw.send(other, "x"))[0] == 200  # a bucket of its own, of the same name
    assert bucket is None and raw.headers["X-RateLimit-Bucket"]
    assert len(channel.texts()) == 2


async def test_discord_s_own_rates(raw: RawBot) -> None:
    assert set(REAL_RATES) <= set(ROUTES)
    async with DiscordEmulator(enforce_rates=True) as emulator:
        bot = RawBot(emulator, raw.session)
        sent = [(await bot.send(emulator.guild().channel(), f"{number}"))[0] for number in range(6)]
        assert sent == [200] * 5 + [429]


async def test_failures_by_order(emulator: DiscordEmulator, raw: RawBot) -> None:
    channel = emulator.guild().channel()
    with pytest.raises(ValueError, match="no route"):
        emulator.fail_next("POST /channels", 500)
    emulator.fail_next(SEND, 503, message="unavailable")
    emulator.fail_next(SEND, 0, code=50013)
    emulator.limit_next(SEND, 1.5, "shared")
    assert await raw.send(channel, "x") == (503, {"message": "unavailable", "code": 0})
    assert (await raw.send(channel, "x"))[1]["message"] == "Missing Permissions"
    status, answer = await raw.send(channel, "x")
    assert (status, answer["retry_after"], raw.headers["X-RateLimit-Scope"]) == (429, 1.5, "shared")
    emulator.delay_next(SEND, 0.05)
    assert (await raw.send(channel, "x"))[0] == 200
    assert emulator.calls[-1].answered - emulator.calls[-1].at >= 0.05
    assert channel.texts() == ["x"]


async def test_a_page_of_html_in_the_place_of_json(emulator: DiscordEmulator, raw: RawBot) -> None:
    channel = emulator.guild().channel()
    emulator.fail_next(SEND, 502, html=True)
    url = f"{emulator.api_url}/api/v10/channels/{channel.id}/messages"
    headers = {"Authorization": f"Bot {emulator.token}"}
    async with raw.session.post(url, json={"content": "x"}, headers=headers) as response:
        assert (response.status, response.content_type) == (502, "text/html")
        assert "502 Bad Gateway" in await response.text()
    assert channel.messages == []


@pytest.mark.parametrize("after", [True, False])
async def test_cut_connections(emulator: DiscordEmulator, raw: RawBot, *, after: bool) -> None:
    channel = emulator.guild().channel()
    emulator.drop_next(SEND, after_processing=after)
    with pytest.raises(aiohttp.ClientError):
        await raw.send(channel, "x")
    assert channel.texts() == (["x"] if after else [])
    assert [call.status for call in emulator.called(SEND, str(channel.id))] == [0]


async def test_files_whose_address_is_old_forged_or_gone(emulator: DiscordEmulator, raw: RawBot) -> None:
    ann = emulator.user(1001)
    message = await ann.dm("look", [Upload("big.bin", b"x", declared_size=26 * 1024**2), ("cat.png", b"cat")])
    shown = emulator.world.show(message)
    big, cat = shown["attachments"]
    assert (big["size"], cat["size"], cat["content_type"]) == (26 * 1024**2, 3, "image/png")
    assert "width" not in cat  # no picture, whatever its name says

    async def fetched(url: str) -> tuple[int, bytes]:
        async with raw.session.get(url) as response:
            return response.status, await response.read()

    assert await fetched(cat["url"]) == (200, b"cat")
    bare = cat["url"].split("?")[0]
    gone = (404, b"This content is no longer available.")
    assert await fetched(bare) == gone
    assert await fetched(cat["url"].replace("hm=", "hm=0")) == gone
    assert await fetched(big["url"].replace("ex=", "ex=f")) == gone
    emulator.clock.shift += 86_401
    assert await fetched(cat["url"]) == gone
    _, answer = await raw("POST /attachments/refresh-urls", {"attachment_urls": [cat["url"]]})
    assert await fetched(answer["refreshed_urls"][0]["refreshed"]) == (200, b"cat")
    emulator.lose_file(message["attachments"][1])
    assert await fetched(emulator.world.show(message)["attachments"][1]["url"]) == gone
    emulator.fail_next(DOWNLOAD, 503)
    assert (await fetched(big["url"]))[0] == 503
    assert [call.status for call in emulator.called(DOWNLOAD, "cat.png")].count(404) == 4
