"""What the command line shows beside chats: the settings, the memory plan with its bar, an engine's progress."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bots.reporting import status_lines
from storage.doctor import Finding
from storage.status import Status

Say = Callable[..., str]
BAR = 60  # characters
_SIGNS: dict[bool | None, tuple[str, str]] = {True: ("✓", "green"), None: ("·", "bright_black"), False: ("✗", "red")}
COLOURS = {
    "weights": "blue", "kv": "green", "working": "yellow", "graphs": "magenta", "cache": "cyan", "context": "red",
    "second_context": "bright_red", "driver": "white", "reserve": "bright_black",
}  # fmt: skip


def show_settings(rows: Iterable[tuple[str, object, bool]], prefix: str, say: Say) -> None:
    """Print every setting's name, value and meaning; rows are (name, value, whether it is secret)."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("name", "value", "meaning"):
        table.add_column(say(f"cli.column_{title}"), no_wrap=title == "name", overflow="fold")
    for name, value, secret in rows:
        table.add_row(f"{prefix}{name}", _shown(value, say, secret=secret), say(f"setting.{name}"))
    Console().print(table)


def _shown(value: object, say: Say, *, secret: bool) -> str:
    if value is None or value == frozenset():
        return say("cli.unset")
    if secret:
        return say("cli.secret")
    if isinstance(value, frozenset):
        return ", ".join(sorted(str(name) for name in value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] : names() made it of str
    return str(int(value) if isinstance(value, bool) else value)


def show_status(now: Status, language: str, *, as_json: bool, clear: bool) -> None:
    """Print a status: the whole record, without the picture's points, as a line of JSON, or in words."""
    if as_json:
        sys.stdout.write(msgspec.json.encode(msgspec.structs.replace(now, points=())).decode() + "\n")
    else:
        if clear and sys.stdout.isatty():
            Console().clear()
        sys.stdout.write("\n".join(status_lines(language, now)) + "\n")
    sys.stdout.flush()


def show_plan(found: Mapping[str, Any], say: Say, *, as_json: bool) -> int:
    """Print a memory plan (the fields of inference.plan.Plan); the exit status, 2 when it does not fit."""
    status = 0 if found["fits"] else 2
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
        return status
    parts: Mapping[str, int] = {name: mib for name, mib in found["parts"].items() if mib > 0}
    bar, table = Text(), Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, mib in parts.items():
        bar.append("█" * max(1, round(BAR * mib / sum(parts.values()))), COLOURS[name])
        table.add_row(Text("■ ", COLOURS[name]) + Text(say(f"plan.{name}"), "default"), f"{mib} MiB")
    weights = "bf16" if found["quantization"] == "none" else found["quantization"]
    Console().print(say("plan.title", **found, weights=weights), bar, table, say("plan.capacity", **found), sep="\n")
    if first := found["first_token_ms"]:
        speeds = {f"speed_{name}": value for name, value in found["tokens_per_second"].items()}
        Console().print(say("plan.ceilings", photo=first["photo"], whole=first["context"], **speeds))
    for line in _verdict(found, say):
        Console().print(line, soft_wrap=True, markup=False, highlight=False)
    return status


def _verdict(found: Mapping[str, Any], say: Say) -> Iterator[str]:
    if found["fits"]:
        yield "python -m sglang.launch_server " + shlex.join(found["flags"])
        return
    yield say("plan.no_fit", **found)
    near = {name.replace("_", "-"): value for name, value in found["nearest"].items() if value != "none"}
    if near:
        yield say("plan.nearest", options=" ".join(f"--{name} {value}" for name, value in near.items()))
    yield say("plan.cards", cards=", ".join(found["cards"])) if found["cards"] else say("plan.no_card")


def show_findings(findings: Sequence[Finding], say: Say, *, as_json: bool) -> int:
    """Print what `askpix doctor` found, the troubles last; the exit status, 1 when there is any."""
    ranked = sorted(findings, key=lambda found: (found.ok is False, found.ok is None))
    for found in ranked:
        code = found.code if "." in found.code else f"doctor.{found.code}"
        sentence = say(code, **found.details)
        if as_json:
            line = {"what": found.what, "ok": found.ok, "code": found.code, "details": found.details, "says": sentence}
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
            continue
        sign, colour = _SIGNS[found.ok]
        Console().print(Text(f"{sign} ", colour) + Text(sentence, "default"), soft_wrap=True, highlight=False)
    return int(any(found.ok is False for found in findings))


def progress(say: Say, code: str, **details: object) -> None:
    """Print how far an engine's start is; on a terminal a download is one line that grows."""
    share = details.get("percent")
    again = isinstance(share, int) and sys.stdout.isatty()
    bar = "━" * (share // 5) + "─" * (20 - share // 5) if isinstance(share, int) else ""
    sys.stdout.write(("\r" if again else "") + say(f"cli.progress_{code}", **details, bar=bar))
    sys.stdout.write("" if again and share != 100 else "\n")
    sys.stdout.flush()
