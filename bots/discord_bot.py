"""Discord: the discord_*.py files alone know discord.py.

Commands are acknowledged within three seconds, whatever else happens; they and messages lie in the inbox before
anything slow is done with them.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import discord
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from bots.discord_client import AWAY, Client, Press
from bots.discord_pages import discord_pages
from bots.discord_reading import PLATFORM, Via
from bots.intake import work
from bots.photos import MAX_MEGABYTES
from bots.settings import BotSettings
from bots.surface import (
    ROW,
    Button,
    Closed,
    FileRef,
    Flooded,
    Gone,
    Incoming,
    Later,
    Moved,
    Page,
    Rate,
    SurfaceError,
    Unfit,
    Unreachable,
)  # fmt: skip
from storage.held import Held
from storage.limits import Rules
from storage.messages import Address, Refused, decode
from storage.settings import StorageSettings
from storage.stores import Stores, living
from storage.tasks import first_of

log = logging.getLogger(__name__)

T = TypeVar("T")

RATE = Rate(4, 1.3)  # Discord takes five calls in five seconds of a channel, and of an interaction
TOKEN_LIFE = timedelta(minutes=14, seconds=30)  # of an interaction's 15: a call may wait
RIGHTS = discord.Permissions(  # that the invitation asks for: a server may give them to nobody otherwise
    view_channel=True, send_messages=True, send_messages_in_threads=True, read_message_history=True, attach_files=True,
    add_reactions=True,
)  # fmt: skip
# Unknown webhook, invalid token, unknown interaction, the five messages of one that is only its user's are used up
_TOKEN_OVER = (10015, 50027, 10062, 40094)
_UNKNOWN_MESSAGE = 10008
_SIGNS = {"seen": "👀", "done": "👌"}
_HOMES = (".discordapp.com", ".discordapp.net", ".discord.com")  # where Discord keeps what people attach


class BadToken(Exception):
    """Discord does not know this token."""


class NoIntent(Exception):
    """The application may not read what is not addressed to it."""


class DiscordSurface:
    """A Surface on one client that is logged in. home: the host of the API; signs: whether to react to messages."""

    platform = PLATFORM
    offers: tuple[str, ...] = ("again", "follow")

    def __init__(self, client: Client, session: aiohttp.ClientSession, home: str, *, signs: bool = True) -> None:
        self._client = client
        self._session = session
        self._home = home
        self._signs = signs

    def read(self, raw: bytes) -> Incoming | None:
        """What the client wrote into the inbox."""
        return decode(raw, Incoming)

    def rate(self, where: Address) -> Rate:
        """Discord's own limit."""
        return RATE

    def pages(self, markdown: str) -> list[Page]:
        """Messages of at most 2,000 characters, in Discord's own Markdown."""
        return discord_pages(markdown)

    async def fetch(self, file: FileRef) -> bytes:
        """Download a file from Discord's own hosts; its signed address stays in here."""
        host = urlsplit(file.id).hostname or ""
        if host != self._home and not host.endswith(_HOMES):
            raise Unfit
        data = bytearray()
        with _mapped():
            async with self._session.get(yarl.URL(file.id, encoded=True), allow_redirects=False) as answer:
                if answer.status != 200:
                    raise Unreachable(str(answer.status)) if answer.status >= 500 or answer.status == 429 else Gone
                async for chunk in answer.content.iter_chunked(1 << 16):
                    data += chunk
                    if len(data) > MAX_MEGABYTES * 1_000_000:
                        raise Refused("too_large", limit=MAX_MEGABYTES)
        return bytes(data)

    async def place(self, where: Address, page: Page, nonce: str = "") -> str:
        """Send a message; the first answer to a command takes the place of Discord's "thinking…"."""
        return await self._send(where, nonce, content=page.text, view=_view(page))

    async def edit(self, where: Address, slot: str, page: Page) -> None:
        """Show a page in one of our messages."""
        shown: dict[str, Any] = {"content": page.text, "view": _view(page)}
        await self._by(
            where, lambda hook: hook.edit_message(int(slot), **shown),
            lambda channel: channel.get_partial_message(int(slot)).edit(**shown),
        )  # fmt: skip

    async def typing(self, where: Address) -> None:
        """Show "typing…"; a command's answer shows "thinking…" by itself."""
        if not where.via:
            with _mapped():
                await self._channel(where).typing()

    async def remove(self, where: Address, slot: str) -> None:
        """Delete one of our messages."""
        await self._by(
            where, lambda hook: hook.delete_message(int(slot)),
            lambda channel: channel.get_partial_message(int(slot)).delete(),
        )  # fmt: skip

    async def send(self, where: Address, name: str, data: bytes, buttons: Sequence[Button] = ()) -> str:
        """Send a file; Discord shows a picture."""
        view = {"view": _view(Page("", (), tuple(buttons)))} if buttons else {}
        return await self._send(where, "", file=discord.File(io.BytesIO(data), name), **view)

    async def sign(self, where: Address, sign: str) -> None:
        """React to the asker's message."""
        if self._signs and where.message and not where.via and self._client.user:
            message = self._channel(where).get_partial_message(int(where.message))
            with _mapped():
                if sign:
                    await message.add_reaction(_SIGNS[sign])
                if sign != "seen":  # which may not be there
                    await message.remove_reaction(_SIGNS["seen"], self._client.user)

    async def notify(self, press: str, text: str) -> None:
        """Say something to the one who pressed a button, and to nobody else."""
        if via := Via.read(press):
            with _mapped():
                await self._client.acknowledged(via.interaction)
                await self._hook(via).send(text, ephemeral=True)

    async def direct(self, person: str) -> Address:
        """The channel of our direct messages."""
        with _mapped():
            channel = await self._client.create_dm(discord.Object(int(person.rpartition(":")[2])))
        return Address(PLATFORM, str(channel.id))

    async def _send(self, where: Address, nonce: str, **content: Any) -> str:
        via = Via.read(where.via)
        content["suppress_embeds"] = True  # what an answer links to is not looked up

        async def by_token(hook: discord.Webhook) -> Any:
            if via and via.seen == "whisper" and (await hook.fetch_message(_ORIGINAL)).flags.loading:
                raise Unreachable("its public answer comes first")  # this one would take its place
            return await hook.send(**content, ephemeral=bool(via and via.seen != "public"), wait=True)

        async def by_channel(channel: discord.PartialMessageable) -> Any:
            if where.message:
                content["reference"] = discord.MessageReference(
                    message_id=int(where.message), channel_id=int(where.chat), fail_if_not_exists=False
                )
            if nonce:  # of at most 25 characters
                content["nonce"] = hashlib.sha256(nonce.encode()).hexdigest()[:25]
            return await channel.send(**content)

        return str((await self._by(where, by_token, by_channel)).id)

    async def _by(
        self, where: Address, token: Callable[[discord.Webhook], Awaitable[T]],
        channel: Callable[[discord.PartialMessageable], Awaitable[T]],
    ) -> T:  # fmt: skip
        """Reach a place: by an interaction's token while that is good, else as a member of the channel.

        Where we are no member, and for what only the asker may see, its answer moves to their direct messages; where
        those are closed too it waits until they speak to us.
        """
        via = Via.read(where.via)
        with _mapped():
            if via is None:
                return await channel(self._channel(where))
            if via.chat == where.chat:
                return await self._here(where, via, token, channel)
            try:  # it has moved to their direct messages
                return await channel(self._channel(where))
            except (discord.Forbidden, discord.NotFound) as error:
                if error.code == _UNKNOWN_MESSAGE:
                    raise
                raise Later from error

    async def _here(
        self, where: Address, via: Via, token: Callable[[discord.Webhook], Awaitable[T]],
        channel: Callable[[discord.PartialMessageable], Awaitable[T]],
    ) -> T:  # fmt: skip
        await self._client.acknowledged(via.interaction)
        if discord.utils.utcnow() - discord.utils.snowflake_time(int(via.interaction)) < TOKEN_LIFE:
            try:
                return await token(self._hook(via))
            except discord.HTTPException as error:
                others = error.code == _UNKNOWN_MESSAGE and via.seen == "public"  # a former token's
                if error.code not in _TOKEN_OVER and not others:
                    raise
        if via.seen == "public" or not where.group:  # direct messages are their person's own
            try:
                return await channel(self._channel(where))
            except (discord.Forbidden, discord.NotFound) as error:
                if error.code == _UNKNOWN_MESSAGE:
                    raise
        try:
            direct = await self._client.create_dm(discord.Object(int(via.user)))
        except (discord.Forbidden, discord.NotFound) as error:
            raise Later from error
        raise Later if str(direct.id) == where.chat else Moved(str(direct.id))

    def _hook(self, via: Via) -> discord.Webhook:
        data: Any = {"id": self._client.application_id, "type": 3, "token": via.token}
        return discord.Webhook.from_state(data, self._client.state)

    def _channel(self, where: Address) -> discord.PartialMessageable:
        return self._client.get_partial_messageable(int(where.chat))


_ORIGINAL: Any = "@original"  # the library wants a number here, and passes on what it gets


def _view(page: Page) -> discord.ui.View:
    view = discord.ui.View(timeout=None)
    for at, button in enumerate(page.buttons):
        view.add_item(Press(button.code, button.label, at // ROW))
    view.stop()  # presses are known by their id: the library need not keep a view of every message
    return view


async def serve(storage: StorageSettings, settings: BotSettings, stop: asyncio.Event) -> None:
    """Run the Discord role until `stop`. Raises BadToken, NoIntent."""
    if not settings.discord_token:
        raise BadToken
    Route.BASE = f"{settings.discord_api_url}/api/v10"
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(settings.discord_gateway_url)
    assets: Any = discord.Asset
    if not settings.discord_api_url.endswith("//discord.com"):  # what stands in for Discord has its pictures too
        assets.BASE = settings.discord_api_url
    names, held = list[str](), Held(storage.data_dir / "held")
    sees, scopes = settings.discord_message_content, ("bot", "applications.commands")
    async with living(storage, PLATFORM, lambda: {PLATFORM: names[0]} if names else {}) as (stores, _):
        wait = 1.0
        while not stop.is_set():
            async with Client(stores.inbox(PLATFORM), held, _proxy(settings), sees=sees) as client:
                try:
                    await first_of(stop.wait(), client.login(settings.discord_token))
                except discord.LoginFailure as error:
                    raise BadToken from error
                except AWAY as error:
                    log.warning("Discord cannot be reached: %s", type(error).__name__)
                    await first_of(stop.wait(), asyncio.sleep(wait))
                    wait = min(2 * wait, 30.0)
                    continue
                if stop.is_set():
                    return
                names.append(discord.utils.oauth_url(client.application_id or 0, permissions=RIGHTS, scopes=scopes))
                await _run(client, settings, stores, stop)
                return


async def _run(client: Client, settings: BotSettings, stores: Stores, stop: asyncio.Event) -> None:
    limits = stores.limits(Rules(settings.allow, settings.deny, settings.admins, settings.open))
    home = urlsplit(settings.discord_api_url).hostname or ""
    async with aiohttp.ClientSession(trust_env=True, timeout=aiohttp.ClientTimeout(total=60)) as session:
        surface = DiscordSurface(client, session, home, signs=settings.reactions)
        await first_of(work(surface, stores, limits, stop), _stay(client), client.housekeeping())


async def _stay(client: Client) -> None:
    """Keep the gateway open; the library itself resumes it. Raises BadToken, NoIntent."""
    while True:
        try:
            await client.connect()
        except discord.PrivilegedIntentsRequired as error:
            raise NoIntent from error
        except discord.ConnectionClosed as error:
            raise (BadToken if error.code == 4004 else error) from error
        except AttributeError as error:  # of discord.py 2.7, when its very first connection fails
            log.warning("Discord's gateway cannot be reached: %s", error)
            await asyncio.sleep(1)


def _proxy(settings: BotSettings) -> str | None:
    """The environment's proxy, as every other library takes it by itself."""
    url = urlsplit(settings.discord_api_url)
    return None if proxy_bypass(url.hostname or "") else getproxies().get(url.scheme)


@contextmanager
def _mapped() -> Generator[None]:
    """discord.py's errors as SurfaceError. Their texts may hold tokens: none is passed on."""
    try:
        yield
    except discord.RateLimited as error:
        raise Flooded(error.retry_after) from error
    except discord.HTTPException as error:
        raise _http(error) from error
    except AWAY as error:
        raise Unreachable(type(error).__name__) from error


def _http(error: discord.HTTPException) -> SurfaceError:
    if error.code == _UNKNOWN_MESSAGE:
        return Gone()
    if error.status == 429:
        return Flooded(float(error.response.headers.get("Retry-After", 5)))
    if error.status in (403, 404):
        return Closed()
    if error.status == 400:
        return Unfit(str(error.code))
    return Unreachable(str(error.status))
