"""What the command line asks, as every chat does, and what it leaves in the present folder."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest

from bots.phrases import say
from bots.terminal import PERSON, Screen, Terminal
from storage.messages import Ask, Done, Refused, Turn
from tests.bots.conftest import Desk
from tests.bots.pictures import encoded, halves

TABLE = "| a | b |\n|---|---|\n| 1 | 2 |"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def ask(desk: Desk, words: str, answer: str, *paths: str, go_on: bool = False) -> tuple[Ask, str]:
    """Ask and answer; what was asked, and what the terminal shows."""
    out = io.StringIO()
    terminal = Terminal(desk.stores, Screen(out, io.StringIO()), "en")
    asking = asyncio.create_task(terminal.ask(paths, words, go_on=go_on))
    while not (claims := (await desk.stores.queue.claim("w", 1, 0.1))[0]) and not asking.done():
        pass
    if claims:
        question = claims[0].ask.question
        await desk.stores.queue.finish(claims[0], Done(answer), [question, Turn("assistant", answer)])
    await asyncio.wait_for(asking, 10)
    return claims[0].ask, out.getvalue()


async def test_a_file_that_is_there_is_not_written_over(desk: Desk, here: Path) -> None:
    (here / "photo.png").write_bytes(encoded(halves()))
    (here / "table.csv").write_text("mine")
    asked, shown = await ask(desk, "/table", TABLE, "photo.png")
    assert asked.task == "table"
    assert (here / "table.csv").read_text() == "mine"
    assert "1,2" in (here / "table-2.csv").read_text()
    assert say("en", "cli.wrote", path="table-2.csv") in shown


async def test_the_file_that_cannot_be_read_is_named(desk: Desk, here: Path) -> None:
    (here / "good.png").write_bytes(encoded(halves()))
    (here / "bad.png").write_bytes(b"no picture")
    with pytest.raises(Refused) as refused:
        await ask(desk, "what?", "", "good.png", "bad.png")
    why = say("en", "not_an_image")
    assert (refused.value.code, refused.value.details) == ("cli.bad_photo", {"path": "bad.png", "why": why})


async def test_a_task_without_a_photo_is_about_the_last_one_or_refused(desk: Desk, here: Path) -> None:
    with pytest.raises(Refused, match="ask_what"):
        await ask(desk, "/ocr", "")
    (here / "photo.png").write_bytes(encoded(halves()))
    await ask(desk, "what is it?", "halves", "photo.png")
    asked, _ = await ask(desk, "/ocr", "words", go_on=True)
    assert (asked.person, asked.task, asked.photos()) == (PERSON, "ocr", ())
