"""What messages ask: their files, their words or their task, as one turn of a conversation."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from dataclasses import dataclass
from itertools import groupby

from msgspec import structs

from bots import tasks
from bots.files import Files, Got
from bots.phrases import say
from bots.surface import Incoming
from storage.messages import Ask, Note, Photo, Quote, Refused, Turn
from storage.stores import Stores

Reasons = dict[str, tuple[Incoming, Refused]]  # by its code, so that each reason is said once; the message it is about


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and what an Ask says beside it: task, then and notes, as there."""

    turn: Turn
    task: str
    then: str
    notes: tuple[Note, ...]

    def on(self, ask: Ask) -> Ask:
        """The ask with this question."""
        return structs.replace(ask, question=self.turn, task=self.task, then=self.then, notes=self.notes)


class Questions:
    """One platform's."""

    def __init__(self, files: Files, stores: Stores) -> None:
        self._files = files
        self._stores = stores

    async def read(self, messages: Sequence[Incoming], former: Ask | None, refused: Reasons) -> Asked:
        """What messages ask. Of an album, `former` is what it asked so far: they add to it. Raises Refused."""
        task, argument, messages = _tasked(messages)
        lead, before = messages[0], former.question if former else Turn()
        sent, quoted = await self._files_of(messages, before, argument, refused)
        turn = await self._turn(messages, before, sent, quoted)
        alone = not (turn.photos or turn.quote or turn.document)
        if task:
            if alone and not await self._stores.history.newest_photo(lead.conversation):
                raise Refused("ask_what")
            model = await self._stores.health.model()
            turn = structs.replace(turn, text=tasks.prompt(task, argument, lead.language, model))
        elif not turn.text and not any(photo.caption for photo in turn.photos):
            if alone:
                raise Refused("ask_what")
            kind = "document" if turn.document else "question" if turn.every_photo() else "quote"
            turn = structs.replace(turn, text=say(lead.language, f"default_{kind}"))
        notes = tuple(note for got in (*quoted, *sent) for note in got.notes)
        if lead.album and former:  # a photo that came late changes neither
            return Asked(turn, task.name if task else former.task, former.then, (*former.notes, *notes))
        then = await self._then(lead) if task and task.shown == "part" else ""
        return Asked(turn, task.name if task else "", then, notes)

    async def _files_of(
        self, messages: Sequence[Incoming], before: Turn, argument: str, refused: Reasons
    ) -> tuple[list[Got], list[Got]]:
        """What is sent, and what is quoted. Raises Refused for nothing of an album, or not all of a message."""
        lead = messages[0]
        own = [(message, file) for message in messages for file in message.photos]
        files = own + [(lead, file) for file in lead.quote_photos]
        album = {photo.message for photo in before.photos} if lead.album else set[int]()
        count = len(album | {message.number for message, _ in own}) if lead.album else len(own)
        room = await self._stores.health.room(count + len(lead.quote_photos))
        known: dict[str, list[Photo]] = {}
        for photo in () if before.document else before.every_photo():  # of a document other pages may be wanted now
            known.setdefault(photo.source, []).append(photo)
        found = await asyncio.gather(
            *(self._files.get(message, file, room, known, argument or message.text) for message, file in files)
        )
        refusals = [(message, one) for (message, _), one in zip(files, found, strict=True) if isinstance(one, Refused)]
        refused.update({refusal.code: (message, refusal) for message, refusal in refusals})
        sent = [got for got in found[: len(own)] if isinstance(got, Got)]
        quoted = [got for got in found[len(own) :] if isinstance(got, Got)]
        if refusals and not (lead.album and (sent or album)):
            raise refusals[0][1]
        return sent, quoted

    async def _turn(
        self, messages: Sequence[Incoming], before: Turn, sent: Sequence[Got], quoted: Sequence[Got]
    ) -> Turn:
        """The turn without words of ours."""
        lead, words = messages[0], [got.document for got in (*quoted, *sent) if got.document not in before.document]
        photos = tuple(photo for got in sent for photo in got.photos)
        cited = tuple(photo for got in quoted for photo in got.photos)
        text, quote = lead.text, None
        if lead.album:
            words, quote = [before.document, *words], before.quote
            album = {number: tuple(group) for number, group in groupby(before.photos, lambda photo: photo.message)}
            album |= {got.photos[0].message: got.photos for got in sent if got.photos}  # an edited message came twice
            limits = (await self._stores.health.room(len(album) + len(quoted))).limits  # by now some are refused
            ordered = [photo for number in sorted(album) for photo in album[number]]
            photos = tuple([await self._files.fitted(lead.person, photo, limits) for photo in ordered])
            cited = tuple([await self._files.fitted(lead.person, photo, limits) for photo in cited])
            text = _said(messages, before, album)
        quote = Quote(lead.quote_text, cited) if lead.quote_text or cited else quote
        return Turn("user", text, photos, quote, document="\n\n".join(filter(None, words)))

    async def _then(self, lead: Incoming) -> str:
        """What to ask of a part of a photo: what was asked last, where the photo was not sent with the task."""
        turns = [] if lead.photos or lead.quote_photos else await self._stores.history.newest(lead.conversation)
        asked = [turn.text for turn in turns if turn.role == "user"]
        return asked[-1] if asked else say(lead.language, "default_question")


def _tasked(messages: Sequence[Incoming]) -> tuple[tasks.Task | None, str, list[Incoming]]:
    """The task that one of the messages names, what stands behind it, and the messages without that."""
    for at, message in enumerate(messages):
        task, argument = tasks.read(message.text)
        if task:
            return task, argument, [*messages[:at], structs.replace(message, text=""), *messages[at + 1 :]]
    return None, "", [*messages]


def _said(messages: Sequence[Incoming], former: Turn, album: Container[int]) -> str:
    """What was asked under those of an album that cannot be shown; the other captions stand with their photos."""
    lost = [message for message in messages if message.number not in album]
    ours = [say(messages[0].language, f"default_{code}") for code in ("question", "quote")]
    edited = any(message.edited for message in lost)
    lines = [] if edited or former.text in ours else former.text.splitlines()
    return "\n".join(dict.fromkeys(lines + [line for message in lost for line in message.text.splitlines()]))
