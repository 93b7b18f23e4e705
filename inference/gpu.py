"""What the GPU says of itself, by NVML; the only place that knows it. Without a GPU or its driver there is nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pynvml as nvml  # pyright: ignore[reportMissingTypeStubs] : it has none

_nvml: Any = nvml


@dataclass(frozen=True, slots=True)
class Gpu:
    """The first GPU now: sizes in MiB, watts, busy in percent, celsius (0 where the card does not say it)."""

    name: str
    total: int
    used: int
    watts: float
    busy: int = 0
    celsius: int = 0


def seen() -> Gpu | None:
    """The first GPU, or None. Takes some milliseconds."""
    try:
        _nvml.nvmlInit()
    except _nvml.NVMLError:
        return None
    try:
        card = _nvml.nvmlDeviceGetHandleByIndex(0)
        memory = _nvml.nvmlDeviceGetMemoryInfo(card)
        name, total, used = str(_nvml.nvmlDeviceGetName(card)), int(memory.total), int(memory.used)
        watts = _said(lambda: _nvml.nvmlDeviceGetPowerUsage(card)) / 1000
        busy = _said(lambda: _nvml.nvmlDeviceGetUtilizationRates(card).gpu)
        celsius = _said(lambda: _nvml.nvmlDeviceGetTemperature(card, _nvml.NVML_TEMPERATURE_GPU))
        return Gpu(name, total // 2**20, used // 2**20, watts, busy, celsius)
    except _nvml.NVMLError:
        return None
    finally:
        _nvml.nvmlShutdown()


def _said(ask: Callable[[], int]) -> int:
    try:
        return ask()
    except _nvml.NVMLError:
        return 0
