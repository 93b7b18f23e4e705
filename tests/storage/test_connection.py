"""The connection over a network that breaks off: nothing but StoreDown, and the next call goes through."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import unquote, urlsplit

import uvloop

from bench.proxy import Proxy
from storage.connection import StoreDown, connect


def test_a_connection_that_is_reset_is_a_store_that_is_down_on_the_roles_own_loop(store_url: str) -> None:
    async def cut(proxy: Proxy, moment: float) -> None:
        await asyncio.sleep(moment)
        proxy.cut_all()

    async def main() -> None:
        path = unquote(urlsplit(store_url).path)
        async with Proxy(lambda: path) as proxy:
            client = connect(f"redis://127.0.0.1:{proxy.port}")
            for number in range(100):
                with suppress(*StoreDown):
                    await asyncio.gather(*(client.ping() for _ in range(5)))
                tries = [client.set("a", b"x" * 100_000) for _ in range(5)]
                ended = await asyncio.gather(cut(proxy, number % 10 * 0.0003), *tries, return_exceptions=True)
                assert all(isinstance(each, StoreDown) for each in ended if isinstance(each, BaseException)), ended
            await client.aclose()

    uvloop.run(main())
