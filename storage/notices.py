"""What admins are to be told, by each platform's bot; it waits here while that or its platform is away."""

from __future__ import annotations

from msgspec import structs

from storage import keys
from storage.connection import Client, Scripts
from storage.inbox import open_group, read_group
from storage.messages import Note, Record, decode, encode

INBOX = "notices"


class Notice(Record, frozen=True):
    """News for admins: what to say, and whether a picture of the day before `at` (s since 1970) goes with it.

    Or, with `slots`, messages of a `chat` that belong to no ask any more: they are to be taken away.
    """

    id: str
    note: Note
    at: float
    platform: str = ""  # one only
    picture: bool = False
    chat: str = ""
    slots: tuple[str, ...] = ()
    entry: str = ""


class Notices:
    """Put once each, told by every platform."""

    def __init__(self, redis: Client, scripts: Scripts) -> None:
        self._redis = redis
        self._scripts = scripts

    async def put(self, notice: Notice) -> bool:
        """Have admins told; False when a notice of this id was put within a day."""
        return await self._scripts.call("receive", INBOX, notice.id, keys.NOTICE_TTL, encode(notice)) == 1

    async def read(self, platform: str, wait: float = 5.0) -> list[Notice]:
        """What this platform's admins were not told yet, the oldest first; waits up to `wait` s for a first one."""
        await open_group(self._redis, keys.inbox(INBOX), platform)
        for after, block in (("0", None), (">", int(wait * 1000))):
            if found := await read_group(self._redis, keys.inbox(INBOX), platform, after, 16, block):
                return [structs.replace(decode(each[b"raw"], Notice), entry=id) for id, each in found]
        return []

    async def done(self, platform: str, notice: Notice) -> None:
        """Told, as far as it can be."""
        await self._redis.xack(keys.inbox(INBOX), platform, notice.entry)

    async def trim(self, now: float) -> None:
        """Drop what is too old to be news (now: s since 1970)."""
        await self._redis.xtrim(keys.inbox(INBOX), minid=int((now - keys.NOTICE_TTL) * 1000), approximate=False)
