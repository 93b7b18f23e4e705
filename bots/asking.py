"""From messages to an ask: get the files, word the question or the task, enqueue it or ask it anew."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from msgspec import structs

from bots.delivery import Delivery
from bots.phrases import say
from bots.question import Questions, Reasons
from bots.surface import Incoming, Surface
from storage.limits import Limits
from storage.messages import Ask, Refused
from storage.queue import Found
from storage.stores import Stores

ADMIN_FIRST = 1_000_000  # turns in line that an admin's question jumps ahead


class Asking:
    """Makes one platform's asks."""

    def __init__(self, surface: Surface, stores: Stores, limits: Limits, delivery: Delivery) -> None:
        self._surface = surface
        self._stores = stores
        self._limits = limits
        self._delivery = delivery
        self._questions = Questions(delivery.tools.files, stores)

    async def concerns(self, messages: Sequence[Incoming]) -> bool:
        """Whether messages are for us: one of them says so, or they came late to an album that was asked about."""
        return (
            any(message.addressed for message in messages) or await self._stores.queue.find(messages[0].id) is not None
        )

    async def ask(self, messages: Sequence[Incoming]) -> None:
        """Ask what these messages of one album, or this one message, ask; anew if it was asked before.

        What cannot be taken is said, and the rest of an album goes on.
        """
        unread = [message for message in messages if message.refusal]
        refused = {message.refusal: (message, Refused(message.refusal)) for message in unread if not message.edited}
        try:
            if len(unread) < len(messages):
                await self._ask(messages, refused)
        except Refused as refusal:
            refused.setdefault(refusal.code, (messages[0], refusal))
        for message, refusal in refused.values():  # behind the question: a chat that must wait does not hold it up
            await self._refuse(message, refusal)

    async def _ask(self, messages: Sequence[Incoming], refused: Reasons) -> None:
        lead = messages[0]
        if lead.album or lead.edited:
            while found := await self._stores.queue.find(lead.id):
                if await self._ask_anew(messages, found, refused):
                    return
        started, lane = time.time(), await self._stores.people.of(lead.person)
        counted = lane, lead.id, sum(len(message.photos) for message in messages) + len(lead.quote_photos)
        admin, epoch = await asyncio.gather(
            self._limits.take(*counted, lead.person, sent=lead.sent),
            self._stores.history.enter(lead.person, lead.conversation),
        )
        try:
            asked = await self._questions.read(messages, None, refused)
            ask = asked.on(Ask(
                id=lead.id, person=lead.person, conversation=lead.conversation, lane=lane,
                outbox=self._surface.platform, where=lead.where, language=lead.language, asked_at=started, epoch=epoch,
            ))  # fmt: skip
            self._stores.health.metrics.asks.labels(self._surface.platform).inc()
            fresh = await self._stores.queue.enqueue(ask, priority=ADMIN_FIRST if admin else 0)
        except Refused:
            await self._limits.give_back(*counted)
            raise
        if fresh:
            self._delivery.follow(ask)
        else:  # enqueued before a crash, or before the store's answer was lost
            await self._delivery.resume(ask.id)

    async def _refuse(self, message: Incoming, refusal: Refused) -> None:
        """Say why something cannot be taken: of an album each reason once, also when its messages come apart."""
        self._stores.health.metrics.refusals.labels(refusal.code).inc()
        replies, once = self._stores.replies, message.album and not message.edited
        if once and await replies.mark(message.id, 0, refusal.code):
            return
        await self._delivery.tools.say(message.where, say(message.language, refusal.code, **refusal.details))
        if once:
            await replies.mark_sent(message.id, 0, refusal.code, "said")

    async def _ask_anew(self, messages: Sequence[Incoming], found: Found, refused: Reasons) -> bool:
        """Amend an ask by an edit, or by photos that came late; False when it changed meanwhile. Raises Refused."""
        lead, edited = messages[0], any(message.edited for message in messages)
        if edited and not found.known:
            raise Refused("edit_old")
        if not found.known or (found.state == "cancelled" and not edited):
            return True  # what its asker stopped, or had forgotten, stays so
        former = found.ask.question
        asked = await self._questions.read(messages, found.ask, refused)
        if asked.turn == structs.replace(former, ask=""):  # read twice, or nothing was changed
            await self._delivery.resume(lead.id)
            return True
        ask = asked.on(structs.replace(found.ask, asked_at=time.time()))
        if edited:
            lane = await self._stores.people.of(lead.person)
            await self._limits.take(lane, f"{lead.id}:{found.fence}", len(ask.photos()), lead.person, sent=lead.sent)
        answer = await self._stores.queue.amend(ask, found.fence, newest=edited)
        if answer == "older":
            raise Refused("edit_old")
        if answer == "ok":
            await self._delivery.redo(ask, found.fence + 1)
        return answer == "ok"
