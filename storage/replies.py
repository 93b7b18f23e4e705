"""Replies on their way back: text that grows under a fence, events that announce it, outboxes and slots."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import msgspec
from msgspec import structs

from storage import keys
from storage.connection import Client, Scripts
from storage.inbox import open_group, read_group
from storage.messages import Address, Ask, Event, Final, Turn, decode, decode_event, encode
from storage.queue import Claim

GROUP = "delivery"


class Notice(msgspec.Struct, frozen=True):
    """What is published on an outbox's channel: something happened to this ask."""

    id: str
    event: Event


class Finished(msgspec.Struct, frozen=True):
    """A final event in the outbox; it stays there until `delivered`, or until its ask is asked anew."""

    entry: str
    id: str
    event: Final
    fence: int = 1 << 53  # of an entry without one, which an older askpix wrote


class Progress(msgspec.Struct, frozen=True):
    """How far an ask is: whether it waits or runs, its fence (0: never claimed) and the text under it."""

    ask: Ask
    open: bool
    fence: int
    text: bytes
    slots: list[str]


class Replies:
    """Both ends of an answer's way back: the worker emits, a platform's delivery listens, reads and acknowledges."""

    def __init__(self, redis: Client, scripts: Scripts) -> None:
        self._redis = redis
        self._scripts = scripts

    async def emit(self, claim: Claim, text: str) -> bool:
        """Append to the answer and announce it; False when the fence is lost: the caller stops."""
        return await self._scripts.call("emit", claim.ask.id, claim.fence, keys.TEXT_TTL, text) == 1

    async def listen(self, outbox: str, wait: float = 1.0) -> AsyncGenerator[Notice | None]:
        """Notices as they are published; first a None (from now on nothing is missed), then one a quiet `wait`."""
        decoder = msgspec.json.Decoder(Notice)
        async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe(keys.events(outbox))
            while True:  # what comes first is the server's word that we are subscribed, which is a None here
                message = await pubsub.get_message(timeout=wait)
                yield decoder.decode(message["data"]) if message else None

    async def open_asks(self, outbox: str) -> list[str]:
        """Ids of the asks whose reply this outbox has not acknowledged."""
        return [id.decode() for id in await self._redis.smembers(keys.open_asks(outbox))]

    async def progress(self, id: str) -> Progress | None:
        """An ask, its text so far and its slots, or None when nothing is known of it any more."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hmget(keys.job(id), "payload", "fence", "state")
            pipe.lrange(keys.slots(id), 0, -1)
            (payload, fence, state), slots = await pipe.execute()
        if payload is None:
            return None
        text = await self._redis.get(keys.text(id, int(fence)))
        still = state in (b"queued", b"running")
        return Progress(decode(payload, Ask), still, int(fence), text or b"", [slot.decode() for slot in slots])

    async def open_outbox(self, outbox: str, *, passing: bool = False) -> None:
        """Create the outbox's consumer group; harmless when it exists. A passing one ends by itself."""
        await open_group(self._redis, keys.outbox(outbox), GROUP)
        if passing:  # longer than any wait for an answer; the answer itself shortens it
            await self._redis.expire(keys.outbox(outbox), keys.DAY)

    async def pending(self, outbox: str, after: str = "0", n: int = 64) -> list[Finished]:
        """Finished replies that were read before but not acknowledged, from `after` on."""
        return await self._finished(outbox, after, n, None)

    async def finished(self, outbox: str, n: int = 64, wait: float = 5.0) -> list[Finished]:
        """New finished replies; waits up to `wait` seconds for a first one."""
        return await self._finished(outbox, ">", n, int(wait * 1000))

    async def delivered(self, outbox: str, reply: Finished) -> None:
        """The reply is whole on its platform; harmless when its ask was asked anew meanwhile."""
        await self._scripts.call("delivered", outbox, GROUP, reply.entry, reply.id)

    async def add_slot(self, ask: Ask, message: str) -> None:
        """Remember that a message holds this ask's answer, before any text is edited into it."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.lrem(keys.slots(ask.id), 0, message)  # it may be there: a lost reply has its caller do it again
            pipe.rpush(keys.slots(ask.id), message)
            pipe.expire(keys.slots(ask.id), keys.SLOTS_TTL)
            pipe.set(keys.message(ask.where.platform, ask.where.chat, message), ask.id, ex=keys.SLOTS_TTL)
            await pipe.execute()

    async def remember(self, ask: Ask, where: Address, message: str) -> None:
        """Remember that the buttons of a message, which is no slot, belong to an ask."""
        await self._redis.set(keys.message(where.platform, where.chat, message), ask.id, ex=keys.SLOTS_TTL)

    async def mark(self, id: str, fence: int, what: str) -> str | None:
        """Mark that `what` is being sent with an answer: None for the first to say so, else its message if known."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(keys.sent(id, fence, what), "", nx=True, ex=keys.SLOTS_TTL)
            pipe.get(keys.sent(id, fence, what))
            fresh, found = await pipe.execute()
        return None if fresh else found.decode()

    async def mark_sent(self, id: str, fence: int, what: str, message: str) -> None:
        """Remember the message under which it was sent."""
        await self._redis.set(keys.sent(id, fence, what), message, ex=keys.SLOTS_TTL)

    async def sent(self, id: str, fence: int, what: str) -> str | None:
        """What `mark_sent` remembered; None where nothing was."""
        found = await self._redis.get(keys.sent(id, fence, what))
        return None if found is None else found.decode()

    async def move(self, ask: Ask) -> None:
        """Keep an open ask's new place: its chat goes on under another id, its slots are lost."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(keys.job(ask.id), "payload", encode(structs.replace(ask, question=Turn())))
            pipe.delete(keys.slots(ask.id))
            await pipe.execute()

    async def ask_of(self, platform: str, chat: str, message: str) -> str | None:
        """The id of the ask whose answer a message holds."""
        found = await self._redis.get(keys.message(platform, chat, message))
        return None if found is None else found.decode()

    async def set_slots(self, id: str, messages: Sequence[str]) -> None:
        """Replace the list of slots: one was deleted on its platform."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(keys.slots(id))
            if messages:
                pipe.rpush(keys.slots(id), *messages)
                pipe.expire(keys.slots(id), keys.SLOTS_TTL)
            await pipe.execute()

    async def _finished(self, outbox: str, after: str, n: int, block: int | None) -> list[Finished]:
        found = await read_group(self._redis, keys.outbox(outbox), GROUP, after, n, block)
        return [
            Finished(entry, fields[b"id"].decode(), decode_event(fields[b"event"]), int(fields.get(b"fence", 1 << 53)))  # pyright: ignore[reportArgumentType] : only final events enter an outbox
            for entry, fields in found
        ]
