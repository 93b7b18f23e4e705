"""The sentences: the same in every language, and one for every code that the sources can say."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

import askpix
from bots.admin import ADMIN_NAMES
from bots.commands import IN_GROUPS, NAMES
from bots.phrases import LANGUAGES, language_of, phrases, say
from bots.tasks import TASKS
from bots.wording import duration, ending, waiting
from storage.messages import Cancelled, Done, Failed, Queued, Waiting

ROOT = Path(askpix.__file__).parent
FOLDERS = [ROOT / name for name in ("bots", "inference", "storage")]
SOURCES = [
    ROOT / "askpix.py",
    *(file for folder in FOLDERS for file in folder.rglob("*.py") if "demo" not in file.parts),
]
SAYING = {
    "say",
    "_say",
    "Finding",
    "Refused",
    "Failed",
    "Waiting",
    "CannotRun",
    "StoreUnavailable",
    "BadSetting",
    "EngineFailed",
}
# Whose codes it puts behind "cli."
OF_THE_COMMAND_LINE = {"CannotRun", "StoreUnavailable", "BadSetting", "EngineFailed"}


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def said() -> Iterator[tuple[str, str, set[str] | None]]:
    """Where, which code and with which arguments (None: they come from elsewhere) a code is written in the sources."""
    for file in SOURCES:
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            name = getattr(call.func, "id", getattr(call.func, "attr", ""))
            if name not in SAYING:
                continue
            given = {keyword.arg for keyword in call.keywords}
            known = None if None in given or (len(call.args) > 1 and name == "Failed") else {str(arg) for arg in given}
            begin = {"say": 1, "Finding": 2}.get(name, 0)  # behind the language, or what was looked at and how it is
            for code in codes(call.args[begin : max(2, begin + 1)]):
                shown = f"cli.{code}" if name in OF_THE_COMMAND_LINE else code
                shown = f"doctor.{code}" if name == "Finding" and "." not in code else shown
                # EngineFailed carries its one argument by position; the command line adds a setting's meaning.
                handed = name in OF_THE_COMMAND_LINE or name == "Finding"
                yield f"{file.name}:{call.lineno}", shown, None if handed else known


def codes(arguments: list[ast.expr]) -> list[str]:
    """The codes among a call's arguments: a constant, or the constants that a condition chooses from."""
    for argument in arguments:
        choices = [argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [argument]
        found = [each.value for each in choices if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        if found:
            return found
    return []


SAID = list(said())


def test_the_search_finds_what_is_said() -> None:
    found = {code for _, code, _ in SAID}
    assert {"too_large", "ask_what", "cli.no_token"} <= found
    assert {"command.admin", "command.admin_expired", "cli.bad_setting", "cli.server_too_old", "seconds"} <= found


@pytest.mark.parametrize(("where", "code", "given"), SAID, ids=[f"{where} {code}" for where, code, _ in SAID])
def test_every_code_of_the_sources_has_its_sentence_with_its_arguments(
    where: str, code: str, given: set[str] | None
) -> None:
    for language in LANGUAGES:
        sentence = phrases(language)[code]
        assert given is None or placeholders(sentence) <= given, where


@pytest.mark.parametrize("code", ["engine_down", "worker_down", "again", "gave_up", "paused"])
def test_codes_of_the_scripts_and_of_the_health_are_sentences(code: str) -> None:
    sources = [*SOURCES, *(ROOT / "storage/scripts").glob("*.lua")]
    assert any(re.search(rf"""["']{code}["']""", file.read_text(encoding="utf-8")) for file in sources)
    for language in LANGUAGES:
        assert placeholders(phrases(language)[code]) == set()


def test_every_language_has_the_same_codes_and_placeholders() -> None:
    first, *others = [
        {code: placeholders(sentence) for code, sentence in phrases(language).items()} for language in LANGUAGES
    ]
    assert others
    for other in others:
        assert other == first


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_is_empty_or_long(language: str) -> None:
    for code, sentence in phrases(language).items():
        assert sentence.strip(), code
        assert len(sentence) <= 300 or code.startswith("command.help"), code
    assert len(phrases(language)["command.help"]) < 1000


@pytest.mark.parametrize("language", LANGUAGES)
def test_menus_commands_and_settings_are_described(language: str) -> None:
    known = phrases(language)
    assert {f"menu.{name}" for name in (*IN_GROUPS, *ADMIN_NAMES, "start")} == {
        code for code in known if code.startswith("menu.")
    }
    for name in IN_GROUPS:
        assert len(known[f"menu.{name}"]) <= 256  # Telegram's limit
        assert f"/{name}" in known["command.help_group"] + known["command.help_tasks"]
    settings = {f"setting.{item.metadata['env']}" for kind in askpix.SETTINGS for item in fields(kind)}
    assert settings == {code for code in known if code.startswith("setting.")}
    commands = {f"help.{command.callback.__name__}" for command in askpix.app.registered_commands if command.callback}
    assert commands | {"help.askpix"} == {code for code in known if code.startswith("help.")}


@pytest.mark.parametrize("language", ["en", "zh", "zh-TW"])
def test_what_discord_shows_of_our_commands_keeps_its_rules(language: str) -> None:
    known = phrases(language)
    names = {name: known[f"discord.name_{name}"] for name in ("ask", "start", *TASKS, *NAMES, *ADMIN_NAMES)}
    assert len(set(names.values())) == len(names)
    taken = {task.argument for task in TASKS.values() if task.argument}
    arguments = [known[f"discord.argument_{argument}"] for argument in taken]
    for name in (*names.values(), *arguments, known["discord.name_code"], known["discord.name_argument"]):
        assert re.fullmatch(r"[-_\w]{1,32}", name) and name == name.lower()
    assert 0 < len(known["discord.name_menu"]) <= 32
    described = [known[f"menu.{name}"] for name in names]
    described += [known[f"discord.about_{argument}"] for argument in taken]
    described += [known[f"discord.{code}"] for code in ("code", "argument", "ask_question", "ask_image", "ask_private")]
    assert all(0 < len(sentence) <= 100 for sentence in described)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_discord_shows_of_a_form_keeps_its_rules(language: str) -> None:
    known = phrases(language)
    shown = [known[f"discord.{code}"] for code in ("form", "ask_question", "seen", "private", "public")]
    assert all(0 < len(words) <= 45 for words in shown)
    assert all(len(known[f"button.{code}"]) <= 80 for code in ("stop", "again", "follow", "file"))


def test_a_third_language_of_discord_s_names_knows_no_code_that_english_lacks() -> None:
    """What it does not say itself is said in zh."""
    assert {code.split(".")[0] for code in phrases("zh-TW")} == {"discord", "menu"}
    assert phrases("zh-TW").keys() <= phrases("en").keys()


def test_a_code_or_an_argument_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(KeyError):
        say("en", "no_such_code")
    with pytest.raises(KeyError):
        say("en", "too_large")


def test_braces_of_an_argument_are_just_text() -> None:
    assert "{limit} {0}" in say("en", "unsupported_image", kind="{limit} {0}")


@pytest.mark.parametrize(
    ("tag", "language"),
    [("zh", "zh"), ("zh-Hans", "zh"), ("ZH_cn.UTF-8", "zh"), ("en-GB", "en"), ("fr", "en"), ("", "en"), (None, "en")],
)
def test_a_language_tag_is_one_of_ours(tag: str | None, language: str) -> None:
    assert language_of(tag) == language


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_ending_and_every_wait_has_words(language: str) -> None:
    stopped, cut = say(language, "stopped"), say(language, "cut")
    assert ending(language, Done("  ")) == say(language, "empty_answer")
    assert ending(language, Done(" x \n", cut=True)) == f"x\n\n{cut}"
    assert ending(language, Cancelled("half")) == f"half\n\n{stopped}"
    assert ending(language, Cancelled(" ")) == ending(language, Cancelled()) == stopped
    assert "12" in ending(language, Failed("too_long", {"over": 12}))
    assert waiting(language, Waiting("engine_down")) == say(language, "engine_down")
    assert waiting(language, Queued(0)) == say(language, "next")
    assert "4" in waiting(language, Queued(3))
    assert "15" in waiting(language, Queued(3, 11.0))


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_follows_an_answer_that_broke_off_in_a_code_block_stands_outside_of_it(language: str) -> None:
    for final in (Cancelled("see:\n```py\nx = 1"), Done("see:\n```py\nx = 1", cut=True)):
        assert "x = 1\n```\n\n" in ending(language, final)
    assert ending(language, Cancelled("```\nx\n```\nso")).count("```") == 2


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "5 s"), (0.1, "5 s"), (5, "5 s"), (6, "10 s"), (89, "90 s"), (90, "2 min"), (3601, "61 min")],
)
def test_a_duration_is_rough_and_never_zero(seconds: float, shown: str) -> None:
    assert duration("en", seconds) == shown
