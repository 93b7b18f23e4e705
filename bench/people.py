"""People who ask while bench/chaos.py kills, on Telegram and on Discord, and how their questions are judged."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import NamedTuple, Protocol

from PIL import Image

from bots.phrases import say
from tests.emulators.discord_emulator import DiscordEmulator
from tests.emulators.discord_interactions import Interaction
from tests.emulators.discord_places import Channel
from tests.emulators.discord_shapes import LOADING
from tests.emulators.server import Json
from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_world import User

TO_100 = ", ".join(str(n) for n in range(1, 101)) + "."
EMPTY, NOTE = say("en", "placeholder"), say("en", "ready_note")  # a note goes with an answer that took long
COUNT, COLOUR = "Count to one hundred.", "What colour is this?"
WAYS = ("mention", "public", "private", "dm")  # to ask on Discord


def picture(colour: str) -> bytes:
    """A plain picture."""
    out = BytesIO()
    Image.new("RGB", (320, 240), colour).save(out, "JPEG")
    return out.getvalue()


PICTURES = {colour: picture(colour) for colour in ("red", "green", "blue", "yellow")}


class Reply(NamedTuple):
    """A message of the bot's, with whatever stands under it, and what each edit wrote over it: when, and which text.

    Times are time.perf_counter().
    """

    text: str
    buttons: str
    at: float
    edits: list[tuple[float, str]]

    @property
    def whole(self) -> bool:
        """Under a whole answer stands a button that asks it again; what waits or grows can be stopped."""
        return "again" in self.buttons and self.text != EMPTY

    @property
    def half(self) -> bool:
        """Neither a whole answer nor an empty message nor a note: a part of an answer, or what it waits for."""
        return not self.whole and self.text not in (EMPTY, NOTE)


def _nothing_known() -> bool:
    return False


@dataclass(frozen=True)
class Question:
    """What somebody asked: as the logs name it, what its answer holds, and what was replied to it so far.

    unheard: whether the platform told its asker that the bot did not respond; urgent: it cannot wait for what was
    asked before it while nobody listened.
    """

    name: str
    answer: str
    replies: Callable[[], list[Reply]]
    unheard: Callable[[], bool] = _nothing_known
    urgent: bool = False


class Asker(Protocol):
    """Somebody who asks again and again."""

    async def ask(self) -> Question:
        """Ask once more."""
        ...


@dataclass
class OnTelegram:
    """People in a private chat: after `conversation` questions another takes over, numbered `step` higher.

    The demo model loses its way in long conversations, and counts only once in each.
    """

    telegram: TelegramEmulator
    number: int
    step: int
    conversation: int
    asked: int = 0

    def __post_init__(self) -> None:
        self._chance = random.Random(self.number)

    async def ask(self) -> Question:
        """A count first, then photos."""
        if self.asked == self.conversation:
            self.number, self.asked = self.number + self.step, 0
        user, self.asked = self.telegram.user(self.number), self.asked + 1
        answer = TO_100
        if self.asked == 1:
            message = await user.send_text(user.private, COUNT)
        else:
            answer = self._chance.choice((*PICTURES,))
            message = await user.send_photo(user.private, PICTURES[answer], COLOUR)
        return on_telegram(user, message, answer)


@dataclass
class OnDiscord:
    """A person of a server, in another channel after `conversation` questions, where a conversation begins afresh.

    Direct messages begin before anything is killed: of a chat that began while nobody listened Discord never tells.
    """

    discord: DiscordEmulator
    number: int
    conversation: int
    asked: int = 0
    places: list[Channel] = field(default_factory=list[Channel])

    def __post_init__(self) -> None:
        self._chance = random.Random(self.number)
        self._user = self.discord.user(self.number)
        self.places.append(self._user.private)

    async def ask(self) -> Question:
        """First in private, then in channels: a count by mention, then photos in any way."""
        turn, first = (self.asked - 1) % self.conversation, not self.asked
        if not (first or turn):
            self.places.append(self.discord.guild().channel(f"place-{self._user.id}-{self.asked}"))
        self.asked += 1
        if not (first or turn):
            return await self.by("mention", TO_100)
        return await self.by("dm" if first else self._chance.choice(WAYS), self._chance.choice((*PICTURES,)))

    async def by(self, way: str, answer: str) -> Question:
        """Ask what has this answer, in the newest place or (dm) in private; `public` and `private` are the command."""
        user, photo, here = self._user, PICTURES.get(answer), self._user.private if way == "dm" else self.places[-1]
        files = [("photo.jpg", photo)] if photo else []
        if way in ("public", "private"):
            private = way == "private"
            return self._commanded(
                await user.slash("ask", here, question=COLOUR, image=files[0], private=private), answer
            )
        asked = await user.says(here, COLOUR if photo else COUNT, files, mention=way == "mention")
        return on_discord(here, asked, answer)

    def loose(self) -> Iterator[tuple[str, str]]:
        """Place and id of each whole answer to nothing in particular.

        A command whose acknowledgement was lost is answered so, as its channel's member or in private.
        """
        for place in self.places:
            for each in place.bot_messages(self._user):
                if not _replied(each) and not each.get("interaction_metadata") and _reply(each).whole:
                    yield str(place.id), each["id"]

    def _messages(self) -> Iterator[Json]:
        for place in self.places:
            yield from place.bot_messages(self._user)

    def _commanded(self, command: Interaction, answer: str) -> Question:
        id = str(command.id)

        def replies() -> list[Reply]:
            found = (each for each in self._messages() if each.get("interaction_metadata", {}).get("id") == id)
            return [_reply(each) for each in found if not each["flags"] & LOADING]

        return Question(
            f"discord:{command.channel.id}:{id}", answer, replies, lambda: not command.callback, urgent=True
        )


def on_telegram(user: User, message: Json, answer: str) -> Question:
    """What somebody wrote to the bot in private."""
    asked: int = message["message_id"]

    def replies() -> list[Reply]:
        found = (
            each for each in user.private.bot_messages() if each.get("reply_to_message", {}).get("message_id") == asked
        )
        return [
            Reply(each["text"], str(each.get("reply_markup")), each["at"], [_edit(edit) for edit in each["edits"]])
            for each in found
            if "text" in each
        ]

    return Question(f"telegram:{user.id}:{asked}", answer, replies)


def on_discord(place: Channel, message: Json, answer: str) -> Question:
    """What somebody wrote to the bot in a channel or in private."""

    def replies() -> list[Reply]:
        return [_reply(each) for each in place.bot_messages() if _replied(each) == message["id"]]

    return Question(f"discord:{place.id}:{message['id']}", answer, replies)


def _edit(edit: Json) -> tuple[float, str]:
    return edit["at"], edit.get("text") or edit.get("content") or ""


def _reply(message: Json) -> Reply:
    edits = [_edit(edit) for edit in message["edits"]]
    return Reply(message["content"], str(message["components"]), message["at"], edits)


def _replied(message: Json) -> object:
    """The id of the message that a Discord message replies to, None if it does not."""
    return message.get("message_reference", {}).get("message_id")
