"""Groups, topics and members of the emulated Telegram, as the library that the real bot uses meets them."""

from __future__ import annotations

import pytest
from telegram import (
    Bot,
    ChatMemberAdministrator,
    ChatMemberRestricted,
    ChatMemberUpdated,
    InputMediaPhoto,
    Message,
    MessageOriginChannel,
)
from telegram.error import BadRequest, ChatMigrated, Forbidden

from tests.emulators.server import Json
from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_world import GENERAL, Chat
from tests.emulators.test_telegram_emulator import jpeg


async def messages(bot: Bot) -> list[Message]:
    """Every message that the bot was told of."""
    return [update.message for update in await bot.get_updates() if update.message]


async def texts(bot: Bot) -> list[str | None]:
    """Their texts and captions, service messages aside."""
    return [message.text or message.caption for message in await messages(bot) if message.text or message.photo]


async def changes(bot: Bot) -> list[ChatMemberUpdated]:
    """Every my_chat_member."""
    return [update.my_chat_member for update in await bot.get_updates() if update.my_chat_member]


def statuses(changed: list[ChatMemberUpdated]) -> list[tuple[str, str]]:
    return [(change.old_chat_member.status, change.new_chat_member.status) for change in changed]


@pytest.mark.parametrize("kind", ["group", "supergroup"])
async def test_a_bot_is_added_and_removed(telegram: TelegramEmulator, bot: Bot, kind: str) -> None:
    ann = telegram.user(1001)
    group = telegram.group(-77, kind="group" if kind == "group" else "supergroup", bot_inside=False)
    with pytest.raises(Forbidden, match=f"bot is not a member of the {kind} chat"):
        await bot.send_message(-77, "let me in")
    await ann.send_text(group, "/ask nobody hears")
    await ann.add_bot(group)
    await bot.send_message(-77, "hello")
    await ann.remove_bot(group)
    await ann.send_text(group, "/ask nobody hears")
    with pytest.raises(Forbidden, match=f"bot was kicked from the {kind} chat"):
        await bot.send_message(-77, "why?")
    changed = await changes(bot)
    assert statuses(changed) == [("left", "member"), ("member", "kicked")]
    assert {(change.chat.type, change.from_user.id) for change in changed} == {(kind, 1001)}
    joined, left = await messages(bot)
    assert [user.id for user in joined.new_chat_members] == [4242]
    assert left.left_chat_member and left.left_chat_member.id == 4242


async def test_without_the_right_to_write_every_kind_says_which(telegram: TelegramEmulator, bot: Bot) -> None:
    ann, group = telegram.user(1001), telegram.group(-100)
    await ann.restrict_bot(group)
    for call, what in (
        (bot.send_message(-100, "text"), "text messages"),
        (bot.send_photo(-100, jpeg(40, 30)), "photos"),
        (bot.send_media_group(-100, [InputMediaPhoto(jpeg(40, 30))] * 2), "photos"),
        (bot.send_document(-100, b"text", filename="a.md"), "documents"),
    ):
        with pytest.raises(BadRequest, match=f"(?i)not enough rights to send {what} to the chat"):
            await call
    await ann.restrict_bot(group, text=True)
    await bot.send_message(-100, "text")
    with pytest.raises(BadRequest, match="documents"):
        await bot.send_document(-100, b"text", filename="a.md")
    silenced, speaking = [change.new_chat_member for change in await changes(bot)]
    assert isinstance(silenced, ChatMemberRestricted) and isinstance(speaking, ChatMemberRestricted)
    assert (silenced.can_send_messages, speaking.can_send_messages, speaking.can_send_photos) == (False, True, False)
    assert group.texts() == ["text"]


async def test_an_administrator_sees_everything_in_spite_of_privacy(telegram: TelegramEmulator, bot: Bot) -> None:
    ann, group = telegram.user(1001), telegram.group(-100)
    await ann.send_text(group, "unseen")
    await ann.promote_bot(group)
    await ann.send_text(group, "seen")
    await ann.demote_bot(group)
    await ann.send_text(group, "unseen again")
    assert await texts(bot) == ["seen"]
    promoted, _ = await changes(bot)
    assert isinstance(promoted.new_chat_member, ChatMemberAdministrator)


async def test_a_user_blocks_and_unblocks_the_bot(telegram: TelegramEmulator, bot: Bot) -> None:
    ann = telegram.user(1001)
    await ann.block_bot()
    with pytest.raises(Forbidden, match="bot was blocked by the user"):
        await bot.send_message(1001, "still there?")
    await ann.unblock_bot()
    await bot.send_message(1001, "welcome back")
    changed = await changes(bot)
    assert statuses(changed) == [("member", "kicked"), ("kicked", "member")]
    assert [change.chat.type for change in changed] == ["private"] * 2
    assert ann.private.texts() == ["welcome back"]


async def test_a_group_becomes_a_supergroup(telegram: TelegramEmulator, bot: Bot) -> None:
    ann, group = telegram.user(1001), telegram.group(-77, "Friends", kind="group")
    sent = await bot.send_message(-77, "before")
    grown = await ann.migrate(group)
    for call in (bot.send_message(-77, "after"), bot.edit_message_text("after", -77, sent.message_id)):
        with pytest.raises(ChatMigrated) as refused:
            await call
        assert refused.value.new_chat_id == grown.id
    await bot.send_message(grown.id, "after")
    gone, come = await messages(bot)
    assert (gone.chat.id, gone.chat.type, gone.migrate_to_chat_id) == (-77, "group", grown.id)
    assert (come.chat.id, come.chat.type, come.migrate_from_chat_id) == (grown.id, "supergroup", -77)
    assert come.message_id == 1  # a supergroup counts its own
    assert come.from_user and come.from_user.username == "GroupAnonymousBot"
    (joined,) = await changes(bot)
    assert (joined.chat.id, statuses([joined])) == (grown.id, [("left", "member")])
    assert (group.texts(), grown.texts(), grown.title) == (["before"], ["after"], "Friends")
    with pytest.raises(ValueError, match="only a group"):
        await ann.migrate(grown)


async def test_the_words_of_a_migration_are_telegram_s(telegram: TelegramEmulator, bot: Bot) -> None:
    grown = await telegram.user(1001).migrate(telegram.group(-77, kind="group"))
    with pytest.raises(ChatMigrated):
        await bot.send_message(-77, "text")
    with pytest.raises(Exception, match="group chat was upgraded to a supergroup chat") as refused:
        telegram.api.call("sendmessage", {"chat_id": "-77", "text": "text"})
    assert getattr(refused.value, "parameters", None) == {"migrate_to_chat_id": grown.id}


async def test_messages_of_a_topic_say_which_and_reply_to_its_first(telegram: TelegramEmulator, bot: Bot) -> None:
    ann, forum = telegram.user(1001), telegram.group(-100, forum=True)
    topic = await ann.create_topic(forum, "Birds")
    await ann.send_text(forum, "/ask in a topic", topic=topic)
    await ann.send_text(forum, "/ask in general")
    created, inside, general = await messages(bot)
    assert created.forum_topic_created and created.forum_topic_created.name == "Birds"
    assert (created.message_id, created.message_thread_id, created.chat.is_forum) == (topic, topic, True)
    assert (inside.message_thread_id, inside.is_topic_message) == (topic, True)
    assert inside.reply_to_message and inside.reply_to_message.forum_topic_created
    assert (general.message_thread_id, general.is_topic_message, general.reply_to_message) == (None, None, None)
    answer = await bot.send_message(-100, "…", reply_to_message_id=inside.message_id)
    assert (answer.message_thread_id, answer.is_topic_message) == (topic, True)  # a reply needs no thread id
    answer = await bot.send_message(-100, "…", message_thread_id=topic)
    assert answer.reply_to_message and answer.reply_to_message.message_id == topic


async def test_a_topic_can_be_closed_and_deleted(telegram: TelegramEmulator, bot: Bot) -> None:
    ann, forum = telegram.user(1001), telegram.group(-100, forum=True)
    topic = await ann.create_topic(forum, "Birds")
    sent = await bot.send_message(-100, "open", message_thread_id=topic)
    await ann.close_topic(forum, topic)
    with pytest.raises(BadRequest, match=r"(?i)TOPIC_CLOSED"):
        await bot.send_message(-100, "closed", message_thread_id=topic)
    with pytest.raises(BadRequest, match=r"(?i)TOPIC_CLOSED"):
        await bot.send_message(-100, "closed", reply_to_message_id=sent.message_id)
    await ann.promote_bot(forum)
    await bot.send_message(-100, "closed, but for administrators", message_thread_id=topic)
    await ann.demote_bot(forum)
    await ann.reopen_topic(forum, topic)
    await bot.send_message(-100, "open again", message_thread_id=topic)
    await ann.delete_topic(forum, topic)
    with pytest.raises(BadRequest, match=r"(?i)message thread not found"):
        await bot.send_message(-100, "gone", message_thread_id=topic)
    with pytest.raises(BadRequest, match=r"(?i)message to edit not found"):
        await bot.edit_message_text("gone", -100, sent.message_id)
    assert await bot.send_chat_action(-100, "typing", message_thread_id=topic)  # Telegram takes it all the same
    assert forum.texts() == []


async def test_the_general_topic_has_no_id_and_can_be_closed(telegram: TelegramEmulator, bot: Bot) -> None:
    ann, forum = telegram.user(1001), telegram.group(-100, forum=True)
    with pytest.raises(BadRequest, match=r"(?i)message thread not found"):
        await bot.send_message(-100, "text", message_thread_id=GENERAL)
    await bot.send_message(-100, "open")
    await ann.close_topic(forum, GENERAL)
    with pytest.raises(BadRequest, match=r"(?i)TOPIC_CLOSED"):
        await bot.send_message(-100, "closed")
    closed = (await messages(bot))[-1]
    assert closed.forum_topic_closed is not None and closed.message_thread_id is None


async def test_replies_in_a_supergroup_are_threads_but_no_topics(telegram: TelegramEmulator, bot: Bot) -> None:
    ann, group = telegram.user(1001), telegram.group(-100)
    first = await ann.send_text(group, "/ask one")
    second = await ann.send_text(group, "/ask two", first)
    await ann.send_text(group, "/ask three", second)
    ids = [(message.message_thread_id, message.is_topic_message) for message in await messages(bot)]
    assert ids == [(None, None), (1, None), (1, None)]


async def test_anonymous_admins_and_channels_write_by_telegram_s_own_bots(telegram: TelegramEmulator, bot: Bot) -> None:
    ann, group, channel = telegram.user(1001), telegram.group(-100), telegram.world.channel(-1009, "News")
    await ann.send_text(group, "/ask as the group", as_chat=group)
    await ann.send_text(group, "/ask as a channel", as_chat=channel)
    post = telegram.world.channel_post(channel, "/ask a post")
    telegram.world.auto_forward(post, group)
    await telegram.user(1002).promote_bot(group)
    telegram.world.auto_forward(post, group)
    admin, guest, linked = await messages(bot)
    assert [(m.from_user.username, m.sender_chat.id) for m in (admin, guest) if m.from_user and m.sender_chat] == [
        ("GroupAnonymousBot", -100),
        ("Channel_Bot", -1009),
    ]
    assert linked.from_user and linked.from_user.id == 777000
    assert linked.is_automatic_forward and isinstance(linked.forward_origin, MessageOriginChannel)
    (posted,) = [update.channel_post for update in await bot.get_updates() if update.channel_post]
    assert (posted.from_user, posted.sender_chat and posted.sender_chat.id) == (None, -1009)


async def talk(telegram: TelegramEmulator, group: Chat, answer: Json) -> None:
    """What people say in a group, to the bot or not."""
    ann, ben = telegram.user(1001), telegram.user(1002)
    await ann.send_text(group, "hello all")
    await ann.send_text(group, "/ask@other_bot what?")
    asked = await ann.send_text(group, "/ask what?")
    await ann.send_text(group, "/ask@Askpix_Bot what?")
    await ann.send_text(group, "@AskPix_bot what?")
    await ann.send_photo(group, jpeg(40, 30), "@askpix_bot this?")
    await ann.send_text(group, "and this?", answer)
    await ben.send_text(group, "good question", asked)
    await ann.send_album(group, [jpeg(40, 30)] * 3, ["@askpix_bot these?"])


FOR_THE_BOT = [
    "/ask what?",
    "/ask@Askpix_Bot what?",
    "@AskPix_bot what?",
    "@askpix_bot this?",
    "and this?",
    "good question",  # a reply to what was meant for the bot
    "@askpix_bot these?",  # of an album the photo with the mention, alone
]


async def test_with_privacy_the_bot_sees_what_is_meant_for_it(telegram: TelegramEmulator, bot: Bot) -> None:
    group = telegram.group(-100)
    await bot.send_message(-100, "I am here")
    await talk(telegram, group, group.messages[0])
    assert await texts(bot) == FOR_THE_BOT


async def test_without_privacy_it_sees_all_that_people_say(bot: Bot, telegram: TelegramEmulator) -> None:
    telegram.world.privacy = False
    group = telegram.group(-100)
    await bot.send_message(-100, "I am here")
    await talk(telegram, group, group.messages[0])
    telegram.world.other_bot_says(group, "another bot's words are never seen")
    assert [text for text in await texts(bot) if text not in FOR_THE_BOT] == [
        "hello all",
        "/ask@other_bot what?",
        None,
        None,
    ]
    assert (await bot.get_me()).can_read_all_group_messages


async def test_with_privacy_mentions_may_be_hidden_too(telegram: TelegramEmulator, bot: Bot) -> None:
    telegram.world.mentions_arrive = False
    group = telegram.group(-100)
    await bot.send_message(-100, "I am here")
    await talk(telegram, group, group.messages[0])
    assert await texts(bot) == [text for text in FOR_THE_BOT if not text.startswith("@")]


async def test_a_command_without_a_name_is_for_the_bot_that_spoke_last(telegram: TelegramEmulator, bot: Bot) -> None:
    ann, group = telegram.user(1001), telegram.group(-100)
    await ann.send_text(group, "/ask before anybody spoke")
    telegram.world.other_bot_says(group, "my turn")
    await ann.send_text(group, "/ask the other")
    await ann.send_text(group, "/ask@askpix_bot ours")
    await bot.send_message(-100, "my turn")
    await ann.send_text(group, "/ask ours again")
    assert await texts(bot) == ["/ask before anybody spoke", "/ask@askpix_bot ours", "/ask ours again"]
