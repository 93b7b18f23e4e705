"""What the worker and the engine read from the environment."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from inference.plan import catalogue
from storage.settings import positive, setting, web_url


def one_of(*values: str) -> Callable[[str], str]:
    """One of these words, in any case; raises ValueError for another."""

    def parse(value: str) -> str:
        if value.lower() not in values:
            raise ValueError(value)
        return value.lower()

    return parse


def command_line(value: str) -> str:
    """Words as a shell splits them; raises ValueError for an open quote."""
    shlex.split(value)
    return value


def web_urls(value: str) -> tuple[str, ...]:
    """Addresses of equal engines, separated by commas."""
    return tuple(web_url(each.strip()) for each in value.split(","))


def replicas(value: str) -> int:
    """A whole number from 1 on; "auto" is 0."""
    return 0 if value == "auto" else positive(value)


@dataclass(frozen=True, slots=True)
class InferenceSettings:
    """Which engine answers, and how much it is given. Without engine_url the embedded engine is used."""

    engine_url: tuple[str, ...] = setting("ENGINE_URL", (), web_urls)
    engine_key: str | None = setting("ENGINE_KEY", None, secret=True)
    model: str | None = setting("MODEL", None)
    bind: str = setting("BIND", "127.0.0.1")
    concurrency: int | None = setting("CONCURRENCY", None, positive)
    context_tokens: int | None = setting("CONTEXT_TOKENS", None, positive)
    gpu: str = setting("GPU", "auto", one_of("auto", "cpu", *catalogue().card))
    quantization: Literal["fp8"] | None = setting("QUANTIZATION", None, one_of("fp8"))
    kv_dtype: Literal["bf16", "fp8"] = setting("KV_DTYPE", "bf16", one_of("bf16", "fp8"))
    engine_args: str | None = setting("ENGINE_ARGS", None, command_line)
    replicas: int = setting("REPLICAS", 1, replicas)  # 0: as many as there are GPUs
    sglang_python: str | None = setting("SGLANG_PYTHON", None)
