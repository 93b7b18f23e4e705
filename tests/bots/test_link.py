"""/link: two accounts are one person, with one quota, one lane and one /forget; all else stays apart."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from msgspec import structs

from bots.phrases import say
from bots.surface import FileRef
from storage import keys
from storage.connection import Client
from storage.limits import Rules
from storage.messages import Ask, Cancelled, Done, Turn, encode
from tests.bots.board import Board
from tests.bots.conftest import Desk
from tests.bots.door import Door
from tests.bots.hands import press
from tests.bots.pictures import encoded, halves
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("quick")

PHOTO = FileRef("p1")


@dataclass
class Doors:
    """One service on two platforms. Ann is user 1 on both; everybody else is somebody else."""

    here: Door
    there: Door

    def start(self) -> None:
        self.here.start()
        self.there.start()

    def limit(self, asks_a_minute: int) -> None:
        self.here.asks_a_minute = self.there.asks_a_minute = asks_a_minute

    async def settled(self) -> None:
        await wait_until(self.here.settled)
        await wait_until(self.there.settled)

    async def say(self, door: Door, text: str, *files: FileRef, user: int = 1, chat: str = "") -> None:
        await door.send(text, *files, user=user, chat=chat)
        await self.settled()

    async def command(self, door: Door, name: str, argument: str = "", *, user: int = 1, chat: str = "") -> str:
        """Send a command; returns what the chat shows last."""
        before = len(door.desk.board.texts(chat or str(user)))
        await door.send(command=name, argument=argument, user=user, chat=chat)
        await self.settled()
        texts = door.desk.board.texts(chat or str(user))
        return texts[-1] if len(texts) > before else ""

    async def code(self, door: Door, user: int = 1) -> str:
        """The code that somebody is shown."""
        return token(await self.command(door, "link", user=user))

    async def join(self, issuer: Door, other: Door) -> None:
        """Ann is one person, by the name that she has at the issuer's."""
        answer = await self.command(other, "link", await self.code(issuer))
        assert answer == say("en", "command.linked", persons=f"{issuer.platform}:1, {other.platform}:1")

    async def waiting(self) -> list[Ask]:
        """What workers take at once: one ask a lane."""
        return [claim.ask for claim in (await self.here.desk.stores.queue.claim("w", 10))[0]]


def token(text: str) -> str:
    """The code in a sentence."""
    (found,) = re.findall(r"^/link (\S+)$", text, re.MULTILINE)
    assert text == say("en", "command.link", token=found)
    return found


@pytest_asyncio.fixture
async def doors(desk: Desk) -> AsyncIterator[Doors]:
    other = Desk(desk.stores, Board())
    other.board.platform = "discord"
    desk.board.files = other.board.files = {"p1": encoded(halves())}
    yield Doors(Door(desk), Door(other))
    await other.crash()


async def apart(doors: Doors) -> bool:
    """Whether nobody is joined."""
    return not await doors.here.desk.stores.redis.exists(keys.JOINED)


@pytest.mark.parametrize("code", ["guess", "0123456789abcdef", "two words"])
async def test_a_wrong_code_is_explained(doors: Doors, code: str) -> None:
    doors.start()
    await doors.code(doors.here)
    assert await doors.command(doors.there, "link", code) == say("en", "command.link_wrong")
    assert await apart(doors)


async def test_a_code_that_is_too_old_is_explained(doors: Doors, redis: Client) -> None:
    doors.start()
    code = await doors.code(doors.here)
    await redis.delete(*await redis.keys("*link*"))  # as their end does
    assert await doors.command(doors.there, "link", code) == say("en", "command.link_wrong")
    assert await apart(doors)


async def test_one_s_own_code_is_explained_and_stays_good(doors: Doors) -> None:
    doors.start()
    code = await doors.code(doors.here)
    assert await doors.command(doors.here, "link", code) == say("en", "command.link_own")
    assert await apart(doors)
    assert "discord:1" in await doors.command(doors.there, "link", code)


async def test_a_used_code_joins_nobody_else_and_its_user_hears_the_same_again(doors: Doors) -> None:
    doors.start()
    code = await doors.code(doors.here)
    first, again = [await doors.command(doors.there, "link", code) for _ in range(2)]
    assert first == again == say("en", "command.linked", persons="telegram:1, discord:1")
    assert await doors.command(doors.there, "link", code, user=2) == say("en", "command.link_wrong")
    assert await doors.here.desk.stores.people.aliases("discord:2") == ["discord:2"]


async def test_in_a_group_nobody_is_shown_a_code(doors: Doors, redis: Client) -> None:
    doors.start()
    assert await doors.command(doors.here, "link", chat="-100") == say("en", "command.link_private")
    assert await redis.keys("*link*") == []


async def test_where_only_its_sender_sees_the_answer_a_group_is_private(doors: Doors) -> None:
    doors.start()
    incoming = await doors.there.send(command="none", chat="-100")
    where = structs.replace(incoming.where, via="interaction", message="")
    await doors.there.put(encode(structs.replace(incoming, id="x", where=where, command="link")))
    await doors.settled()
    assert token(doors.there.desk.board.texts("-100")[-1])


async def test_a_code_that_is_sent_in_a_group_is_used_up_for_all_who_read_it(doors: Doors) -> None:
    doors.start()
    code = await doors.code(doors.here)
    assert "discord:1" in await doors.command(doors.there, "link", code, chat="-100")
    assert await doors.command(doors.there, "link", code, user=2) == say("en", "command.link_wrong")


async def test_strangers_neither_get_codes_nor_use_them(doors: Doors, redis: Client) -> None:
    doors.here.rules = doors.there.rules = Rules(allow=frozenset({"telegram:1"}))
    doors.start()
    assert await doors.command(doors.here, "link", user=2) == say("en", "command.stranger", person="telegram:2")
    assert await redis.keys("*link*") == []
    code = await doors.code(doors.here)
    assert await doors.command(doors.there, "link", code) == say("en", "command.stranger", person="discord:1")
    assert await apart(doors)


async def test_who_is_denied_on_one_platform_stays_denied_there(doors: Doors) -> None:
    await doors.here.desk.stores.people.join(await doors.here.desk.stores.people.offer("telegram:1"), "discord:1")
    doors.here.rules = doors.there.rules = Rules(open=True, deny=frozenset({"discord:1"}))
    doors.start()
    await doors.say(doors.there, "denied")
    assert doors.there.desk.board.texts() == [say("en", "command.stranger", person="discord:1")]
    await doors.say(doors.here, "admitted")
    assert [ask.question.text for ask in await doors.waiting()] == ["admitted"]


@pytest.mark.parametrize("issuer_is_admin", [True, False])
async def test_an_admin_s_rights_and_admission_do_not_travel(doors: Doors, issuer_is_admin: bool) -> None:
    doors.start()
    issuer, other = (doors.here, doors.there) if issuer_is_admin else (doors.there, doors.here)
    await doors.here.limits.redeem(await doors.here.limits.offer_admin(), "telegram:1")
    await doors.join(issuer, other)
    closed = Door(doors.there.desk, Rules()).limits
    assert await closed.is_admin("telegram:1")
    assert await closed.admits("telegram:1", "telegram:chat:1")
    assert not await closed.is_admin("discord:1")
    assert not await closed.admits("discord:1", "discord:chat:1")


async def test_both_share_one_quota(doors: Doors) -> None:
    doors.limit(2)
    doors.start()
    await doors.join(doors.here, doors.there)
    await doors.say(doors.here, "one")
    await doors.say(doors.there, "two")
    for door in (doors.here, doors.there):
        before = len(door.desk.board.texts())
        await doors.say(door, "three")
        (refusal,) = door.desk.board.texts()[before:]
        assert refusal.startswith("That was quick!")
    await doors.say(doors.there, "another's", user=2)
    assert sorted(ask.question.text for ask in await doors.waiting()) == ["another's", "one"]


@pytest.mark.parametrize("by", ["button", "edit"])
async def test_an_answer_asked_anew_counts_for_both(doors: Doors, by: str) -> None:
    doors.limit(2)
    doors.start()
    await doors.join(doors.there, doors.here)
    incoming = await doors.here.send("one")
    await doors.settled()
    ((claim,), _) = await doors.here.desk.stores.queue.claim("w", 1)
    await doors.here.desk.stores.queue.finish(claim, Done("x"), [structs.replace(claim.ask.question, ask=claim.ask.id)])
    await wait_until(doors.here.desk.delivered)
    await doors.say(doors.there, "two")
    if by == "button":
        (told,) = await press(doors.here, "again")
    else:
        await doors.here.put(encode(structs.replace(incoming, text="anew", edited=True)))
        await doors.settled()
        told = doors.here.desk.board.texts()[-1]
    assert told.startswith("That was quick!")


async def test_both_share_one_lane(doors: Doors) -> None:
    doors.start()
    await doors.join(doors.here, doors.there)
    await doors.say(doors.there, "first")
    await doors.say(doors.here, "second")
    assert [ask.question.text for ask in await doors.waiting()] == ["first"]
    assert await doors.waiting() == []


async def test_conversations_and_photos_stay_apart(doors: Doors, redis: Client) -> None:
    doors.start()
    await doors.join(doors.here, doors.there)
    for door in (doors.here, doors.there):
        await doors.say(door, "what?", PHOTO)
        ((claim,), _) = await door.desk.stores.queue.claim("w", 1)
        user = f"{door.platform}:1"
        assert (claim.ask.person, claim.ask.conversation) == (user, f"{door.platform}:1:1")
        assert claim.ask.lane == "telegram:1"
        assert len(await redis.keys(f"*img:{user}|*")) == 1
        await door.desk.stores.queue.finish(claim, Done("x"), [Turn("user", door.platform)])
    await doors.command(doors.there, "new")
    history = doors.here.desk.stores.history
    assert await history.read("discord:1:1", 1) == []
    assert await history.read("telegram:1:1", 0) == [Turn("user", "telegram")]


@pytest.mark.parametrize("by", ["here", "there"])
async def test_forget_on_one_side_deletes_and_stops_on_both(doors: Doors, redis: Client, by: str) -> None:
    stores = doors.here.desk.stores
    doors.start()
    for door in (doors.here, doors.there):  # an answered question, one that runs, and one that waits, before they join
        await doors.say(door, f"{door.platform} mine", PHOTO)
        ((claim,), _) = await stores.queue.claim("w", 1)
        await stores.queue.finish(claim, Done("x"), [structs.replace(claim.ask.question, ask=claim.ask.id)])
        await doors.say(door, f"{door.platform} mine runs")
        await doors.say(door, f"{door.platform} mine waits")
    running, _ = await stores.queue.claim("w", 10)
    await doors.say(doors.there, "another's", PHOTO, user=2)
    await doors.join(doors.here, doors.there)
    for door in (doors.here, doors.there):
        await doors.say(door, f"{door.platform} mine, one by now")
    await doors.command(getattr(doors, by), "forget")
    assert await stores.queue.renew(running) == ["cancelled", "cancelled"]
    for claim in running:
        await stores.queue.finish(claim, Cancelled("half"), [structs.replace(claim.ask.question, ask=claim.ask.id)])
    assert await doors.here.queued() == ["another's"]
    assert [name.decode().split("|")[0] for name in await redis.keys("*img:*")] == ["{askpix}:img:discord:2"]
    await wait_until(doors.here.desk.delivered)
    for name in await redis.keys("*"):
        if await redis.type(name) == b"hash":
            assert b"mine" not in b" ".join(await redis.hvals(name))
        if await redis.type(name) == b"list":
            assert b"mine" not in b" ".join(await redis.lrange(name, 0, -1))


async def test_stop_ends_what_was_asked_in_this_chat_before_and_after_they_joined(doors: Doors) -> None:
    doors.start()
    await doors.say(doors.there, "before")
    await doors.join(doors.here, doors.there)
    await doors.say(doors.there, "after")
    await doors.say(doors.here, "elsewhere")
    await doors.command(doors.there, "stop")
    assert await doors.here.queued() == ["elsewhere"]
    stopped = say("en", "stopped")
    await wait_until(lambda: doors.there.desk.board.texts().count(stopped) == 2)


async def test_the_stop_button_ends_what_was_asked_before_they_joined(doors: Doors) -> None:
    doors.start()
    await doors.say(doors.here, "before")
    await wait_until(lambda: len(doors.here.desk.board.texts()) == 1)
    slot = next(iter(doors.here.desk.board.shown))
    await doors.join(doors.there, doors.here)
    assert await press(doors.here, "stop", slot=slot) == [say("en", "button.stopping")]
    assert await doors.here.queued() == []


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_every_sentence_is_said_in_the_asker_s_language(doors: Doors, language: str) -> None:
    doors.start()
    people = doors.here.desk.stores.people
    for code in (await people.offer("discord:1"), await people.offer("telegram:1"), "guess"):
        await doors.here.send(command="link", argument=code, language=language)
    await doors.here.send(command="link", chat="-100", language=language)
    await doors.settled()
    linked = say(language, "command.linked", persons="discord:1, telegram:1")
    own, wrong = say(language, "command.link_own"), say(language, "command.link_wrong")
    assert doors.here.desk.board.texts() == [linked, own, wrong]
    assert doors.here.desk.board.texts("-100") == [say(language, "command.link_private")]
