"""What lies between the socket and the API: requests as they are read, rate limits, faults by order, the record."""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NamedTuple

from aiohttp import web

from tests.emulators.discord_rules import ApiError
from tests.emulators.discord_shapes import Upload
from tests.emulators.server import Json

_FILES = re.compile(r"files\[(\d+)\]")

# What Discord is known to allow; (requests, seconds) a route and channel or token.
REAL_RATES = {
    "POST /channels/{channel_id}/messages": (5, 5.0),
    "PATCH /channels/{channel_id}/messages/{message_id}": (5, 5.0),
    "DELETE /channels/{channel_id}/messages/{message_id}": (5, 1.0),
    "POST /channels/{channel_id}/typing": (5, 5.0),
    "PUT /channels/{channel_id}/messages/{message_id}/reactions/{emoji}/@me": (1, 0.25),
    "POST /webhooks/{app_id}/{token}": (5, 2.0),
    "PATCH /webhooks/{app_id}/{token}/messages/{message_id}": (5, 2.0),
}
_GENEROUS = (1000, 1.0)


@dataclass
class Ask:
    """One request: the parts of its path, its query, its JSON, its files."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any = None
    files: list[Upload] = field(default_factory=list[Upload])

    @property
    def json(self) -> Json:
        """The body where it must be an object."""
        if not isinstance(self.body, dict):
            raise ApiError(50109)
        return self.body  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] : JSON's keys are texts

    def number(self, name: str) -> int:
        """A part of the path that is an id; raises 50035."""
        return snowflake(self.path[name], name)

    def true(self, name: str) -> bool:
        """Whether the query says so."""
        return self.query.get(name, "").lower() in {"1", "true"}


class Call(NamedTuple):
    """One answered request; route as in discord_rest.ROUTES, status 0 a cut connection.

    at and answered are time.perf_counter() of its arrival and of its answer; files are names.
    code is Discord's error code, or 0.
    """

    at: float
    method: str
    path: str
    route: str
    body: Any
    files: tuple[str, ...]
    status: int
    code: int
    answered: float


class RateLimited(Exception):
    """A 429: wait so many seconds; scope is user, shared or global."""

    def __init__(self, seconds: float, scope: str = "user") -> None:
        super().__init__(scope)
        self.seconds, self.scope = max(seconds, 0.001), scope

    def response(self) -> web.Response:
        """What Discord, behind Google's front end, answers."""
        about = {
            "message": "You are being rate limited.",
            "retry_after": self.seconds,
            "global": self.scope == "global",
        }
        headers = {"Via": "1.1 google", "Retry-After": str(int(self.seconds) + 1), "X-RateLimit-Scope": self.scope}
        headers |= {"X-RateLimit-Global": "true"} if self.scope == "global" else {}
        return reply(about, 429, headers)


class Limits:
    """Buckets by route and channel or token. rates: what each route allows; a route without is practically free."""

    def __init__(self) -> None:
        self.rates: dict[str, tuple[int, float]] = {}
        self._windows: dict[tuple[str, str], tuple[float, int]] = {}  # when it ends, what is left
        self._flooded: dict[str, float] = {}  # channel id, token or "global": until, by time.monotonic()

    def flood(self, key: str, seconds: float) -> None:
        """Answer 429 to whatever has this channel id or token in its path; "global": to all."""
        self._flooded[key] = monotonic() + seconds

    def take(self, route: str, ask: Ask) -> dict[str, str]:
        """Count a request; returns the headers of its bucket; raises RateLimited."""
        now = monotonic()
        major = ask.path.get("channel_id") or ask.path.get("token") or ""
        for key, scope in (("global", "global"), (major, "user")):
            if (left := self._flooded.get(key, 0.0) - now) > 0:
                raise RateLimited(left, scope)
        most, seconds = self.rates.get(route, _GENEROUS)
        end, left = self._windows.get((route, major), (0.0, most))
        if end <= now:
            end, left = now + seconds, most
        if not left:
            raise RateLimited(end - now)
        self._windows[route, major] = end, left - 1
        bucket = f"{hash(route) & 0xFFFFFFFFFFFFFFFF:016x}"
        return {
            "X-RateLimit-Limit": str(most),
            "X-RateLimit-Remaining": str(left - 1),
            "X-RateLimit-Reset": f"{time.time() + end - now:.3f}",
            "X-RateLimit-Reset-After": f"{end - now:.3f}",
            "X-RateLimit-Bucket": bucket,
        }


@dataclass(frozen=True)
class Fault:
    """One spoilt request: waits, then answers `error` (as a page of HTML if `html`), or is cut if `drop`.

    A cut one does its work first if `after`.
    """

    error: ApiError | RateLimited | None = None
    seconds: float = 0.0
    html: bool = False
    drop: bool = False
    after: bool = False


class Faults:
    """The faults still to come, by route; "GET /attachments" stands for downloads."""

    def __init__(self) -> None:
        self._coming: defaultdict[str, deque[Fault]] = defaultdict(deque)

    def add(self, route: str, fault: Fault, times: int) -> None:
        """Spoil the next requests of a route."""
        self._coming[route].extend([fault] * times)

    def due(self, route: str) -> int:
        """How many requests of a route are still to be spoiled."""
        return len(self._coming[route])

    def take(self, route: str) -> Fault:
        """The fault of the request that just came; one that does nothing if none is due."""
        coming = self._coming[route]
        return coming.popleft() if coming else Fault()


def snowflake(value: Any, name: str) -> int:
    """An id; raises 50035."""
    if not str(value).isdecimal() or int(value) >= 1 << 64:
        errors = {name: {"_errors": [{"code": "NUMBER_TYPE_COERCE", "message": f'Value "{value}" is not snowflake.'}]}}
        raise ApiError(50035, status=400, message="Invalid Form Body", errors=errors)
    return int(value)


def reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """JSON as Discord sends it: without a charset. None is no content, status 204."""
    if body is None:
        return web.Response(status=204, headers=headers)
    content = json.dumps(body).encode()
    return web.Response(body=content, content_type="application/json", status=status, headers=headers)


async def read(request: web.Request) -> Ask:
    """The request with its body: JSON, or a form of payload_json and files[n]."""
    ask = Ask(request.match_info, request.query)
    if not request.can_read_body:
        return ask
    if request.content_type != "multipart/form-data":
        ask.body = _parsed(await request.text())
        return ask
    numbered: dict[int, Upload] = {}
    for name, value in (await request.post()).items():
        found = _FILES.fullmatch(name)
        if found and isinstance(value, web.FileField):
            with value.file as file:
                numbered[int(found[1])] = Upload(value.filename, file.read())
        elif name == "payload_json" and isinstance(value, str):
            ask.body = _parsed(value)
        else:
            raise ApiError(50109)
    if sorted(numbered) != list(range(len(numbered))):
        raise ApiError(50109)
    ask.files = [numbered[number] for number in sorted(numbered)]
    return ask


def _parsed(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        raise ApiError(50109) from None
