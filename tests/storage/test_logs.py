"""The log: short lines in which no secret, no traceback and no error's own words can stand."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterator

import pytest

from storage.logs import MOST, about, describe, setup

TOKEN = "4242:AAsecretTokenForTests"

Log = Callable[[str], logging.Logger]


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Logging is the whole process's: give pytest its own back."""
    names = ("", "bots", "inference", "storage")
    levels = {name: logging.getLogger(name).level for name in names}
    handlers, raising, hook = logging.getLogger().handlers[:], logging.raiseExceptions, sys.excepthook
    shown = traceback.print_exc
    yield
    sys.excepthook, traceback.print_exc = hook, shown
    logging.getLogger().handlers[:] = handlers
    logging.raiseExceptions = raising
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def failed(text: str) -> Exception:
    try:
        try:
            raise KeyError(f"first {text}")
        except KeyError as error:
            raise ValueError(f"second {text}") from error
    except ValueError as error:
        return error


def test_a_secret_is_masked_wherever_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    setup("DEBUG", [TOKEN, "", "other-key"])
    logging.getLogger("bots.x").debug("https://host/bot%s/getMe %s", TOKEN, {"key": "other-key"})
    logging.getLogger("httpx").warning("GET /file/bot%s/a.jpg", TOKEN)
    shown = capsys.readouterr().err
    assert TOKEN not in shown
    assert "other-key" not in shown
    assert "https://host/bot…/getMe {'key': '…'}" in shown


def test_an_error_is_its_type_and_place_never_its_words_or_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    setup("INFO", [])
    logging.getLogger("bots.x").error("it broke", exc_info=failed("Ann's own words"))
    shown = capsys.readouterr().err
    assert "Ann" not in shown
    assert "Traceback" not in shown
    assert "KeyError" not in shown
    lines = shown.splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("E bots.x: it broke")
    assert lines[1].startswith("ValueError at test_logs.py:")


def test_an_error_without_a_traceback_is_its_type() -> None:
    assert describe(ValueError("words")) == "ValueError"


def test_exception_logged_where_there_is_none_is_a_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    setup("INFO", [])
    logging.getLogger("bots.x").exception("nothing broke")  # noqa: LOG004 : somebody's bug
    assert capsys.readouterr().err.splitlines()[0].endswith("E bots.x: nothing broke")


def test_a_line_that_cannot_be_formatted_shows_no_traceback_either(capsys: pytest.CaptureFixture[str]) -> None:
    setup("INFO", [TOKEN])
    logging.getLogger("bots.x").warning("%d seconds", TOKEN)
    shown = capsys.readouterr().err
    assert "Traceback" not in shown
    assert TOKEN not in shown


def test_a_message_is_one_line_so_that_asyncio_quotes_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    setup("INFO", [])
    error = failed("Ann's own words")
    logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: %r", error, exc_info=error)
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("E asyncio: Task exception was never retrieved")
    assert second.startswith("ValueError at test_logs.py:")


def test_a_dying_role_says_what_it_died_of_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    setup("INFO", [TOKEN])
    error = failed(f"Ann {TOKEN}")
    sys.excepthook(type(error), error, error.__traceback__)
    (line,) = capsys.readouterr().err.splitlines()
    assert "C storage.logs: ValueError at test_logs.py:" in line
    assert "Ann" not in line


def test_what_a_library_prints_of_an_error_is_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    setup("INFO", [TOKEN])
    try:
        raise failed(f"Ann {TOKEN}")
    except ValueError:
        traceback.print_exc()
    (line,) = capsys.readouterr().err.splitlines()
    assert "E library: ValueError at test_logs.py:" in line


def test_libraries_speak_from_warning_on_at_every_level(capsys: pytest.CaptureFixture[str]) -> None:
    setup("DEBUG", [])
    for name in ("httpx", "telegram", "telegram.ext.Updater", "apscheduler", "asyncio"):
        logging.getLogger(name).info("said by %s", name)
    logging.getLogger("storage.x").debug("said by us")
    logging.getLogger("telegram").warning("warned by telegram")
    shown = capsys.readouterr().err
    assert "said by us" in shown
    assert "warned by telegram" in shown
    assert shown.count("said by") == 1


def test_our_own_lines_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    setup("ERROR", [])
    logging.getLogger("bots.x").warning("no")
    logging.getLogger("inference.x").error("yes")
    shown = capsys.readouterr().err
    assert "no" not in shown
    assert "yes" in shown


def test_setting_up_twice_writes_each_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    setup("INFO", [])
    setup("INFO", [TOKEN])
    logging.getLogger("bots.x").info("once")
    assert capsys.readouterr().err.count("once") == 1


def test_one_place_says_only_so_much_a_minute_and_holds_no_other_back(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    setup("INFO", [])
    log, now = logging.getLogger("bots.x"), time.time()
    for minute in range(2):
        monkeypatch.setattr(time, "time", lambda minute=minute: now + 61 * minute)
        for n in range(2 * MOST):
            log.warning("trouble %d", n)
            log.info("work %d", n)
        log.warning("another trouble")
    lines = [line.partition(": ")[2] for line in capsys.readouterr().err.splitlines()]
    assert sum(line.startswith("trouble") for line in lines) == 2 * MOST
    assert lines.count(f"trouble {MOST - 1} (and no more of it this minute)") == 2
    assert sum(line.startswith("work") for line in lines) == 4 * MOST
    assert lines.count("another trouble") == 2


def test_as_json_each_event_is_one_line_with_its_ask_and_without_an_error_s_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    setup("INFO", [TOKEN], "json")

    def said() -> None:
        about("telegram:1:7")
        logging.getLogger("bots.x").warning("it broke on %s\nagain", TOKEN, exc_info=failed("Ann's own words"))

    contextvars.copy_context().run(said)
    logging.getLogger("bots.x").info("你好")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first.pop("timestamp").endswith("Z")
    assert first.pop("error").startswith("ValueError at test_logs.py:")
    assert first == {"level": "warning", "logger": "bots.x", "event": "it broke on …", "ask": "telegram:1:7"}
    assert second["event"] == "你好" and "ask" not in second


async def test_a_line_names_the_ask_of_its_own_task_only(capsys: pytest.CaptureFixture[str]) -> None:
    setup("INFO", [])
    log = logging.getLogger("bots.x")

    async def work(ask: str) -> None:
        about(ask)
        await asyncio.sleep(0)
        log.info("half of it")
        log.info("answered %s", ask)

    await asyncio.gather(work("a:1"), work("b:2"))
    log.info("none")
    lines = [line.partition(": ")[2] for line in capsys.readouterr().err.splitlines()]
    assert sorted(lines) == ["answered a:1", "answered b:2", "half of it [a:1]", "half of it [b:2]", "none"]
