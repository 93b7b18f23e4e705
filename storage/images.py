"""The photo store: each person's photos apart, all of them under one cap, every one with its end.

Under the cap the photo used least lately goes first, but none that an ask waits for: the queue's scripts count those.
"""

from __future__ import annotations

from collections.abc import Sequence

from storage import keys
from storage.connection import Scripts
from storage.messages import Photo, Refused


class Images:
    """Photo bytes by person and sha256; cap_bytes is for everybody together, ttl is seconds.

    A photo's time begins with its last `put`, or when the last ask that used it is closed.
    """

    def __init__(self, scripts: Scripts, cap_bytes: int, ttl: int) -> None:
        self._scripts = scripts
        self._cap_bytes = cap_bytes
        self.ttl = ttl

    async def put(self, person: str, photo: Photo, data: bytes) -> None:
        """Keep a photo, for the whole ttl again if it is kept already.

        Raises Refused("photo_store_full") when only photos in use could make room; then nothing has changed.
        """
        if not await self._scripts.call("photo_put", _member(person, photo.sha256), data, self.ttl, self._cap_bytes):
            raise Refused("photo_store_full")

    async def put_original(self, person: str, photo: Photo, data: bytes) -> None:
        """Keep for a day what a photo was shrunk from, where there is room beside the photos themselves."""
        await self._scripts.call("photo_put", _member(person, f"{photo.sha256}.full"), data, keys.DAY, self._cap_bytes)

    async def original(self, person: str, photo: Photo) -> bytes | None:
        """What a photo was shrunk from; None when it was not, or that is no longer kept."""
        return (await self.get(person, [f"{photo.sha256}.full"]))[0] if photo.full else None

    async def get(self, person: str, sha256s: Sequence[str]) -> list[bytes | None]:
        """The bytes of each photo of this person, None for what is not (or no longer) kept; it counts as a use."""
        if not sha256s:
            return []
        return await self._scripts.call("photo_get", *(_member(person, sha256) for sha256 in sha256s))

    async def forget(self, person: str) -> None:
        """Delete all photos of a person at once, whether an ask waits for them or not."""
        await self._scripts.call("photo_drop", person)

    async def sweep(self) -> None:
        """Clear the records of photos whose ttl has passed, so that they no longer count under the cap."""
        await self._scripts.call("photo_drop")


def _member(person: str, sha256: str) -> str:
    return f"{person}|{sha256}"
