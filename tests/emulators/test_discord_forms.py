"""Buttons and forms: what they bring, how they are answered, and what the app does not send."""

from __future__ import annotations

import pytest

from tests.emulators.discord_emulator import DiscordEmulator
from tests.emulators.discord_raw import RawBot
from tests.emulators.discord_shapes import DEFER_UPDATE, MODAL, REPLY, SHOW_MODAL, UPDATE
from tests.emulators.server import Json
from tests.emulators.test_discord_interactions import ASK, STOP

TEXT_INPUT: Json = {"type": 4, "custom_id": "q", "style": 2, "max_length": 10}
FORM: Json = {
    "title": "Ask", "custom_id": "form",
    "components": [{"type": 18, "label": "Question", "component": TEXT_INPUT}],
}  # fmt: skip


@pytest.fixture(autouse=True)
async def commands(raw: RawBot) -> None:
    await raw.sync(ASK)


async def test_a_button_updates_its_message(emulator: DiscordEmulator, raw: RawBot) -> None:
    ann, channel = emulator.user(1001), emulator.guild().channel()
    _, sent = await raw.send(channel, "…", components=[STOP])
    message = channel.messages[0]
    with pytest.raises(LookupError, match="no button"):
        await ann.press(message, "Other")
    pressed = await ann.press(message, "Stop")
    assert pressed.payload["data"] == {"custom_id": "stop:1", "component_type": 2, "id": 2}
    assert pressed.payload["message"]["id"] == sent["id"]
    assert (await raw.answer(pressed, UPDATE, content="stopped", components=[]))[0] == 200
    assert (message["content"], message["components"]) == ("stopped", [])
    with pytest.raises(LookupError):
        await ann.press(message, "stop:1")
    grey: Json = {"type": 1, "components": [STOP["components"][0] | {"disabled": True}]}
    await raw.send(channel, "…", components=[grey])
    with pytest.raises(LookupError, match="no button"):
        await ann.press(channel.messages[1], "Stop")


async def test_a_button_can_be_deferred_and_its_message_edited_later(emulator: DiscordEmulator, raw: RawBot) -> None:
    ann, channel = emulator.user(1001), emulator.guild().channel()
    await raw.send(channel, "…", components=[STOP])
    pressed = await ann.press(channel.messages[0], "stop:1")
    _, answer = await raw.answer(pressed, DEFER_UPDATE)
    assert answer["interaction"]["response_message_id"] == channel.messages[0]["id"]
    await raw(f"PATCH {raw.hook(pressed, '@original')}", {"content": "done"})
    _, more = await raw(f"POST {raw.hook(pressed)}", {"content": "more"}, wait="true")
    assert channel.texts() == ["done", "more"]
    assert (more["type"], more["message_reference"]["message_id"]) == (19, channel.messages[0]["id"])


async def test_a_form_is_filled_in_and_sent_off(emulator: DiscordEmulator, raw: RawBot) -> None:
    ann, channel = emulator.user(1001), emulator.guild().channel()
    _, sent = await raw.send(channel, "answer", components=[STOP])
    pressed = await ann.press(channel.messages[0], "Stop")
    with pytest.raises(LookupError, match="no modal"):
        await ann.submit(pressed, {})
    assert (await raw.answer(pressed, SHOW_MODAL, **FORM))[0] == 200
    assert (await pressed.shows_modal())["title"] == "Ask"
    for wrong, why in (({}, "1 to 10"), ({"q": "x" * 11}, "1 to 10")):
        with pytest.raises(ValueError, match=why):
            await ann.submit(pressed, wrong)
    with pytest.raises(LookupError, match="no field"):
        await ann.submit(pressed, {"other": "x"})
    filled = await ann.submit(pressed, {"Question": "why?"})
    assert (filled.kind, filled.payload["message"]["id"]) == (MODAL, sent["id"])
    assert filled.payload["data"]["components"] == [
        {"type": 18, "id": 1, "component": {"type": 4, "id": 0, "custom_id": "q", "value": "why?"}}
    ]
    status, answer = await raw.answer(filled, SHOW_MODAL, **FORM)
    assert (status, answer["code"]) == (400, 50035)
    _, answer = await raw.answer(filled, REPLY, content="because")
    origin = answer["resource"]["message"]["interaction_metadata"]["triggering_interaction_metadata"]
    assert origin["id"] == str(pressed.id)


async def test_files_that_need_not_be_there(emulator: DiscordEmulator, raw: RawBot) -> None:
    ann = emulator.user(1001)
    asked = await ann.slash("ask", question="?")
    upload: Json = {"type": 19, "custom_id": "files", "required": False}
    rows: list[Json] = [{"type": 18, "label": "Pictures", "component": upload}]
    await raw.answer(asked, SHOW_MODAL, title="Ask", custom_id="form", components=rows)
    filled = await ann.submit(asked, {})
    assert filled.payload["data"]["components"][0]["component"]["values"] == []
    with pytest.raises(ValueError, match="0 to 1 files"):
        await ann.submit(asked, {"Pictures": [b"1", b"2"]})


async def test_a_form_with_rows_files_and_choices(emulator: DiscordEmulator, raw: RawBot) -> None:
    ann = emulator.user(1001)
    asked = await ann.slash("ask", question="?")
    rows: list[Json] = [
        {"type": 10, "content": "Say what you want"},
        {"type": 1, "components": [{**TEXT_INPUT, "label": "Words", "required": False}]},
        {"type": 18, "label": "Pictures", "component": {"type": 19, "custom_id": "files", "max_values": 2}},
        {
            "type": 18,
            "label": "How",
            "component": {"type": 3, "custom_id": "how", "options": [{"label": "Short", "value": "s"}]},
        },
        {"type": 18, "label": "Private", "component": {"type": 23, "custom_id": "private"}},
    ]
    await raw.answer(asked, SHOW_MODAL, title="Ask", custom_id="form", components=rows)
    with pytest.raises(ValueError, match="1 to 2 files"):
        await ann.submit(asked, {"How": ["s"]})
    with pytest.raises(ValueError, match="not \\['long'\\]"):
        await ann.submit(asked, {"How": ["long"], "Pictures": [b"1"]})
    filled = await ann.submit(asked, {"How": ["s"], "Pictures": [("a.png", b"1"), b"2"], "Private": True})
    data = filled.payload["data"]
    text, words, pictures, how, private = data["components"]
    assert (text, words["components"][0]["value"]) == ({"type": 10, "id": 1}, "")
    names = [data["resolved"]["attachments"][each]["filename"] for each in pictures["component"]["values"]]
    assert (names, how["component"]["values"], private["component"]["value"]) == (["a.png", "image.png"], ["s"], True)
    status, answer = await raw.answer(filled, UPDATE, content="x")
    assert (status, answer["code"]) == (400, 50035)  # it came from a command: there is no message to update
