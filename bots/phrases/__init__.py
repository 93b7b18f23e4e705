"""Every sentence a person sees, as data: one TOML file a language, the same codes in each."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec

LANGUAGES = ("en", "zh")


def language_of(tag: str | None) -> str:
    """The language we speak to somebody whose platform says `zh-Hans`, `en-GB`, `zh_CN.UTF-8` or nothing."""
    return "zh" if (tag or "").lower().startswith("zh") else "en"


def say(language: str, code: str, **args: object) -> str:
    """The sentence of a code. Raises KeyError for a code or an argument that the phrase data does not know."""
    return phrases(language)[code].format(**args)


@cache
def phrases(language: str) -> dict[str, str]:
    """All sentences of one language by code; tables of the file become `table.code`."""
    file = files("bots.phrases") / f"{language}.toml"
    data = msgspec.toml.decode(file.read_bytes(), type=dict[str, str | dict[str, str]])
    found: dict[str, str] = {}
    for name, value in data.items():
        if isinstance(value, dict):
            found |= {f"{name}.{code}": sentence for code, sentence in value.items()}
        else:
            found[name] = value
    return found
