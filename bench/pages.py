"""The pages of docs/ that are made from code and phrases: `make docs` writes them, tests/test_pages.py holds them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import askpix
from bench import scale
from bots.phrases import phrases, say
from storage.settings import PREFIX, present

DOCS = Path(__file__).parent.parent / "docs"
KINDS = ("The store and the data folder", "The engine and the worker", "The bots", "The page")

# By section: the code of a sentence, and what helps beyond what it says.
TROUBLES: dict[str, dict[str, str]] = {
    "It does not start": {
        "cli.misspelt_setting": "Every variable that begins with `ASKPIX_` must be a setting: a wrong letter would "
        "else silently mean the default. `askpix settings` lists them, and so does [settings](settings.md).",
        "cli.unknown_setting": "It may be of another version, or another program's: rename it.",
        "cli.unreadable_secret": "In containers the file must be readable by the user of the image, 10001: "
        "`deploy/secrets.sh` makes them so.",
        "cli.web_password": "Who reaches the page is its owner. It may be in a file: `ASKPIX_WEB_PASSWORD_FILE`.",
        "cli.port_taken": "Often it is another `askpix up`: `askpix doctor web` says whether one lives.",
        "cli.webhook_port": "Only with `ASKPIX_TELEGRAM_WEBHOOK_URL`; without it no port is needed.",
        "cli.folder_not_private": "Give the folder to the user that runs askpix: `chown`, then `chmod 700`.",
        "cli.folder_unusable": "Look at the disk, and whether it is mounted to be read only.",
        "doctor.role_gone": "Roles are `engine`, `worker`, `telegram`, `discord` and `web`. One that dies at its "
        "start is started again and again by `askpix up`, which says why each time.",
    },
    "The store": {
        "cli.store_down": "Questions wait on the platforms' side and in the log on disk; nothing is lost. "
        "For Sentinels give all of them: `redis+sentinel://a:26379,b:26379,c:26379/name`.",
        "cli.server_failed": "A damaged end of the log on disk is cut off by itself; damage in its middle is not: "
        "`valkey-check-aof --fix` shows what it would take.",
        "cli.server_too_old": "Without `ASKPIX_REDIS_URL` and without a server on PATH askpix uses the one it brings.",
        "doctor.store_forgets": "What a crash would lose then are questions that people were told to be in line.",
        "doctor.store_evicts": "Or give askpix a server of its own: it may share one, but not one that is a cache.",
        "doctor.store_full": "Photos are most of it: `ASKPIX_PHOTO_MB`, `ASKPIX_PHOTO_DAYS`.",
        "doctor.disk_full": "The store's log may grow to twice what it holds before it is written anew.",
    },
    "The engine": {
        "cli.sglang_missing": "An environment of its own keeps SGLang's packages apart: see [the RTX 4090D](4090d.md).",
        "cli.sglang_memory": "`nvidia-smi` names what else is on the card; `askpix plan` says what is needed.",
        "cli.sglang_died": "Most often the driver is too old for SGLang's CUDA, or a kernel could not be compiled: "
        "the log says which.",
        "cli.does_not_fit": "[Memory](memory.md) has the arithmetic.",
        "cli.few_gpus": "`nvidia-smi -L` lists those that the driver sees.",
        "cli.model_offline": "`HF_ENDPOINT` names a mirror of the hub.",
        "cli.model_disk": "The 2B takes 4.3 GB, the download is kept file by file.",
        "cli.context_too_small": "On the CPU the demo's context is 2,048 tokens.",
        "cli.libgomp_missing": "The engine for the CPU is compiled with OpenMP.",
        "doctor.engine_restarts": "A start takes a second for the demo model and a minute or two for SGLang.",
        "engine_down": "Said in the chat. `askpix doctor` asks the engine; `logs/engine.log` and `logs/sglang.log` "
        "are in the data folder. Questions wait and are answered when it is back.",
        "worker_down": "Said in the chat: no worker lives. `askpix doctor worker`.",
    },
    "Telegram and Discord": {
        "cli.bad_token": "A token that was revoked in BotFather is gone for good.",
        "cli.bad_discord_token": "It is the bot's token, not the application's secret nor its id.",
        "cli.no_intent": "It is needed only to see messages that do not mention the bot.",
        "doctor.webhook_fails": "Telegram wants HTTPS with a certificate that is valid, on port 443, 80, 88 or 8443, "
        "and the proxy must pass on the header `X-Telegram-Bot-Api-Secret-Token`.",
        "doctor.platform_unreachable": "`ASKPIX_TELEGRAM_API_URL` names a Bot API server of your own.",
        "doctor.clock_off": "A wrong clock breaks certificates first.",
        "command.stranger": "Said in private, once a day. An admin lets people in by `/allow telegram:123`, whoever "
        "runs askpix by `ASKPIX_ALLOW`.",
        "command.admin_expired": "The link is good for 15 minutes and once. While nobody is admin every start prints "
        "another; `ASKPIX_ADMINS` needs none.",
        "gave_up": "The engine or the worker broke off eight times at this question. `askpix status` shows the last "
        "error.",
        "photo_gone": "Photos are kept for `ASKPIX_PHOTO_DAYS`, the oldest go first where `ASKPIX_PHOTO_MB` is full.",
    },
}  # fmt: skip


def settings_page() -> str:
    """Every setting: its name, its default, its meaning."""
    lines = [
        "# Settings", "",
        "Made from the code by `make docs`. Every one is a variable that begins with `ASKPIX_`; one marked * may also",
        "come from a file, named by the same variable with `_FILE` behind it. `askpix settings` shows their present",
        "values.",
    ]  # fmt: skip
    seen: set[str] = set()
    for title, kind in zip(KINDS, askpix.SETTINGS, strict=True):
        lines += ["", f"## {title}", "", "| variable | default | meaning |", "|---|---|---|"]
        for env, value, secret in present(kind()):
            if env not in seen:
                seen.add(env)
                name = f"`{PREFIX}{env}`" + r"\*" * secret
                lines.append(
                    f"| {name} | {_shown(value)} | {say('en', f'setting.{env}').replace('|', chr(92) + '|')} |"
                )
    return "\n".join([*lines, ""])


def _shown(value: Any) -> str:
    if value is None or value in (frozenset(), ()):
        return ""
    if isinstance(value, Path):
        value = f"~/{value.relative_to(Path.home())}"
    return f"`{int(value) if isinstance(value, bool) else value}`"


def troubles_page() -> str:
    """Sentences that people see, and what helps."""
    lines = [
        "# When something is wrong", "",
        "`askpix doctor` looks for most of this by itself and says what to do. The sentences are askpix's own, made",
        "from its phrases by `make docs`; what it fills in stands in ‹angle brackets›.",
    ]  # fmt: skip
    for title, sentences in TROUBLES.items():
        lines += ["", f"## {title}"]
        for code, advice in sentences.items():
            sentence = re.sub(r"\{(\w+)\}", r"‹\1›", phrases("en")[code])
            lines += ["", f"> {sentence}", "", advice]
    return "\n".join([*lines, ""])


def scale_page() -> str:
    """docs/scale.md with its tables as the law gives them now."""
    page = (DOCS / "scale.md").read_text()
    for name, table in (("users", users_table()), ("measured", measured_table())):
        block = rf"(<!-- {name} -->\n)(?:.*?\n)??(<!-- end -->)"
        page = re.sub(block, lambda found, table=table: f"{found[1]}{table}\n{found[2]}", page, flags=re.DOTALL)
    return page


@cache
def users_table() -> str:
    """Daily users against what they need."""
    head = (
        "daily users",
        "questions/s in the busiest hour",
        "engines",
        "first words p50, p95, p99",
        "were all photos",
        "GPUs a day",
    )
    rows = [
        f"| {row.users:,} | {row.rate:.3g} | {row.engines} | {row.outcome.p50:.2f}, {row.outcome.p95:.2f}, "
        f"{row.outcome.p99:.2f} s | {row.photos_only} | {row.cost:,.0f} | {row.valkey:.2%} of a core "
        f"| {row.photo_gb:,.1f} GB |"
        for row in scale.sizes()
    ]
    return _table((*head, "Valkey", "photos of 7 days"), rows)


@cache
def measured_table() -> str:
    """The law beside the card."""
    rows = [
        f"| {row['people']} | {row['answers']}, {row['computed']} | {row['off_percent']:+.1f} % "
        f"| {row['first']:.2f}, {row['first_computed']:.2f} s | {row['first_off_percent']:+.1f} % |"
        for row in scale.check()
    ]
    head = ("people at once", "answers/s measured, computed", "", "first words p50 measured, computed", "")
    return _table(head, rows)


def _table(head: Sequence[str], rows: Sequence[str]) -> str:
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows])


def pages() -> Iterator[tuple[Path, str]]:
    """Every page and its text."""
    yield DOCS / "settings.md", settings_page()
    yield DOCS / "troubleshooting.md", troubles_page()
    yield DOCS / "scale.md", scale_page()


if __name__ == "__main__":
    for path, text in pages():
        path.write_text(text)
