"""The page at localhost: the one file that knows Gradio. A visitor is a secret cookie and sees one chat at a time.

What a chat shows is kept in a small file, so that it is there again after a reload or a restart: delivery writes it,
the page shows it. Questions take everybody's road, through the durable inbox.
"""

# Gradio's own types are loose.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportPrivateImportUsage=false

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any

import gradio as gr
import msgspec
import uvicorn
from fastapi import FastAPI, Request, Response
from PIL import Image, ImageDraw

from bots.buttons import CELLS
from bots.intake import work
from bots.photos import MAX_MEGABYTES
from bots.phrases import LANGUAGES, language_of, phrases, say
from bots.reporting import status_lines
from bots.settings import WebSettings
from bots.surface import Button, Closed, FileRef, Gone, Incoming, Page, Rate
from bots.tasks import TASKS
from storage.connection import persist
from storage.keys import HISTORY_TTL
from storage.limits import Limits, Rules
from storage.messages import Address, decode, encode
from storage.settings import StorageSettings
from storage.stores import Stores, living

PLATFORM = "web"
LOOK = 2.0  # seconds between looks at the model and the figures
SOMETIMES = ("stop", "again", "closer", "code", *CELLS)  # buttons that are there while a message has them
FILES = ["image", "video", ".pdf", ".tif", ".tiff"]

# The browser itself keeps every request at home, whatever an answer links to.
_POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'self'; form-action 'self'"
_MATH = [{"left": "$$", "right": "$$", "display": True}, {"left": "\\(", "right": "\\)", "display": False}]
_HEIGHT = "max(14rem, calc(100dvh - 18rem))"
_CSS = """#chat img {max-height: 11rem} #chat .examples {display: flex; flex-wrap: wrap; justify-content: center}
#chat .example {width: auto; flex: none} #chat :is(.example-icon, .example-image-container) {width: 4rem; height: 3rem}
#chat button:is([aria-label=Share], [aria-label=Clear]) {display: none}"""  # Share would upload to Gradio's makers


class _Chat(msgspec.Struct):
    """What one visitor sees: `user-token`, Gradio's messages by number, and what the files in them are links to."""

    id: str
    lines: dict[str, dict[str, Any]] = {}
    uploads: list[str] = []

    def under(self, code: str) -> str | None:
        """The message under which this button stands: the one that is being written now, or the newest."""
        found = [number for number, line in self.lines.items() if code in line["buttons"]]
        return found[0 if code == "stop" else -1] if found else None

    def has(self, code: str) -> bool:
        """Whether this button is there: while an answer is written only what stops it."""
        return bool(self.under(code)) and (code == "stop" or not self.under("stop"))


class _Site:
    """A Surface on visitors' chats, kept in `folder`, of which only `files` is served; and what visitors do there."""

    platform = PLATFORM
    offers: tuple[str, ...] = ("again",)
    read = staticmethod(lambda raw: decode(raw, Incoming))
    rate = staticmethod(lambda where: Rate(1000, 0.001))
    pages = staticmethod(lambda markdown: [Page(markdown)])
    fetch = staticmethod(lambda file: asyncio.to_thread(Path(file.id).read_bytes))

    def __init__(self, folder: Path, stores: Stores) -> None:
        self.files, self._kept, self._stores = folder / "files", folder / "chats", stores
        self._chats: dict[str, _Chat] = {}
        self._changes: dict[str, asyncio.Event] = {}
        for path in (self.files, self._kept):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in (*self.files.rglob("*.*"), *self._kept.iterdir()):
            if path.stat().st_mtime < time.time() - stores.images.ttl:
                path.unlink()

    async def place(self, where: Address, page: Page, nonce: str = "") -> str:
        return self._add(self._chat(where), _line(page))

    async def edit(self, where: Address, slot: str, page: Page) -> None:
        chat = self._chat(where)
        if slot not in chat.lines:
            raise Gone
        chat.lines[slot] = _line(page)
        self._show(chat, keep="stop" not in chat.lines[slot]["buttons"])  # what is being written is written again

    async def remove(self, where: Address, slot: str) -> None:
        self._chat(where).lines.pop(slot, None)
        self._show(self._chat(where))

    async def send(self, where: Address, name: str, data: bytes, buttons: Sequence[Button] = ()) -> str:
        chat = self._chat(where)
        (folder := self.files / chat.id / secrets.token_hex(8)).mkdir(mode=0o700, parents=True)
        (path := folder / name).write_bytes(data)
        codes = [button.code for button in buttons]
        return self._add(chat, {"role": "assistant", "content": [{"path": str(path)}], "buttons": codes})

    # The message itself says these.
    async def typing(self, where: Address) -> None: ...
    async def sign(self, where: Address, sign: str) -> None: ...
    async def notify(self, press: str, text: str) -> None: ...

    async def direct(self, person: str) -> Address:
        raise Closed  # nobody can be found who does not look

    async def watch(self, request: gr.Request) -> AsyncGenerator[tuple[Any, ...]]:
        """Show what this visitor sees, and again whenever it changes, as long as the page is open."""
        user, language = request.user
        about, looked = ("", ""), -LOOK
        while True:
            if time.monotonic() - looked >= LOOK:  # not for each piece of an answer
                about, looked = await persist(partial(self._about, language)), time.monotonic()
            chat, change = self._open(user), self._changes.setdefault(user, asyncio.Event())
            yield *about, list(chat.lines.values()), *(gr.update(visible=chat.has(code)) for code in SOMETIMES)
            with suppress(TimeoutError):
                await asyncio.wait_for(change.wait(), LOOK)

    async def ask(self, message: dict[str, Any], request: gr.Request) -> None:
        """Ask what was typed and attached. The files get names of our own, that nobody guesses."""
        text, chat, photos = message["text"].strip(), self._open(request.user[0]), list[FileRef]()
        if text in ("/new", "/forget"):
            await self.press(text[1:], request)
        elif text or message["files"]:
            (folder := self.files / chat.id).mkdir(mode=0o700, exist_ok=True)
            for file in message["files"]:
                path = folder / f"{secrets.token_hex(8)}{Path(file).suffix}"
                os.link(file, path)  # not moved: another visitor may have uploaded the same
                photos.append(FileRef(str(path), path.stat().st_size))
            chat.uploads += [file for file in message["files"] if Path(file).parent != self.files]  # but no examples
            content = [{"path": photo.id} for photo in photos] + ([{"type": "text", "text": text}] if text else [])
            number = self._add(chat, {"role": "user", "content": content, "buttons": []})
            what = {"command": "context"} if text == "/context" else {"text": text, "photos": tuple(photos)}
            await self._put(request, number, **what)

    async def task(self, name: str, message: dict[str, Any], request: gr.Request) -> None:
        """Do a task with what is typed and attached."""
        await self.ask({**message, "text": f"/{name} {message['text']}".strip()}, request)

    async def example(self, chosen: gr.SelectData, request: gr.Request) -> None:
        """Ask an example."""
        file = chosen.value["files"][0]["path"]
        await self.ask({"text": say(request.user[1], "page.example"), "files": [file]}, request)

    async def press(self, code: str, request: gr.Request) -> None:
        """What the buttons do. A chat that is left is closed: its files go, its open asks are stopped."""
        chat = self._open(user := request.user[0])
        if code in ("new", "forget"):
            await self._put(request, "", command="stop")
            shutil.rmtree(self.files / chat.id, ignore_errors=True)
            for path in map(Path, chat.uploads):
                path.unlink(missing_ok=True)
            self._chats[user] = _Chat(f"{user}-{secrets.token_hex(8)}")
            self._show(self._chats[user])
            if code == "forget":
                await self._put(request, "", command=code)
        elif answer := chat.under(code):
            await self._put(request, answer, button=code)

    async def _put(self, request: gr.Request, number: str, **details: Any) -> None:
        user, language = request.user
        chat = f"{PLATFORM}:{(where := Address(PLATFORM, self._open(user).id, number)).chat}"
        name = secrets.token_hex(16)
        id = f"{chat}:{name if 'button' in details else number}"  # what is pressed twice may ask twice
        incoming = Incoming(id, f"{PLATFORM}:{user}", f"{chat}:{user}", where, language, **details)
        await persist(partial(self._stores.inbox(PLATFORM).put, name, encode(incoming)))

    async def _about(self, language: str) -> tuple[str, str]:
        """Which model answers, in plain words, and the figures of the status tab."""
        model, now = await self._stores.health.model(), await self._stores.status()
        code = "none" if now.reason or not model else "demo" if model.demo else "model"
        return say(language, f"page.{code}", model=now.model), "  \n".join(status_lines(language, now))

    def _open(self, user: str) -> _Chat:
        if user not in self._chats:
            self._chats[user] = _Chat(f"{user}-{secrets.token_hex(8)}")
            with suppress(OSError, ValueError):  # a first visit; a file of another version
                self._chats[user] = decode((self._kept / user).read_bytes(), _Chat)
        return self._chats[user]

    def _chat(self, where: Address) -> _Chat:
        if (chat := self._open(where.chat.partition("-")[0])).id != where.chat:
            raise Closed
        return chat

    def _add(self, chat: _Chat, line: dict[str, Any]) -> str:
        number = str(1 + max(map(int, chat.lines), default=0))
        chat.lines[number] = line
        self._show(chat)
        return number

    def _show(self, chat: _Chat, *, keep: bool = True) -> None:
        user = chat.id.partition("-")[0]
        if keep:
            (fresh := self._kept / f"{user}.new").write_bytes(encode(chat))
            fresh.replace(self._kept / user)
        self._changes.pop(user, asyncio.Event()).set()


def _line(page: Page) -> dict[str, Any]:
    text = {"type": "text", "text": page.text}
    return {"role": "assistant", "content": [text], "buttons": [button.code for button in page.buttons]}


def _examples(folder: Path) -> list[Any]:
    """Pictures that the demo model can name, as the chat offers them."""
    offered: list[Any] = []
    for sides, colour in ((36, "red"), (4, "blue"), (3, "green")):
        ImageDraw.Draw(picture := Image.new("RGB", (320, 256), "white")).regular_polygon(
            (160, 128, 80), sides, 0, colour
        )
        picture.save(file := folder / f"example-{colour}.png")
        offered.append({"text": "", "files": [str(file)]})
    return offered


def _blocks(site: _Site, text: Any) -> gr.Blocks:
    quiet: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}
    with gr.Blocks(title="askpix", analytics_enabled=False) as blocks:
        with gr.Tab(text("page_chat")):
            about = gr.Markdown()
            chat = gr.Chatbot(
                examples=_examples(site.files), placeholder=text("page_empty"), height=_HEIGHT, show_label=False,
                buttons=["copy"], latex_delimiters=_MATH, allow_tags=False, elem_id="chat",
            )  # fmt: skip
            box = gr.MultimodalTextbox(
                placeholder=text("page_ask"), show_label=False, autofocus=True, file_count="multiple",
                file_types=FILES,
            )  # fmt: skip
            look: dict[str, Any] = {"size": "sm", "min_width": 80}
            with gr.Row():
                cells = {code: gr.Button(code[-1], visible=False, size="sm", min_width=40) for code in CELLS}
            with gr.Row():
                shown = {code: gr.Button(text(f"page_{code}"), visible=False, **look) for code in SOMETIMES[:4]}
                always = {code: gr.Button(text(f"button_{code}"), **look) for code in ("new", "forget")}
            with gr.Row():
                tasks = {name: gr.Button(text(f"page_{name}"), **look) for name in TASKS}
        with gr.Tab(text("page_status")):
            figures = gr.Markdown()
        blocks.load(site.watch, None, [about, figures, chat, *shown.values(), *cells.values()], **quiet)
        box.submit(site.ask, box, **quiet).then(lambda: None, None, box, **quiet)
        for name, button in tasks.items():
            button.click(site.task, [gr.State(name), box], **quiet).then(lambda: None, None, box, **quiet)
        chat.example_select(site.example, **quiet)
        for code, button in (shown | cells | always).items():
            button.click(site.press, gr.State(code), **quiet)
    return blocks


def _app(site: _Site, settings: WebSettings) -> FastAPI:
    os.environ["GRADIO_TEMP_DIR"] = str(site.files)  # where uploads go, and the one folder that is served
    words = {tag: {code.replace(".", "_"): said for code, said in phrases(tag).items()} for tag in LANGUAGES}
    text, secret, name = gr.I18n(**words), settings.password or "", f"askpix-{settings.port}"
    app = gr.mount_gradio_app(
        FastAPI(openapi_url=None), _blocks(site, text), "/", i18n=text, footer_links=[], run_history=False, css=_CSS,
        show_error=False, max_file_size=MAX_MEGABYTES * 1_000_000, ssr_mode=False, pwa=False, mcp_server=False,
        auth=(lambda _, given: secrets.compare_digest(given.encode(), secret.encode())) if secret else None,
        theme=gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
    )  # fmt: skip

    @app.middleware("http")
    async def guard(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
        """Know every browser by a cookie of ours, keep its requests at home, refuse what other sites' pages send."""
        host, origin = request.headers.get("host", ""), request.headers.get("origin", "")
        ours = secret or host.rpartition(":")[0] in ("localhost", settings.bind)
        if not ours or (origin and origin.partition("//")[2] != host):
            return Response(status_code=403)
        cookie = request.cookies.get(name) or secrets.token_hex(16)  # it cannot be told from the user, nor guessed
        user = hashlib.sha256(cookie.encode()).hexdigest()[:32]
        request.scope["user"] = user, language_of(request.headers.get("accept-language"))
        response = await proceed(request)
        response.headers["content-security-policy"] = _POLICY
        response.set_cookie(name, cookie, HISTORY_TTL, httponly=True, samesite="strict")
        return response

    return app


async def serve(storage: StorageSettings, settings: WebSettings, listening: socket, stop: asyncio.Event) -> None:
    """Run the page's role on a listening socket until `stop`."""
    async with living(storage, PLATFORM, lambda: {"page": f"http://{settings.bind}:{settings.port}"}) as (stores, _):
        site = _Site(storage.data_dir / "web", stores)
        limits = Limits(stores.redis, Rules(open=True), asks_a_minute=1_000_000)  # the owner, and who has the password
        config = uvicorn.Config(_app(site, settings), log_config=None, access_log=False, timeout_graceful_shutdown=1)
        server: Any = uvicorn.Server(config)
        server.capture_signals = nullcontext  # they are the role's
        serving = asyncio.create_task(server.serve([listening]))
        await work(site, stores, limits, stop)
        server.should_exit = True
        await serving
