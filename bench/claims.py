"""Every claim of ours as a scenario: `python -m bench.claims [--quick] [NAME…]`; without a name all of them.

Each prints whether it was kept and its figures; one JSON line last. `make claims` runs all. Fails when one is broken.
bench/mutations.py takes the protections out one by one, and shows that these scenarios notice.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence

from bench import claims_faults, claims_kills, claims_load, claims_people
from bench.report import say, stoppable
from bench.scenes import Outcome
from storage.connection import StoreDown

LONGEST = 900.0  # seconds of one scenario
MODULES = (claims_kills, claims_people, claims_faults, claims_load)
CLAIMS: dict[str, Callable[..., Awaitable[Outcome]]] = {
    claim.__name__: claim for module in MODULES for claim in module.CLAIMS
}


async def check(name: str, *, quick: bool) -> Outcome:
    """One claim; who waits in vain has found it broken."""
    try:
        async with asyncio.timeout(LONGEST):
            return await CLAIMS[name](quick=quick)
    except (AssertionError, *StoreDown) as error:  # TimeoutError is an OSError, and so one of them
        return Outcome(False, {"stuck": f"{type(error).__name__} {error}"[:200]})


def main(arguments: Sequence[str]) -> None:
    """Check them, print, and fail when one is broken."""
    quick = "--quick" in arguments
    names = [name for name in arguments if name != "--quick"] or [*CLAIMS]
    if unknown := set(names) - CLAIMS.keys():
        listed = "\n".join(f"  {name:17} {inspect.getdoc(claim)}" for name, claim in CLAIMS.items())
        sys.exit(f"no such claim: {', '.join(unknown)}. There are:\n{listed}")
    stoppable()
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # a bot that dies in mid-request is no news here
    logging.getLogger("storage.embedded").setLevel(logging.CRITICAL)  # nor is a store that is killed on purpose
    found: dict[str, Outcome] = {}
    for name in names:
        begun = time.monotonic()
        found[name] = outcome = asyncio.run(check(name, quick=quick))
        seconds = time.monotonic() - begun
        say(f"{'kept  ' if outcome.kept else 'BROKEN'} {name:17} {seconds:5.1f} s  {json.dumps(outcome.figures)}")
    line = {name: {"kept": outcome.kept, **outcome.figures} for name, outcome in found.items()}
    print(json.dumps({"bench": "claims", "quick": quick, "load_1m": round(os.getloadavg()[0], 1), "claims": line}))
    sys.exit(not all(outcome.kept for outcome in found.values()))


if __name__ == "__main__":
    main(sys.argv[1:])
