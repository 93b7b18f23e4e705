"""Logging of a role: short lines, no secret, no traceback."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

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


class _Masked(logging.Formatter):
    """Masks the given secrets, and says where an error came from in place of its traceback."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__("%(asctime)s %(levelname).1s %(name)s: %(message)s", "%H:%M:%S")
        self._secrets = [secret for secret in secrets if secret]

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        for secret in self._secrets:
            line = line.replace(secret, "…")
        return line

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 : logging's own name
        return super().formatMessage(record).partition("\n")[0]  # asyncio's second line quotes the error

    def formatException(self, ei: Any) -> str:  # noqa: N802 : logging's own name
        return describe(ei[1]) if ei[1] else ""


def setup(level: str, secrets: Iterable[str]) -> None:
    """Log to standard error. Libraries speak from WARNING on: httpx logs URLs, and Telegram's hold the token."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Masked(secrets))
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
