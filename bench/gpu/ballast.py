"""Leave only KEEP MiB of the GPU free, so that a large card stands in for the memory of a smaller one.

`python3 bench/gpu/ballast.py KEEP &`: 24000 leaves what an RTX 4090D has; holds the rest until it is ended.
"""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any

torch: Any = importlib.import_module("torch")  # of the GPU host, not of ours

keep = int(sys.argv[1]) * 2**20
held: list[Any] = []
while (spare := torch.cuda.mem_get_info()[0] - keep) > 2**21:
    held.append(torch.empty(min(spare // 2**21 * 2**21, 2**30), dtype=torch.uint8, device="cuda"))
print("free MiB:", torch.cuda.mem_get_info()[0] // 2**20, flush=True)
time.sleep(3600)
