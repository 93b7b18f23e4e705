"""What people do with a group and with the bot in it: members and rights, forum topics, migration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.emulators.server import Json
from tests.emulators.telegram_person import Person
from tests.emulators.telegram_shapes import GROUP_ANONYMOUS_BOT, chat_member, member_updated

if TYPE_CHECKING:
    from tests.emulators.telegram_world import Chat


class GroupMember(Person):
    """A person who may do everything in a group, and who may block the bot in private."""

    async def add_bot(self, chat: Chat) -> None:
        """Let the bot in: my_chat_member, and the service message that shows it."""
        self._set_status(chat, "member")
        self.world.announce(chat, self.describe(), new_chat_members=[self.world.bot])

    async def remove_bot(self, chat: Chat, status: str = "kicked") -> None:
        """Throw the bot out, or ("left") take it out so that others may add it; it sees nothing of the chat then."""
        self.world.announce(chat, self.describe(), left_chat_member=self.world.bot)
        self._set_status(chat, status)

    async def restrict_bot(
        self, chat: Chat, *, text: bool = False, photos: bool = False, documents: bool = False
    ) -> None:
        """Leave the bot only the rights that are true."""
        rights = {"text": text, "photo": photos, "document": documents}
        self._set_status(chat, "restricted", frozenset(kind for kind, allowed in rights.items() if not allowed))

    async def promote_bot(self, chat: Chat) -> None:
        """Make the bot an administrator, who sees every message and may write in closed topics."""
        self._set_status(chat, "administrator")

    async def demote_bot(self, chat: Chat) -> None:
        """Make the bot a member with all rights of members again."""
        self._set_status(chat, "member")

    async def block_bot(self) -> None:
        """Block the bot in the private chat: my_chat_member, and 403 from now on."""
        self.private.blocked = True
        self._set_status(self.private, "kicked")

    async def unblock_bot(self) -> None:
        """Let the bot write in the private chat again."""
        self.private.blocked = False
        self._set_status(self.private, "member")

    async def create_topic(self, chat: Chat, name: str) -> int:
        """Open a topic of a forum; returns its id, which is that of the service message."""
        topic = chat.next_id()
        chat.topics[topic] = name
        self.world.announce(
            chat,
            self.describe(),
            message_id=topic,
            message_thread_id=topic,
            is_topic_message=True,
            forum_topic_created={"name": name, "icon_color": 7322096},
        )
        return topic

    async def close_topic(self, chat: Chat, topic: int) -> None:
        """Let only administrators write in a topic; GENERAL can be closed too."""
        chat.closed_topics.add(topic)
        self.world.announce(chat, self.describe(), topic=topic, forum_topic_closed={})

    async def reopen_topic(self, chat: Chat, topic: int) -> None:
        """Let everybody write in it again."""
        chat.closed_topics.discard(topic)
        self.world.announce(chat, self.describe(), topic=topic, forum_topic_reopened={})

    async def delete_topic(self, chat: Chat, topic: int) -> None:
        """Delete a topic and all its messages; Telegram does not tell the bot."""
        chat.topics.pop(topic)
        for message in [message for message in chat.messages if message.get("message_thread_id") == topic]:
            self.world.remove(chat, message)

    async def migrate(self, chat: Chat) -> Chat:
        """Turn a group into a supergroup, whose messages are counted anew; returns the supergroup.

        The bot is told in each of the two, and that it joined the supergroup; never that it left the group.
        """
        if chat.kind != "group":
            raise ValueError("only a group can become a supergroup")
        grown = self.world.group(-(10**12) + chat.id, chat.title, bot_inside=False)
        self.world.announce(chat, self.describe(), migrate_to_chat_id=grown.id)
        chat.migrated_to = grown.id
        self._set_status(grown, "member")
        about = grown.describe()
        self.world.announce(grown, GROUP_ANONYMOUS_BOT, sender_chat=about, migrate_from_chat_id=chat.id)
        return grown

    def _set_status(self, chat: Chat, status: str, forbidden: frozenset[str] = frozenset()) -> None:
        old = self._bot_in(chat)
        chat.status, chat.forbidden = status, forbidden
        update = member_updated(chat.describe(), self.describe(), old, self._bot_in(chat))
        self.world.push("my_chat_member", update)

    def _bot_in(self, chat: Chat) -> Json:
        return chat_member(self.world.bot, chat.status, chat.forbidden)
