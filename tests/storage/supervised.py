"""A supervisor to be killed, of one role: `supervised.py DATA_DIR URL ROLE…`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from storage.connection import connect
from storage.roles import Role, Supervisor


async def main(data_dir: Path, url: str, argv: list[str]) -> None:
    await Supervisor([Role("role", argv, os.environ)], data_dir, connect(url), ignore).run()


def ignore(role: str, state: str, detail: object) -> None:
    pass


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
