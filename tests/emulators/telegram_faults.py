"""What goes wrong at Telegram by order: refusals, nginx's pages instead of JSON, connections cut at any moment."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web

from tests.emulators.server import cut
from tests.emulators.telegram_rules import ApiError


@dataclass(frozen=True)
class Fault:
    """One spoilt call: `error` is answered, as HTML if `html`; without it the connection is cut.

    A cut one does its work first if `after`, and then gives half of its answer if `half`.
    """

    error: ApiError | None = None
    html: bool = False
    after: bool = False
    half: bool = False


class Faults:
    """The faults that are still to come, by method in lower case; "file" stands for downloads."""

    def __init__(self) -> None:
        self._coming: defaultdict[str, deque[Fault]] = defaultdict(deque)

    def add(self, method: str, fault: Fault, times: int) -> None:
        """Let the next `times` calls of a method fail so."""
        self._coming[method.lower()].extend([fault] * times)

    def due(self, method: str) -> int:
        """How many calls of a method are still to fail."""
        return len(self._coming[method.lower()])

    def take(self, method: str) -> Fault | None:
        """The fault of the call that just came."""
        coming = self._coming[method.lower()]
        return coming.popleft() if coming else None


def page(status: int) -> web.Response:
    """What nginx says when the Bot API server behind it does not answer."""
    title = f"{status} {HTTPStatus(status).phrase}"
    head, body = f"<head><title>{title}</title></head>", f"<center><h1>{title}</h1></center>\r\n<hr>"
    html = f"<html>\r\n{head}\r\n<body>\r\n{body}<center>nginx/1.18.0</center>\r\n</body>\r\n</html>\r\n"
    return web.Response(text=html, content_type="text/html", status=status)


async def deliver(request: web.Request, response: web.Response, fault: Fault | None) -> web.StreamResponse:
    """Give the answer, or as much of it as the fault lets through."""
    if not fault or fault.error:
        return response
    if fault.half and isinstance(response.body, bytes):
        begun = web.StreamResponse(status=response.status, headers=response.headers)
        begun.content_length = len(response.body)
        await begun.prepare(request)
        await begun.write(response.body[: len(response.body) // 2])
    return cut(request)
