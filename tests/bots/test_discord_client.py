"""Discord's commands, menus, forms and presses on their way into the inbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
import pytest_asyncio

from bots.commands import NAMES
from bots.discord_client import Client
from bots.discord_reading import Via
from bots.phrases import say
from bots.surface import Button, Page
from storage.connection import StoreDown
from storage.inbox import Inbox
from storage.messages import Address
from tests.bots.discord_town import Town, surface_of
from tests.bots.pictures import encoded, halves
from tests.emulators.discord_interactions import Interaction
from tests.emulators.discord_shapes import DEFER, DEFER_UPDATE, EPHEMERAL
from tests.emulators.server import Json
from tests.waiting import wait_until

PICTURE = encoded(halves())
MENU = say("en", "discord.name_menu")
CALLBACK = "POST /interactions/{id}/{token}/callback"


@pytest_asyncio.fixture
async def client(town: Town) -> AsyncIterator[Client]:
    async with town.listening() as client:
        yield client


class Away:
    """An inbox whose store is away until `back`; `tried` are the steps that were tried meanwhile."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self.back = asyncio.Event()
        self.tried: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return partial(self._call, name)

    async def _call(self, name: str, *args: Any) -> Any:
        self.tried.append(name)
        if not self.back.is_set():
            raise StoreDown[0]("away")
        return await getattr(self._inbox, name)(*args)


@pytest.fixture
def away(client: Client, town: Town, monkeypatch: pytest.MonkeyPatch) -> Away:
    """The client's store, which goes away."""
    found = Away(town.inbox)
    monkeypatch.setattr(client, "_inbox", found)
    return found


async def an_answer(town: Town, client: Client, *, private: bool = False) -> Json:
    """An answer to Ann with every button under it."""
    asked = await town.ann.slash("ask", town.square, question="what?", image=PICTURE, private=private)
    async with surface_of(client) as surface:
        buttons = tuple(Button(code, code) for code in ("stop", "again", "file", "follow"))
        await surface.place((await town.hears()).where, Page("a cat", buttons=buttons))
    return await asked.shows()


def seen(asked: Interaction) -> tuple[int, bool]:
    """How an interaction was acknowledged, and whether that is for its person alone."""
    data: Json = asked.callback.get("data") or {}
    return asked.callback["type"], bool(data.get("flags", 0) & EPHEMERAL)


# --- commands


@pytest.mark.usefixtures("client")
async def test_every_command_is_told_in_three_languages_for_every_place(town: Town) -> None:
    told = {(command["type"], command["name"]): command for command in town.discord.commands()}
    assert {name for kind, name in told if kind == 1} == {"ask", "start", *NAMES}
    assert [name for kind, name in told if kind == 3] == [MENU]
    for command in told.values():
        assert sorted(command["contexts"]) == [0, 1, 2]
        assert sorted(command["integration_types"]) == [0, 1]
        assert {"zh-CN", "zh-TW"} <= set(command["name_localizations"])
        for each in (command, *command.get("options", ())):
            assert command["type"] == 3 or set(each["description_localizations"]) == {"zh-CN", "zh-TW"}
    (ask,) = (command for (_, name), command in told.items() if name == "ask")
    assert [(option["name"], bool(option.get("required"))) for option in ask["options"]] == [
        ("question", True), ("image", True), ("image2", False), ("image3", False), ("image4", False), ("private", False)
    ]  # fmt: skip
    assert ask["name_localizations"] == {"zh-CN": "提问", "zh-TW": "提問"}


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("private", [False, True])
async def test_a_question_by_command_brings_its_pictures_and_who_may_read_the_answer(
    town: Town, private: bool
) -> None:  # fmt: skip
    pictures = {f"image{n}": (f"a{n}.png", PICTURE) for n in ("", 2, 4)}
    asked = await town.ann.slash("ask", town.square, question=" which? ", **pictures, private=private)
    incoming = await town.hears()
    assert (incoming.text, [file.mime for file in incoming.photos]) == ("which?", ["image/png"] * 3)
    assert (incoming.command, incoming.button, incoming.refusal) == ("", "", "")
    via = Via.read(incoming.where.via)
    assert via and via.seen == ("private" if private else "public")
    await asked.answered()
    assert seen(asked) == (DEFER, private)


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("name", ["start", *NAMES])
async def test_other_commands_are_between_us_and_their_giver(town: Town, name: str) -> None:
    asked = await town.ann.slash(name, town.square)
    incoming = await town.hears()
    assert (incoming.command, incoming.argument, incoming.text) == (name, "", "")
    await asked.answered()
    assert seen(asked) == (DEFER, True)


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("name", ["start", "link"])
async def test_a_code_travels_with_its_command(town: Town, name: str) -> None:
    await town.ann.slash(name, code=" a_b-C9 ")
    incoming = await town.hears()
    assert (incoming.command, incoming.argument) == (name, "a_b-C9")


@pytest.mark.usefixtures("client")
async def test_the_same_interaction_twice_is_taken_in_once(town: Town) -> None:
    asked = await town.ann.slash("help")
    await asked.answered()
    town.discord.redeliver(asked)
    await wait_until(lambda: len(town.discord.called(CALLBACK)) == 2)
    assert (await town.hears()).command == "help"
    await town.hears_nothing()


# --- acknowledgement


async def test_an_interaction_is_acknowledged_while_the_store_is_away(town: Town, away: Away) -> None:
    asked = await town.ann.slash("ask", town.square, question="what?", image=PICTURE)
    await asked.answered()
    await wait_until(lambda: "put" in away.tried)
    away.back.set()
    assert (await town.hears()).text == "what?"


async def test_nothing_is_acknowledged_before_it_lies_in_the_inbox(town: Town, away: Away) -> None:
    asked = await town.ann.slash("ask", town.square, question="what?", image=PICTURE)
    await wait_until(lambda: len(away.tried) == 3)
    assert not asked.callback, "our death would leave “thinking” for good"
    away.back.set()
    assert (await town.hears()).text == "what?"
    await asked.answered()


async def test_an_answer_waits_until_discord_knows_that_we_heard(town: Town, client: Client) -> None:
    town.discord.delay_next(CALLBACK, 0.4)
    asked = await town.ann.slash("ask", town.square, question="what?", image=PICTURE)
    where = (await town.hears()).where  # in the inbox before the acknowledgement is through
    assert not asked.callback
    async with surface_of(client) as surface:
        await surface.place(where, Page("a cat"))
    assert asked.acked
    assert town.ann.reads(town.square) == ["a cat"], "it took the place of “thinking”"


@pytest.mark.parametrize(("status", "code"), [(404, 10062), (400, 40060), (503, 0)])
@pytest.mark.usefixtures("client")
async def test_an_acknowledgement_that_fails_loses_nothing(town: Town, status: int, code: int) -> None:
    town.discord.fail_next(CALLBACK, status, code)
    await town.ann.slash("ask", town.square, question="what?", image=PICTURE)
    assert (await town.hears()).text == "what?"
    await town.ann.slash("help")
    assert (await town.hears()).command == "help"


async def test_an_acknowledgement_whose_connection_is_cut_loses_nothing(town: Town, client: Client) -> None:
    town.discord.drop_next(CALLBACK, after_processing=False)
    asked = await town.ann.slash("ask", town.square, question="what?", image=PICTURE)
    where = (await town.hears()).where
    assert not asked.callback
    async with surface_of(client) as surface:  # as a member of the channel
        await surface.place(where, Page("a cat"))
    assert town.square.texts() == ["a cat"]


# --- the menu of a message


@pytest.mark.usefixtures("client")
async def test_the_menu_of_a_message_without_a_picture_says_so(town: Town) -> None:
    said = await town.ben.says(town.square, "words only", [("a.pdf", b"x")])
    asked = await town.ann.context(MENU, said)
    assert (await asked.shows())["content"] == say("en", "discord.no_picture")
    assert seen(asked) == (4, True)
    await town.hears_nothing()


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("choice", ["private", "public"])
async def test_the_menu_of_another_s_message_asks_about_its_picture_by_a_form(town: Town, choice: str) -> None:
    said = await town.ben.says(town.square, "my cat", [PICTURE], sticker_items=[town.discord.sticker(PICTURE)])
    asked = await town.ann.context(MENU, said)
    form = await asked.shows_modal()
    assert form["title"] == say("en", "discord.form")
    sent = await town.ann.submit(asked, {"question": " what breed? ", "seen": [choice]})
    incoming = await town.hears()
    assert (incoming.text, incoming.quote_text, incoming.photos) == ("what breed?", "my cat", ())
    assert len(incoming.quote_photos) == 2
    assert incoming.id.endswith(f":{sent.id}")
    via = Via.read(incoming.where.via)
    assert via and (via.interaction, via.seen) == (str(sent.id), choice)
    await sent.answered()
    assert seen(sent) == (DEFER, choice == "private")


@pytest.mark.usefixtures("client")
async def test_a_form_says_by_itself_that_only_its_person_will_read_the_answer(town: Town) -> None:
    asked = await town.ben.context(MENU, await town.ann.says(town.square, "", [PICTURE]))
    form = await asked.shows_modal()
    assert form["title"] == say("zh", "discord.form")
    await town.ben.submit(asked, {"question": "?"})
    via = Via.read((await town.hears()).where.via)
    assert via and via.seen == "private"


@pytest.mark.usefixtures("client")
async def test_the_menu_finds_the_picture_that_a_message_replies_to(town: Town) -> None:
    town.discord.world.message_content = True
    shown = await town.ben.says(town.square, "my cat", [PICTURE])
    said = await town.ben.says(town.square, "look up there", reply_to=shown)
    asked = await town.ann.context(MENU, said)
    await asked.shows_modal()
    await town.ann.submit(asked, {"question": "?"})
    assert len((await town.hears()).quote_photos) == 1


async def test_while_the_store_is_away_the_menu_says_so_in_time(
    town: Town, away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bots.discord_client.HOLD", 0.1)
    asked = await town.ann.context(MENU, await town.ben.says(town.square, "", [PICTURE]))
    assert (await asked.shows())["content"] == say("en", "went_wrong")
    assert away.tried
    assert asked.modal is None


async def test_a_store_that_hangs_is_not_waited_for(
    town: Town, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("bots.discord_client.HOLD", 0.1)
    monkeypatch.setattr(town.inbox, "keep", hang)
    asked = await town.ann.context(MENU, await town.ben.says(town.square, "", [PICTURE]))
    assert (await asked.shows())["content"] == say("en", "went_wrong")
    assert client


@pytest.mark.usefixtures("client")
async def test_a_form_whose_message_is_no_longer_known_says_so(town: Town) -> None:
    asked = await town.ann.context(MENU, await town.ben.says(town.square, "", [PICTURE]))
    await asked.shows_modal()
    await town.inbox._redis.delete("{askpix}:draft:discord:" + str(asked.id))  # pyright: ignore[reportPrivateUsage] : an hour later
    sent = await town.ann.submit(asked, {"question": "what?"})
    incoming = await town.hears()
    assert (incoming.refusal, incoming.text) == ("discord.menu_old", "what?")
    await sent.answered()


async def test_a_form_that_is_sent_after_our_restart_is_taken(town: Town) -> None:
    said = await town.ben.says(town.square, "my cat", [PICTURE])
    async with town.listening():
        asked = await town.ann.context(MENU, said)
        await asked.shows_modal()
    async with town.listening():
        await town.ann.submit(asked, {"question": "what?"})
        incoming = await town.hears()
    assert (incoming.text, incoming.quote_text, len(incoming.quote_photos)) == ("what?", "my cat", 1)


async def test_a_form_is_acknowledged_while_the_store_is_away(town: Town, away: Away) -> None:
    away.back.set()
    asked = await town.ann.context(MENU, await town.ben.says(town.square, "", [PICTURE]))
    await asked.shows_modal()
    away.back.clear()
    sent = await town.ann.submit(asked, {"question": "what?"})
    await sent.answered()
    away.back.set()
    assert (await town.hears()).text == "what?"


@pytest.mark.parametrize("layout", ["label", "row"])
async def test_a_form_s_fields_are_found_however_discord_lays_them_out(
    town: Town, client: Client, layout: str
) -> None:  # fmt: skip
    asked = await town.ann.context(MENU, await town.ben.says(town.square, "my cat", [PICTURE]))
    await asked.shows_modal()
    text: Json = {"type": 4, "custom_id": "question", "value": "what?"}
    choice: Json = {"type": 3, "custom_id": "seen", "values": ["public"]}
    label: list[Json] = [{"type": 18, "component": each} for each in (text, choice)]
    row: list[Json] = [{"type": 1, "components": [each]} for each in (text, choice)]
    data: Json = {"custom_id": f"askpix:menu:{asked.id}", "components": label if layout == "label" else row}
    town.discord.interactions.start(town.ann, town.square, 5, data, None, asked)
    incoming = await town.hears()
    via = Via.read(incoming.where.via)
    assert (incoming.text, via and via.seen) == ("what?", "public")
    assert client


# --- presses


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("code", ["stop", "again", "file"])
async def test_a_press_names_its_message_and_is_acknowledged_without_a_word(
    town: Town, client: Client, code: str, private: bool
) -> None:
    answer = await an_answer(town, client, private=private)
    pressed = await town.ann.press(answer, code)
    incoming = await town.hears()
    assert (incoming.button, incoming.where.message, incoming.person) == (code, answer["id"], "discord:1001")
    via = Via.read(incoming.where.via)
    assert via and via.seen == ("private" if private else "public")
    await pressed.answered()
    assert seen(pressed) == (DEFER_UPDATE, False)
    assert town.ann.reads(town.square) == ["a cat"]


async def test_a_button_works_after_our_restart(town: Town) -> None:
    async with town.listening() as client:
        answer = await an_answer(town, client)
    async with town.listening():
        await (await town.ann.press(answer, "again")).answered()
        assert (await town.hears()).button == "again"


async def test_a_follow_up_is_asked_by_a_form_and_one_s_own_answer_is_not_quoted(town: Town, client: Client) -> None:
    answer = await an_answer(town, client)
    pressed = await town.ann.press(answer, "follow")
    form = await pressed.shows_modal()
    assert len(form["components"]) == 1, "it is seen by whoever sees the answer"
    sent = await town.ann.submit(pressed, {"question": "are you sure?"})
    incoming = await town.hears()
    assert (incoming.text, incoming.quote_text, incoming.quote_photos, incoming.button) == ("are you sure?", "", (), "")
    assert incoming.where.message == ""
    await sent.answered()
    assert seen(sent) == (DEFER, False)


async def test_a_follow_up_on_another_s_answer_quotes_its_words(town: Town, client: Client) -> None:
    pressed = await town.ben.press(await an_answer(town, client), "follow")
    await pressed.shows_modal()
    await town.ben.submit(pressed, {"question": "are you sure?"})
    incoming = await town.hears()
    assert (incoming.person, incoming.quote_text) == ("discord:1002", "a cat")


async def test_a_follow_up_on_an_answer_to_a_message_quotes_it_for_everybody(town: Town, client: Client) -> None:
    async with surface_of(client) as surface:
        await surface.place(
            Address("discord", str(town.square.id), group=True), Page("a cat", buttons=(Button("follow", "follow"),))
        )
    pressed = await town.ann.press(town.square.messages[-1], "follow")
    await pressed.shows_modal()
    await town.ann.submit(pressed, {"question": "sure?"})
    assert (await town.hears()).quote_text == "a cat"


async def test_a_follow_up_on_a_private_answer_stays_private(town: Town, client: Client) -> None:
    pressed = await town.ann.press(await an_answer(town, client, private=True), "follow")
    await pressed.shows_modal()
    sent = await town.ann.submit(pressed, {"question": "are you sure?"})
    via = Via.read((await town.hears()).where.via)
    assert via and via.seen == "private"
    await sent.answered()
    assert seen(sent) == (DEFER, True)


# --- what goes wrong around them


async def test_commands_that_cannot_be_told_are_told_later(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    real = asyncio.sleep

    async def soon(seconds: float, *args: Any) -> None:
        await real(min(seconds, 0.01), *args)

    monkeypatch.setattr("bots.discord_client.asyncio.sleep", soon)
    town.discord.fail_next("PUT /applications/{app_id}/commands", 503, times=2)
    async with town.listening():
        assert len(town.discord.commands()) == len(NAMES) + 3


async def test_commands_that_discord_refuses_stop_nothing(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    async with town.listening():
        pass
    town.discord.fail_next("PUT /applications/{app_id}/commands", 400, 30034)
    async with town.listening() as client:
        await wait_until(lambda: "does not take the commands" in caplog.text)
        await town.ann.slash("help")
        assert (await town.hears()).command == "help"
        assert client.is_ready()


async def test_messages_wait_for_the_store(town: Town, away: Away) -> None:
    await town.ann.dm("are you there?")
    await wait_until(lambda: "put" in away.tried)
    away.back.set()
    assert (await town.hears()).text == "are you there?"


async def test_a_client_that_ends_while_the_store_is_away_ends(town: Town) -> None:
    async with town.listening() as client:
        away = Away(town.inbox)
        client._inbox = away  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue] : a store that is away
        await town.ann.slash("help")
        await wait_until(lambda: "put" in away.tried)
