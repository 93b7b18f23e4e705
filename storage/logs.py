"""Logging of a role: one line an event, as text or as JSON, with the ask it is about; no secret, no traceback."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import structlog
from structlog.contextvars import bind_contextvars, get_contextvars

MOST = 10  # warnings and errors a minute from one place in the code: an outage says the same again and again


class _Sparing(logging.Filter):
    """Holds back what the same place has said often enough; the last line of it says so."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        place = record.pathname, record.lineno
        begun, said = self._said.get(place, (0.0, 0))
        begun, said = (begun, said + 1) if record.created - begun < 60 else (record.created, 1)
        self._said[place] = begun, said
        if said == MOST:
            record.msg = f"{record.msg} (and no more of it this minute)"
        return said <= MOST


class _Masked(structlog.stdlib.ProcessorFormatter):
    """Masks the given secrets wherever they stand in a line."""

    def __init__(self, secrets: Iterable[str], form: str) -> None:
        stamp = structlog.processors.TimeStamper(fmt="iso" if form == "json" else "%H:%M:%S", utc=form == "json")
        shown = structlog.processors.JSONRenderer(ensure_ascii=False) if form == "json" else _as_text
        super().__init__(processors=[_event, stamp, shown])
        self._secrets = [secret for secret in secrets if secret]

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        for secret in self._secrets:
            line = line.replace(secret, "…")
        return line


def _event(_: object, __: str, found: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """What a line says: its level, room and first line (asyncio's second quotes the error), an error by its place."""
    record, error = found["_record"], (found.get("exc_info") or (None, None))[1]
    said = {"level": record.levelname.lower(), "logger": record.name, "event": found["event"].partition("\n")[0]}
    return said | get_contextvars() | ({"error": describe(error)} if error else {})


def _as_text(_: object, __: str, found: structlog.typing.EventDict) -> str:
    ask, event = found.get("ask"), found["event"]
    about = f" [{ask}]" if ask and ask not in event else ""
    error = f"\n{found['error']}" if "error" in found else ""
    return f"{found['timestamp']} {found['level'][0].upper()} {found['logger']}: {event}{about}{error}"


def about(ask: str) -> None:
    """From here on this task's lines, and those of the tasks that it makes, name the ask that they are about."""
    bind_contextvars(ask=ask)


def setup(level: str, secrets: Iterable[str], form: str = "text") -> None:
    """Log to standard error. Libraries speak from WARNING on: httpx logs URLs, and Telegram's hold the token."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Masked(secrets, form))
    handler.addFilter(_Sparing())
    logging.basicConfig(level="WARNING", handlers=[handler], force=True)
    logging.raiseExceptions = False  # a line that cannot be formatted would be shown with its arguments and a traceback
    sys.excepthook = _last_word
    traceback.print_exc = _in_one_line
    for package in ("bots", "inference", "storage"):
        logging.getLogger(package).setLevel(level)


def _last_word(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What a dying role says in place of Python's own traceback."""
    logging.getLogger(__name__).critical("%s", describe(error))


def _in_one_line(*_: object, **__: object) -> None:
    """What Gradio calls in place of a log."""
    if error := sys.exc_info()[1]:
        logging.getLogger("library").error("%s", describe(error))


def describe(error: BaseException) -> str:
    """The error's type and the line it came from; never its text, which may quote a URL or a person."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


def last_line(log: Path) -> str:
    """The last words of a role that died, without the time; empty when it left none."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""
