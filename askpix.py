"""The command line. It reads the settings, puts the parts together and holds no logic of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
import uvloop

from bots.greeting import engine_up, greet
from bots.phrases import language_of, say
from bots.settings import BotSettings, WebSettings
from inference.settings import InferenceSettings
from storage.backup import load, save
from storage.connection import StoreDown, persist
from storage.doctor import Finding, alive, examine
from storage.heartbeat import roles
from storage.housekeeping import PLATFORMS
from storage.logs import last_line, setup
from storage.messages import Refused
from storage.roles import Role, Supervisor, environment, run_until_signal
from storage.settings import PREFIX, BadSetting, CannotRun, StorageSettings, check_names, present, read, variables
from storage.stores import Stores, looked_at, opened
from storage.tasks import end, first_of

SETTINGS = (StorageSettings, InferenceSettings, BotSettings, WebSettings)
START = 300.0  # seconds for the first engine to come up; SGLang takes one or two minutes

T = TypeVar("T")
Json = Annotated[bool, typer.Option("--json")]
app = typer.Typer(name="askpix", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _say(code: str, **args: object) -> str:
    environ = os.environ
    return say(language_of(environ.get("LC_ALL") or environ.get("LC_MESSAGES") or environ.get("LANG")), code, **args)


def _fail(sentence: str, status: int = 1) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(status)


def _tell(line: str) -> None:
    with suppress(OSError):  # the terminal was closed: everything is stopped all the same
        typer.echo(line)


def _settings(kind: type[T]) -> T:
    """A settings object, or one sentence and exit 2."""
    try:
        check_names(os.environ, SETTINGS)
        return read(kind, os.environ)
    except BadSetting as error:
        name = error.details["name"].removeprefix(PREFIX)
        meaning = _say(f"setting.{name}") if error.code == "bad_setting" else ""
        _fail(_say(f"cli.{error.code}", **error.details, meaning=meaning), 2)


def _run(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]], known: Mapping[type[Exception], str] = {}) -> None:
    """Run a role or a command until it ends or is told to; what cannot start says so in one sentence.

    `known` are the sentences of its own errors.
    """
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run_until_signal(main))
    except CannotRun as error:
        _fail(_say(f"cli.{error.code}", **error.details))
    except Refused as error:
        _fail(_say(error.code, **error.details))
    except StoreDown:
        _fail(_say("cli.store_down"))
    except tuple(known) as error:
        _fail(known[type(error)])


@app.command()
def worker() -> None:
    """Run a worker."""
    from inference.main import work

    storage, inference = _settings(StorageSettings), _settings(InferenceSettings)
    setup(storage.log_level, [inference.engine_key or ""], storage.log_format)
    _run(partial(work, storage, inference))


@app.command()
def engine(replicas: str | None = None) -> None:
    """Run the engine."""
    from bots.tables import progress
    from inference.main import serve

    os.environ |= {f"{PREFIX}REPLICAS": replicas} if replicas else {}
    storage, inference = _settings(StorageSettings), _settings(InferenceSettings)
    setup(storage.log_level, [], storage.log_format)
    _run(lambda stop: serve(storage, inference, stop, partial(progress, _say)))


@app.command()
def telegram() -> None:
    """Run the Telegram bot."""
    from bots.telegram_bot import BadToken, serve

    storage, bots = _settings(StorageSettings), _settings(BotSettings)
    if not bots.telegram_token:
        _fail(_say("cli.no_token"))
    setup(storage.log_level, [bots.telegram_token], storage.log_format)
    _run(partial(serve, storage, bots), {BadToken: _say("cli.bad_token")})


@app.command()
def discord() -> None:
    """Run the Discord bot."""
    from bots.discord_bot import BadToken, NoIntent, serve

    storage, bots = _settings(StorageSettings), _settings(BotSettings)
    if not bots.discord_token:
        _fail(_say("cli.no_discord_token"))
    setup(storage.log_level, [bots.discord_token], storage.log_format)
    known: dict[type[Exception], str] = {BadToken: _say("cli.bad_discord_token"), NoIntent: _say("cli.no_intent")}
    _run(partial(serve, storage, bots), known)


@app.command()
def web() -> None:
    """Run the page."""
    storage, page = _settings(StorageSettings), _settings(WebSettings)
    setup(storage.log_level, [page.password or ""], storage.log_format)
    try:  # from now on a browser waits
        listening = socket.create_server((page.bind, page.port))
    except OSError:
        _fail(_say("cli.port_taken", url=f"http://{page.bind}:{page.port}"))
    os.nice(10)  # Gradio takes seconds to import, and the others start first
    from bots.web_page import serve

    _run(partial(serve, storage, page, listening))


@app.command()
def up() -> None:
    """Run everything that is configured."""
    _run(partial(_up, _settings(StorageSettings), _settings(BotSettings), _settings(WebSettings)))


async def _up(storage: StorageSettings, bots: BotSettings, page: WebSettings, stop: asyncio.Event) -> None:
    def changed(role: str, state: str, details: Mapping[str, object]) -> None:
        if state in ("ready", "died", "stopped"):
            why = details.get("code", details.get("reason"))
            if why in (1, 2):  # it said why itself
                why = last_line(storage.data_dir / "logs" / f"{role}.log") or why
            _tell(f"{role:10}{_say(f'cli.role_{state}', detail=why)}")

    async with opened(storage) as stores:
        changed("store", "ready", {})
        wanted = _wanted([name for name in PLATFORMS if getattr(bots, f"{name}_token")], web=page.web)
        supervisor = Supervisor(wanted, storage.data_dir, stores.redis, changed)

        async def greeted() -> None:
            await persist(partial(greet, stores, bots, page, _say, _tell))
            await asyncio.Event().wait()

        async def stopped() -> None:
            await stop.wait()
            _tell(_say("cli.stopping"))

        await first_of(supervisor.run(), greeted(), stopped())


def _wanted(platforms: Sequence[str] = (), *, web: bool = False) -> list[Role]:
    """The roles that the settings ask for, each with its own variables only."""
    inference = variables(StorageSettings) | variables(InferenceSettings)
    wanted = [("worker", inference)]
    if not _settings(InferenceSettings).engine_url:
        wanted.insert(0, ("engine", inference))
    for platform in platforms:
        others = tuple(f"{PREFIX}{other.upper()}_" for other in PLATFORMS if other != platform)
        own = frozenset(name for name in variables(BotSettings) if not name.startswith(others))
        wanted.append((platform, variables(StorageSettings) | own))
    if web:
        wanted.append(("web", variables(StorageSettings) | variables(WebSettings)))
    command = [sys.executable, "-P", "-m", "askpix"]
    return [Role(name, [*command, name], environment(os.environ, allowed)) for name, allowed in wanted]


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
    _run(partial(_ask, photos, question, go_on))
    raise typer.Exit(130)  # it was told to stop


async def _ask(photos: list[str], question: str, go_on: bool, stop: asyncio.Event) -> None:
    from bots.terminal import Screen, Terminal
    from bots.wording import ending
    from storage.messages import Done

    storage = _settings(StorageSettings)
    screen = Screen(sys.stdout, sys.stderr)
    async with opened(storage) as stores, _service(stores, storage, screen.progress) as started:
        if not started:
            _fail(_say("cli.service_down", path=storage.data_dir / "logs"))

        async def answered() -> NoReturn:
            final = await Terminal(stores, screen, _say("language")).ask(photos, question, go_on=go_on)
            if not isinstance(final, Done):
                typer.echo(ending(_say("language"), final), err=True)
            model = await stores.health.model()
            if model and model.demo and sys.stderr.isatty():
                typer.echo(_say("cli.demo_model"), err=True)
            raise typer.Exit(0 if isinstance(final, Done) else 1)

        await first_of(answered(), stop.wait())


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
        patience = asyncio.timeout(START)
        with suppress(TimeoutError):
            async with patience:
                await engine_up(stores)
        yield not patience.expired()
    finally:
        progress("")
        await end([running])


@app.command()
def settings() -> None:
    """List the settings."""
    from bots.tables import show_settings

    known = {env: each for kind in SETTINGS for env, *each in present(_settings(kind))}  # BIND is of two kinds
    show_settings(((env, value, secret) for env, (value, secret) in known.items()), PREFIX, _say)


@app.command()
def status(as_json: Json = False, watch: Annotated[bool, typer.Option("--watch")] = False) -> None:
    """Show the service's status."""
    from bots.tables import show_status

    storage = _settings(StorageSettings)

    async def look(stop: asyncio.Event) -> None:
        while not stop.is_set():
            show_status(await looked_at(storage), _say("language"), as_json=as_json, clear=watch)
            if not watch:
                return
            await first_of(stop.wait(), asyncio.sleep(1))

    _run(look)


@app.command()
def backup(file: Path) -> None:
    """Back up what is kept."""
    _carry(save, file, "cli.backed_up")


@app.command()
def restore(file: Path) -> None:
    """Restore a backup."""
    _carry(load, file, "cli.restored")


def _carry(how: Callable[[Any, Path], Coroutine[Any, Any, int]], file: Path, code: str) -> None:
    async def main(_: asyncio.Event) -> None:
        async with opened(_settings(StorageSettings)) as stores:
            typer.echo(_say(code, n=await how(stores.redis, file), path=file))

    _run(main)


@app.command()
def doctor(role: Annotated[str | None, typer.Argument()] = None, as_json: Json = False) -> None:
    """Say what is wrong, and how to mend it."""
    from bots.tables import show_findings as show

    raise typer.Exit(show(asyncio.run(_examine(role)), _say, as_json=as_json))


async def _examine(role: str | None) -> list[Finding]:
    storage = _settings(StorageSettings)
    if role:
        return [await alive(storage, role)]
    from bots.doctor import examine as of_platforms
    from inference.doctor import examine as of_engines

    bots, inference = _settings(BotSettings), _settings(InferenceSettings)
    looks = examine(storage, os.environ), of_platforms(bots), of_engines(storage, inference)
    return [found for each in await asyncio.gather(*looks) for found in each]


@app.command()
def plan(
    gpu: str | None = None, model: str | None = None, context: int | None = None, users: int | None = None,
    quantization: str | None = None, kv_dtype: str | None = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Plan the GPU's memory."""
    from bots.tables import show_plan
    from inference.main import planned

    names = ("GPU", "MODEL", "CONTEXT_TOKENS", "CONCURRENCY", "QUANTIZATION", "KV_DTYPE")
    given = zip(names, (gpu, model, context, users, quantization, kv_dtype), strict=True)
    os.environ.update({PREFIX + name: str(value) for name, value in given if value is not None})
    try:
        found = asyncio.run(planned(_settings(InferenceSettings)))
    except CannotRun as error:
        _fail(_say(f"cli.{error.code}", **error.details), 2)
    raise typer.Exit(show_plan(found, _say, as_json=as_json))


def main() -> None:
    """Speak the person's language in the help texts too, then run."""
    app.info.help = _say("help.askpix")
    for command in app.registered_commands:
        command.help = _say(f"help.{getattr(command.callback, '__name__', '')}")
    app()


if __name__ == "__main__":
    main()
