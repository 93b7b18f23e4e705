"""The tasks on Telegram, over the whole road: `/ocr`, `/find the cups` …, with a large model's answers.

Each scene is a person of their own, and all play at once: what they wait for is Telegram's rate in a chat.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from PIL import Image

from bots.phrases import say
from bots.results import LONG_COPY
from tests import exhibits
from tests.emulators.engine import Request
from tests.emulators.server import Json
from tests.emulators.telegram_world import User
from tests.exhibits import block, codes, drawn_on, encoded, shown, task_of
from tests.road import Road, open_road, pictures
from tests.waiting import wait_until

LONG = "\n".join(f"{n:4}  a line of a long paper" for n in range(200))
PAPER, ODD, SLOW = (320, 640), (352, 352), (384, 384)  # sizes of pictures by which the engine knows what to answer


def reply(body: Json) -> Sequence[str] | AsyncIterator[str]:
    """A long text of the paper, no box in the odd picture, and a slow answer of the slow one."""
    asked = shown(Request(0, "", body))
    size = asked.pictures[0].size if asked.pictures else None
    if size == PAPER:
        return [LONG]
    if size == ODD:
        return ['I see no {cup} here, only "bbox_2d": [1, 2.']
    return slowly(exhibits.reply(body)) if size == SLOW else exhibits.reply(body)


async def slowly(pieces: Sequence[str]) -> AsyncIterator[str]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(0.6)  # an engine's own time


def plain(size: tuple[int, int]) -> bytes:
    return encoded(Image.new("RGB", size, "grey"))


async def texts(user: User, *expected: str) -> None:
    """Wait until these are the bot's texts; "*" stands for any, a file's or a picture's empty one too."""

    def so(found: list[str]) -> bool:
        return len(found) == len(expected) and all(
            want in ("*", have) for want, have in zip(expected, found, strict=True)
        )

    await user.private.wait_for(so, 30)


async def the_text_is_a_block_to_copy_with_its_layout(_: Road, ann: User) -> None:
    await ann.send_photo(ann.private, encoded(exhibits.receipt()), "/ocr")
    await texts(ann, exhibits.OCR)
    (message,) = ann.private.bot_messages()
    assert block(message) == "", "the model's own fence is not doubled"
    assert codes(message) == ["again"]


async def a_long_text_also_comes_as_a_file(_: Road, ann: User) -> None:
    await ann.send_photo(ann.private, plain(PAPER), "/ocr")
    await ann.private.wait_for(lambda _: ann.private.documents(), 30)
    assert len(LONG) > LONG_COPY
    assert ann.private.documents() == [(say("en", "file_text"), LONG.encode())]
    assert {block(message) for message in ann.private.bot_messages() if "text" in message} == {""}


async def a_table_comes_as_one_and_as_a_file(_: Road, ann: User) -> None:
    await ann.send_photo(ann.private, encoded(exhibits.receipt()), "/table")
    await texts(ann, "*", "")
    ((name, content),) = ann.private.documents()
    assert name == say("en", "file_table")
    assert content.decode("utf-8-sig").splitlines() == [
        "item,amount,price", "Espresso,2,4.40", "Cheese cake,1,3.80", "Tap water,1,0.00", "Total,,8.20",
    ]  # fmt: skip
    (rows,) = [text for text in ann.private.texts() if text]
    assert len({line.index("4") for line in rows.splitlines() if "4.40" in line}) == 1


async def a_translation_stands_beside_its_original(_: Road, ann: User) -> None:
    photo = await ann.send_photo(ann.private, encoded(exhibits.receipt()))
    await texts(ann, f"1 seen: {say('en', 'default_question')}")
    await ann.send_text(ann.private, "/translate German", reply_to=photo)
    await ann.private.wait_for(lambda texts: len(texts) == 2 and "Käsekuchen" in texts[1])
    row = next(line for line in ann.private.texts()[1].splitlines() if "Käsekuchen" in line)
    assert "Cheese cake" in row


async def what_is_found_is_drawn_on_the_picture_and_named_below(_: Road, ann: User) -> None:
    asking = await ann.send_photo(ann.private, encoded(exhibits.cups()), "/find the cups")
    await texts(ann, "1. red cup\n2. blue cup", "")
    assert drawn_on(pictures(ann.private), exhibits.cups())
    replied = {message["reply_to_message"]["message_id"] for message in ann.private.bot_messages()}
    assert replied == {asking["message_id"]}


async def the_next_click_on_a_screenshot_is_marked(_: Road, ann: User) -> None:
    await ann.send_photo(ann.private, encoded(exhibits.form()), "/gui sign in")
    await ann.private.wait_for(lambda texts: len(texts) == 2)
    assert ann.private.texts()[0].splitlines()[2] == "3. Sign in: sends the form 👈"
    assert drawn_on(pictures(ann.private), exhibits.form())


async def a_page_comes_as_a_file_with_its_picture_and_its_code_on_request(_: Road, ann: User) -> None:
    await ann.send_photo(ann.private, encoded(exhibits.form()), "/html")
    await ann.private.wait_for(lambda _: ann.private.documents(), 30)
    answer = ann.private.bot_messages()[0]
    seen = say("en", "page_ready") == answer["text"]  # else there is no browser that runs confined on this machine
    assert seen or answer["text"] == say("en", "page_unseen")
    await ann.private.wait_for(lambda texts: len(texts) == 2 + seen)
    ((name, content),) = ann.private.documents()
    assert name == say("en", "file_page")
    assert content.decode() in exhibits.PAGE
    for looks in pictures(ann.private):
        small = looks.resize((320, 200)).tobytes()
        blue = sum(b > 190 and r < 60 and g < 110 for r, g, b in zip(small[::3], small[1::3], small[2::3], strict=True))
        assert blue > 60, "the button is there, wherever it stands"
    assert codes(answer) == ["again", "code"]
    await ann.press_button(answer, "code")
    await ann.private.wait_for(lambda texts: len(texts) == 3 + seen)
    assert block(ann.private.bot_messages()[-1]) == "html"


async def without_a_picture_a_task_is_about_the_last_one(_: Road, ann: User) -> None:
    await ann.send_photo(ann.private, encoded(exhibits.cups()), "/describe")
    await ann.private.wait_for(lambda texts: texts and texts[0].endswith("on the right."))
    assert "*" not in ann.private.texts()[0]
    await ann.send_text(ann.private, "/find the cups")
    await texts(ann, "*", "1. red cup\n2. blue cup", "")
    assert drawn_on(pictures(ann.private), exhibits.cups())


async def a_task_about_nothing_says_what_it_needs(_: Road, ann: User) -> None:
    await ann.send_text(ann.private, "/ocr")
    await ann.send_text(ann.private, "/find the keys")
    await ann.send_photo(ann.private, encoded(exhibits.cups()), "/find")
    await ann.send_photo(ann.private, encoded(exhibits.cups()), "/zoom")
    await texts(ann, *(say("en", code) for code in ("ask_what", "ask_what", "task_what", "task_where")))


async def an_answer_that_cannot_be_read_stays_text(_: Road, ann: User) -> None:
    await ann.send_photo(ann.private, plain(ODD), "/find the cups")
    await texts(ann, 'I see no {cup} here, only "bbox_2d": [1, 2.')


async def a_caption_goes_from_a_task_to_a_question_and_back(_: Road, ann: User) -> None:
    photo = await ann.send_photo(ann.private, encoded(exhibits.receipt()), "/ocr")
    await texts(ann, exhibits.OCR)
    await ann.edit_caption(photo, "What does it cost?")
    await texts(ann, "1 seen: What does it cost?")
    assert not ann.private.bot_messages()[0].get("entities")
    await ann.edit_caption(photo, "/ocr")
    await texts(ann, exhibits.OCR)
    assert block(ann.private.bot_messages()[0]) == ""


async def regenerate_gives_a_task_s_form_again(_: Road, ann: User) -> None:
    await ann.send_photo(ann.private, encoded(exhibits.cups()), "/find the cups")
    await texts(ann, "1. red cup\n2. blue cup", "")
    await ann.press_button(ann.private.bot_messages()[0], "again")
    await texts(ann, "1. red cup\n2. blue cup", "", "")
    assert len(pictures(ann.private)) == 2


async def an_album_with_a_task_is_one_task(road: Road, ann: User) -> None:
    await ann.send_album(ann.private, [encoded(exhibits.receipt()), encoded(exhibits.cups())], ["", "/ocr"])
    await texts(ann, exhibits.OCR)
    (request,) = [shown(each) for each in road.asked() if len(shown(each).pictures) == 2]
    assert task_of(request.words) == "ocr"
    assert "/ocr" not in request.words


async def what_nobody_reads_while_it_grows_says_how_far_it_is(_: Road, ann: User) -> None:
    await ann.send_photo(ann.private, plain(SLOW), "/find the cups")
    await texts(ann, "1. red cup\n2. blue cup", "")
    told = [edit["text"] for message in ann.private.bot_messages() for edit in message["edits"]]
    working = say("en", "working_boxes", n=-1).partition("-1")[0]
    assert any(text.startswith(working) for text in told)
    assert not any("bbox" in text for text in told)


async def what_grows_to_be_copied_is_a_block_from_the_first(_: Road, ann: User) -> None:
    await ann.send_photo(ann.private, plain(SLOW), "/ocr")
    await texts(ann, exhibits.OCR)
    told = [edit for message in ann.private.bot_messages() for edit in message["edits"] if edit["text"] != "…"]
    assert len(told) > 1
    assert all("`" not in edit["text"] and edit["entities"][0]["type"] == "pre" for edit in told)


async def a_chinese_task_in_a_group_is_asked_and_answered_in_chinese(road: Road, ann: User) -> None:
    group, ann.language_code = road.telegram.group(-100400), "zh-hans"
    photo = await road.ben.send_photo(group, encoded(exhibits.cups()))
    await ann.send_text(group, f"/find@{road.telegram.world.bot['username']} 杯子", reply_to=photo)
    await group.wait_for(lambda texts: len(texts) == 2 and texts[0] == "1. red cup\n2. blue cup", 20)
    (request,) = [shown(each) for each in road.asked() if "杯子" in shown(each).words]
    assert say("zh", "task.find", argument="杯子") in request.words
    other = road.telegram.group(-100401)  # a group's rate is slow
    await ann.send_photo(other, encoded(exhibits.receipt()), "/translate")
    await other.wait_for(lambda texts: texts and "Käsekuchen" in texts[0])
    asked = [shown(each).words for each in road.asked()]
    assert say("zh", "task.translate", argument="中文") in asked


async def the_menu_offers_the_tasks(road: Road, _: User) -> None:
    for (_scope, language), menu in road.telegram.api.commands.items():
        offered = {command["command"]: command["description"] for command in menu}
        assert offered["ocr"] == say(language or "en", "menu.ocr")
        assert offered.keys() >= {*exhibits.SAID, "zoom"}


SCENES = (
    the_text_is_a_block_to_copy_with_its_layout, a_long_text_also_comes_as_a_file, a_table_comes_as_one_and_as_a_file,
    a_translation_stands_beside_its_original, what_is_found_is_drawn_on_the_picture_and_named_below,
    the_next_click_on_a_screenshot_is_marked, a_page_comes_as_a_file_with_its_picture_and_its_code_on_request,
    without_a_picture_a_task_is_about_the_last_one, a_task_about_nothing_says_what_it_needs,
    an_answer_that_cannot_be_read_stays_text, a_caption_goes_from_a_task_to_a_question_and_back,
    regenerate_gives_a_task_s_form_again, an_album_with_a_task_is_one_task,
    what_nobody_reads_while_it_grows_says_how_far_it_is, what_grows_to_be_copied_is_a_block_from_the_first,
    a_chinese_task_in_a_group_is_asked_and_answered_in_chinese, the_menu_offers_the_tasks,
)  # fmt: skip


async def test_people_give_tasks_as_captions_as_replies_and_after_a_picture(tmp_path: Path) -> None:
    async with open_road(tmp_path, reply=reply, slots=32) as road:
        users = [road.telegram.user(2000 + n) for n in range(len(SCENES))]
        async with asyncio.TaskGroup() as scenes:
            for scene, user in zip(SCENES, users, strict=True):
                scenes.create_task(scene(road, user), name=scene.__name__)
    assert "Traceback" not in road.askpix.logs()


async def test_an_adapter_that_dies_shows_the_same_and_offers_a_file_that_may_have_arrived(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def gated(body: Json) -> AsyncIterator[str]:
        if len(shown(Request(0, "", body)).pictures) == 2:
            await gate.wait()
        for piece in exhibits.reply(body):
            yield piece

    async with open_road(tmp_path, reply=gated) as road:
        ann, ben = road.telegram.user(2000), road.telegram.user(2001)
        road.telegram.fail_next("sendDocument", 429, "Too Many Requests: retry after 60", retry_after=60)
        await ben.send_photo(ben.private, encoded(exhibits.receipt()), "/table")
        await ann.send_album(ann.private, [encoded(exhibits.cups()), plain(PAPER)], ["/find the cups"])
        await wait_until(lambda: any(call.method == "sendDocument" for call in road.telegram.calls), 20)
        await wait_until(lambda: len(road.asked()) == 2, 20)
        await ann.private.wait_for(lambda texts: texts == ["…"], 20)
        await road.restart("telegram")
        gate.set()
        await ann.private.wait_for(lambda texts: texts == ["1. red cup\n2. blue cup", ""], 30)
        assert drawn_on(pictures(ann.private), exhibits.cups()), "on the first of two, as it would have been"
        await ben.private.wait_for(lambda _: "file" in codes(ben.private.bot_messages()[0]), 20)
        assert ben.private.documents() == [], "what may have arrived is not sent again unasked"
        await ben.press_button(ben.private.bot_messages()[0], "file")
        await ben.private.wait_for(lambda _: ben.private.documents(), 20)
        assert ben.private.documents()[0][0] == say("en", "file_table")
