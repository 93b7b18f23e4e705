"""How a whole answer is shown: its words, the files that go with it, and the buttons that it earns.

What a task's answer is parsed into is the `shown` of its entry in bots/tasks.py. What cannot be parsed stays text.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial

from msgspec import structs

from bots import extracts, pointing
from bots.confined import confined
from bots.files import Files
from bots.photos import kind_of
from bots.phrases import say
from bots.rendering import render
from bots.surface import Button
from bots.tasks import form, worded
from bots.videos import clock, contact_sheet
from storage.messages import Ask, Photo, Refused, Turn
from storage.stores import Stores

LONG_TEXT = 30_000  # characters from which on an answer also comes as a file
LONG_COPY = 3_000  # the same of a text that somebody wants to copy
PART = "part"  # the source of a photo that is a part of another


@dataclass(frozen=True, slots=True)
class Result:
    """What is shown of an answer: Markdown, files by name (a picture is shown as one), buttons of its own."""

    text: str
    files: tuple[tuple[str, bytes], ...] = ()
    buttons: tuple[Button, ...] = ()


class Results:
    """Makes results of one platform's answers; the same answer gives the same one."""

    def __init__(self, files: Files, stores: Stores) -> None:
        self._files = files
        self._stores = stores

    async def of(self, ask: Ask, text: str) -> Result:
        """The result of an ask's answer."""
        result, words = Result(text), partial(say, ask.language)
        match form(ask.task):
            case "copy":
                body = extracts.plain(text)
                files = ((words("file_text"), body.encode()),) if len(body) > LONG_COPY else ()
                result = Result(fenced(body), files)
            case "table" if (table := extracts.table_csv(text)) is not None:
                result = Result(text, ((words("file_table"), table),))
            case "page" if page := extracts.page_html(text):
                shot, files = await render(page), [(words("file_page"), page.encode())]
                files += [(words("file_shot"), shot)] if shot else []
                code = Button("code", words("button.code"))
                result = Result(words("page_ready" if shot else "page_unseen"), tuple(files), (code,))
            case "boxes" if marks := pointing.read_marks(text):
                result = await self._pointed(ask, text, marks)
            case _:
                pass
        if len(text) > LONG_TEXT and not result.files:
            result = replace(result, files=((words("file_name"), text.encode()),))
        return await self._with_photos(ask, result)

    async def _pointed(self, ask: Ask, text: str, marks: list[pointing.Mark]) -> Result:
        """The photo with its marks drawn on it, and what they are."""
        lines = [f"{number}. {mark.label}{' 👈' * mark.next}" for number, mark in enumerate(marks, 1)]
        photo = await self.photo(ask)
        data = await self.best(ask.person, photo) if photo else None
        if not data:
            return Result("\n".join([*lines, "", say(ask.language, "photo_not_drawn")]))
        try:
            drawn = await confined(pointing.draw, data, marks)
        except Refused:
            return Result(text)
        return Result("\n".join(lines), (pictured(say(ask.language, "file_drawn"), drawn),))

    async def _with_photos(self, ask: Ask, result: Result) -> Result:
        """With the frames or the part that was looked at, what there is to say of the files, and a closer look."""
        photos, files, words = ask.photos(), list(result.files), partial(say, ask.language)
        text = "\n\n".join([result.text, *(words(note.code, **note.args) for note in ask.notes)])
        if frames := [photo for photo in photos if photo.lead.startswith("<")]:
            kept = await self._stores.images.get(ask.person, [photo.sha256 for photo in frames])
            shown = [
                (data, clock(float(photo.lead[1:].split()[0])))
                for data, photo in zip(kept, frames, strict=True)
                if data
            ]
            files += [(words("file_frames"), await asyncio.to_thread(contact_sheet, shown))] if shown else []
        buttons = result.buttons
        if len(photos) == 1 and (full := photos[0].full):
            seen = f"{photos[0].width}×{photos[0].height}"
            buttons += (Button("closer", words("button.closer", seen=seen, full=f"{full[0]}×{full[1]}")),)
        if photos and photos[0].source == PART and (data := await self.best(ask.person, photos[0])):
            files.append(pictured(words("file_part"), data))
        return Result(text, tuple(files), buttons)

    async def closer(self, ask: Ask, text: str) -> Ask | None:
        """What is asked next, where the answer only says which part of the photo to look at. Raises Refused."""
        marks = pointing.read_marks(text) if form(ask.task) == "part" else []
        photo = await self.photo(ask) if marks else None
        return await self.part(ask, photo, marks[0].box) if photo else None

    async def part(self, ask: Ask, photo: Photo, box: pointing.Box, margin: float = pointing.CROP_MARGIN) -> Ask:
        """The ask about a part of its photo in full resolution. Raises Refused."""
        data = await self.best(ask.person, photo, whole=True)
        if not data:
            raise Refused("original_gone")
        room, cut = await self._stores.health.room(1), await confined(pointing.crop, data, box, margin)
        found = await self._files.store(ask.person, cut, room.limits)
        model = await self._stores.health.model()
        words = worded("part", ask.then or ask.question.text, ask.language, model)
        turn = Turn("user", words, (structs.replace(found, source=PART),))
        again = "" if form(ask.task) == "part" else ask.task  # what a part is looked at for is the same task
        return structs.replace(ask, question=turn, task=again, then="", notes=())

    async def photo(self, ask: Ask) -> Photo | None:
        """The photo that an ask is about: its own, or the last one of its conversation."""
        return ask.photos()[0] if ask.photos() else await self._stores.history.newest_photo(ask.conversation)

    async def best(self, person: str, photo: Photo, *, whole: bool = False) -> bytes | None:
        """The largest form of a photo that is kept; `whole`: None where that is not all of it."""
        if photo.full and ((found := await self._stores.images.original(person, photo)) or whole):
            return found
        return (await self._stores.images.get(person, [photo.sha256]))[0]


def pictured(name: str, data: bytes) -> tuple[str, bytes]:
    """A picture with the name of a file of its kind."""
    return f"{name}.{'png' if kind_of(data) == 'PNG' else 'jpg'}", data


def fenced(text: str, language: str = "") -> str:
    """A text as a block of code, whatever it holds."""
    fence = "`" * 3
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"
