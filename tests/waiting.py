"""Waiting in tests: until something is true, never for a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def wait_until(predicate: Callable[[], bool | Awaitable[bool]], seconds: float = 5) -> None:
    """Poll `predicate` (plain or async) every 5 ms until it is true; fails the test after `seconds`."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    while True:
        found = predicate()
        if found if isinstance(found, bool) else await found:
            return
        assert clock() < deadline, f"not so within {seconds} s"
        await asyncio.sleep(0.005)
