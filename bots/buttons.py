"""What a press on a button under an answer does. Only the asker and admins may press."""

from __future__ import annotations

import time
from contextlib import suppress

from msgspec import structs

from bots import pointing
from bots.confined import confined
from bots.delivery import Delivery
from bots.extracts import page_html
from bots.phrases import say
from bots.results import fenced, pictured
from bots.surface import Button, Incoming, Surface, SurfaceError
from storage.limits import Limits
from storage.messages import Ask, Refused
from storage.queue import Found
from storage.stores import Stores

CELLS = tuple(f"cell{number}" for number in range(1, 10))  # of the nine parts of a photo


class Buttons:
    """One platform's buttons; a message finds its ask in the store, so old ones work after any restart."""

    def __init__(self, surface: Surface, stores: Stores, limits: Limits, delivery: Delivery) -> None:
        self._surface = surface
        self._stores = stores
        self._limits = limits
        self._delivery = delivery

    async def press(self, incoming: Incoming) -> None:
        """Do what a button says and tell its presser, or tell why not."""
        try:
            where = incoming.where
            id = await self._stores.replies.ask_of(where.platform, where.chat, where.message)
            found = await self._stores.queue.find(id) if id else None
            code, args = await self._do(incoming, found) if found else "button.unknown", {}
        except Refused as refusal:
            code, args = refusal.code, refusal.details
        with suppress(SurfaceError):  # after some seconds nobody can be told any more
            await self._surface.notify(incoming.press, say(incoming.language, code, **args))

    async def _do(self, incoming: Incoming, found: Found) -> str:
        """The phrase code of what came of it. Raises Refused."""
        ask = found.ask
        if incoming.person != ask.person and not await self._limits.is_admin(incoming.person):
            return "button.not_yours"
        match incoming.button:
            case "stop":
                stopped = await self._stores.queue.cancel(ask.lane, id=ask.id)
                return "button.stopping" if stopped else "button.finished"
            case "again":
                if not await self._limits.admits(incoming.person, *incoming.chats):
                    return "button.not_yours"
                return await self._again(incoming, found)
            case "file" | "code" as code:
                answer = await self._stores.history.answer(ask)
                return await self._send(found.ask, answer.text, code) if answer else "button.unknown"
            case "closer" if ask.photos():
                return await self._closer(incoming, ask)
            case cell if cell in CELLS and ask.photos():
                return await self._look(incoming, ask, CELLS.index(cell) + 1)
            case _:
                return "button.unknown"

    async def _send(self, ask: Ask, text: str, code: str) -> str:
        """The files of an answer once more, or the code of a page as messages."""
        tools = self._delivery.tools
        result = await tools.results.of(ask, text)
        if code == "file":
            files = result.files or ((say(ask.language, "file_name"), text.encode()),)
            sent = [await tools.send_file(ask.where, *file) for file in files]
            return "button.file" if all(sent) else "button.unknown"
        written = page_html(text)
        for page in self._surface.pages(fenced(written, "html")) if written else ():
            await tools.show(ask.where, page)
        return "button.code" if written else "button.unknown"

    async def _closer(self, incoming: Incoming, ask: Ask) -> str:
        """Show the photo in nine numbered parts, each with its button."""
        tools, photo = self._delivery.tools, ask.photos()[0]
        data = await tools.results.best(ask.person, photo, whole=True)
        if not data:
            return "original_gone"
        parts = [Button(code, code[-1]) for code in CELLS]
        picture, where = await confined(pointing.grid, data), incoming.where
        message = await tools.send_file(where, *pictured(say(incoming.language, "file_grid"), picture), parts)
        await self._stores.replies.remember(ask, where, message)
        return "button.choose"

    async def _look(self, incoming: Incoming, ask: Ask, number: int) -> str:
        """Ask the same about one part of the photo."""
        if not await self._limits.admits(incoming.person, *incoming.chats):
            return "button.not_yours"
        part = await self._delivery.tools.results.part(ask, ask.photos()[0], pointing.cell(number), 0)
        counted = await self._stores.people.of(incoming.person), incoming.id, 1
        await self._limits.take(*counted, incoming.person, sent=incoming.sent)
        epoch = await self._stores.history.enter(ask.person, ask.conversation)
        fresh = structs.replace(part, id=incoming.id, where=incoming.where, asked_at=time.time(), epoch=epoch)
        try:
            if await self._stores.queue.enqueue(fresh):
                self._delivery.follow(fresh)
        except Refused:
            await self._limits.give_back(*counted)
            raise
        return "button.looking"

    async def _again(self, incoming: Incoming, found: Found) -> str:
        if found.open:
            return "button.open"
        if not found.known:
            return "button.older"
        photos = [photo.sha256 for photo in found.ask.photos()]
        if None in await self._stores.images.get(found.ask.person, photos):
            return "photo_gone"  # the answer that is there is better than none
        lane = await self._stores.people.of(incoming.person)
        await self._limits.take(lane, f"{found.ask.id}:{found.fence}", len(photos), incoming.person, sent=incoming.sent)
        where = found.ask.where
        if where.via and incoming.person == found.ask.person:  # the former way may have passed
            where = structs.replace(where, chat=incoming.where.chat, via=incoming.where.via)
        ask = structs.replace(found.ask, where=where, asked_at=time.time())
        answer = await self._stores.queue.amend(ask, found.fence, newest=True)
        if answer == "ok":
            await self._delivery.redo(ask, found.fence + 1)
        return {"ok": "again", "older": "button.older", "changed": "button.open"}[answer]
