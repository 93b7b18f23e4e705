"""The application's commands: what Discord takes as one, and what is registered."""

from __future__ import annotations

import time
import unicodedata
from typing import Any, NamedTuple

from tests.emulators.discord_rules import check_length, invalid
from tests.emulators.discord_shapes import APP_ID, Clock, items
from tests.emulators.server import Json

CHAT, USER, MESSAGE = 1, 2, 3  # kinds of command
SUB, SUB_GROUP = 1, 2  # kinds of option that hold options
_MOST = {CHAT: 100, USER: 15, MESSAGE: 15}

_LOCALES = """
id da de en-GB en-US es-ES es-419 fr hr it lt hu nl no pl pt-BR ro fi sv-SE vi tr cs el bg ru uk hi th zh-CN ja zh-TW ko
"""
LOCALES = frozenset(_LOCALES.split())


class Sync(NamedTuple):
    """One PUT of commands; guild is 0 for the global ones."""

    at: float
    guild: int
    commands: list[Json]


class Commands:
    """What is registered, by guild (0: everywhere), and every sync that brought it."""

    def __init__(self, clock: Clock) -> None:
        self.registered: dict[int, list[Json]] = {0: []}
        self.synced: list[Sync] = []
        self._clock = clock

    def put(self, commands: list[Json], guild: int = 0) -> list[Json]:
        """Register these and forget all others; returns them as Discord keeps them."""
        for kind, most in _MOST.items():
            names = [command.get("name") for command in commands if command.get("type", CHAT) == kind]
            if len(names) > most:
                raise invalid("commands", "BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length.")
            for name in {name for name in names if names.count(name) > 1}:
                words = f"Application command names must be unique: {name}"
                raise invalid(str(names.index(name)), "APPLICATION_COMMANDS_DUPLICATE_NAME", words)
        for number, command in enumerate(commands):
            check_command(command, f"{number}.")
        before = {(command["type"], command["name"]): command for command in self.registered.get(guild, [])}
        self.synced.append(Sync(time.perf_counter(), guild, commands))
        self.registered[guild] = [self._kept(command, before, guild) for command in commands]
        return self.registered[guild]

    def find(self, name: str, kind: int = CHAT, guild: int = 0) -> Json:
        """A registered command; raises LookupError without one."""
        for place in dict.fromkeys((guild, 0)):
            for command in self.registered.get(place, []):
                if command["name"] == name and command["type"] == kind:
                    return command
        known = [command["name"] for command in self.registered[0]]
        raise LookupError(f"no command {name!r} of kind {kind}; registered are {known}")

    def _kept(self, command: Json, before: dict[tuple[int, str], Json], guild: int) -> Json:
        about: Json = {"type": CHAT, "options": [], "name_localizations": None, "description_localizations": None}
        about |= {"description": "", "default_member_permissions": None, "nsfw": False, "contexts": None}
        about |= {"dm_permission": True, **command}
        about |= {"integration_types": command.get("integration_types") or [0], "options": items(command, "options")}
        known = before.get((about["type"], about["name"]), {})
        about |= {"id": known.get("id") or str(self._clock.snowflake()), "application_id": str(APP_ID)}
        about["version"] = str(self._clock.snowflake())
        return about | ({"guild_id": str(guild)} if guild else {})


def check_command(command: Json, at: str) -> None:
    """Raise why this cannot be a command."""
    kind = command.get("type", CHAT)
    if kind not in _MOST:
        raise invalid(f"{at}type", "BASE_TYPE_CHOICES", "Value must be one of {1, 2, 3}.")
    _check_choice_of(command, "contexts", {0, 1, 2}, at)
    _check_choice_of(command, "integration_types", {0, 1}, at)
    if kind == CHAT:
        _check_named(command, at)
        _check_options(items(command, "options"), at, depth=0)
        if size(command) > 8000:
            raise invalid(at.rstrip("."), "APPLICATION_COMMAND_TOO_LARGE", "Command exceeds maximum size (8000)")
        return
    check_length(f"{at}name", command.get("name"), 1, 32)
    for locale, name in _localized(command, "name_localizations", at):
        check_length(f"{at}name_localizations.{locale}", name, 1, 32)
    if command.get("description") or command.get("options"):
        words = "Context menu commands cannot have description"
        raise invalid(f"{at}description", "APPLICATION_COMMAND_CONTEXT_MENU_DESCRIPTION", words)


def size(command: Json) -> int:
    """The characters of names, descriptions and values, in the longest of its languages."""
    total = 0
    for key in ("name", "description"):
        localized: dict[str, str] = command.get(f"{key}_localizations") or {}
        total += max(map(len, [command.get(key) or "", *localized.values()]))
    total += sum(len(str(choice["value"])) + len(choice["name"]) for choice in items(command, "choices"))
    return total + sum(size(option) for option in items(command, "options"))


def _check_named(thing: Json, at: str) -> None:
    """Name and description of a command or an option, in every language."""
    _check_name(thing.get("name"), f"{at}name")
    check_length(f"{at}description", thing.get("description"), 1, 100)
    for locale, name in _localized(thing, "name_localizations", at):
        _check_name(name, f"{at}name_localizations.{locale}")
    for locale, words in _localized(thing, "description_localizations", at):
        check_length(f"{at}description_localizations.{locale}", words, 1, 100)


def _check_name(name: Any, at: str) -> None:
    check_length(at, name, 1, 32)
    letters = all(letter in "-_'" or unicodedata.category(letter)[0] in "LN" for letter in name)
    if not letters or name != name.lower():
        raise invalid(at, "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")


def _localized(thing: Json, key: str, at: str) -> list[tuple[str, Any]]:
    found: Json = thing.get(key) or {}
    for locale in found:
        if locale not in LOCALES:
            raise invalid(f"{at}{key}", "BASE_TYPE_CHOICES", f"{locale} is no locale")
    return list(found.items())


def _check_options(options: list[Json], at: str, depth: int) -> None:
    if len(options) > 25:
        raise invalid(f"{at}options", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
    names = [option.get("name") for option in options]
    if len(set(names)) < len(names):
        raise invalid(f"{at}options", "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS", "Option name already exists")
    optional = False
    for number, option in enumerate(options):
        here = f"{at}options.{number}."
        if option.get("type") not in range(1, 12) or (
            option["type"] in {SUB, SUB_GROUP} and depth > option["type"] % 2
        ):
            raise invalid(f"{here}type", "BASE_TYPE_CHOICES", "Value must be one of {1, …, 11}.")
        _check_named(option, here)
        _check_option_choices(option, here)
        if option.get("required") and optional:
            words = "Required options must be placed before non-required options"
            raise invalid(here.rstrip("."), "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", words)
        optional = optional or not option.get("required")
        if option["type"] in {SUB, SUB_GROUP}:
            _check_options(items(option, "options"), here, depth + 1)


def _check_option_choices(option: Json, at: str) -> None:
    choices = items(option, "choices")
    if len(choices) > 25:
        raise invalid(f"{at}choices", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
    if choices and option.get("autocomplete"):
        words = "Autocomplete cannot be set to true if choices are present"
        raise invalid(f"{at}choices", "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_WITH_CHOICES", words)
    for number, choice in enumerate(choices):
        check_length(f"{at}choices.{number}.name", choice.get("name"), 1, 100)
        for locale, name in _localized(choice, "name_localizations", f"{at}choices.{number}."):
            check_length(f"{at}choices.{number}.name_localizations.{locale}", name, 1, 100)
        if isinstance(choice["value"], str):
            check_length(f"{at}choices.{number}.value", choice["value"], 1, 100)


def _check_choice_of(command: Json, key: str, known: set[int], at: str) -> None:
    chosen: Any = command.get(key)
    if chosen is not None and (not set(chosen) <= known or len(set(chosen)) < len(chosen)):
        raise invalid(f"{at}{key}", "BASE_TYPE_CHOICES", f"Value must be one of {known}.")
