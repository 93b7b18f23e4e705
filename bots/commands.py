"""Who may come in, and what the commands do: /start, /help, /new, /forget, /stop."""

from __future__ import annotations

from bots.delivery import Delivery
from bots.phrases import say
from bots.surface import Incoming
from storage.history import History
from storage.images import Images
from storage.limits import Limits
from storage.queue import Queue

NAMES = ("new", "stop", "forget", "help")  # the menu, in its order


class Commands:
    """Each command's work; sentences go out through delivery, within the chat's rate."""

    def __init__(self, delivery: Delivery, queue: Queue, history: History, images: Images, limits: Limits) -> None:
        self._delivery = delivery
        self._queue = queue
        self._history = history
        self._images = images
        self._limits = limits

    async def admits(self, incoming: Incoming) -> bool:
        """Whether this message goes on. A stranger is told once a day, in private; a group hears nothing."""
        if incoming.command == "start" and incoming.argument:
            made = await self._limits.redeem(incoming.argument, incoming.person)
            if made or await self._limits.admits(incoming.person, incoming.chat):
                admin = made or await self._limits.is_admin(incoming.person)  # the link was pressed, or read, twice
                await self._say(incoming, "command.admin" if admin else "command.admin_expired")
                return False
        if await self._limits.admits(incoming.person, incoming.chat):
            return True
        if not incoming.where.group and await self._limits.first_visit_today(incoming.person):
            await self._say(incoming, "command.stranger", person=incoming.person)
        return False

    async def run(self, incoming: Incoming) -> bool:
        """Do what a command says; False when the message is no command."""
        match incoming.command:
            case "":
                return False
            case "new":
                await self._history.restart(incoming.conversation)
                await self._say(incoming, "command.new")
            case "stop":
                stopped = await self._queue.cancel(incoming.person, conversation=incoming.conversation)
                if not stopped:  # else every stopped answer says so itself
                    await self._say(incoming, "command.stop_nothing")
            case "forget":
                await self._queue.cancel(incoming.person)
                await self._history.forget(incoming.person)
                await self._images.forget(incoming.person)
                await self._say(incoming, "command.forget")
            case "start":
                await self._say(incoming, "command.start")
            case _:
                await self._say(incoming, "command.help")
        return True

    async def _say(self, incoming: Incoming, code: str, **args: str) -> None:
        await self._delivery.say(incoming.where, say(incoming.language, code, **args))
