"""Who may ask, and how often. Closed by default; deny wins; otherwise an allowed user or an allowed chat admits.

The environment's rules and the ones that admins make while it runs stand side by side, and so do the limits of a day.
"""

from __future__ import annotations

import hashlib
import math
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from redis.exceptions import WatchError

from storage import keys
from storage.connection import Client, Scripts
from storage.messages import Refused
from storage.metrics import periods

ASKS_A_MINUTE = 20  # of one person; a conversation needs less, a flood more
FRESH = 1.0  # seconds for which the rules that admins made are not read again
CHANGES = 1000  # changes of admins that are kept


@dataclass(frozen=True, slots=True)
class Rules:
    """The allow-lists of the environment: `telegram:123`, `discord:456`, `telegram:chat:-100…`."""

    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()
    admins: frozenset[str] = frozenset()
    open: bool = False


@dataclass(frozen=True, slots=True)
class Daily:
    """What one person may have a day of `zone`: asks, and their cost (1 each, and 1 a photo). 0: without limit."""

    asks: int = 0
    cost: int = 0
    zone: tzinfo = UTC


@dataclass(frozen=True, slots=True)
class Usage:
    """What one person used in a day or a month."""

    asks: int
    photos: int
    cost: int
    tokens: int


class Limits:
    """Admission of persons, their rate and quota, and the one-time code that makes the first admin."""

    def __init__(
        self, redis: Client, rules: Rules, asks_a_minute: int = ASKS_A_MINUTE, daily: Daily = Daily()
    ) -> None:  # fmt: skip
        self._redis = redis
        self._scripts = Scripts(redis)
        self._rules = rules
        self._asks_a_minute = asks_a_minute
        self._daily = daily
        self._made: dict[str, str] = {}
        self._read = -math.inf

    async def admits(self, person: str, *chats: str) -> bool:
        """Whether this person may ask in this chat (`platform:chat:id`), and in what it is a part of."""
        made, rules, names = await self.made(), self._rules, {person, *chats}
        allowed = rules.allow | {name for name, rule in made.items() if rule == "allow"}
        denied = rules.deny | {name for name, rule in made.items() if rule == "deny"}
        if any(":chat:" in name for name in allowed | denied):
            names.update([await self.former(chat) for chat in chats])
        if denied & names:
            return False
        return rules.open or bool(allowed & names) or await self.is_admin(person)

    async def made(self) -> dict[str, str]:
        """The rules that admins made: person or chat -> "allow" or "deny". A second old at most."""
        if time.monotonic() - self._read > FRESH:
            found = await self._redis.hgetall(keys.RULES)
            self._made, self._read = {name.decode(): rule.decode() for name, rule in found.items()}, time.monotonic()
        return self._made

    async def speaks(self, admin: str, language: str) -> None:
        """The language that this admin's news come in."""
        await self._redis.hset(keys.LANGUAGES, admin, language)

    async def language(self, admin: str) -> str:
        """What `speaks` said last."""
        return (await self._redis.hget(keys.LANGUAGES, admin) or b"en").decode()

    async def admins(self) -> list[str]:
        """Everybody who is admin."""
        made: set[bytes] = await self._redis.smembers(keys.ADMINS)
        return sorted(self._rules.admins | {person.decode() for person in made})

    async def change(self, by: str, what: str, name: str, value: str = "") -> None:
        """Make a rule ("allow", "deny", "" for none), an admin ("admin", "no_admin") or a quota of `value` asks a day.

        Who made it is noted with it.
        """
        async with self._redis.pipeline(transaction=True) as pipe:
            if what == "quota":
                pipe.hset(keys.QUOTAS, name, value) if value else pipe.hdel(keys.QUOTAS, name)
            elif "admin" in what:
                pipe.sadd(keys.ADMINS, name) if what == "admin" else pipe.srem(keys.ADMINS, name)
            else:
                pipe.hset(keys.RULES, name, what) if what else pipe.hdel(keys.RULES, name)
            self._note(pipe, by, what or "no_rule", name, value)
            await pipe.execute()
        self._read = -math.inf

    async def note(self, by: str, what: str) -> None:
        """Note what an admin did otherwise, such as to pause."""
        await self._note(self._redis, by, what)

    async def changes(self, n: int = 10) -> list[tuple[float, str, str]]:
        """The newest changes: when (s since 1970), by whom, what."""
        found = await self._redis.xrevrange(keys.CHANGES, count=n)
        return [(int(id.split(b"-")[0]) / 1000, each[b"by"].decode(), each[b"what"].decode()) for id, each in found]

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

    async def take(self, person: str, id: str = "", photos: int = 0, *aliases: str, sent: float = 0.0) -> bool:
        """Count one ask (by its id at most once a day), of a person who is also `aliases`; says whether they are admin.

        sent: when it was sent (s since 1970), 0 for now: of what an outage held back each minute counts for itself.
        Raises Refused: "too_fast" (seconds) when this minute's asks are used up; when this day's are, "quota_asks" or
        "quota_cost" (limit, hours until the next day). Admins have no quota.
        """
        now, admin = time.time(), not self._rules.admins.isdisjoint({person, *aliases})
        answer = await self._scripts.call(
            "take", person, id, photos, int(admin), self._asks_a_minute, keys.RATE_TTL, self._daily.asks,
            self._daily.cost, *periods(now, self._daily.zone), keys.USE_TTL, keys.SEEN_TTL,
            min(sent or now, now), *aliases,
        )  # fmt: skip
        match answer:
            case [b"too_fast", seconds]:
                raise Refused("too_fast", seconds=max(1, seconds))
            case [code, limit]:
                raise Refused(code.decode(), limit=limit, hours=self._hours_left(now))
            case _:
                return answer == b"admin"

    async def give_back(self, person: str, id: str, photos: int) -> None:
        """Count an ask no more: it was not taken after all."""
        today, month = periods(time.time(), self._daily.zone)
        async with self._redis.pipeline(transaction=True) as pipe:
            for key in (keys.used(person, today), keys.used(person, month)):
                for name, by in (("asks", 1), ("photos", photos), ("cost", 1 + photos)):
                    pipe.hincrby(key, name, -by)
            pipe.zincrby(keys.top(today), -1, person)
            pipe.delete(keys.taken(id))
            await pipe.execute()

    async def usage(self, person: str) -> tuple[Usage, Usage]:
        """What this person used today and this month."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for period in periods(time.time(), self._daily.zone):
                pipe.hmget(keys.used(person, period), "asks", "photos", "cost", "tokens")
            today, month = await pipe.execute()
        return Usage(*(int(value or 0) for value in today)), Usage(*(int(value or 0) for value in month))

    async def quota(self, person: str) -> tuple[int, int]:
        """How many asks a day this person has, and what they may cost; 0: without limit. A quota of 0 lifts both."""
        own = await self._redis.hget(keys.QUOTAS, person)
        asks = self._daily.asks if own is None else int(own)
        return asks, 0 if own == b"0" else self._daily.cost

    def _hours_left(self, now: float) -> int:
        today = datetime.fromtimestamp(now, self._daily.zone)
        midnight = datetime.combine(today.date() + timedelta(days=1), datetime.min.time(), self._daily.zone)
        return math.ceil((midnight.timestamp() - now) / 3600)

    def _note(self, pipe: Client, by: str, *what: str) -> Client:
        said = {"by": by, "what": " ".join(filter(None, what))}
        return pipe.xadd(keys.CHANGES, said, maxlen=CHANGES, approximate=True)

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
        if (await self.made()).get(person) == "deny":
            return False
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
