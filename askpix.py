"""The command line. It reads the settings, puts the parts together and holds no logic of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from bots.phrases import language_of, say
from bots.settings import BotSettings
from inference.settings import InferenceSettings
from storage.embedded import Store, StoreUnavailable
from storage.heartbeat import Heartbeat, Schedule, roles
from storage.limits import Rules
from storage.logs import setup
from storage.roles import Instance, Role, Supervisor, environment, run_until_signal
from storage.settings import PREFIX, BadSetting, StorageSettings, check_names, present, read, variables
from storage.stores import Stores, open_stores
from storage.tasks import end, first_of

SETTINGS = (StorageSettings, InferenceSettings, BotSettings)
DEMO = "askpix-demo"
SWEEP = 3600.0  # seconds between clearings of the photo index
START = 60.0  # seconds for the first engine to come up

T = TypeVar("T")
app = typer.Typer(name="askpix", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _say(code: str, **args: object) -> str:
    environ = os.environ
    return say(language_of(environ.get("LC_ALL") or environ.get("LC_MESSAGES") or environ.get("LANG")), code, **args)


def _language() -> str:
    return _say("language")


def _fail(sentence: str, status: int = 1) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(status)


def _settings(kind: type[T]) -> T:
    """A settings object, or one sentence and exit 2."""
    try:
        check_names(os.environ, SETTINGS)
        return read(kind, os.environ)
    except BadSetting as error:
        name = error.details["name"].removeprefix(PREFIX)
        meaning = _say(f"setting.{name}") if error.code == "bad_setting" else ""
        _fail(_say(f"cli.{error.code}", **error.details, meaning=meaning), 2)


def _run(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run a role or a command until it ends or is told to; what cannot start says so in one sentence."""
    try:
        asyncio.run(run_until_signal(main))
    except StoreUnavailable as error:
        _fail(_say(f"cli.{error.code}", **error.details))


@asynccontextmanager
async def _stores(settings: StorageSettings) -> AsyncGenerator[Stores]:
    async with Store(settings.data_dir, settings.redis_url) as url, open_stores(url, settings.photo_mb) as stores:
        yield stores


@asynccontextmanager
async def _role(
    name: str, figures: Callable[[], Mapping[str, str | int | float]]
) -> AsyncGenerator[tuple[Stores, str]]:
    """What every role needs: its stores, its stable name, and a heartbeat while it lives."""
    settings = _settings(StorageSettings)
    with Instance(settings.data_dir, name) as instance:
        async with _stores(settings) as stores, Schedule() as schedule:
            async with Heartbeat(stores.redis, schedule, instance, name, version("askpix"), figures):
                schedule.every(SWEEP, stores.images.sweep)
                yield stores, instance


@app.command()
def worker() -> None:
    """Run a worker."""
    _run(_worker)


async def _worker(stop: asyncio.Event) -> None:
    from inference.answer import Answerer
    from inference.embedded import read_address
    from inference.engine import Engine, EngineAddress, Wishes
    from inference.worker import Worker

    storage, settings = _settings(StorageSettings), _settings(InferenceSettings)
    setup(storage.log_level, [settings.engine_key or ""])

    def address() -> EngineAddress | None:
        if settings.engine_url:
            return EngineAddress(settings.engine_url, settings.engine_key)
        found = read_address(storage.data_dir)
        return EngineAddress(found.url, found.key, found.model) if found else None

    wishes = Wishes(settings.model if settings.engine_url else None, settings.concurrency, settings.context_tokens)
    made: list[Worker] = []
    async with Engine(address, wishes) as engine:
        async with _role("worker", lambda: made[0].figures() if made else {}) as (stores, instance):
            answerer = Answerer(engine, stores.queue, stores.replies, stores.history, stores.images)
            made.append(Worker(instance, engine, stores.queue, answerer, stores.health))
            await made[0].run(stop)


@app.command()
def engine() -> None:
    """Run the CPU engine."""
    _run(_engine)


async def _engine(stop: asyncio.Event) -> None:
    from inference.embedded import DEMO as DEMO_FOLDER
    from inference.embedded import EmbeddedFailed, EmbeddedSettings, EngineAddress, serve

    storage, settings = _settings(StorageSettings), _settings(InferenceSettings)
    setup(storage.log_level, [])
    wanted = EmbeddedSettings(
        storage.data_dir, Path(settings.model) if settings.model else DEMO_FOLDER,
        settings.context_tokens or 0, settings.concurrency or 4,
    )  # fmt: skip
    ready = asyncio.Event()
    model: list[EngineAddress] = []

    def known(address: EngineAddress) -> None:
        model[:] = [address]
        ready.set()

    async def live() -> None:
        await ready.wait()
        async with _role("engine", lambda: {"model": model[0].model.name, "url": model[0].url}):
            await stop.wait()

    try:
        await first_of(serve(wanted, known), live(), stop.wait())
    except EmbeddedFailed as error:
        _fail(_say(f"cli.{error.code}", detail=error.detail))


@app.command()
def telegram() -> None:
    """Run the Telegram bot."""
    _run(_telegram)


async def _telegram(stop: asyncio.Event) -> None:
    from bots.telegram_bot import BadToken, serve

    storage, settings = _settings(StorageSettings), _settings(BotSettings)
    setup(storage.log_level, [settings.telegram_token or ""])
    if not settings.telegram_token:
        _fail(_say("cli.no_token"))
    names: list[str] = []
    try:
        async with _role("telegram", lambda: {"bot": names[0]} if names else {}) as (stores, _):
            await serve(settings, stores, stop, names.append)
    except BadToken:
        _fail(_say("cli.bad_token"))


@app.command()
def up() -> None:
    """Run everything that is configured."""
    _run(_up)


async def _up(stop: asyncio.Event) -> None:
    storage, bots = _settings(StorageSettings), _settings(BotSettings)
    async with _stores(storage) as stores:
        typer.echo(_line("valkey", "ready", {}))
        ready: set[str] = set()

        def changed(role: str, state: str, details: Mapping[str, object]) -> None:
            (ready.add if state == "ready" else ready.discard)(role)
            if state in ("ready", "died", "stopped"):
                typer.echo(_line(role, state, details))

        wanted = _wanted(telegram=bots.telegram_token is not None)
        supervisor = Supervisor(wanted, storage.data_dir, stores.redis, changed)

        async def greet() -> None:
            await _greet(stores, bots)
            await stop.wait()

        await first_of(supervisor.run(), greet(), _stopping(stop))


async def _stopping(stop: asyncio.Event) -> None:
    await stop.wait()
    typer.echo(_say("cli.stopping"))


def _line(role: str, state: str, details: Mapping[str, object]) -> str:
    detail = details.get("code", details.get("reason", ""))
    return f"{role:10}{_say(f'cli.role_{state}', detail=detail)}"


def _wanted(*, telegram: bool = False) -> list[Role]:
    """The roles that the settings ask for, each with its own variables only."""
    inference = variables(StorageSettings) | variables(InferenceSettings)
    wanted = [("worker", inference)]
    if not _settings(InferenceSettings).engine_url:
        wanted.insert(0, ("engine", inference))
    if telegram:
        wanted.append(("telegram", variables(StorageSettings) | variables(BotSettings)))
    command = [sys.executable, "-P", "-m", "askpix"]
    return [Role(name, [*command, name], environment(os.environ, allowed)) for name, allowed in wanted]


async def _greet(stores: Stores, bots: BotSettings) -> None:
    """Say that askpix is ready and what to do next; offer the admin link while nobody is admin."""
    await _engine_up(stores)
    typer.echo(_say("cli.ready", command=_say("cli.try")))
    model = await stores.health.model()
    if model and model.name == DEMO:
        typer.echo(_say("cli.demo_model"))
    if not bots.telegram_token:
        typer.echo(_say("cli.no_telegram"))
    else:
        bot = await _bot_name(stores)
        typer.echo(_say("cli.ready_telegram", bot=bot))
        limits = stores.limits(Rules(bots.allow, bots.deny, bots.admins, bots.open))
        if not await limits.has_admin():
            typer.echo(_say("cli.admin_link", bot=bot, token=await limits.offer_admin()))
    typer.echo(_say("cli.stop_hint"))


async def _engine_up(stores: Stores) -> None:
    # Another process comes up: there is no event to wait for.
    while (await stores.health.service()).reason:  # noqa: ASYNC110 : see above
        await asyncio.sleep(0.1)


async def _bot_name(stores: Stores) -> str:
    while True:
        for role in await roles(stores.redis):
            if "bot" in role.figures:
                return role.figures["bot"]
        await asyncio.sleep(0.1)


@app.command()
def ask(
    words: Annotated[list[str], typer.Argument(metavar="[PHOTO]… QUESTION")],
    go_on: Annotated[bool, typer.Option("--continue", "-c")] = False,
) -> None:
    """Ask about photos."""
    photos, question = words[:-1], words[-1]
    if Path(question).is_file():
        photos, question = words, _say("default_question")
    for photo in photos:
        if not Path(photo).is_file():
            _fail(_say("cli.no_such_file", path=photo))
    status: list[int] = []
    _run(partial(_ask, photos, question, go_on, status))
    raise typer.Exit(status[0] if status else 130)


async def _ask(photos: list[str], question: str, go_on: bool, status: list[int], stop: asyncio.Event) -> None:
    from bots.follower import ending
    from bots.terminal import BadPhoto, Terminal, screen
    from storage.messages import Done, Refused

    storage = _settings(StorageSettings)
    shown = screen(sys.stdout, sys.stderr)
    async with _stores(storage) as stores, _service(stores, storage, shown.progress) as started:
        if not started:
            _fail(_say("cli.service_down", path=storage.data_dir / "logs"))
        asking = asyncio.create_task(Terminal(stores, shown, _language()).ask(photos, question, go_on=go_on))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([asking, stopping], return_when=asyncio.FIRST_COMPLETED)
        await end([stopping] if asking.done() else [stopping, asking])
        if asking.cancelled():
            return
        try:
            final = asking.result()
        except BadPhoto as error:
            why = _say(error.refusal.code, **error.refusal.details)
            _fail(_say("cli.bad_photo", path=error.path, why=why))
        except Refused as error:
            _fail(_say(error.code, **error.details))
        if not isinstance(final, Done):
            typer.echo(ending(_language(), final), err=True)
        status.append(0 if isinstance(final, Done) else 1)
        model = await stores.health.model()
        if model and model.name == DEMO and sys.stderr.isatty():
            typer.echo(_say("cli.demo_model"), err=True)


@asynccontextmanager
async def _service(stores: Stores, storage: StorageSettings, progress: Callable[[str], None]) -> AsyncGenerator[bool]:
    """Whether asks are answered: by an askpix that runs already, or by one that is started here and stopped after."""
    if any(role.role == "worker" for role in await roles(stores.redis)):
        yield True
        return
    progress(_say("cli.starting"))
    supervisor = Supervisor(_wanted(), storage.data_dir, stores.redis, lambda role, state, details: None)
    running = asyncio.create_task(supervisor.run())
    try:
        try:
            async with asyncio.timeout(START):
                await _engine_up(stores)
            started = True
        except TimeoutError:
            started = False
        yield started
    finally:
        progress("")
        await end([running])


@app.command()
def settings() -> None:
    """List the settings."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("name", "value", "meaning"):
        table.add_column(_say(f"cli.column_{title}"), no_wrap=title == "name", overflow="fold")
    for kind in SETTINGS:
        for item in present(_settings(kind)):
            table.add_row(f"{PREFIX}{item.env}", _shown(item.value, secret=item.secret), _say(f"setting.{item.env}"))
    Console().print(table)


def _shown(value: object, *, secret: bool) -> str:
    if value is None or value == frozenset():
        return _say("cli.unset")
    if secret:
        return _say("cli.secret")
    if isinstance(value, frozenset):
        return ", ".join(sorted(str(name) for name in value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] : names() made it of str
    return str(int(value) if isinstance(value, bool) else value)


def main() -> None:
    """Speak the person's language in the help texts too, then run."""
    app.info.help = _say("help.askpix")
    for command in app.registered_commands:
        name = command.callback.__name__ if command.callback else ""
        command.help = _say(f"help.{name}")
    app()


if __name__ == "__main__":
    main()
