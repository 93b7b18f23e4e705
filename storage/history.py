"""Each conversation's turns. An epoch counts fresh starts, so that an answer begun before `/new` leaves no turn."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TypeVar

from msgspec import structs

from storage import keys
from storage.connection import Client
from storage.messages import Ask, Photo, Turn, View, decode

T = TypeVar("T")
log = logging.getLogger(__name__)


class History:
    """Turns by conversation, for `ttl` seconds after the last one.

    The queue's `finish` appends them, and drops what no longer fits, in the same step that closes the ask.
    """

    def __init__(self, redis: Client, ttl: int = keys.HISTORY_TTL) -> None:
        self._redis = redis
        self._ttl = ttl

    async def enter(self, person: str, conversation: str) -> int:
        """Note that the conversation is this person's, and return its epoch for a new ask."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.sadd(keys.conversations(person), conversation)
            pipe.expire(keys.conversations(person), self._ttl)
            pipe.set(keys.latest(person), conversation, ex=self._ttl)
            pipe.get(keys.epoch(conversation))
            *_, epoch = await pipe.execute()
        return int(epoch or 0)

    async def latest(self, person: str) -> str | None:
        """The conversation this person asked in last."""
        found = await self._redis.get(keys.latest(person))
        return None if found is None else found.decode()

    async def read(self, conversation: str, epoch: int) -> list[Turn]:
        """The turns, oldest first; none when the ask belongs to an earlier epoch."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.get(keys.epoch(conversation))
            pipe.lrange(keys.history(conversation), 0, -1)
            present, turns = await pipe.execute()
        return _readable(turns, Turn, conversation) if int(present or 0) == epoch else []

    async def newest(self, conversation: str) -> list[Turn]:
        """The turns that a conversation has now, oldest first."""
        return _readable(await self._redis.lrange(keys.history(conversation), 0, -1), Turn, conversation)

    async def newest_photo(self, conversation: str) -> Photo | None:
        """The photo that a conversation was about last."""
        photos = [photo for turn in await self.newest(conversation) for photo in turn.every_photo()]
        return photos[-1] if photos else None

    async def answer(self, ask: Ask) -> Turn | None:
        """The turn that answered an ask, while its conversation remembers it."""
        return await remembered(self._redis, ask, "assistant")

    async def view(self, conversation: str) -> View | None:
        """What the engine was given of a conversation last, and what the last trimming before or with it dropped."""
        found = await self._redis.hmget(keys.view(conversation), "now", "dropped")
        views = _readable([each for each in found if each], View, conversation)
        if len(views) < 2:
            return views[0] if views else None
        now, dropped = views
        return structs.replace(now, dropped=dropped.dropped, until=dropped.until)

    async def restart(self, conversation: str) -> None:
        """Start afresh: earlier turns are gone, questions kept for another try too, and asks under way leave none."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.incr(keys.epoch(conversation))
            # Longer than any ask lives, so that an old ask can never meet a counter that began anew.
            pipe.expire(keys.epoch(conversation), 2 * max(self._ttl, keys.HISTORY_TTL))
            pipe.delete(keys.history(conversation), keys.view(conversation))
            pipe.smembers(keys.kept(conversation))
            pipe.delete(keys.kept(conversation))
            *_, kept, _ = await pipe.execute()
        for id in kept:
            await self._redis.hdel(keys.job(id.decode()), "question")

    async def forget(self, person: str) -> None:
        """Delete every turn of every conversation of a person."""
        found = await self._redis.smembers(keys.conversations(person))
        for conversation in found:
            await self.restart(conversation.decode())
        await self._redis.delete(keys.conversations(person), keys.latest(person))


async def remembered(redis: Client, ask: Ask, role: str) -> Turn | None:
    """An ask's turn of this role, or None when its conversation has none."""
    turns = await History(redis).newest(ask.conversation)
    return next((turn for turn in turns if (turn.ask, turn.role) == (ask.id, role)), None)


def _readable(entries: list[bytes], kind: type[T], conversation: str) -> list[T]:
    """What can be read of a conversation; what cannot must not take the rest with it."""
    found: list[T] = []
    for entry in entries:
        try:
            found.append(decode(entry, kind))
        except ValueError:
            _tell_of_damage(conversation)
    return found


@lru_cache(1024)
def _tell_of_damage(conversation: str) -> None:
    """Say it once: it is read again with every question."""
    log.warning("skipped what cannot be read in the history of %s", conversation)
