"""Discord's gateway as a bot meets it, first where it refuses, drops or forgets."""

from __future__ import annotations

import aiohttp
import pytest

from tests.emulators.discord_emulator import DiscordEmulator
from tests.emulators.discord_gateway import ACK, HEARTBEAT, INVALID, RECONNECT
from tests.emulators.discord_raw import INTENTS, RawBot
from tests.emulators.discord_shapes import BOT_ID, DIRECT_MESSAGES, GUILD_MEMBERS, GUILDS, MESSAGE_CONTENT


@pytest.mark.parametrize(
    ("token", "intents", "code"),
    [
        ("wrong", INTENTS, 4004),
        ("", INTENTS | MESSAGE_CONTENT, 4014),
        ("", INTENTS | GUILD_MEMBERS, 4014),
        ("", 1 << 40, 4013),
    ],
)
async def test_who_may_not_identify_is_shown_out(raw: RawBot, token: str, intents: int, code: int) -> None:
    async with raw.gateway() as socket:
        await socket.identify(intents, token)
        assert await socket.close_code() == code


@pytest.mark.parametrize(
    ("frame", "code"),
    [("no json", 4002), ('{"d": 1}', 4002), ('{"op": 14, "d": {}}', 4003), ('{"op": 4, "d": {}}', 4003)],
)
async def test_frames_that_make_no_sense_before_identifying(
    emulator: DiscordEmulator, raw: RawBot, frame: str, code: int
) -> None:
    params = {"v": "10", "encoding": "json"}
    async with raw.session.ws_connect(emulator.gateway_url, params=params) as socket:
        await socket.receive(timeout=5)
        await socket.send_str(frame)
        assert (await socket.receive(timeout=5)).data == code


async def test_an_old_version_is_refused(emulator: DiscordEmulator, raw: RawBot) -> None:
    async with raw.session.ws_connect(emulator.gateway_url, params={"v": "6", "encoding": "json"}) as socket:
        assert (await socket.receive(timeout=5)).data == 4012


async def test_identifying_twice_and_unknown_ops_after_it(raw: RawBot) -> None:
    async with raw.gateway() as socket:
        await socket.ready()
        await socket.identify()
        assert await socket.close_code() == 4005
    async with raw.gateway() as socket:
        await socket.ready()
        await socket.send(99, {})
        assert await socket.close_code() == 4001


async def test_the_first_connections_fail_by_order(emulator: DiscordEmulator, raw: RawBot) -> None:
    emulator.refuse_connections(2)
    for _ in range(2):
        with pytest.raises(aiohttp.ClientError):
            async with raw.gateway():
                pass
    async with raw.gateway() as socket:
        assert await socket.ready()
    assert len(emulator.gateway.noted("refused")) == 2


async def test_ready_comes_first_and_then_every_server_in_full(emulator: DiscordEmulator, raw: RawBot) -> None:
    channel = emulator.guild(7000, "Friends", locale="zh-CN").channel("general")
    thread = channel.thread("cats")
    emulator.guild(8000, "Else", bot_inside=False)
    async with raw.gateway() as socket:
        ready = await socket.ready()
        assert ready["user"]["id"] == str(BOT_ID)
        assert ready["guilds"] == [{"id": "7000", "unavailable": True}]
        guild = await socket.event("GUILD_CREATE")
        assert (guild["name"], guild["preferred_locale"], guild["unavailable"]) == ("Friends", "zh-CN", False)
        assert [each["id"] for each in guild["channels"]] == [str(channel.id)]
        assert [(each["id"], each["parent_id"]) for each in guild["threads"]] == [(str(thread.id), str(channel.id))]
        assert [member["user"]["id"] for member in guild["members"]] == [str(BOT_ID)]
        emulator.guild(8000).invite_bot()
        assert (await socket.event("GUILD_CREATE"))["id"] == "8000"
        emulator.guild(8000).kick_bot()
        assert await socket.event("GUILD_DELETE") == {"id": "8000"}
        channel.remove()
        assert (await socket.event("CHANNEL_DELETE"))["id"] == str(channel.id)
        assert thread.gone


async def test_events_come_as_the_intents_allow(emulator: DiscordEmulator, raw: RawBot) -> None:
    ann, channel = emulator.user(1001), emulator.guild().channel()
    async with raw.gateway() as socket:
        await socket.ready(GUILDS | DIRECT_MESSAGES)
        await ann.says(channel, "in the server")
        await ann.dm("in private")
        message = await socket.event("MESSAGE_CREATE")
        assert (message["content"], "guild_id" in message) == ("in private", False)


@pytest.mark.parametrize("compress", ["", "zlib-stream"])
async def test_frames_come_plain_or_as_one_compressed_stream(
    emulator: DiscordEmulator, raw: RawBot, compress: str
) -> None:
    async with raw.gateway(compress=compress) as socket:
        await socket.ready()
        for number in range(3):
            await emulator.user(1001).dm(f"你好 {number}")
            assert (await socket.event("MESSAGE_CREATE"))["content"] == f"你好 {number}"
        assert socket.seq == 4


async def test_heartbeats_are_answered_unless_the_gateway_is_deaf(emulator: DiscordEmulator, raw: RawBot) -> None:
    emulator.gateway.heartbeat_ms = 123
    async with raw.gateway() as socket:
        await socket.send(HEARTBEAT, None)
        assert (await socket.frame())["op"] == ACK
        emulator.gateway.deaf = True
        await socket.send(HEARTBEAT, 7)
        await emulator.until(lambda: emulator.gateway.noted("heartbeat") == [None, 7])
        await socket.identify()
        assert (await socket.frame())["t"] == "READY"


async def test_a_dropped_socket_resumes_and_gets_what_it_missed_once(emulator: DiscordEmulator, raw: RawBot) -> None:
    ann = emulator.user(1001)
    async with raw.gateway() as socket:
        ready = await socket.ready()
        await ann.dm("one")
        await socket.event("MESSAGE_CREATE")
        emulator.drop()
        assert await socket.close_code() == 1006
    await ann.dm("two")
    async with raw.gateway(ready["resume_gateway_url"]) as again:
        await again.resume(socket.session_id, socket.seq)
        assert (await again.frame())["d"]["content"] == "two"
        resumed = await again.frame()
        assert (resumed["t"], isinstance(resumed["d"], dict)) == ("RESUMED", True)
        await ann.dm("three")
        assert (await again.frame())["d"]["content"] == "three"
        assert again.seq == 5
    assert emulator.gateway.noted("resume")[0]["seq"] == 2


async def test_what_cannot_be_resumed(emulator: DiscordEmulator, raw: RawBot) -> None:
    async with raw.gateway() as socket:
        await socket.resume("no such session", 3)
        assert ((await socket.frame())["op"], emulator.gateway.sessions) == (INVALID, {})
        await socket.ready()  # the same socket may begin anew
        emulator.gateway.reconnect()
        assert (await socket.frame())["op"] == RECONNECT
        emulator.gateway.invalidate(resumable=True)
        assert (await socket.frame())["d"] is True
        await socket.leave(4000)
    async with raw.gateway() as again:
        await again.resume(socket.session_id, 99)
        assert await again.close_code() == 4007
    await emulator.until(lambda: not emulator.gateway.live())
    emulator.gateway.forget()
    async with raw.gateway() as again:
        await again.resume(socket.session_id, 1)
        assert (await again.frame())["d"] is False


async def test_a_bot_that_says_goodbye_has_nothing_to_resume(emulator: DiscordEmulator, raw: RawBot) -> None:
    async with raw.gateway() as socket:
        await socket.ready()
        await socket.leave(1000)
        await emulator.until(lambda: not emulator.gateway.sessions)
    async with raw.gateway() as socket:
        await socket.ready()
        emulator.gateway.close(4000)
        assert await socket.close_code() == 4000
    await emulator.until(lambda: emulator.gateway.sessions and not emulator.gateway.live())


async def test_what_an_invalidated_session_missed_is_gone(emulator: DiscordEmulator, raw: RawBot) -> None:
    async with raw.gateway() as socket:
        await socket.ready()
        emulator.gateway.invalidate()
        assert (await socket.frame())["d"] is False
        await emulator.user(1001).dm("lost")
        await socket.ready()
        await emulator.user(1001).dm("heard")
        assert (await socket.frame())["d"]["content"] == "heard"


async def test_two_bots_with_one_token_both_hear_everything(emulator: DiscordEmulator, raw: RawBot) -> None:
    async with raw.gateway() as one, raw.gateway() as other:
        await one.ready()
        await other.ready()
        await emulator.user(1001).dm("hello")
        for socket in (one, other):
            assert (await socket.event("MESSAGE_CREATE"))["content"] == "hello"
    assert [entry["intents"] for entry in emulator.gateway.noted("identify")] == [INTENTS] * 2
