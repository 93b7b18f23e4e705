"""Telegram's moods over real processes: everybody is answered, and the role's log says little of it."""

from __future__ import annotations

from pathlib import Path

from tests.canary import canary
from tests.road import open_road

METHODS = (
    "getUpdates", "getFile", "file", "sendMessage", "editMessageText", "sendChatAction", "setMessageReaction",
    "setMyCommands",
)  # fmt: skip


async def test_a_bad_hour_of_telegram_s_loses_nobody_s_question_and_floods_no_log(tmp_path: Path) -> None:
    async with open_road(tmp_path) as road:
        telegram, ann, ben = road.telegram, road.ann, road.ben
        log = tmp_path / "logs" / "telegram.log"
        before = log.read_text().splitlines()
        for method in METHODS:
            telegram.fail_next(method, 502, html=True)
            telegram.drop_next(method, half=True)
        await ann.send_photo(ann.private, canary(1), "Ann's")
        await ben.send_photo(ben.private, canary(3), "Ben's")
        telegram.world.push("message", {"text": "of a future kind"})
        await ann.private.wait_for(lambda texts: "saw 1: Ann's" in texts, 30)
        await ben.private.wait_for(lambda texts: "saw 3: Ben's" in texts, 30)
        for user in (ann, ben):  # a placeholder whose id was lost with its reply stays empty
            answers = [text for text in user.private.texts() if text != "…"]
            assert len(answers) == len(set(answers))
        lines = log.read_text().splitlines()[len(before) :]
        assert 0 < len(lines) < 20, lines
        assert not [line for line in lines if "Traceback" in line or "html" in line or telegram.token in line]
