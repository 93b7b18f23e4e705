"""A very long answer through real processes, one of which dies in its middle."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bots.splitting import telegram_pages
from tests.canary import canary
from tests.emulators.server import Json
from tests.road import open_road
from tests.waiting import wait_until


def chapter(n: int) -> str:
    """About 330 characters of everything that must not be cut carelessly."""
    return (
        f"## Chapter {n}\n\nSome **bold words {n}** and 你好🙂, then:\n\n"
        f"1. first {n}\n   - nested {n}\n     - deeper {n}\n2. second {n}\n\n"
        f"```py\nfor i in range({n}):\n    print(i, '{n}')\n```\n\n"
        f"| name | value {n} |\n|---|---|\n| a | {n} |\n| 中文 | {2 * n} |\n\n"
        f"The end of {n}, `code {n}` and [a link](https://example.org/{n}).\n\n"
    )


LONG = "".join(chapter(n) for n in range(1000, 1065)).strip()
THIRD = len(LONG) // 3


@pytest.mark.timeout(120)  # alone it takes 15 s, at the pace of a real chat
async def test_twenty_thousand_characters_arrive_whole_though_the_adapter_dies_in_their_middle(tmp_path: Path) -> None:
    async def pieces(_: Json) -> AsyncIterator[str]:
        for at in range(0, len(LONG), 1000):
            if at > THIRD:
                await wait_until(lambda: killed, 30)
            yield LONG[at : at + 1000]

    assert 20_000 < len(LONG) < 30_000
    killed = False
    async with open_road(tmp_path, reply=pieces, delay=0.11) as road:
        chat = road.ann.private
        await road.ann.send_photo(chat, canary(7), "tell me all")
        await chat.wait_for(lambda texts: len(texts) >= 2, 30)
        killed = True
        await road.restart("telegram")
        expected = [page.text for page in telegram_pages(LONG)]
        await chat.wait_for(lambda texts: texts == expected, 60)
        assert len(expected) == 5
        shown = "\n".join(chat.texts())
        for n in range(1000, 1065):
            assert shown.count(f"Chapter {n}") == shown.count(f"The end of {n}") == 1
        kinds = {entity["type"] for message in chat.bot_messages() for entity in message["entities"]}
        assert {"bold", "pre", "code", "text_link"} <= kinds
        assert chat.documents() == []
        assert len(road.asked()) == 1
        assert [bool(message.get("reply_markup")) for message in chat.bot_messages()] == [False] * 4 + [True]
