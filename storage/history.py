"""Each conversation's turns. An epoch counts fresh starts, so that an answer begun before `/new` leaves no turn."""

from __future__ import annotations

from storage import keys
from storage.connection import Client
from storage.messages import Ask, Turn, decode


class History:
    """Turns by conversation; the queue's `finish` appends them, in the same step that closes the ask."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis

    async def enter(self, person: str, conversation: str) -> int:
        """Note that the conversation is this person's, and return its epoch for a new ask."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.sadd(keys.conversations(person), conversation)
            pipe.expire(keys.conversations(person), keys.HISTORY_TTL)
            pipe.set(keys.latest(person), conversation, ex=keys.HISTORY_TTL)
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
        return [decode(turn, Turn) for turn in turns] if int(present or 0) == epoch else []

    async def answer(self, ask: Ask) -> Turn | None:
        """The turn that answered an ask, while its conversation remembers it."""
        return await remembered(self._redis, ask, "assistant")

    async def restart(self, conversation: str) -> None:
        """Start afresh: earlier turns are gone, questions kept for another try too, and asks under way leave none."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.incr(keys.epoch(conversation))
            # Longer than any ask lives, so that an old ask can never meet a counter that began anew.
            pipe.expire(keys.epoch(conversation), 2 * keys.HISTORY_TTL)
            pipe.delete(keys.history(conversation))
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
    turns = [decode(turn, Turn) for turn in await redis.lrange(keys.history(ask.conversation), 0, -1)]
    return next((turn for turn in turns if (turn.ask, turn.role) == (ask.id, role)), None)
