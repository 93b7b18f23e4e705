"""What a Discord message that replies to another says to us."""

from __future__ import annotations

import pytest

from bots.discord_client import Client
from tests.bots.discord_town import PICTURE, Town


@pytest.mark.usefixtures("client")
async def test_a_reply_to_another_s_picture_that_we_are_not_shown_is_told_of_the_menu(town: Town) -> None:
    shown = await town.ben.says(town.square, "my cat", [PICTURE])
    await town.ann.says(town.square, "what breed?", reply_to=shown, mention=True)
    incoming = await town.hears()
    assert (incoming.refusal, incoming.quote_text, incoming.quote_photos) == ("discord.use_menu", "", ())


@pytest.mark.usefixtures("client")
async def test_with_a_picture_of_one_s_own_such_a_reply_is_a_question(town: Town) -> None:
    shown = await town.ben.says(town.square, "my cat", [PICTURE])
    await town.ann.says(town.square, "and mine?", [PICTURE], reply_to=shown, mention=True)
    incoming = await town.hears()
    assert (incoming.refusal, len(incoming.photos), incoming.quote_photos) == ("", 1, ())


@pytest.mark.usefixtures("seeing")
async def test_a_reply_quotes_another_s_words_and_pictures_when_we_are_shown_them(town: Town) -> None:
    shown = await town.ben.says(town.square, "my cat", [PICTURE])
    await town.ann.says(town.square, "what breed?", reply_to=shown, mention=True)
    incoming = await town.hears()
    assert (incoming.refusal, incoming.text, incoming.quote_text) == ("", "what breed?", "my cat")
    assert [file.source for file in incoming.quote_photos] == [shown["attachments"][0]["id"]]
    assert incoming.photos == ()


@pytest.mark.usefixtures("client")
async def test_another_s_message_that_named_us_can_be_quoted(town: Town) -> None:
    shown = await town.ben.says(town.square, "look", [PICTURE], mention=True)
    assert (await town.hears()).text == "look"
    await town.ann.says(town.square, "what breed?", reply_to=shown, mention=True)
    incoming = await town.hears()
    assert (incoming.refusal, len(incoming.quote_photos)) == ("", 1)
    assert "look" in incoming.quote_text


@pytest.mark.usefixtures("client")
async def test_a_reply_to_our_answer_is_for_us_and_quotes_its_words(town: Town, client: Client) -> None:
    await client.get_partial_messageable(town.square.id).send("a cat")
    (answer,) = town.square.bot_messages()
    await town.ann.says(town.square, "are you sure?", reply_to=answer, ping=True)
    incoming = await town.hears()
    assert (incoming.text, incoming.quote_text, incoming.refusal) == ("are you sure?", "a cat", "")


@pytest.mark.usefixtures("seeing")
async def test_a_reply_to_our_answer_needs_no_mention_when_we_are_shown_it(town: Town, seeing: Client) -> None:
    await seeing.get_partial_messageable(town.square.id).send("a cat")
    (answer,) = town.square.bot_messages()
    await town.ann.says(town.square, "are you sure?", reply_to=answer, ping=False)
    assert (await town.hears()).text == "are you sure?"


@pytest.mark.usefixtures("client")
async def test_a_reply_to_what_was_deleted_is_a_question_of_its_own(town: Town) -> None:
    shown = await town.ben.says(town.square, "my cat", [PICTURE])
    await town.ben.deletes(shown)
    await town.ann.says(town.square, "what breed?", reply_to=shown, mention=True)
    incoming = await town.hears()
    assert (incoming.text, incoming.quote_text, incoming.refusal) == ("what breed?", "", "")


@pytest.mark.usefixtures("client")
async def test_in_private_a_reply_to_one_s_own_older_picture_quotes_it(town: Town) -> None:
    shown = await town.ann.dm("my cat", [PICTURE])
    await town.hears()
    await town.ann.dm("what breed?", reply_to=shown)
    incoming = await town.hears()
    assert (incoming.quote_text, len(incoming.quote_photos), incoming.refusal) == ("my cat", 1, "")
