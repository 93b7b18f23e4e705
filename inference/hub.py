"""Models from the Hugging Face hub, or from a folder."""

from __future__ import annotations

import asyncio
from pathlib import Path

from inference.embedded import EngineFailed
from inference.launch import Tell


async def obtain(name: str, models: Path, tell: Tell) -> Path:
    """The folder of a model. Raises EngineFailed."""
    if not await asyncio.to_thread(Path(name).is_dir):
        raise EngineFailed("model_missing", name)
    return Path(name)
