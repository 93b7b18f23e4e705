"""An answer that was talked into attacking its readers: nothing of it pings, is fetched, or names a file."""

from __future__ import annotations

import csv
import re
from pathlib import PurePosixPath
from typing import Any

import pytest
from telegram import Bot

from bots.discord_bot import DiscordSurface
from bots.extracts import table_csv
from bots.phrases import LANGUAGES, phrases
from bots.splitting import telegram_pages
from bots.surface import Page
from bots.telegram_bot import TelegramSurface
from storage.messages import Address
from tests.bots.discord_town import Town
from tests.emulators.discord_shapes import SUPPRESS_EMBEDS
from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_world import User

HOSTILE = (
    "@everyone @here <@1002> <@&1> [ann](tg://user?id=1001) ![x](http://spy.example/a.png) [y](javascript:alert(1)) "
    '<a href="http://spy.example">z</a> <b>bold</b> http://spy.example/b </code> [a](<http://c.example>)'
)


def links(markdown: str) -> list[str]:
    formats: list[Any] = [each for page in telegram_pages(markdown) for each in page.format]
    return [each.url for each in formats if each.type == "text_link"]


@pytest.mark.parametrize(
    "target",
    ["tg://user?id=1", "javascript:alert(1)", "file:///etc/passwd", "data:text/html,x", "TG://resolve?domain=a"],
)
def test_on_telegram_a_link_leads_to_the_web_or_is_words(target: str) -> None:
    assert links(f"see [here]({target}) and [there](https://a.b)") == ["https://a.b"]
    assert [page.text for page in telegram_pages(f"see [here]({target})")] == ["see here"]


@pytest.mark.parametrize(("written", "url"), [("<http://b>", "http://b"), ("<http://b/c> 't'", "http://b/c")])
def test_on_telegram_a_link_loses_the_marks_around_it(written: str, url: str) -> None:
    assert links(f"[a]({written})") == [url]


@pytest.mark.usefixtures("timedeltas")
async def test_on_telegram_an_answer_is_text_with_formats_of_ours_and_no_link_is_looked_up(
    telegram: TelegramEmulator, surface: TelegramSurface, bot: Bot, ann: User
) -> None:
    where = Address("telegram", "1001")
    (page,) = surface.pages(HOSTILE)
    slot = await surface.place(where, Page("…"))
    await surface.edit(where, slot, page)
    await surface.place(where, page)
    sent = [call.params for call in telegram.calls if call.method in ("sendMessage", "editMessageText")]
    assert len(sent) == 3
    for params in sent:
        assert "parse_mode" not in params
        assert params["link_preview_options"]["is_disabled"] is True
    (_, shown) = ann.private.texts()
    assert "<b>bold</b>" in shown and "</code>" in shown
    assert {entity["type"] for entity in sent[1]["entities"]} == {"text_link"}
    assert [entity["url"] for entity in sent[1]["entities"]] == ["http://spy.example/a.png", "http://c.example"]


@pytest.mark.parametrize("by_token", [False, True])
async def test_on_discord_an_answer_pings_nobody_by_whatever_way_it_comes(
    town: Town, hall: DiscordSurface, by_token: bool
) -> None:
    where = Address("discord", str(town.square.id), group=True)
    if by_token:
        _, where = await town.asks()
    (page,) = hall.pages(HOSTILE.replace("1002", str(town.ben.id)))
    slot = await hall.place(where, page)
    await hall.edit(where, slot, Page(page.text + " more"))
    await hall.place(where, Page("@everyone " + HOSTILE))
    for message in town.square.bot_messages():
        assert message["pings"] == set()
        assert message["flags"] & SUPPRESS_EMBEDS
    for call in town.discord.calls:
        body: Any = call.body
        if "content" in (body or ()) and call.path.startswith(("/channels", "/webhooks")):
            assert body["allowed_mentions"]["parse"] == []


@pytest.mark.parametrize("formula", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3", "＝1+1", "`=1+1`", "**=1+1**"])
def test_a_cell_of_a_table_is_no_formula(formula: str) -> None:
    table = table_csv(f"| a | b |\n|---|---|\n| {formula.replace('|', chr(92) + '|')} | -3.5 |")
    assert table is not None
    (_, (cell, number)) = csv.reader(table.decode("utf-8-sig").splitlines())
    assert cell == f"'{formula.strip('`*')}"
    assert number == "-3.5"


def test_no_file_that_is_sent_has_a_name_that_anybody_else_chose() -> None:
    for language in LANGUAGES:
        names = {code: name for code, name in phrases(language).items() if re.match(r"file_(?!gone)", code)}
        assert names
        for name in names.values():
            assert PurePosixPath(name).name == name
            assert "{" not in name and len(name) < 40
