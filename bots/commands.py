"""Who may come in, what each command does, and what befalls a chat."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec import structs

from bots.admin import Admin
from bots.delivery import Delivery
from bots.photos import MAX_MEGABYTES
from bots.phrases import say
from bots.surface import Incoming
from bots.tasks import TASKS
from storage.limits import Limits
from storage.stores import Stores

NAMES = ("new", "stop", "context", "usage", "forget", "link", "help")  # the menu, in its order
IN_GROUPS = ("ask", *TASKS, *NAMES)
SETTLED = 2.0  # seconds from coming into a chat until we know if it is one of ours that moved


class Commands:
    """Each command's work; sentences go out through delivery, within the chat's rate."""

    def __init__(self, stores: Stores, limits: Limits, delivery: Delivery) -> None:
        self._stores = stores
        self._limits = limits
        self._delivery = delivery
        self.admin = Admin(stores, limits, delivery)

    async def admits(self, incoming: Incoming) -> bool:
        """Whether this message goes on. A stranger is told once a day, in private; a group hears nothing."""
        if incoming.command == "start" and incoming.argument:
            made = await self._limits.redeem(incoming.argument, incoming.person)
            if made or await self._limits.admits(incoming.person, *incoming.chats):
                admin = made or await self._limits.is_admin(incoming.person)  # the link was pressed, or read, twice
                await self._say(incoming, "command.admin" if admin else "command.admin_expired")
                return False
        if await self._limits.admits(incoming.person, *incoming.chats):
            return True
        private = not incoming.where.group and await self._limits.first_visit_today(incoming.person)
        if private or incoming.where.via:  # who gave a command waits for a word
            await self._say(incoming, "command.stranger", person=incoming.person)
        return False

    async def at_home(self, messages: Sequence[Incoming]) -> list[Incoming]:
        """Messages of one chat, in conversations that go on when the chat has moved to another id."""
        if not messages[0].where.group:
            return [*messages]
        here, home = f":{messages[0].where.chat}:", f":{await self._home(messages[0])}:"
        return [structs.replace(each, conversation=each.conversation.replace(here, home, 1)) for each in messages]

    async def stop(self, incoming: Incoming) -> int:
        """Stop what its sender asked here, waiting or running; returns how many those were."""
        (incoming,) = await self.at_home([incoming])
        cancel, aliases = self._stores.queue.cancel, await self._stores.people.aliases(incoming.person)
        # In every lane: until they were joined, each had one of its own.
        return sum([await cancel(lane, conversation=each) for lane in aliases for each in incoming.conversations])

    async def run(self, incoming: Incoming, stopped: int = 0) -> bool:
        """Do what a command says; False when the message is no command. `stopped`: how many were stopped for it."""
        match incoming.command:
            case "":
                return False
            case "new":
                await asyncio.gather(*map(self._stores.history.restart, incoming.conversations))
                await self._say(incoming, "command.new")
            case "stop":
                stopped += await self.stop(incoming)
                if not stopped or incoming.where.via:  # else every stopped answer says so itself
                    await self._say(incoming, "button.stopping" if stopped else "command.stop_nothing")
            case "forget":
                for person in await self._stores.people.aliases(incoming.person):
                    await self._stores.queue.cancel(person)
                    await self._stores.history.forget(person)
                    await self._stores.images.forget(person)
                await self._say(incoming, "command.forget")
            case "link":
                await self._link(incoming)
            case "context":
                await self._context(incoming)
            case "start":
                await self._say(
                    incoming, "command.added" if incoming.where.group and not incoming.where.via else "command.start"
                )
            case _:
                await self._help(incoming)
        return True

    async def event(self, incoming: Incoming) -> None:
        """What befell a chat: we were added to it, may no longer write to it, or it goes on under another id."""
        platform, chat = incoming.where.platform, incoming.where.chat
        match incoming.event:
            case "added":
                await asyncio.sleep(SETTLED)
                moved = await self._home(incoming) != chat
                if not moved and await self._limits.admits(incoming.person, *incoming.chats):
                    await self._say(incoming, "command.added")
            case "left":  # nobody reads these answers: the engine is free for others
                here = f"{platform}:{chat}:", f"{platform}:{await self._home(incoming)}:"
                for id in await self._stores.replies.open_asks(platform):
                    found = await self._stores.queue.find(id) if id.startswith(here) else None
                    if found:
                        await self._stores.queue.cancel(found.ask.lane, id=id)
            case _:  # moved
                await self._limits.move(incoming.chat, f"{platform}:chat:{incoming.argument}")

    async def _home(self, incoming: Incoming) -> str:
        """The id of its chat before that moved, or the one it has."""
        return (await self._limits.former(incoming.chat)).rpartition(":")[2]

    async def _context(self, incoming: Incoming) -> None:
        """What the engine was given of this conversation last, and what had to go."""
        views = [await self._stores.history.view(each) for each in incoming.conversations]
        if not (view := views[0] or views[1]):
            await self._say(incoming, "command.context_empty")
            return
        percent = min(100, 100 * view.tokens // view.budget)
        words = [say(incoming.language, "command.context", **structs.asdict(view), percent=percent, bar=_bar(percent))]
        if view.dropped:
            until = view.until or "…"
            words.append(say(incoming.language, "command.context_dropped", dropped=view.dropped, until=until))
        await self._delivery.tools.say(incoming.where, "\n\n".join(words))

    async def _link(self, incoming: Incoming) -> None:
        """Show a one-time code, or join the one who sends it with the one to whom it was shown."""
        people, person = self._stores.people, incoming.person
        if incoming.argument:  # also where others read it: used up, it is of no use to them
            match await people.join(incoming.argument, person):
                case "ok":
                    await self._say(incoming, "command.linked", persons=", ".join(await people.aliases(person)))
                case answer:
                    await self._say(incoming, "command.link_own" if answer == "own" else "command.link_wrong")
        elif incoming.where.group and not incoming.where.via:
            await self._say(incoming, "command.link_private")
        else:
            await self._say(incoming, "command.link", token=await people.offer(person))

    async def _help(self, incoming: Incoming) -> None:
        """What can be done here, and what the model that runs can do."""
        kind = "_discord" if incoming.where.via else "_group" if incoming.where.group else ""
        words = [say(incoming.language, f"command.help{kind}"), say(incoming.language, "command.help_tasks")]
        model = await self._stores.health.model()
        if model:
            demo = "help_demo" if model.demo else "help_model"
            pixels = f"{model.max_pixels / 1e6:.1f}"
            words.append(
                say(incoming.language, f"command.{demo}", model=model.name, pixels=pixels, limit=MAX_MEGABYTES)
            )
        if await self._limits.is_admin(incoming.person):
            words.append(say(incoming.language, "command.help_admin"))
        await self._delivery.tools.say(incoming.where, "\n\n".join(words))

    async def _say(self, incoming: Incoming, code: str, **args: str) -> None:
        await self._delivery.tools.say(incoming.where, say(incoming.language, code, **args))


def _bar(percent: int) -> str:
    """Ten squares, as many of them full as tens of percent have begun."""
    return "▰" * -(-percent // 10) + "▱" * (10 - -(-percent // 10))
