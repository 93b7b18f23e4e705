"""Videos and documents on Telegram over the whole road: what of them reaches the engine, what is said of the rest."""

from __future__ import annotations

import asyncio
import io
import re
from itertools import pairwise
from pathlib import Path

from PIL import Image

from bots.documents import MAX_PAGES
from bots.photos import MAX_MEGABYTES
from bots.phrases import say
from bots.videos import MAX_SECONDS
from storage.vision import image_tokens
from tests import exhibits
from tests.bots.papers import LOCKED, SCRIPTED, paper
from tests.emulators.telegram_world import User
from tests.exhibits import encoded, shown
from tests.road import Road, open_road, pictures

CONTEXT = 32_768  # the stub engine's
SECRET = "The heron on the roof weighs 1,742 grams."
PDF = "application/pdf"


def asked(road: Road, words: str) -> exhibits.Shown:
    """The one question in these words."""
    (found,) = [asked for request in road.asked() if words in (asked := shown(request)).words]
    return found


def leads(asked: exhibits.Shown) -> list[str]:
    """What stands before each picture."""
    return [
        text.strip() for text, picture in pairwise(asked.parts) if isinstance(text, str) and isinstance(picture, bytes)
    ]


def seconds(asked: exhibits.Shown) -> list[float]:
    """The time before each picture, as Qwen3-VL is told it."""
    times = [re.fullmatch(r"<(\d+\.\d) seconds>", text) for text in leads(asked)]
    assert all(times), leads(asked)
    return [float(time[1]) for time in times if time]


def redness(picture: Image.Image) -> float:
    """How far a frame is from blue (0) to red (1)."""
    found = picture.convert("RGB").getpixel((picture.width // 2, 8))
    assert isinstance(found, tuple)
    return found[0] / 255


def tokens(asked: exhibits.Shown) -> int:
    """What the pictures and texts take, each sign of a text being one to the stub engine."""
    return sum(image_tokens(*picture.size) for picture in asked.pictures) + len(asked.words.encode())


async def texts(user: User, *expected: str) -> None:
    """Wait until these are the bot's texts, a picture's empty one too."""
    await user.private.wait_for(lambda found: found == list(expected), 40)


async def the_frames_of_a_video_come_in_order_with_their_times(road: Road, ann: User) -> None:
    await ann.send_video(ann.private, exhibits.rolling(6), "/video")
    await texts(ann, exhibits.EVENTS, "")
    got = asked(road, "These are frames of a video")
    assert len(got.pictures) == 12
    times = seconds(got)
    assert times == sorted(times) and times[0] == 0 and 5.5 < times[-1] <= 6
    assert max(later - sooner for sooner, later in pairwise(times)) < 0.7
    for time, frame in zip(times, got.pictures, strict=True):
        assert abs(redness(frame) - time / 6) < 0.08, "each time stands before its own frame"
    assert tokens(got) < CONTEXT / 2
    (sheet,) = pictures(ann.private)
    assert sheet.width > 800 and redness(sheet.crop((20, 10, 60, 50))) < 0.1


async def a_round_message_is_a_video_too(road: Road, ann: User) -> None:
    await ann.send_video_note(ann.private, exhibits.rolling(1.5))
    await texts(ann, f"4 seen: {say('en', 'default_question')}", "")
    (got,) = [
        found for request in road.asked() if (found := shown(request)).words.endswith(say("en", "default_question"))
    ]
    assert len(seconds(got)) == 4


async def a_gif_is_a_video_too(road: Road, ann: User) -> None:
    await ann.send_animation(ann.private, exhibits.rolling(2), "gif?")
    await texts(ann, "4 seen: gif?", "")
    assert len(seconds(asked(road, "gif?"))) == 4


async def a_video_of_which_too_much_is_known_is_never_fetched(road: Road, ann: User) -> None:
    film = exhibits.rolling(1)
    about = {"width": 320, "height": 240, "mime_type": "video/mp4", "file_name": "film.mp4"}
    for fields in ({"duration": MAX_SECONDS + 1}, {"duration": 5, "file_size": 21_000_000}):
        stored = road.telegram.world.store(film, f"videos/never{len(road.telegram.world.files)}.mp4")
        await ann.send(ann.private, video=about | stored | fields, caption="what?")
    await texts(ann, say("en", "video_too_long", limit=MAX_SECONDS // 60), say("en", "too_large", limit=MAX_MEGABYTES))
    assert not [call for call in road.telegram.calls if call.method == "file" and "never" in str(call)]
    fetched = [call.params["file_id"] for call in road.telegram.calls if call.method == "getFile"]
    assert not [id for id in fetched if "never" in road.telegram.world.files[id].path]


async def a_document_s_pages_come_with_their_numbers(road: Road, ann: User) -> None:
    pages = exhibits.report(3, 2, SECRET)
    await ann.send_document(ann.private, paper(pages), "report.pdf", PDF, caption="Summarise these pages")
    await ann.private.wait_for(lambda found: found and found[0].startswith("0 seen:"), 40)
    got = asked(road, "Summarise these pages")
    assert re.findall(r"\[Page (\d+)\]", got.words) == ["1", "2", "3"]
    assert SECRET in got.words
    assert say("en", "document_used", pages="1-3", total=3) not in ann.private.texts()[0], "all of them"


async def of_a_long_document_the_page_with_the_answer_is_sent(road: Road, ann: User) -> None:
    paper_of_300 = paper(exhibits.report(300, 217, SECRET))
    await ann.send_document(ann.private, paper_of_300, "long.pdf", PDF, caption="How much does the heron weigh?")
    await ann.private.wait_for(lambda found: found and "of 300" in found[-1], 40)
    got = asked(road, "heron weigh")
    numbers = [int(number) for number in re.findall(r"\[Page (\d+)\]", got.words)]
    assert 217 in numbers and SECRET in got.words and numbers == sorted(numbers)
    assert 5 < len(numbers) < 300
    told = re.search(r"pages ([\d, -]+) of 300", " ".join(ann.private.texts()))
    assert told and "217" in told[1]
    await ann.send_text(ann.private, "And on page 5?")
    await ann.private.wait_for(lambda found: "And on page 5?" in found[-1], 40)


async def a_scan_is_shown_as_pictures_of_its_pages(road: Road, ann: User) -> None:
    file = io.BytesIO()
    sheets = [Image.new("RGB", (600, 800), colour) for colour in ("red", "green", "blue")]
    sheets[0].save(file, "TIFF", save_all=True, append_images=sheets[1:])
    await ann.send_document(ann.private, file.getvalue(), "scan.tiff", "image/tiff", caption="what colours?")
    await ann.private.wait_for(lambda found: found and "what colours?" in found[0], 40)
    got = asked(road, "what colours?")
    assert [re.findall(r"\[Page \d\]", text)[-1] for text in leads(got)] == ["[Page 1]", "[Page 2]", "[Page 3]"]
    assert [redness(picture) > 0.9 for picture in got.pictures] == [True, False, False]


async def what_cannot_be_read_gets_its_sentence(_: Road, ann: User) -> None:
    for content, name in (
        (paper(["locked"], trailer=LOCKED), "locked.pdf"),
        (b"%PDF-1.7\nand no more", "broken.pdf"),
        (paper(["p"] * 1000), "thousand.pdf"),
    ):
        await ann.send_document(ann.private, content, name, PDF, caption="what?")
    await texts(
        ann, say("en", "document_locked"), say("en", "document_broken"),
        say("en", "document_pages", pages=1000, limit=MAX_PAGES),
    )  # fmt: skip


async def scripts_are_said_and_not_run(_: Road, ann: User) -> None:
    content = paper(exhibits.report(1, 1, SECRET), catalogue=SCRIPTED)
    await ann.send_document(ann.private, content, "scripted.pdf", PDF, caption="what?")
    await ann.private.wait_for(lambda found: found and found[0].endswith(say("en", "document_scripts")), 40)


async def a_broken_video_gets_its_sentence(_: Road, ann: User) -> None:
    await ann.send_video(ann.private, exhibits.rolling(1)[:400], "what?")
    await texts(ann, say("en", "broken_video"))


async def a_video_and_its_question_survive_a_conversation(road: Road, ann: User) -> None:
    """What was asked of a photo before, and what comes after a video, are still there."""
    await ann.send_photo(ann.private, encoded(exhibits.cups()), "cups?")
    await texts(ann, "1 seen: cups?")
    await ann.send_video(ann.private, exhibits.rolling(2), "rolls?")
    await ann.private.wait_for(lambda found: len(found) == 3, 40)
    await ann.send_text(ann.private, "and after?")
    await ann.private.wait_for(lambda found: "0 seen: and after?" in found, 40)
    (body,) = [request.body for request in road.asked() if shown(request).words == "and after?"]
    kinds = [part["type"] for turn in body["messages"] if isinstance(turn["content"], list) for part in turn["content"]]
    assert kinds.count("image_url") == 1 + 4


SCENES = (
    the_frames_of_a_video_come_in_order_with_their_times, a_round_message_is_a_video_too, a_gif_is_a_video_too,
    a_video_of_which_too_much_is_known_is_never_fetched, a_document_s_pages_come_with_their_numbers,
    of_a_long_document_the_page_with_the_answer_is_sent, a_scan_is_shown_as_pictures_of_its_pages,
    what_cannot_be_read_gets_its_sentence, scripts_are_said_and_not_run, a_broken_video_gets_its_sentence,
    a_video_and_its_question_survive_a_conversation,
)  # fmt: skip


async def test_people_send_videos_and_documents(tmp_path: Path) -> None:
    async with open_road(tmp_path, reply=exhibits.reply, slots=32) as road:
        road.engine.token_bytes = 3  # about as Qwen's tokenizer
        users = [road.telegram.user(2000 + n) for n in range(len(SCENES))]
        async with asyncio.TaskGroup() as scenes:
            for scene, user in zip(SCENES, users, strict=True):
                scenes.create_task(scene(road, user), name=scene.__name__)
    assert "Traceback" not in road.askpix.logs()
