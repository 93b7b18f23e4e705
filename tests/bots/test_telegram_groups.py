"""Who is answered in a group, about what, and where: mentions, commands, replies, topics."""

from __future__ import annotations

import pytest

from bots.phrases import say
from storage.messages import Ask, Done
from tests.bots.life import Life
from tests.bots.pictures import encoded, halves

PICTURE = encoded(halves(), "JPEG")
HOW = say("en", "ask_what")


@pytest.mark.parametrize("privacy", [True, False])
async def test_in_a_group_only_what_is_meant_for_us_is_answered(life: Life, privacy: bool) -> None:
    await life.start(privacy=privacy)
    ann, ben, group = life.ann, life.ben, life.telegram.group(-100)
    for ordinary in ("hello all", "/ban@other_bot ben", "/ask@other_bot what?", "@user_1002 look", "/weather today"):
        await ann.send_text(group, ordinary)
    await ann.send_photo(group, PICTURE, "my cat")
    await life.nothing_is_asked()
    for text, asked in (
        ("/ask one", "one"), ("/ask@Askpix_Bot two", "two"), ("@askpix_bot three", "three"), ("/ASK\nfour", "four"),
    ):  # fmt: skip
        question = await ann.send_text(group, text)
        assert (await life.answer(f"to {asked}")).question.text == asked
        await group.wait_for(lambda texts, asked=asked: texts[-1:] == [f"to {asked}"])
    mine = group.bot_messages()[-1]
    assert mine["reply_to_message"]["message_id"] == question["message_id"]
    await ben.send_text(group, "good question", reply_to=question)  # the bot sees it, and stays silent
    await life.settled()
    await ben.send_text(group, "why?", reply_to=mine)
    ask = await life.answer("so")
    assert (ask.person, ask.question.text) == ("telegram:1002", "why?")
    assert ask.question.quote and ask.question.quote.text == "to four"
    await group.wait_for(lambda texts: texts[-1:] == ["so"])
    assert len(group.texts()) == 5


async def test_where_mentions_do_not_arrive_commands_and_replies_do(life: Life) -> None:
    life.telegram.world.mentions_arrive = False
    await life.start()
    group = life.telegram.group(-100)
    await life.ann.send_text(group, "@askpix_bot unseen")
    await life.ann.send_photo(group, PICTURE, "/ask what is it?")
    ask = await life.answer("a cat")
    assert (ask.question.text, len(ask.question.photos)) == ("what is it?", 1)
    await group.wait_for(lambda texts: texts == ["a cat"])
    await life.ann.send_text(group, "sure?", reply_to=group.bot_messages()[0])
    assert (await life.answer("yes")).question.text == "sure?"


async def test_a_command_alone_is_told_how_and_under_a_photo_asks_about_it(life: Life) -> None:
    await life.start()
    group = life.telegram.group(-100)
    for text in ("/ask", "@askpix_bot"):
        await life.ann.send_text(group, text)
    await group.wait_for(lambda texts: texts == [HOW, HOW])
    photo = await life.ben.send_photo(group, PICTURE)
    await life.ann.send_text(group, "/ask", reply_to=photo)
    question = (await life.answer("a cat")).question
    assert question.text == say("en", "default_question")
    assert question.quote and len(question.quote.photos) == 1
    await life.ben.send_text(group, "/ask@askpix_bot", reply_to=photo)
    assert (await life.answer("一只猫")).question.text == say("zh", "default_question")


async def test_who_writes_in_the_name_of_a_chat_is_nobody(life: Life) -> None:
    channel = life.telegram.world.channel(-1009, "News")
    await life.start(privacy=False)
    group = life.telegram.group(-100)
    for chat in (group, channel):
        await life.ann.send_text(group, "/ask what?", as_chat=chat)
        await life.ann.send_photo(group, PICTURE, "@askpix_bot what?", as_chat=chat)
    life.telegram.world.auto_forward(life.telegram.world.channel_post(channel, "/ask a post"), group)
    await life.nothing_is_asked()
    assert group.texts() == []


# --- topics


async def test_topics_are_conversations_of_their_own_and_are_answered_in_place(life: Life) -> None:
    await life.start()
    forum = life.telegram.group(-100, forum=True)
    cats, dogs = [await life.ann.create_topic(forum, name) for name in ("Cats", "Dogs")]
    asks: list[Ask] = []
    for topic in (cats, dogs, 0):  # the general one has no id
        await life.ann.send_text(forum, f"/ask in {topic}", topic=topic)
        asks.append(await life.answer(f"here {topic}"))
        await forum.wait_for(lambda texts, topic=topic: texts[-1:] == [f"here {topic}"])
        assert forum.bot_messages()[-1].get("message_thread_id", 0) == topic
    assert [ask.conversation for ask in asks] == [
        f"telegram:-100:{cats}:1001", f"telegram:-100:{dogs}:1001", "telegram:-100:1001",
    ]  # fmt: skip
    assert [ask.question.quote for ask in asks] == [None] * 3
    await life.ann.send_text(forum, "/new", topic=cats)
    await forum.wait_for(lambda texts: texts[-1:] == [say("en", "command.new")])
    assert forum.bot_messages()[-1]["message_thread_id"] == cats
    assert [len(await life.stores.history.read(ask.conversation, ask.epoch)) for ask in asks] == [0, 2, 2]


async def test_replies_in_a_supergroup_are_no_topics(life: Life) -> None:
    await life.start()
    group = life.telegram.group(-100)
    await life.ann.send_text(group, "/ask first")
    first = await life.answer("one")
    await group.wait_for(lambda texts: texts == ["one"])
    await life.ann.send_text(group, "second", reply_to=group.bot_messages()[0])
    second = await life.answer("two")
    assert group.messages[-2]["message_thread_id"]  # Telegram gave the reply a thread
    assert first.conversation == second.conversation == "telegram:-100:1001"
    assert (first.where.thread, second.where.thread) == ("", "")
    await group.wait_for(lambda texts: texts == ["one", "two"])


@pytest.mark.parametrize("fate", ["closed", "deleted"])
async def test_in_a_topic_that_is_closed_or_deleted_nobody_reads_the_answer(life: Life, fate: str) -> None:
    await life.start()
    forum = life.telegram.group(-100, forum=True)
    topic = await life.ann.create_topic(forum, "Cats")
    await life.ann.send_text(forum, "/ask what?", topic=topic)
    claim = await life.claim()
    await forum.wait_for(lambda texts: texts == ["…"])
    if fate == "closed":
        await life.ann.close_topic(forum, topic)
        await life.finish(claim, "an answer that was begun is still written")
        await forum.wait_for(lambda texts: texts == ["an answer that was begun is still written"])
        await life.ann.send_text(forum, "/ask again", topic=topic)
        claim = await life.claim()
    else:
        await life.ann.delete_topic(forum, topic)
        await life.stores.replies.emit(claim, "half an answer")
    await life.engine_is_free(claim)
    await life.ann.send_text(forum, "/ask elsewhere")
    assert await life.stores.queue.finish(claim, Done("late"))
    assert (await life.answer("yes")).question.text == "elsewhere"
    await forum.wait_for(lambda texts: texts[-1:] == ["yes"] and "late" not in texts)
