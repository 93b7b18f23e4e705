"""A Telegram Bot API server over real HTTP for tests: its users are Python objects, its bot is whoever knows the token.

It outlives its bots: kill one with SIGKILL, start the next, and the updates that none has confirmed are still there.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import defaultdict, deque
from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic
from typing import Any, NamedTuple

import aiohttp
from aiohttp import web

from tests.emulators.server import Json, LocalServer
from tests.emulators.telegram_faults import Fault, Faults, deliver, page
from tests.emulators.telegram_methods import BotApi, Upload, number
from tests.emulators.telegram_rules import ApiError, bad
from tests.emulators.telegram_shapes import file_ids
from tests.emulators.telegram_world import Chat, World

TOKEN = "4242:AAEmulatorTokenForTests_0123456789abcd"

_JSON_PARAMETERS = {
    "reply_markup",
    "entities",
    "caption_entities",
    "link_preview_options",
    "reply_parameters",
    "media",
    "commands",
    "allowed_updates",
    "scope",
    "reaction",
}

_WEBHOOK_ACTIVE = "can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
_OTHER_POLL = "terminated by other getUpdates request; make sure that only one bot instance is running"

# What counts against the rates and what a flooded chat refuses.
_SENDING = {
    "sendmessage",
    "editmessagetext",
    "editmessagereplymarkup",
    "sendphoto",
    "senddocument",
    "sendmediagroup",
    "sendmessagedraft",
}

# (calls, seconds): no more than so many in any such stretch. Telegram publishes the averages, not the burst of 3.
PRIVATE_RATES = ((3, 3.0),)
GROUP_RATES = ((3, 3.0), (20, 60.0))


class Call(NamedTuple):
    """One answered call; method in the bot's spelling, status 0 a cut connection.

    at and answered are time.perf_counter() of its arrival and of its answer.
    """

    at: float
    method: str
    params: Json
    status: int
    answered: float


class TelegramEmulator(LocalServer):
    """Telegram for one bot; an async context manager.

    ASKPIX_TELEGRAM_API_URL is `url`, the bot's token `token`. `world` holds chats and users, `api` what the bot's
    methods left behind (answers, drafts, reactions, commands, file_limit in bytes).
    """

    def __init__(self, *, port: int = 0, enforce_rates: bool = False, privacy: bool = True) -> None:
        routes = [
            web.route("*", "/bot{token}/{method}", self._on_call),
            web.get("/file/bot{token}/{path:.+}", self._on_file),
        ]
        super().__init__(routes, port=port)
        self.token = TOKEN
        self.world = World(self.changes, privacy=privacy)
        self.api = BotApi(self.world)
        self.user, self.group = self.world.user, self.world.group
        self.updates, self.actions = self.world.updates, self.api.actions
        self.calls: list[Call] = []
        self.polls = 0  # getUpdates that wait at this moment
        self.latency = 0.0  # seconds before each call and download is served; long polls are exempt
        self.webhook: Json = {"url": ""}
        self.enforce_rates = enforce_rates
        self._again: list[Json] = []  # updates to deliver once more
        self._faults = Faults()
        self._outsiders = 0  # other pollers with our token
        self._flooded: dict[int, float] = {}  # chat: until, by time.monotonic()
        self._sent: defaultdict[int, deque[float]] = defaultdict(lambda: deque(maxlen=100))
        self._poll: object = None  # the long poll that waits; a newer one ends it
        self._webhooks: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen, and deliver to the webhook if one is set."""
        await super().start()
        self._webhooks = asyncio.create_task(self._serve_webhook())

    async def stop(self) -> None:
        """Close the port; everything that happened is kept."""
        if self._webhooks:
            self._webhooks.cancel()
            await asyncio.wait([self._webhooks])
        await super().stop()

    def flood(self, chat_id: int, seconds: float) -> None:
        """Answer 429 to everything sent to this chat until the time has passed."""
        self._flooded[chat_id] = monotonic() + seconds

    def fail_next(
        self,
        method: str,
        status: int,
        description: str = "",
        times: int = 1,
        retry_after: int = 0,
        *,
        html: bool = False,
    ) -> None:
        """Refuse the next calls of `method` without doing their work; "file" stands for downloads.

        `html`: answer nginx's page of that status, which is no JSON.
        """
        self._faults.add(method, Fault(ApiError(status, description, retry_after), html=html), times)

    def faults_due(self, method: str) -> int:
        """How many calls of a method are still to fail, be late or be cut."""
        return self._faults.due(method)

    def drop_next(self, method: str, *, after_processing: bool = True, times: int = 1, half: bool = False) -> None:
        """Cut the connection of the next calls of `method`, by default when the work is done: the reply is lost.

        `half`: when half of the reply is written; so a download breaks off in the middle.
        """
        self._faults.add(method, Fault(after=after_processing or half, half=half), times)

    def lose_file(self, message: Json, *, lost: bool = True) -> None:
        """Let getFile find no file of this message any more, whichever size; `lost=False` brings them back."""
        ids = set(file_ids(message))
        self.world.lost_files = self.world.lost_files | ids if lost else self.world.lost_files - ids

    def leave_webhook(self, url: str = "http://127.0.0.1:9/left-over") -> None:
        """Let a webhook be set that nobody serves, as another bot leaves it: getUpdates fails until deleteWebhook."""
        self._set_webhook({"url": url})

    @contextmanager
    def second_poller(self) -> Generator[None]:
        """Let somebody else poll with our token meanwhile: each getUpdates of ours is ended with 409.

        The stranger confirms nothing, so that no update is lost to us.
        """
        self._outsiders += 1
        self.changes.notify()
        try:
            yield
        finally:
            self._outsiders -= 1

    def block(self, chat: Chat, *, blocked: bool = True) -> None:
        """Let the user block the bot, or the group throw it out: 403."""
        chat.blocked = blocked

    def redeliver(self, update: Json, times: int = 1) -> None:
        """Deliver an update of `updates` again under its old id, confirmed or not."""
        self._again.extend([update] * times)
        self.changes.notify()

    async def _on_call(self, request: web.Request) -> web.StreamResponse:
        at, method = time.perf_counter(), request.match_info["method"]
        params: Json = {}
        fault = self._faults.take(method)
        try:
            params = await _decode(request)
            if request.match_info["token"] != self.token:
                raise ApiError(401, "Unauthorized")
            if self.latency and method.lower() != "getupdates":
                await asyncio.sleep(self.latency)
            if fault and fault.error:
                raise fault.error
            result = await self._perform(method.lower(), params, request) if not fault or fault.after else None
            status, answer = 200, Json(ok=True, result=result)
        except ApiError as error:
            status, answer = error.code, Json(ok=False, error_code=error.code, description=error.description)
            if error.parameters:
                answer["parameters"] = error.parameters
        dropped = fault is not None and fault.error is None
        response = page(status) if fault and fault.html else web.json_response(answer, status=status)
        self.calls.append(Call(at, method, params, 0 if dropped else status, time.perf_counter()))
        self.changes.notify()
        return await deliver(request, response, fault)

    async def _on_file(self, request: web.Request) -> web.StreamResponse:
        at, path = time.perf_counter(), request.match_info["path"]
        fault = self._faults.take("file")
        if self.latency:
            await asyncio.sleep(self.latency)
        found = [file.content for file in self.world.files.values() if file.path == path]
        status = 200 if found and request.match_info["token"] == self.token else 404
        if fault and fault.error:
            status = fault.error.code
        response = web.Response(body=found[0] if status == 200 else b"", status=status)
        if fault and fault.html:
            response = page(status)
        recorded = status if not fault or fault.error else 0
        self.calls.append(Call(at, "file", {"path": path}, recorded, time.perf_counter()))
        self.changes.notify()
        return await deliver(request, response, fault)

    async def _perform(self, method: str, params: Json, request: web.Request) -> Any:
        if method == "getupdates":
            return await self._get_updates(params, request)
        if method in {"setwebhook", "deletewebhook"}:
            return self._set_webhook(params)
        if method == "getwebhookinfo":
            pending = {"pending_update_count": len(self.world.pending), "has_custom_certificate": False}
            return {key: value for key, value in self.webhook.items() if key != "secret_token"} | pending
        if method in _SENDING:
            self._check_rate(number(params.get("chat_id")), len(params.get("media", [])) or 1)
        return self.api.call(method, params)

    async def _get_updates(self, params: Json, request: web.Request) -> list[Json]:
        if self.webhook["url"]:
            raise ApiError(409, f"Conflict: {_WEBHOOK_ACTIVE}")
        world, offset = self.world, int(params.get("offset", 0))
        world.allowed_updates = params.get("allowed_updates", world.allowed_updates)
        if offset < 0:
            world.pending = world.pending[offset:]
        world.pending = [update for update in world.pending if update["update_id"] >= offset]
        self._poll = poll = object()
        self.changes.notify()  # an older poll sees that it is over
        deadline = time.perf_counter() + min(int(params.get("timeout", 0)), 50)
        if self._outsiders:
            raise ApiError(409, f"Conflict: {_OTHER_POLL}")
        self.polls += 1
        try:
            if not await self._something_to_deliver(poll, deadline, request):
                return []
        finally:
            self.polls -= 1
        batch = [*self._again, *world.pending][: min(max(int(params.get("limit", 100)), 1), 100)]
        del self._again[: len(batch)]
        return batch

    async def _something_to_deliver(self, poll: object, deadline: float, request: web.Request) -> bool:
        while not (self._again or self.world.pending):
            if (left := deadline - time.perf_counter()) <= 0:
                return False
            await self.changes.wait(left)
            if self.stopping or request.transport is None:  # nobody will read an answer: keep the updates
                return False
            if self._poll is None:
                raise ApiError(409, "Conflict: terminated by setWebhook request")
            if self._outsiders or self._poll is not poll:
                raise ApiError(409, f"Conflict: {_OTHER_POLL}")
        return True

    def _set_webhook(self, params: Json) -> bool:
        names = ("url", "secret_token", "max_connections", "allowed_updates")
        self.webhook = {"url": ""} | {name: params[name] for name in names if name in params}
        self.world.allowed_updates = params.get("allowed_updates", self.world.allowed_updates)
        if str(params.get("drop_pending_updates")).lower() == "true":
            self.world.pending.clear()
        self._poll = None
        self.changes.notify()
        return True

    async def _serve_webhook(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
            while True:
                waiting = self._again or self.world.pending
                if not (self.webhook["url"] and waiting):
                    await self.changes.wait(60)
                    continue
                update = waiting[0]
                if await self._post_update(http, update):
                    if waiting[:1] == [update]:  # it may have been dropped meanwhile
                        waiting.pop(0)
                        self.changes.notify()
                else:
                    await asyncio.sleep(0.1)  # Telegram waits longer between its attempts

    async def _post_update(self, http: aiohttp.ClientSession, update: Json) -> bool:
        secret = self.webhook.get("secret_token")
        headers = {"X-Telegram-Bot-Api-Secret-Token": secret} if secret else {}
        try:
            async with http.post(self.webhook["url"], json=update, headers=headers) as response:
                why = "" if response.ok else f"Wrong response from the webhook: {response.status} {response.reason}"
        except (aiohttp.ClientError, TimeoutError) as error:
            why = f"Connection failed: {type(error).__name__}"
        if why:
            self.webhook |= {"last_error_date": int(time.time()), "last_error_message": why}
            self.changes.notify()
        return not why

    def _check_rate(self, chat_id: int, count: int) -> None:
        now, sent = monotonic(), self._sent[chat_id]
        free = self._flooded.get(chat_id, 0.0)
        for calls, seconds in (GROUP_RATES if chat_id < 0 else PRIVATE_RATES) if self.enforce_rates else ():
            beside = max(calls - count, 0)  # so many earlier calls may lie in the stretch with these
            if len(sent) > beside:
                free = max(free, sent[-1 - beside] + seconds)
        if free > now:
            wait = math.ceil(free - now)
            raise ApiError(429, f"Too Many Requests: retry after {wait}", wait)
        sent.extend([now] * count)


async def _decode(request: web.Request) -> Json:
    """Parameters of the query, a form, a multipart form or JSON; files are Uploads."""
    params: Json = dict(request.query)
    if request.content_type == "application/json":
        params |= await request.json()
    elif request.can_read_body:
        for name, value in (await request.post()).items():
            if isinstance(value, web.FileField):
                params[name] = Upload(value.file.read(), value.filename, value.content_type)
            else:
                params[name] = value
    for name in _JSON_PARAMETERS & params.keys():
        if isinstance(params[name], str):
            try:
                params[name] = json.loads(params[name])
            except ValueError:
                raise bad(f"can't parse {name} JSON object") from None
    return params
