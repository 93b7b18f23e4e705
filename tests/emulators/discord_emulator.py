"""A Discord over real HTTP and WebSocket for tests: its users are Python objects, its bot is whoever knows the token.

It outlives its bots: kill one with SIGKILL, start the next. How a test uses it::

    async with DiscordEmulator() as discord:                 # message_content=True: the privileged intent is enabled
        # the bot: Route.BASE = f"{discord.api_url}/api/v10", DEFAULT_GATEWAY = discord.gateway_url,
        # Asset.BASE = discord.cdn_url, token = discord.token
        ann, channel = discord.user(1001, locale="zh-CN"), discord.guild().channel("general")
        asked = await ann.slash("ask", channel, question="what?", image=("a.png", b"..."))   # or bytes
        await asked.answered()                               # the callback: {"type": 5, ...}; asked.acked when
        answer = await asked.shows()                         # @original as soon as it is not "thinking"
        asked.followups, asked.callback, discord.failed(asked), discord.expire_token(asked), discord.redeliver(asked)
        pressed = await ann.press(answer, "Stop")            # by label or custom_id; menus: values=[...]
        modal = await (clicked := await ann.context("Ask about this image", message)).shows_modal()
        sent = await ann.submit(clicked, {"question": "what?"})       # by custom_id or label; file uploads: [bytes]
        said = await ann.says(channel, "what?", [("a.png", b"...")], reply_to=message, mention=True, ping=False)
        await ann.dm("hello"); await ann.edits(said, "hi"); await ann.deletes(said); await ann.forwards(channel, said)
        await (await ann.types("ask", "style", "po", channel)).offers()           # autocomplete
        await ann.reads_when(channel, lambda texts: texts == ["done"])  # the bot's texts as ann reads them
        await channel.wait_for(lambda texts: ...)            # the same without ephemeral ones
        ann.sees(channel), ann.reads(channel), ann.only_i_see(channel), ann.private, channel.bot_messages()
        channel.thread("t"), discord.group_dm(ann, ben), channel.deny("send_messages"), channel.remove(), ann.blocked
        discord.user(7, installed=True), discord.guild(8, "Else", bot_inside=False)     # a user-installed application

`says` takes embeds=[discord.embed(b"...")] and sticker_items=[discord.sticker(b"...")]. `message["pings"]` are whom a
message notified, `thinking()` the deferred answers still awaited. `calls` are all requests with their times,
`unknown` those to routes that are not there, `gateway.log` what the gateway saw, `synced` the commands as they came.
Wrong on order: flood, fail_next, delay_next, drop_next (by route, see discord_rest.ROUTES), limits.rates, lose_file,
clock.shift, interactions.ack_seconds and .token_seconds, refuse_connections, and gateway.drop(), .reconnect(),
.invalidate(), .close(code), .forget(), .deaf, .heartbeat_ms. A clock.shift below 0 makes messages of long ago.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiohttp import web

from tests.emulators.discord_gateway import Gateway
from tests.emulators.discord_http import REAL_RATES, Ask, Call, Fault, Faults, Limits, RateLimited, read, reply
from tests.emulators.discord_interactions import Interaction
from tests.emulators.discord_places import Channel
from tests.emulators.discord_rest import OPEN, ROUTES, Rest
from tests.emulators.discord_rules import ApiError, invalid
from tests.emulators.discord_shapes import BOT_ID, LOADING
from tests.emulators.discord_world import World, signature
from tests.emulators.server import Json, LocalServer, cut
from tests.emulators.telegram_faults import page

TOKEN = "MTEwMDAwMDAwMDAwMDAwMDAwMg.Emulat.TokenForTests_0123456789abcdefghij"
DOWNLOAD = "GET /attachments"  # the name of the CDN among the routes
_PUBLIC = ("stickers", "external")  # what of the CDN needs no signature


class DiscordEmulator(LocalServer):
    """Discord for one bot; an async context manager; see the module.

    message_content: whether the application has that privileged intent, which decides what its HTTP requests show;
    what its gateway shows is decided by the intents with which it identified. enforce_rates: Discord's known rates.
    """

    def __init__(self, *, port: int = 0, message_content: bool = False, enforce_rates: bool = False) -> None:
        routes = [web.route(*self._bound(name)) for name in ROUTES]
        routes += [web.get(path, self._on_gateway) for path in ("/gateway", "/gateway/", "/resume/")]
        routes += [web.get(f"/{kind}attachments/{{rest:.+}}", self._on_file) for kind in ("", "ephemeral-")]
        routes += [web.get(f"/{kind}/{{rest:.+}}", self._on_file) for kind in _PUBLIC]
        routes += [web.route("*", "/{rest:.*}", self._on_unknown)]
        super().__init__(routes, port=port)
        self.token = TOKEN
        self.gateway = Gateway(TOKEN)
        self.world = world = World(self.changes, self.gateway.tell, message_content=message_content)
        self.gateway.world = world
        self.rest = Rest(world)
        self.limits, self.calls, self.unknown = Limits(), list[Call](), list[Call]()
        self.limits.rates |= REAL_RATES if enforce_rates else {}
        self.latency = 0.0  # seconds before each request is served
        self.bot_id, self.clock, self.interactions = BOT_ID, world.clock, world.interactions
        self.user, self.guild, self.group_dm, self.dm_between = (
            world.user,
            world.guild,
            world.group_dm,
            world.dm_between,
        )
        self.sticker, self.embed = world.sticker, world.embed
        self.lose_file, self.synced = world.lose_file, world.commands.synced
        self.failed, self.redeliver = self.interactions.failed, self.interactions.deliver
        self.refuse_connections, self.drop = self.gateway.refuse, self.gateway.drop
        self._faults = Faults()

    @property
    def api_url(self) -> str:
        """What ASKPIX_DISCORD_API_URL is: the routes are under /api/v10 of it."""
        return self.url

    @property
    def cdn_url(self) -> str:
        """Where files are."""
        return self.url

    @property
    def gateway_url(self) -> str:
        """What ASKPIX_DISCORD_GATEWAY_URL is."""
        return f"ws://127.0.0.1:{self.port}/gateway/"

    async def start(self) -> None:
        """Listen; the port, and so the addresses, are known from now on."""
        await super().start()
        self.world.cdn_url, self.rest.gateway_url = self.cdn_url, self.gateway_url
        self.gateway.url = f"ws://127.0.0.1:{self.port}/resume/"

    async def stop(self) -> None:
        """Close the port and cut the gateway's sockets; everything that happened is kept."""
        self.gateway.drop()
        await super().stop()

    def expire_token(self, interaction: Interaction) -> None:
        """Let an interaction's token be no longer good, as after 15 minutes."""
        interaction.expired = True

    def flood(self, where: Channel | Interaction | str, seconds: float) -> None:
        """Answer 429 to all that goes to a channel or by an interaction's token; "global" to everything."""
        key = where if isinstance(where, str) else where.token if isinstance(where, Interaction) else str(where.id)
        self.limits.flood(key, seconds)

    def fail_next(
        self, route: str, status: int, code: int = 0, message: str = "", times: int = 1, *, html: bool = False
    ) -> None:
        """Refuse the next requests of a route without doing their work; `html`: with a page that is no JSON."""
        self._order(
            route, Fault(ApiError(code, status=status, message=message or str(status) * (not code)), html=html), times
        )

    def limit_next(self, route: str, retry_after: float, scope: str = "user", times: int = 1) -> None:
        """Answer 429 to the next requests of a route."""
        self._order(route, Fault(RateLimited(retry_after, scope)), times)

    def delay_next(self, route: str, seconds: float, times: int = 1) -> None:
        """Let the next requests of a route wait."""
        self._order(route, Fault(seconds=seconds), times)

    def faults_due(self, route: str) -> int:
        """How many requests of a route are still to fail, be late or be cut."""
        return self._faults.due(route)

    def drop_next(self, route: str, times: int = 1, *, after_processing: bool = True) -> None:
        """Cut the connection of the next requests of a route, by default when the work is done: the reply is lost."""
        self._order(route, Fault(drop=True, after=after_processing), times)

    def called(self, route: str, path: str = "") -> list[Call]:
        """The requests of a route whose path holds `path`, oldest first."""
        if route not in ROUTES and route != DOWNLOAD:
            raise ValueError(f"{route} is no route")
        return [call for call in self.calls if call.route == route and path in call.path]

    def _order(self, route: str, fault: Fault, times: int) -> None:
        self.called(route)
        self._faults.add(route, fault, times)

    def _bound(self, name: str) -> tuple[str, str, Any]:
        method, path = name.split(" ")

        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._on_call(request, name)

        return method, f"/api/v10{path}", handle

    async def _on_call(self, request: web.Request, route: str) -> web.StreamResponse:
        at, fault = time.perf_counter(), self._faults.take(route)
        ask, headers, code = Ask(request.match_info, request.query), dict[str, str](), 0
        try:
            ask = await read(request)
            if self.latency or fault.seconds:
                await asyncio.sleep(self.latency + fault.seconds)
            if route not in OPEN and request.headers.get("Authorization") != f"Bot {self.token}":
                raise ApiError(0, status=401, message="401: Unauthorized")
            headers = self.limits.take(route, ask)
            if fault.error:
                raise fault.error
            result = ROUTES[route](self.rest, ask) if not fault.drop or fault.after else None
            response = reply(result, headers=headers)
        except (KeyError, TypeError, ValueError, AttributeError) as error:  # fields that are missing or of another type
            malformed = invalid("_", "MALFORMED", repr(error))
            code, response = 50035, reply(malformed.body, malformed.status, headers)
        except ApiError as error:
            code, response = error.body["code"], reply(error.body, error.status, headers)
        except RateLimited as limited:
            response = limited.response()
        if fault.html:
            response = page(response.status)
        return self._answered(
            request,
            Call(at, "", "", route, ask.body, tuple(each.name for each in ask.files), response.status, code, 0.0),
            response,
            fault,
        )

    async def _on_file(self, request: web.Request) -> web.StreamResponse:
        at, fault = time.perf_counter(), self._faults.take(DOWNLOAD)
        if self.latency or fault.seconds:
            await asyncio.sleep(self.latency + fault.seconds)
        found = next((file for file in self.world.files.values() if file.path == request.path), None)
        if isinstance(fault.error, ApiError):
            response = page(fault.error.status)
        elif found and not found.lost and self._signed(request):
            response = web.Response(body=found.content, content_type=found.content_type)
        else:
            response = web.Response(text="This content is no longer available.", status=404)
        return self._answered(request, Call(at, "", "", DOWNLOAD, None, (), response.status, 0, 0.0), response, fault)

    def _signed(self, request: web.Request) -> bool:
        if request.path.split("/")[1] in _PUBLIC:
            return True
        until = request.query.get("ex", "0")
        return request.query.get("hm") == signature(request.path, until) and int(until, 16) > self.clock.now()

    async def _on_unknown(self, request: web.Request) -> web.StreamResponse:
        call = Call(time.perf_counter(), "", "", "", None, (), 404, 0, 0.0)
        response = self._answered(request, call, reply({"message": "404: Not Found", "code": 0}, 404), Fault())
        self.unknown.append(self.calls[-1])
        return response

    async def _on_gateway(self, request: web.Request) -> web.StreamResponse:
        return await self.gateway.serve(request)

    def _answered(self, request: web.Request, call: Call, response: web.Response, fault: Fault) -> web.StreamResponse:
        status = 0 if fault.drop else call.status
        self.calls.append(
            call._replace(method=request.method, path=request.path, status=status, answered=time.perf_counter())
        )
        self.changes.notify()
        return cut(request) if fault.drop else response

    def thinking(self) -> list[Json]:
        """The deferred answers that are still awaited, wherever."""
        return [each for place in self.world.channels.values() for each in place.messages if each["flags"] & LOADING]

    def commands(self) -> list[Json]:
        """The registered global commands."""
        return self.world.commands.registered[0]
