"""What the fuzzer throws at every door: a function a door, which makes an input from a seed, and judges what came.

Each returns a word for what came of it. What it raises is a crash.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing, suppress
from functools import cache
from random import Random
from typing import Any, NamedTuple, get_args

import discord
from telegram import User

from bench.bad_files import damaged, document, film, marked, photo, pointed, told
from bench.bad_words import words
from bots import extracts, pointing, tasks
from bots.discord_client import Client, Draft
from bots.discord_pages import DISCORD_LIMIT, discord_pages
from bots.discord_reading import Via, of_message
from bots.phrases import language_of
from bots.settings import BotSettings, WebSettings
from bots.splitting import TELEGRAM_LIMIT, telegram_pages
from bots.surface import Incoming
from bots.telegram_reading import Reader
from inference.engine import Engine, EngineAddress
from inference.prompt import messages, template
from inference.settings import InferenceSettings
from inference.stream import EngineError, Generation
from storage.messages import (
    Address,
    Ask,
    Delta,
    Done,
    Event,
    Failed,
    Model,
    Photo,
    Quote,
    Refused,
    Turn,
    View,
    decode,
    encode,
)  # fmt: skip
from storage.settings import BadSetting, StorageSettings, check_names, read, variables
from tests.bots.discord_reader import read as seen
from tests.emulators.discord_shapes import user_object

ME = 4242
SETTINGS = (StorageSettings, InferenceSettings, BotSettings, WebSettings)
KINDS = ("private", "group", "supergroup", "channel")


class Door(NamedTuple):
    """Where input comes in: its share of the inputs, and what tries it once."""

    share: int
    knock: Callable[[Random], str]


def command(rng: Random) -> str:
    """Name a task, or nothing."""
    task, argument = tasks.read(words(rng))
    language = language_of(rng.choice((None, words(rng, 3), "zh", "en")))
    if not task:
        return "none"
    try:
        tasks.prompt(task, argument, language, rng.choice((None, Model("askpix-demo", 2048, 1, 1, 2))))
    except Refused as refused:
        return told(refused)
    return "task"


def telegram(rng: Random) -> str:
    """An update of Telegram's in which everything that a person chooses is hard."""
    name = f"{rng.choice(('message', 'edited_message', 'channel_post', 'callback_query'))}"
    said = _telegram_message(rng)
    if name == "callback_query":
        press = {"id": words(rng, 2), "from": said["from"], "chat_instance": "1", "data": words(rng, 4)}
        said = press | ({"message": said} if rng.random() < 0.9 else {})
    reader = Reader(User(ME, "askpix", is_bot=True, username="askpix_bot"))
    return _taken(reader.read(json.dumps({"update_id": 1, name: said}).encode()))


def _telegram_message(rng: Random) -> dict[str, Any]:
    user = {"id": rng.choice((1, 2**52)), "is_bot": rng.random() < 0.1, "first_name": words(rng, 3)}
    file = {"file_id": words(rng, 3), "file_unique_id": words(rng, 3), "file_size": rng.choice((None, 0, 2**40))}
    shown = file | {"width": rng.choice((0, 1, 2**31)), "height": rng.choice((0, 9))}
    text = words(rng)
    entities = [_entity(rng, text) for _ in range(rng.randrange(3))] if text else []
    message: dict[str, Any] = {
        "message_id": rng.choice((1, 2**31)), "date": 0, "chat": {"id": -100, "type": rng.choice(KINDS)},
        "from": user | {"language_code": words(rng, 2)}, rng.choice(("text", "caption")): text,
        "entities": entities, "caption_entities": entities,
    }  # fmt: skip
    extras: dict[str, Any] = {
        "photo": [shown] * rng.randrange(3),
        "document": file | {"file_name": words(rng, 4), "mime_type": words(rng, 3)},
        "sticker": shown | {"type": "regular", "is_animated": False, "is_video": False},
        "voice": file | {"duration": 1},
        "video": shown | {"duration": rng.choice((0, 10**9))}, "sender_chat": {"id": -1, "type": "channel"},
        "media_group_id": words(rng, 2), "forward_origin": {"type": "user", "date": 0, "sender_user": user},
        "quote": {"text": words(rng), "position": 0}, "migrate_to_chat_id": -5, "new_chat_members": [user],
        "reply_to_message": message | {"from": {"id": ME, "is_bot": True, "first_name": "x"}},
    }  # fmt: skip
    return message | {name: extras[name] for name in rng.sample(sorted(extras), rng.randrange(4))}


def _entity(rng: Random, text: str) -> dict[str, Any]:
    """Some of a text's characters, counted as Telegram does."""
    start = rng.choice((0, 0, rng.randrange(len(text))))
    length = len(text[start : start + rng.randint(1, 12)].encode("utf-16-le")) // 2
    kind = rng.choice(("bot_command", "mention", "text_mention", "url", "x"))
    return {"type": kind, "offset": len(text[:start].encode("utf-16-le")) // 2, "length": length}


def _taken(incoming: Incoming | None) -> str:
    """What was understood can lie in the store."""
    if incoming is None:
        return "none"
    assert decode(encode(incoming), Incoming) == incoming
    assert incoming.number >= 0
    return "taken"


@cache
def _discord() -> Any:
    nothing: Any = None  # is written
    return Client(nothing, nothing, None, sees=True).state


def discords(rng: Random) -> str:
    """A message of Discord's in which everything that a person chooses is hard, and the way back of an address."""
    picture = "https://cdn.discordapp.com/a.png"
    shown = {"type": "image", "url": words(rng, 3), "image": {"url": words(rng, 3), "proxy_url": picture}}
    file = {"id": "7", "filename": words(rng, 4), "size": rng.choice((0, 2**40)), "url": words(rng, 3)}
    file |= {"proxy_url": picture, "content_type": words(rng, 2)}
    data: Any = {
        "id": "9", "channel_id": "8", "author": user_object(5, words(rng, 2), bot=rng.random() < 0.1),
        "content": words(rng), "timestamp": "2026-01-01T00:00:00+00:00", "edited_timestamp": None, "tts": False,
        "mention_everyone": True, "mentions": [user_object(ME, "askpix", bot=True)] * rng.randrange(2),
        "components": [],
        "mention_roles": [], "pinned": False, "attachments": [file] * rng.randrange(3),
        "embeds": [shown] * rng.randrange(2), "type": rng.choice((0, 0, 0, 19, 6)),
    } | ({"webhook_id": "3"} if rng.random() < 0.1 else {})  # fmt: skip
    channel: Any = discord.PartialMessageable(state=_discord(), id=8)
    message = discord.Message(state=_discord(), channel=channel, data=data)
    one, two, three, four = rng.choices(("1", "t-o_k.en", str(2**60)), k=4)
    way = Via(one, two, three, four, rng.choice(("public", "private", "whisper")))
    assert Via.read(str(way)) == way
    return _taken(of_message(message, ME, sees=rng.random() < 0.5, edited=rng.random() < 0.5))


def answer(rng: Random) -> str:
    """Read and show what a model wrote: nothing in it pings, comes alive or falls out of its page."""
    text = words(rng) + rng.choice((pointed(rng), words(rng), words(rng, 400)))
    text = text[:20_000] + rng.choice(("", " …"))
    found = pointing.read_marks(text)
    assert len(found) <= pointing.MOST and all(0 <= n <= 1000 for mark in found for n in mark.box)
    assert len(extracts.table_csv(text) or b"") + len(extracts.plain(text)) + len(extracts.page_html(text) or "") < 1e7
    for page in telegram_pages(text):
        units, formats = len(page.text.encode("utf-16-le")) // 2, page.format
        assert page.text.strip() and units <= TELEGRAM_LIMIT
        for each in formats:
            entity: Any = each
            assert 0 <= entity.offset <= entity.offset + entity.length <= units
    for page in discord_pages(text):
        assert page.text.strip() and len(page.text.encode("utf-16-le")) // 2 <= DISCORD_LIMIT
        live = seen(page.text).live
        # Behind an address, which takes the backslash for its own, a mention has its colour; no message of ours pings.
        assert not live or "://" in text, live
    return "shown"


@cache
def _records() -> list[tuple[Any, bytes]]:
    photo, where = Photo("ab" * 32, "image/png", 32, 32, 9, full=(64, 64)), Address("telegram", "1", "2")
    turn = Turn("user", "what?", (photo,), Quote("q", (photo,)), document="d")
    ask = Ask("i", "telegram:1", "c", "l", "o", where, turn)
    incoming = Incoming("i", "telegram:1", "c", where, "en", text="x")
    known: list[Any] = [ask, turn, photo, View(1, 1, 1, 1), Model("m", 1, 1, 1, 1), incoming, Draft("t", ())]
    events = [(Event, encode(each)) for each in (Done("x"), Delta(1, 0, "x"), Failed("gave_up"))]
    return [*((type(each), encode(each)) for each in known), *events]


def record(rng: Random) -> str:
    """A record of the store's that is damaged is read, or is a ValueError: who reads it counts on that."""
    kind, whole = rng.choice(_records())
    try:
        found = decode(damaged(rng, whole, rng.choice(_records())[1]), kind)
    except ValueError:
        return "refused"
    assert isinstance(found, get_args(kind) or kind)
    if isinstance(found, Turn):
        text, tokens = template(found, {photo.sha256 for photo in found.photos})
        assert text and isinstance(tokens, int)
        assert messages([found], {})
    return "read"


def setting(rng: Random) -> str:
    """Settings are read, or refused without saying a secret."""
    secret = "s3cr3t" + words(rng, 3)
    environ = {name: words(rng, 4) for kind in SETTINGS for name in sorted(variables(kind)) if rng.random() < 0.3}
    environ |= {"ASKPIX_REDIS_URL": rng.choice((secret, f"redis://:{secret}@[", f"redis://{secret}:x"))}
    environ |= {f"ASKPIX_{rng.choice(('TELEGRAM_TOKEN', words(rng, 2)))}": secret}
    outcome = "read"
    for step in (lambda: check_names(environ, SETTINGS), lambda: read(rng.choice(SETTINGS), environ)):
        try:
            step()
        except BadSetting as error:
            outcome = error.code
            shown = "".join(error.details.values())
            if "s3cr3t" in shown:
                raise AssertionError(shown) from error
    return outcome


_CHUNKS = (
    b'{"choices":[{"delta":{"content":"word"}}]}', b'{"choices":[{"finish_reason":"stop"}]}', b'{"error":{"code":503}}',
    b'{"choices":[{"delta":{"content":"\\ud800"}}]}', b'{"usage":{"prompt_tokens":1e999}}', b'{"usage":null}',
    b"<html>",
    b"[DONE]", b"", b'{"choices":' * 200, b"x" * 3_000_000,
)  # fmt: skip
_STATUS = (b"200 OK",) * 9 + (b"500 x", b"418 x", b"302 Found\r\nLocation: http://127.0.0.1:1", b"x")


def engine(rng: Random) -> str:
    """What an engine answers, cut anywhere: text, or the one error that the worker knows."""
    body = b""
    for chunk in rng.choices(_CHUNKS, k=9):
        end = rng.choice((b"\n\n", b"\n", b"\r\n", b""))
        body += rng.choice((b"data: ", b"data:", b": ", b"event: x")) + chunk + end
    body = damaged(rng, body) if rng.random() < 0.5 else body
    whole = b"HTTP/1.1 %s\r\nConnection: close\r\n\r\n%s" % (rng.choice(_STATUS), body)

    async def serve(coming: asyncio.StreamReader, going: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await coming.readuntil(b"\r\n\r\n")
            for at in range(
                0, len(whole), size := rng.choice((60, 5_000, 1 << 20)) if len(whole) < 99_999 else 1 << 20
            ):
                going.write(whole[at : at + size])
                await going.drain()
        going.close()

    async def read_all() -> str:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = EngineAddress(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with server, Engine(lambda: address) as client:
            stream = client.stream([], rid="r", salt="s", max_tokens=9, generation=Generation())
            async with aclosing(stream) as found:
                return "text" if [word.encode() async for word in found] else "nothing"

    try:
        return _loop().run(read_all())
    except EngineError as error:
        return type(error).__name__


@cache
def _loop() -> asyncio.Runner:
    return asyncio.Runner()


DOORS = {
    "photo": Door(180, photo), "marked": Door(60, marked), "document": Door(80, document), "film": Door(50, film),
    "command": Door(60, command), "telegram": Door(130, telegram), "discord": Door(80, discords),
    "answer": Door(100, answer), "record": Door(140, record), "setting": Door(60, setting), "engine": Door(60, engine),
}  # fmt: skip
