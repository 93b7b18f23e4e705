"""What the GPU says of itself, by NVML; the only place that knows it. Without a GPU or its driver there is nothing."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pynvml as nvml  # pyright: ignore[reportMissingTypeStubs] : it has none

_nvml: Any = nvml


@dataclass(frozen=True, slots=True)
class Gpu:
    """The first GPU now: sizes in MiB, power in watts (0 where the card does not say it)."""

    name: str
    total: int
    used: int
    watts: float


def seen() -> Gpu | None:
    """The first GPU, or None. Takes some milliseconds."""
    try:
        _nvml.nvmlInit()
    except _nvml.NVMLError:
        return None
    try:
        card = _nvml.nvmlDeviceGetHandleByIndex(0)
        memory = _nvml.nvmlDeviceGetMemoryInfo(card)
        watts = 0.0
        with suppress(_nvml.NVMLError):
            watts = _nvml.nvmlDeviceGetPowerUsage(card) / 1000
        return Gpu(str(_nvml.nvmlDeviceGetName(card)), int(memory.total) // 2**20, int(memory.used) // 2**20, watts)
    except _nvml.NVMLError:
        return None
    finally:
        _nvml.nvmlShutdown()
