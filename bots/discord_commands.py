"""The slash commands and the entry in a message's menu, as Discord shows them; names and words are phrase data."""

from __future__ import annotations

from typing import Any, cast

import discord
from discord import app_commands

from bots.admin import ADMIN_NAMES, WITH_ARGUMENT
from bots.commands import NAMES
from bots.phrases import phrases, say
from bots.tasks import TASKS, Task

LONGEST = 4000  # characters in a form's field, by Discord's rule
SHORT = 200  # of what stands behind a task's name
WITH_CODE = ("start", "link")

_LOCALES = {"zh-CN": "zh", "zh-TW": "zh-TW"}  # of those that Discord knows, the ones we speak


class Names(app_commands.Translator):
    """Commands' names and descriptions in the languages that Discord shows its people."""

    async def translate(self, string: app_commands.locale_str, locale: discord.Locale, context: Any) -> str | None:
        """What the library asks for; None keeps English."""
        language = _LOCALES.get(locale.value)
        return phrases(language).get(string.extras.get("code", "")) if language else None


def _named(code: str) -> app_commands.locale_str:
    return app_commands.locale_str(say("en", code), code=code)


def _described(name: str, run: Any) -> app_commands.Command[Any, ..., None]:
    return app_commands.Command(name=_named(f"discord.name_{name}"), description=_named(f"menu.{name}"), callback=run)


def _task(client: Any, task: Task) -> app_commands.Command[Any, ..., None]:
    """A task's command: a picture, a video or a document, and what stands behind the task's name."""

    async def bare(
        interaction: discord.Interaction, image: discord.Attachment | None = None, private: bool = False
    ) -> None:
        await client.ask(interaction, f"/{task.name}", [image] if image else [], private=private)

    async def taking(
        interaction: discord.Interaction, argument: app_commands.Range[str, 1, SHORT] = "",
        image: discord.Attachment | None = None, private: bool = False,
    ) -> None:  # fmt: skip
        await client.ask(interaction, f"/{task.name} {argument}", [image] if image else [], private=private)

    about = {"image": _named("discord.ask_image"), "private": _named("discord.ask_private")}
    if not task.argument:
        return _described(task.name, app_commands.describe(**about)(bare))
    about["argument"] = _named(f"discord.about_{task.argument}")
    named = app_commands.rename(argument=_named(f"discord.argument_{task.argument}"))
    return _described(task.name, app_commands.describe(**about)(named(taking)))


def commands(client: Any) -> list[Any]:
    """All of them; what is said with one goes to the client's `ask`, `command` or `menu`."""

    def argued(what: str) -> Any:
        @app_commands.rename(argument=_named(f"discord.name_{what}"))
        @app_commands.describe(argument=_named(f"discord.{what}"))
        async def run(interaction: discord.Interaction, argument: str = "") -> None:
            await client.command(interaction, str(cast("Any", interaction.command).name), argument)

        return run

    async def plain(interaction: discord.Interaction) -> None:
        await client.command(interaction, str(cast("Any", interaction.command).name))

    @app_commands.describe(
        question=_named("discord.ask_question"), private=_named("discord.ask_private"),
        **{image: _named("discord.ask_image") for image in ("image", "image2", "image3", "image4")},
    )  # fmt: skip
    async def ask(
        interaction: discord.Interaction, question: app_commands.Range[str, 1, LONGEST], image: discord.Attachment,
        image2: discord.Attachment | None = None, image3: discord.Attachment | None = None,
        image4: discord.Attachment | None = None, private: bool = False,
    ) -> None:  # fmt: skip
        photos = [photo for photo in (image, image2, image3, image4) if photo]
        await client.ask(interaction, question, photos, private=private)

    async def menu(interaction: discord.Interaction, message: discord.Message) -> None:
        await client.menu(interaction, message)

    takes = {name: argued("code" if name in WITH_CODE else "argument") for name in (*WITH_CODE, *WITH_ARGUMENT)}
    simple = [_described(name, takes.get(name, plain)) for name in dict.fromkeys((*NAMES, *WITH_CODE, *ADMIN_NAMES))]
    return [
        _described("ask", ask), *(_task(client, task) for task in TASKS.values()), *simple,
        app_commands.ContextMenu(name=_named("discord.name_menu"), callback=menu),
    ]  # fmt: skip
