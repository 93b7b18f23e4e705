"""(b) The longest context of a profile: two prompts, one after another. `python -m bench.gpu.long`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from bench.gpu.card import longest
from bench.gpu.host import bench, part, run
from bench.report import finish


async def main(data_dir: Path) -> None:
    """Prompt, answer, and the same prompt again from the cache."""
    results: dict[str, Any] = {}
    async with bench(data_dir) as found:
        context = found.address.model.context
        results["served"] = {"context": context, "slots": found.address.model.slots}
        await part("engine", results, found.info)
        results["ready_mib"] = found.card.now()
        await part("longest", results, partial(longest, found, context, 256))
        results["end_mib"], results["peak_mib"] = found.card.now(), found.card.since(0).get("peak_mib", 0)
    finish("gpu.long", results, {})


if __name__ == "__main__":
    run(main)
