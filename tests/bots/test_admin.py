"""What admins see and decide, and that nobody else does."""

from __future__ import annotations

import asyncio
import time

import pytest

from bots.admin import ADMIN_NAMES, STATUS_BUTTONS
from bots.phrases import say
from bots.surface import Closed, Unreachable
from storage import keys
from storage.connection import Client
from storage.limits import Daily, Rules
from storage.messages import Note
from storage.notices import Notice
from tests.bots.conftest import Desk
from tests.bots.door import Door
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("quick")
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def door(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Door:
    """Person 1 is admin; everybody may ask."""
    monkeypatch.setattr("bots.admin.AGAIN", 0.05)
    return Door(desk, Rules(open=True, admins=frozenset({"telegram:1"})))


async def said(door: Door, command: str, argument: str = "", *, user: int = 1, chat: str = "") -> str:
    """Give a command; the newest answer in that person's private chat, or in the group."""
    await door.send(command=command, argument=argument, user=user, chat=chat)
    await wait_until(door.settled)
    return (door.desk.board.texts(str(user)) or [""])[-1]


async def status(door: Door) -> str:
    """Ask for the status; the message that shows it, when its picture is there too."""
    before = len(door.desk.board.documents)
    await door.send(command="status")
    await wait_until(lambda: len(door.desk.board.documents) > before, 20)
    await wait_until(door.settled)
    return next(slot for slot, page in reversed(door.desk.board.shown.items()) if page.buttons)


@pytest.mark.parametrize("command", ADMIN_NAMES)
async def test_who_is_no_admin_gets_one_polite_sentence_and_nothing_happens(
    door: Door, redis: Client, command: str
) -> None:
    door.start()
    assert await said(door, command, "telegram:9 5", user=2) == say("en", "admin.only")
    assert not await redis.exists(keys.MODE, keys.RULES, keys.QUOTAS, keys.CHANGES, keys.ADMINS)
    assert len(door.desk.board.texts("2")) == 1


async def test_the_status_is_words_with_buttons_and_a_picture(door: Door) -> None:
    door.start()
    slot = await status(door)
    page = door.desk.board.shown[slot]
    assert say("en", "status.no_gpu") in page.text
    assert [button.code for button in page.buttons] == ["refresh", "pause", "drain"]
    ((name, data),) = door.desk.board.documents
    assert name == "status.png" and data.startswith(PNG)


async def test_in_a_group_the_answer_goes_to_the_admin_alone(door: Door) -> None:
    door.start()
    assert say("en", "admin.admins", names="telegram:1") == await said(door, "admins", chat="-100")
    assert door.desk.board.texts("-100") == []
    door.desk.board.faults["place 1"].append(Closed())
    await said(door, "admins", chat="-100")
    assert door.desk.board.texts("-100") == [say("en", "admin.private")]


async def test_buttons_pause_drain_and_resume_in_the_same_message(door: Door) -> None:
    door.start()
    slot = await status(door)
    for button, mode, others in (
        ("pause", "paused", ["refresh", "drain", "resume"]),
        ("drain", "draining", ["refresh", "pause", "resume"]),
        ("resume", "", ["refresh", "pause", "drain"]),
        ("refresh", "", ["refresh", "pause", "drain"]),
    ):
        before = len(door.desk.board.documents)
        await door.press(button, slot)
        await wait_until(lambda before=before: len(door.desk.board.documents) > before, 20)
        await wait_until(door.settled)
        assert await door.desk.stores.health.mode() == mode
        assert [each.code for each in door.desk.board.shown[slot].buttons] == others
        assert door.desk.board.told[-1][1] == say("en", f"admin.{'fresh' if button == 'refresh' else button}")
    assert [what for _, _, what in await door.limits.changes()] == ["resume", "drain", "pause"]
    removed = [call.slot for call in door.desk.board.calls if call.method == "remove"]
    assert len(removed) == 4, "each former picture goes"


async def test_an_admin_who_is_denied_presses_in_vain(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.limits.FRESH", 0)
    door.start()
    slot = await status(door)
    await door.limits.change("telegram:9", "deny", "telegram:1")
    await door.press("pause", slot)
    await wait_until(lambda: bool(door.desk.board.told))
    assert door.desk.board.told[0][1] == say("en", "admin.only")
    assert await door.desk.stores.health.mode() == ""


@pytest.mark.parametrize("button", STATUS_BUTTONS)
async def test_somebody_else_s_press_and_a_forged_or_stale_one_change_nothing(door: Door, button: str) -> None:
    door.start()
    slot = await status(door)
    await door.press(button, slot, user=2)  # forwarded, or forged
    await wait_until(lambda: len(door.desk.board.told) == 1)
    await door.press(button, "999")  # an admin's own, under a message that is none of ours
    await wait_until(lambda: len(door.desk.board.told) == 2)
    assert [text for _, text in door.desk.board.told] == [say("en", "admin.only"), say("en", "admin.stale")]
    assert await door.desk.stores.health.mode() == ""
    assert len(door.desk.board.documents) == 1


async def test_an_admin_who_was_denied_decides_nothing_by_an_old_button(door: Door) -> None:
    door.start()
    slot = await status(door)
    await said(door, "admins", "telegram:2")
    await said(door, "deny", "telegram:1", user=2)
    await door.press("pause", slot)
    await wait_until(lambda: len(door.desk.board.told) == 1)
    assert door.desk.board.told[0][1] == say("en", "admin.only")
    assert await door.desk.stores.health.mode() == ""


async def test_a_status_whose_message_is_gone_is_shown_in_a_new_one(door: Door) -> None:
    door.start()
    slot = await status(door)
    del door.desk.board.shown[slot]
    await door.press("refresh", slot)
    await wait_until(lambda: len(door.desk.board.documents) == 2, 20)
    assert [page for page in door.desk.board.shown.values() if page.buttons]


async def test_paused_a_question_is_kept_and_its_asker_is_told(door: Door) -> None:
    door.start()
    await said(door, "pause")
    await door.send("what is it?", user=2)
    await wait_until(lambda: door.desk.board.texts("2") == [say("en", "paused")])
    await said(door, "resume")
    assert await door.queued() == ["what is it?"]


async def test_draining_a_question_is_refused_kindly_and_costs_nothing(door: Door) -> None:
    door.start()
    await said(door, "drain")
    await door.send("what is it?", user=2)
    await wait_until(lambda: door.desk.board.texts("2") == [say("en", "draining")])
    assert (await door.limits.usage("telegram:2"))[0].asks == 0


async def test_rules_by_id_by_mention_and_taken_back(door: Door) -> None:
    door.rules = Rules(admins=frozenset({"telegram:1"}))
    door.start()
    assert "telegram:2" in await said(door, "allow", "2")
    assert await door.limits.admits("telegram:2")
    await said(door, "deny", "telegram:chat:-100")
    assert not await door.limits.admits("telegram:2", "telegram:chat:-100")
    shown = await said(door, "deny")
    assert "telegram:chat:-100" in shown and "allow telegram:2" in shown, "with the newest changes"
    await said(door, "allow", "-telegram:2")
    assert not await door.limits.admits("telegram:2")


@pytest.mark.parametrize(
    ("command", "argument", "code"),
    [
        ("allow", "everybody", "admin.who"),
        ("deny", "*", "admin.who"),
        ("deny", "telegram:1", "admin.not_oneself"),
        ("admins", "-telegram:1", "admin.not_oneself"),
        ("quota", "", "admin.quota_how"),
        ("quota", "telegram:2 many", "admin.quota_how"),
        ("quota", "telegram:2 -5", "admin.quota_how"),
        ("quota", "telegram:2 ٣", ""),
    ],
)
async def test_what_cannot_be_meant_is_asked_again(door: Door, command: str, argument: str, code: str) -> None:
    door.start()
    found = await said(door, command, argument)
    assert not code or found == say("en", code)


async def test_an_admin_makes_another_and_takes_it_back(door: Door) -> None:
    door.start()
    assert "telegram:2" in await said(door, "admins", "telegram:2")
    assert await door.limits.is_admin("telegram:2")
    assert "telegram:2" not in await said(door, "admins", "-telegram:2")
    assert not await door.limits.is_admin("telegram:2")


async def test_a_quota_is_set_shown_used_up_and_explained(door: Door) -> None:
    door.start()
    assert "1" in await said(door, "quota", "telegram:2 1")
    await door.send("one", user=2)
    await door.send("two", user=2)
    await wait_until(door.settled)
    assert any(text.startswith("You have asked today's 1 questions") for text in door.desk.board.texts("2"))
    assert await door.queued() == ["one"]
    usage = await said(door, "usage", user=2)
    assert say("en", "usage.today", asks=1, photos=0, tokens=0) in usage
    assert say("en", "usage.left", left=0, quota=1) in usage


async def test_without_a_quota_usage_says_so_in_the_asker_s_language(door: Door) -> None:
    door.start()
    await door.send(command="usage", user=2, language="zh")
    await wait_until(door.settled)
    assert door.desk.board.texts("2")[-1].endswith(say("zh", "usage.free"))


async def test_a_limit_of_points_alone_is_shown_too(door: Door) -> None:
    door.daily = Daily(cost=5)
    door.start()
    left = say("en", "usage.cost_left", left=5, quota=5)
    assert (await said(door, "usage", user=2)).endswith(left)
    assert (await said(door, "quota", "telegram:2")).endswith(left)
    assert (await said(door, "quota", "telegram:2 0")).endswith(say("en", "usage.free"))


async def test_an_admin_s_question_is_the_next_one(door: Door) -> None:
    door.start()
    for user in (2, 3, 1):
        await door.send(f"of {user}", user=user)
        await wait_until(door.settled)
    assert (await door.queued())[0] == "of 1"


async def test_news_reach_each_admin_of_the_platform_once_in_their_language(door: Door) -> None:
    door.rules = Rules(admins=frozenset({"telegram:1", "discord:7"}))
    door.start()
    await door.send(command="admins", language="zh")
    await wait_until(door.settled)
    notices = door.desk.stores.notices
    for _ in range(2):
        await notices.put(Notice("alert.queue:1", Note("alert.queue", {"minutes": 2}), time.time()))
    await notices.put(Notice("alert.engine:2", Note("alert.engine", {"minutes": 2}), time.time() - 2 * keys.DAY))
    await wait_until(lambda: say("zh", "alert.queue") in door.desk.board.texts())
    await door.desk.crash()
    door.start()
    await notices.put(Notice("alert.queue_over:1", Note("alert.queue_over", {"minutes": 3}), time.time()))
    await wait_until(lambda: say("zh", "alert.queue_over", minutes=3) in door.desk.board.texts())
    assert door.desk.board.texts().count(say("zh", "alert.queue")) == 1
    assert not any("engine" in text or "引擎" in text for text in door.desk.board.texts()), "old news are none"


async def test_a_digest_of_the_time_when_the_platform_was_away_comes_once_when_it_is_back(door: Door) -> None:
    stores, board = door.desk.stores, door.desk.board
    args = {"date": "2026-05-01", "done": 3, "failed": 0, "people": 1, "tokens": 9, "p50": 0.4, "p95": 0.9}
    await stores.notices.put(Notice("digest:2026-05-02", Note("digest", args), time.time(), picture=True))
    board.faults["direct"].extend(Unreachable() for _ in range(3))
    board.faults["place"].append(Unreachable())
    door.start()
    await wait_until(lambda: bool(board.documents), 20)
    await door.desk.crash()
    door.start()
    await said(door, "admins")
    assert [text for text in board.texts() if "2026-05-01" in text] == [say("en", "digest", **args)]
    assert len(board.documents) == 1


async def test_messages_that_nobody_waits_for_are_taken_away(door: Door) -> None:
    door.start()
    await said(door, "admins")
    slot = next(iter(door.desk.board.shown))
    for platform in ("discord", "telegram"):
        notice = Notice(f"slots:{platform}", Note(""), time.time(), platform, chat="1", slots=(slot, "777"))
        await door.desk.stores.notices.put(notice)
    await wait_until(lambda: slot not in door.desk.board.shown)
    assert [call.slot for call in door.desk.board.calls if call.method == "remove"] == [slot, "777"]


async def test_a_status_comes_when_a_store_that_was_away_is_back(door: Door) -> None:
    door.start()
    await said(door, "admins")
    await door.desk.stores.redis.execute_command("CLIENT", "PAUSE", 1500, "ALL")
    assert door.desk.board.shown[await asyncio.wait_for(status(door), 20)].buttons
