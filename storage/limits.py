"""Who may ask, and how often. Closed by default; deny wins; otherwise an allowed user or an allowed chat admits."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from redis.exceptions import WatchError

from storage import keys
from storage.connection import Client
from storage.messages import Refused

ASKS_A_MINUTE = 20  # of one person; a conversation needs less, a flood more


@dataclass(frozen=True, slots=True)
class Rules:
    """The allow-lists of the environment: `telegram:123`, `discord:456`, `telegram:chat:-100…`."""

    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()
    admins: frozenset[str] = frozenset()
    open: bool = False


class Limits:
    """Admission of persons, their rate, and the one-time code that makes the first admin."""

    def __init__(self, redis: Client, rules: Rules, asks_a_minute: int = ASKS_A_MINUTE) -> None:
        self._redis = redis
        self._rules = rules
        self._asks_a_minute = asks_a_minute

    async def admits(self, person: str, *chats: str) -> bool:
        """Whether this person may ask in this chat (`platform:chat:id`), and in what it is a part of."""
        rules, names = self._rules, {person, *chats}
        if any(":chat:" in name for name in rules.allow | rules.deny):
            names.update([await self.former(chat) for chat in chats])
        if rules.deny & names:
            return False
        return rules.open or bool(rules.allow & names) or await self.is_admin(person)

    async def move(self, former: str, chat: str) -> None:
        """What is said of a chat under its former id holds under its new one."""
        await self._redis.hset(keys.MOVED, chat, former)

    async def former(self, chat: str) -> str:
        """The id that a chat had before it moved, or the one it has: its conversations keep their names."""
        found = await self._redis.hget(keys.MOVED, chat)
        return found.decode() if found else chat

    async def is_admin(self, person: str) -> bool:
        """Named in ASKPIX_ADMINS, or made admin by the one-time link."""
        return person in self._rules.admins or await self._redis.sismember(keys.ADMINS, person) == 1

    async def has_admin(self) -> bool:
        """Whether anybody is admin yet."""
        return bool(self._rules.admins) or await self._redis.scard(keys.ADMINS) > 0

    async def take(self, person: str) -> None:
        """Count one ask; raises Refused("too_fast", seconds=…) when this minute's are used up."""
        key = keys.rate(person)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(key, 0, ex=keys.RATE_TTL, nx=True)
            pipe.incr(key)
            pipe.ttl(key)
            _, asks, seconds = await pipe.execute()
        if asks > self._asks_a_minute:
            raise Refused("too_fast", seconds=max(1, seconds))

    async def first_visit_today(self, person: str) -> bool:
        """True once a day for each stranger: they are told once that this bot is private."""
        return bool(await self._redis.set(keys.told(person), 1, nx=True, ex=keys.DAY))

    async def offer_admin(self) -> str:
        """A fresh one-time code; who sends it within 15 minutes becomes admin. Only its hash is stored."""
        code = secrets.token_urlsafe(16)
        await self._redis.set(keys.admin_code(_digest(code)), 1, ex=keys.ADMIN_CODE_TTL)
        return code

    async def redeem(self, code: str, person: str) -> bool:
        """Make this person admin if the code is good; it is good once."""
        key = keys.admin_code(_digest(code))
        async with self._redis.pipeline() as pipe:  # in one step: a code that is used up has made somebody admin
            await pipe.watch(key)
            if person in self._rules.deny or not await pipe.exists(key):
                return False
            pipe.multi()
            pipe.delete(key)
            pipe.sadd(keys.ADMINS, person)
            try:
                await pipe.execute()
            except WatchError:
                return False
        return True


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
