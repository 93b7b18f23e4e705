"""The menu of a message, forms and presses on their way into the inbox."""

from __future__ import annotations

import asyncio

import pytest

from bots.discord_client import Client
from bots.discord_reading import Via
from bots.phrases import say
from bots.surface import Button, Page
from storage.messages import Address
from tests.bots.discord_town import MENU, PICTURE, Away, Town, surface_of
from tests.emulators.discord_interactions import Interaction
from tests.emulators.discord_shapes import DEFER, DEFER_UPDATE, EPHEMERAL
from tests.emulators.server import Json
from tests.waiting import wait_until


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


# --- the menu of a message


@pytest.mark.usefixtures("client")
async def test_the_menu_of_a_message_without_a_picture_says_so(town: Town) -> None:
    said = await town.ben.says(town.square, "words only", [("a.zip", b"x")])
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


async def test_a_form_waits_for_the_store_that_has_its_pictures(town: Town, away: Away) -> None:
    away.back.set()
    asked = await town.ann.context(MENU, await town.ben.says(town.square, "", [PICTURE]))
    await asked.shows_modal()
    away.back.clear()
    sent = await town.ann.submit(asked, {"question": "what?"})
    await wait_until(lambda: away.tried.count("kept") == 3)
    assert not sent.callback, "Discord tells them that it failed, and keeps what they wrote"
    away.back.set()
    assert (await town.hears()).text == "what?"
    await sent.answered()


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


async def test_forms_and_buttons_that_were_shown_are_not_kept_in_memory(town: Town, client: Client) -> None:
    """Whoever answers one is known by its id; most forms are never sent."""
    said = await town.ben.says(town.square, "", [PICTURE])
    for _ in range(3):
        await (await town.ann.context(MENU, said)).shows_modal()
    await (await town.ann.press(await an_answer(town, client), "follow")).shows_modal()
    kept = client.state._view_store
    assert not kept._modals
    assert not kept._views
