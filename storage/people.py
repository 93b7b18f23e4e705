"""Who is one and the same over several platforms: joined by a one-time code, shown on one and sent on another."""

from __future__ import annotations

import hashlib
import secrets
from typing import Literal

from storage import keys
from storage.connection import Client, Scripts

Joined = Literal["ok", "own", "wrong"]


class People:
    """Groups of persons (`telegram:123`) that are one: who shows the code keeps the name that the others get."""

    def __init__(self, redis: Client, scripts: Scripts) -> None:
        self._redis = redis
        self._scripts = scripts

    async def of(self, person: str) -> str:
        """The person whose lane and quota this one shares; themselves when they are joined with nobody."""
        return (await self.aliases(person))[0]

    async def aliases(self, person: str) -> list[str]:
        """Everybody who is one with this person, themselves included; first the one whose name is the lane's."""
        found = await self._redis.hget(keys.JOINED, person)
        return found.decode().split() if found else [person]

    async def offer(self, person: str) -> str:
        """A fresh one-time code, good for 15 minutes; the one before it is void. Only its hash is stored."""
        code = secrets.token_hex(8)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(keys.link_code(_digest(code)), person, ex=keys.LINK_CODE_TTL)
            pipe.set(keys.link_open(person), _digest(code), ex=keys.LINK_CODE_TTL)
            await pipe.execute()
        return code

    async def join(self, code: str, person: str) -> Joined:
        """Make this person, and all they are one with, one with the code's issuer: at once, or not at all.

        "ok" also if they are already. "own": it is their own code, and stays good. "wrong": it is unknown, too old,
        void, or was used by somebody else.
        """
        answer: bytes = await self._scripts.call("join", _digest(code), person)
        return answer.decode()  # pyright: ignore[reportReturnType] : the script's own three words


def _digest(code: str) -> str:
    return hashlib.sha256(code.strip().lower().encode()).hexdigest()
