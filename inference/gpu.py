"""What the GPU says of itself, by NVML; the only place that knows it. Without a GPU or its driver there is nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pynvml as nvml  # pyright: ignore[reportMissingTypeStubs] : it has none

from storage.status import Gpu

_nvml: Any = nvml
T = TypeVar("T")


def count() -> int:
    """How many GPUs there are."""
    return _of_driver(lambda: int(_nvml.nvmlDeviceGetCount())) or 0


def seen(number: int = 0) -> Gpu | None:
    """One GPU, by its place; None where there is none. Takes some milliseconds."""
    return _of_driver(lambda: _look(_nvml.nvmlDeviceGetHandleByIndex(number)))


def _of_driver(look: Callable[[], T]) -> T | None:
    try:
        _nvml.nvmlInit()
    except _nvml.NVMLError:
        return None
    try:
        return look()
    except _nvml.NVMLError:
        return None
    finally:
        _nvml.nvmlShutdown()


def _look(card: Any) -> Gpu:
    memory, name = _nvml.nvmlDeviceGetMemoryInfo(card), str(_nvml.nvmlDeviceGetName(card))
    watts = _said(lambda: _nvml.nvmlDeviceGetPowerUsage(card)) / 1000
    busy = _said(lambda: _nvml.nvmlDeviceGetUtilizationRates(card).gpu)
    celsius = _said(lambda: _nvml.nvmlDeviceGetTemperature(card, _nvml.NVML_TEMPERATURE_GPU))
    return Gpu(name, int(memory.total) // 2**20, int(memory.used) // 2**20, busy, celsius, watts)


def _said(ask: Callable[[], int]) -> int:
    try:
        return ask()
    except _nvml.NVMLError:
        return 0
