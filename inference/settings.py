"""What the worker and the engine read from the environment."""

from __future__ import annotations

from dataclasses import dataclass

from storage.settings import positive, setting, web_url


@dataclass(frozen=True, slots=True)
class InferenceSettings:
    """Which engine answers, and how much it is given. Without engine_url the embedded engine is used."""

    engine_url: str | None = setting("ENGINE_URL", None, web_url)
    engine_key: str | None = setting("ENGINE_KEY", None, secret=True)
    model: str | None = setting("MODEL", None)
    bind: str = setting("BIND", "127.0.0.1")
    concurrency: int | None = setting("CONCURRENCY", None, positive)
    context_tokens: int | None = setting("CONTEXT_TOKENS", None, positive)
