"""A process that uses the store: enters at a line of input, prints the server's pid and URL, leaves at its end."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from storage.connection import connect
from storage.embedded import Store


async def main(data_dir: Path) -> None:
    await say("here")
    await asyncio.to_thread(sys.stdin.readline)
    async with Store(data_dir) as url:
        client: Any = connect(url)
        await say((await client.info("server"))["process_id"], url)
        await client.aclose()
        await asyncio.to_thread(sys.stdin.read)


async def say(*words: object) -> None:
    await asyncio.to_thread(sys.stdout.write, " ".join(map(str, words)) + "\n")
    await asyncio.to_thread(sys.stdout.flush)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
