"""What each kind of Discord's messages says to us, and what says nothing."""

from __future__ import annotations

import pytest
from discord.utils import snowflake_time

from bots.discord_reading import Via
from bots.surface import Incoming
from tests.bots.discord_town import ME, PICTURE, Town
from tests.emulators.discord_shapes import BOT_ID, user_object
from tests.emulators.server import Json


def names(incoming: Incoming) -> list[str]:
    return [file.source for file in incoming.photos]


def stickers(town: Town, *formats: int) -> list[Json]:
    """A sticker of each format: 1 PNG, 2 APNG, 3 Lottie, 4 GIF."""
    return [town.discord.sticker(PICTURE) | {"format_type": kind} for kind in formats]


# --- what says nothing to us


@pytest.mark.usefixtures("client")
async def test_what_does_not_name_us_is_not_for_us(town: Town) -> None:
    asked = await town.ann.says(town.square, "what a day", [PICTURE])
    await town.ben.says(town.square, "indeed", reply_to=asked)
    await town.ben.says(town.square, "<@1001> look", [PICTURE])
    await town.hears_nothing()


@pytest.mark.usefixtures("seeing")
async def test_what_we_are_shown_beyond_that_is_not_for_us_either(town: Town) -> None:
    asked = await town.ann.says(town.square, "what a day", [PICTURE])
    await town.ben.says(town.square, "indeed", reply_to=asked)
    await town.hears_nothing()


@pytest.mark.usefixtures("client")
async def test_a_message_says_when_it_was_sent(town: Town) -> None:
    asked = await town.ann.says(town.square, "what?", mention=True)
    assert (await town.hears()).sent == snowflake_time(int(asked["id"])).timestamp()


@pytest.mark.usefixtures("client")
async def test_nobody_speaks_for_a_bot_or_a_webhook(town: Town) -> None:
    await town.ann.says(town.square, "hello", mention=True, author=user_object(9, "Robot", bot=True))
    await town.ann.says(town.square, "hello", mention=True, webhook_id="5")
    await town.hears_nothing()


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("kind", [1, 6, 7, 8, 12, 18, 21, 24, 46])
async def test_what_discord_says_of_itself_is_no_question(town: Town, kind: int) -> None:
    await town.ann.says(town.square, mention=True, type=kind)
    await town.ann.dm("Ann joined", type=kind)
    await town.hears_nothing()


@pytest.mark.usefixtures("seeing")
async def test_a_mention_of_everybody_or_in_a_name_is_not_for_us(town: Town) -> None:
    await town.ann.says(town.square, "@everyone @here look", [PICTURE])
    await town.ann.says(town.square, f"<@&{town.discord.guild().bot_role}> <#{BOT_ID}> `askpix`", [PICTURE])
    await town.hears_nothing()


# --- what does


@pytest.mark.usefixtures("client")
async def test_a_mention_with_a_picture_is_a_question(town: Town) -> None:
    said = await town.ann.says(town.square, "what is it?", [("a.png", PICTURE)], mention=True)
    incoming = await town.hears()
    assert (incoming.text, incoming.refusal, incoming.edited, incoming.quote_text) == ("what is it?", "", False, "")
    assert (incoming.person, incoming.language) == ("discord:1001", "en")
    assert incoming.id == f"discord:{town.square.id}:{said['id']}"
    assert incoming.conversation == f"discord:{town.square.id}:1001"
    where = incoming.where
    assert (where.chat, where.message, where.group, where.via) == (str(town.square.id), said["id"], True, "")
    assert incoming.chats == (f"discord:chat:{town.square.id}", f"discord:chat:{town.discord.guild().id}")
    (file,) = incoming.photos
    assert (file.size, file.mime, file.source) == (len(PICTURE), "image/png", said["attachments"][0]["id"])
    assert file.id.startswith(f"{town.discord.cdn_url}/attachments/")
    assert "hm=" in file.id


@pytest.mark.usefixtures("client")
async def test_a_word_in_private_is_a_question_of_no_server(town: Town) -> None:
    await town.ann.dm("what is it?", [PICTURE])
    incoming = await town.hears()
    assert (incoming.text, len(incoming.photos), incoming.where.group, incoming.server) == ("what is it?", 1, False, "")
    assert incoming.chats == (f"discord:chat:{town.ann.private.id}",)


@pytest.mark.usefixtures("client")
async def test_a_thread_is_a_conversation_of_its_own(town: Town) -> None:
    thread = town.square.thread("cats")
    await town.ann.says(thread, "what?", mention=True)
    incoming = await town.hears()
    assert incoming.conversation == f"discord:{thread.id}:1001"
    assert incoming.where.chat == str(thread.id)
    assert incoming.server == str(town.discord.guild().id)


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"{ME} what?", "what?"),
        (f"<@!{BOT_ID}>what?", "what?"),
        (f"what is it, {ME}", "what is it,"),
        (f"{ME}\nwhat?\n{ME}", "what?"),
        (ME, ""),
        (f"{ME} is <@1001> or <@{BOT_ID}0> here?", f"is <@1001> or <@{BOT_ID}0> here?"),
    ],
)
async def test_our_own_mention_is_taken_out_of_the_words(town: Town, text: str, shown: str) -> None:
    await town.ann.says(town.square, text, mentions=[user_object(BOT_ID, "askpix", bot=True)])
    assert (await town.hears()).text == shown


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize(
    ("text", "locale", "language"),
    [
        ("what is it?", "en-US", "en"),
        ("what is it?", "zh-TW", "zh"),
        ("这是什么？", "en-US", "zh"),
        ("這是什麼", "fr", "zh"),
        ("qu'est-ce ?", "fr", "en"),
        ("", "zh-CN", "zh"),
    ],
)
async def test_people_are_answered_in_the_language_they_write_or_their_server_s(
    town: Town, text: str, locale: str, language: str
) -> None:
    channel = town.discord.guild(8, locale=locale).channel("hall")
    await town.ann.says(channel, text, [PICTURE], mention=True)
    assert (await town.hears()).language == language


# --- what it holds


@pytest.mark.usefixtures("client")
async def test_every_picture_of_a_message_is_taken_in_its_order(town: Town) -> None:
    said = await town.ann.dm("which?", [("a.png", PICTURE), ("b.webp", PICTURE), ("c", PICTURE)])
    incoming = await town.hears()
    assert names(incoming) == [each["id"] for each in said["attachments"]]
    assert [file.mime for file in incoming.photos] == ["image/png", "image/webp", ""]


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("a.ogg", "no_voice"),
        ("a.mp3", "no_voice"),
        ("a.txt", "no_document"),
        ("a.zip", "no_document"),
    ],
)
async def test_files_that_nobody_can_look_at_are_said_so(town: Town, name: str, refusal: str) -> None:
    await town.ann.dm("what is it?", [(name, b"x")])
    incoming = await town.hears()
    assert (incoming.refusal, incoming.photos) == (refusal, ())


@pytest.mark.usefixtures("client")
async def test_a_picture_beside_another_file_is_taken(town: Town) -> None:
    await town.ann.dm("what is it?", [("a.zip", b"x"), ("a.png", PICTURE)])
    incoming = await town.hears()
    assert (incoming.refusal, len(incoming.photos)) == ("", 1)


@pytest.mark.usefixtures("client")
async def test_stickers_that_are_pictures_are_taken_and_moving_ones_refused(town: Town) -> None:
    still, moving, drawn, gif = stickers(town, 1, 2, 3, 4)
    await town.ann.dm(sticker_items=[still, moving, drawn, gif])
    incoming = await town.hears()
    assert names(incoming) == [f"sticker:{still['id']}", f"sticker:{moving['id']}"]
    assert [(file.mime, file.id) for file in incoming.photos] == [
        ("image/png", f"{town.discord.cdn_url}/stickers/{each['id']}.png") for each in (still, moving)
    ]
    for each in (drawn, gif):
        await town.ann.dm(sticker_items=[each])
        assert (await town.hears()).refusal == "no_sticker"
    await town.ann.dm("what does it say?", sticker_items=[drawn])
    incoming = await town.hears()
    assert (incoming.refusal, incoming.text) == ("", "what does it say?")


@pytest.mark.usefixtures("client")
async def test_of_a_link_only_discord_s_own_copy_is_fetched(town: Town) -> None:
    embed = town.discord.embed(PICTURE)
    bare: Json = {"type": "image", "url": "https://x.invalid/a.png", "thumbnail": {"url": "https://x.invalid/a.png"}}
    large: Json = {"type": "rich", "image": {"url": "https://x.invalid/b.png", "proxy_url": "https://p.invalid/b"}}
    await town.ann.dm("https://example.invalid/picture.png", embeds=[embed, bare, large, {"type": "rich"}])
    incoming = await town.hears()
    assert [file.id for file in incoming.photos] == [embed["thumbnail"]["proxy_url"], "https://p.invalid/b"]
    assert incoming.text == "https://example.invalid/picture.png"


@pytest.mark.usefixtures("client")
async def test_what_is_forwarded_brings_its_pictures_and_its_words(town: Town) -> None:
    first = await town.ann.dm("my cat", [PICTURE])
    await town.hears()
    await town.ann.deletes(first)  # else the emulator takes the forward for a reply
    snapshot = {key: first[key] for key in ("type", "content", "embeds", "timestamp", "edited_timestamp", "flags")}
    snapshot |= {"attachments": [town.discord.world.signed(each) for each in first["attachments"]], "mentions": []}
    snapshot |= {"mention_roles": [], "components": [], "sticker_items": []}
    reference = {"type": 1, "message_id": first["id"], "channel_id": str(town.ann.private.id)}
    await town.ann.dm(message_reference=reference, message_snapshots=[{"message": snapshot}])
    incoming = await town.hears()
    assert names(incoming) == [first["attachments"][0]["id"]]
    assert (incoming.refusal, incoming.text, incoming.quote_text) == ("", "", "my cat")


# --- edits


@pytest.mark.usefixtures("client")
async def test_an_edit_is_the_same_message_again(town: Town) -> None:
    said = await town.ann.dm("before", [PICTURE])
    before = await town.hears()
    await town.ann.edits(said, "after")
    after = await town.hears()
    assert (after.id, after.text, before.edited, after.edited) == (before.id, "after", False, True)
    assert names(after) == names(before)
    await town.ann.edits(said, "and again")
    assert (await town.hears()).text == "and again"


@pytest.mark.usefixtures("client")
async def test_an_edit_can_take_our_mention_in_but_what_has_none_is_not_for_us(town: Town) -> None:
    said = await town.ann.says(town.square, "before", [PICTURE])
    await town.ann.edits(said, "still not")
    await town.ann.edits(said, f"{ME} what is it?")
    incoming = await town.hears()
    assert (incoming.text, incoming.edited, len(incoming.photos)) == ("what is it?", True, 1)


@pytest.mark.usefixtures("client")
async def test_a_link_that_discord_looked_up_is_no_edit(town: Town) -> None:
    said = await town.ann.dm("https://example.invalid/picture.png")
    assert (await town.hears()).photos == ()
    town.discord.world.change(said, {"embeds": [town.discord.embed(PICTURE)]})
    town.discord.world.change(said, {"pinned": True})
    await town.ann.edits(said, "https://example.invalid/other.png")
    assert (await town.hears()).edited
    town.discord.world.change(said, {"embeds": [town.discord.embed(PICTURE)]})
    await town.hears_nothing()


# --- interactions


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("locale", ["en-GB", "zh-CN", "zh-TW", "fr"])
async def test_a_command_says_who_where_how_and_in_which_language(town: Town, locale: str) -> None:
    cem = town.discord.user(1003, locale=locale)
    asked = await cem.slash("ask", town.square, question=" what? ", image=("a.png", PICTURE), private=True)
    incoming = await town.hears()
    assert incoming.id == f"discord:{town.square.id}:{asked.id}"
    assert (incoming.person, incoming.text) == ("discord:1003", "what?")
    assert incoming.conversation == f"discord:{town.square.id}:1003:private"
    assert incoming.language == ("zh" if "zh" in locale else "en")
    assert (incoming.where.chat, incoming.where.group, incoming.where.message) == (str(town.square.id), True, "")
    assert incoming.server == str(town.discord.guild().id)
    via = Via(str(asked.id), asked.token, str(town.square.id), "1003", "private")
    assert Via.read(incoming.where.via) == via
    assert Via.read(incoming.press) == via._replace(seen="whisper")


async def test_a_way_back_travels_as_text(town: Town) -> None:
    for via in (Via("1", "aW50:ZXI_-=", "2", "3", "public"), Via("1", "t", "2", "3", "whisper")):
        assert Via.read(str(via)) == via
    assert Via.read("") is None


@pytest.mark.usefixtures("client")
async def test_direct_messages_of_others_are_groups_to_us(town: Town) -> None:
    await town.ann.slash("help", town.discord.group_dm(town.ann, town.ben))
    assert (await town.hears()).where.group
    await town.ann.slash("help", town.discord.dm_between(town.ann, town.ben))
    assert (await town.hears()).where.group
    await town.ann.slash("help")
    assert not (await town.hears()).where.group
