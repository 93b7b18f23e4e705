"""The methods of the Bot API, from decoded parameters to results; what a bot sends changes the world of its users."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.emulators.server import Json
from tests.emulators.telegram_media import size_of
from tests.emulators.telegram_rules import ApiError, bad, check_access, check_commands, check_reactions, check_sending
from tests.emulators.telegram_shapes import photo_copies, wire
from tests.emulators.telegram_text import cleaned, parsed, units
from tests.emulators.telegram_world import Chat, World

# Bytes that a bot may download; a Bot API server of one's own has no such limit.
FILE_LIMIT = 20 * 1024 * 1024

_NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same "
    "as a current content and reply markup of the message"
)


class Upload(NamedTuple):
    """A file of a multipart request."""

    content: bytes
    file_name: str
    mime_type: str


class Action(NamedTuple):
    """One sendChatAction; at is time.perf_counter()."""

    at: float
    chat_id: int
    action: str


class BotApi:
    """What the bot can do; `call` runs a method by its name and raises ApiError as Telegram answers errors."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.file_limit = FILE_LIMIT
        self.query_seconds = 30.0  # a callback query can be answered for so long
        self.actions: list[Action] = []
        self.answers: dict[str, Json] = {}  # by callback query id: what answerCallbackQuery said
        self.drafts: list[Json] = []
        self.reactions: dict[tuple[int, int], list[Json]] = {}  # by chat and message
        self.commands: dict[tuple[str, str], list[Json]] = {}  # by scope and language
        methods: list[Callable[[Json], Any]] = [
            self.get_me,
            self.send_message,
            self.edit_message_text,
            self.edit_message_reply_markup,
            self.delete_message,
            self.send_chat_action,
            self.get_file,
            self.answer_callback_query,
            self.send_photo,
            self.send_document,
            self.send_media_group,
            self.send_message_draft,
            self.set_my_commands,
            self.get_my_commands,
            self.delete_my_commands,
            self.set_message_reaction,
        ]
        self._methods = {method.__name__.replace("_", ""): method for method in methods}

    def call(self, method: str, params: Json) -> Any:
        """The result of `method` (lower case)."""
        if method not in self._methods:
            raise ApiError(404, "Not Found: method not found")
        return self._methods[method](params)

    def get_me(self, _: Json) -> Json:
        flags = {"can_join_groups": True, "supports_inline_queries": False}
        return {**self.world.bot, "can_read_all_group_messages": not self.world.privacy, **flags}

    def send_message(self, params: Json) -> Json:
        return self._send(params, self._text(params))

    def send_photo(self, params: Json) -> Json:
        return self._send(params, {"photo": self._photo(params.get("photo")), **self._caption(params)})

    def send_document(self, params: Json) -> Json:
        return self._send(params, {"document": self._document(params.get("document")), **self._caption(params)})

    def send_media_group(self, params: Json) -> list[Json]:
        media: list[Json] = params.get("media") or []
        if not 2 <= len(media) <= 10:
            raise bad("wrong number of messages in the media group: an album has 2 to 10")
        contents: list[Json] = []
        for item in media:
            upload = params.get(str(item.get("media")).removeprefix("attach://"), item.get("media"))
            content = self._document(upload) if item["type"] == "document" else self._photo(upload)
            contents.append({item["type"]: content, **self._caption(item)})
        album = {"media_group_id": str(next(self.world.albums))}
        return [self._send(params, content | album) for content in contents]

    def edit_message_text(self, params: Json) -> Json:
        message = self._own(params, "edit")
        if "text" not in message:
            raise bad("there is no text in the message to edit")
        return self._modify(message, self._text(params), params)

    def edit_message_reply_markup(self, params: Json) -> Json:
        message = self._own(params, "edit")
        return self._modify(message, {key: message[key] for key in ("text", "entities") if key in message}, params)

    def delete_message(self, params: Json) -> bool:
        chat, message = self._find(params, "delete")
        self.world.remove(chat, message)
        return True

    def send_chat_action(self, params: Json) -> bool:
        self.actions.append(Action(time.perf_counter(), self._chat(params).id, params.get("action", "")))
        return True

    def send_message_draft(self, params: Json) -> bool:
        chat = self._chat(params)
        if chat.kind != "private" or not int(params.get("draft_id", 0)):
            raise bad("a draft needs a private chat and a draft_id other than 0")
        self.drafts.append({"at": time.perf_counter(), "chat_id": chat.id, "text": params.get("text", "")})
        return True

    def get_file(self, params: Json) -> Json:
        file_id = params.get("file_id", "")
        stored = self.world.files.get(file_id)
        if not stored or file_id in self.world.lost_files:
            raise bad("wrong file_id or the file is temporarily unavailable")
        if max(stored.size, len(stored.content)) > self.file_limit:
            raise bad("file is too big")
        about = {"file_id": file_id, "file_unique_id": file_id[-15:], "file_size": len(stored.content)}
        return {**about, "file_path": stored.path}

    def answer_callback_query(self, params: Json) -> bool:
        asked = self.world.queries.get(params.get("callback_query_id", ""))
        if asked is None or time.monotonic() - asked > self.query_seconds:
            raise bad("query is too old and response timeout expired or query ID is invalid")
        if len(params.get("text", "")) > 200:
            raise bad("MESSAGE_TOO_LONG")
        self.answers[params["callback_query_id"]] = params
        return True

    def set_my_commands(self, params: Json) -> bool:
        commands: list[Json] = params.get("commands") or []
        check_commands(commands)
        self.commands[_scope(params)] = commands
        return True

    def get_my_commands(self, params: Json) -> list[Json]:
        return self.commands.get(_scope(params), [])

    def delete_my_commands(self, params: Json) -> bool:
        self.commands.pop(_scope(params), None)
        return True

    def set_message_reaction(self, params: Json) -> bool:
        chat, message = self._find(params, "react")
        reactions: list[Json] = params.get("reaction") or []
        check_reactions(chat, reactions)
        self.reactions[chat.id, message["message_id"]] = reactions
        self.world.changes.notify()
        return True

    def _chat(self, params: Json) -> Chat:
        chat = self.world.chats.get(number(params.get("chat_id")))
        if not chat:
            raise bad("chat not found")
        check_access(chat)
        return chat

    def _find(self, params: Json, purpose: str) -> tuple[Chat, Json]:
        chat = self._chat(params)
        message = chat.find(number(params.get("message_id")))
        if not message:
            raise bad(f"message to {purpose} not found")
        return chat, message

    def _own(self, params: Json, purpose: str) -> Json:
        message = self._find(params, purpose)[1]
        if message.get("from") != self.world.bot:
            raise bad(f"message can't be {purpose}ed")
        return message

    def _send(self, params: Json, content: Json) -> Json:
        chat = self._chat(params)
        replied = self._replied(chat, params)
        topic = check_sending(chat, content, number(params.get("message_thread_id")), replied)
        content |= _markup(params)
        if topic:
            content |= {"topic": topic, "message_thread_id": topic, "is_topic_message": True}
        return wire(self.world.post(chat, self.world.bot, replied, content))

    def _replied(self, chat: Chat, params: Json) -> Json | None:
        reply: Json = params.get("reply_parameters") or {}
        found = chat.find(number(reply.get("message_id")))
        if reply and not found and not reply.get("allow_sending_without_reply"):
            raise bad("message to be replied not found")
        return found

    def _modify(self, message: Json, content: Json, params: Json) -> Json:
        content = {"text": None, "entities": None, "reply_markup": None} | content | _markup(params)
        if all(message.get(key) == value for key, value in content.items()):
            raise bad(_NOT_MODIFIED)
        for key, value in content.items():
            if value is None:
                message.pop(key, None)
            else:
                message[key] = value
        message["edit_date"] = int(time.time())
        message["edits"].append({"at": time.perf_counter(), **content})
        return wire(message)

    def _text(self, params: Json) -> Json:
        text, entities = _formatted(params, "text", "entities")
        if not text:
            raise bad("message text is empty")
        if units(text) > 4096:
            raise bad("message is too long")
        return {"text": text, **({"entities": entities} if entities else {})}

    def _caption(self, params: Json) -> Json:
        text, entities = _formatted(params, "caption", "caption_entities")
        if units(text) > 1024:
            raise bad("message caption is too long")
        return ({"caption": text} if text else {}) | ({"caption_entities": entities} if entities else {})

    def _photo(self, given: object) -> list[Json]:
        content = self._content(given)
        width, height = size_of(content)
        if width + height > 10_000 or max(width, height) > 20 * min(width, height):
            raise bad("PHOTO_INVALID_DIMENSIONS")
        copies = photo_copies(content)
        if not copies[-1][2].startswith(b"\xff\xd8"):
            raise bad("IMAGE_PROCESS_FAILED")
        return self.world.store_photo(copies)

    def _document(self, given: object) -> Json:
        content = self._content(given)
        if isinstance(given, Upload):
            return self.world.store_document(content, given.file_name, given.mime_type, None)
        return self.world.store_document(content, self.world.files[str(given)].file_name or "file", "", None)

    def _content(self, given: object) -> bytes:
        if isinstance(given, Upload):
            return given.content
        if given in self.world.files:
            return self.world.files[str(given)].content
        raise bad("wrong remote file identifier specified")


def number(value: object) -> int:
    """An id of a form, which comes as text; 0 for none and for what is no number."""
    try:
        return int(str(value))
    except ValueError:
        return 0


def _scope(params: Json) -> tuple[str, str]:
    scope: Json = params.get("scope") or {}
    parts = [str(scope[key]) for key in ("type", "chat_id", "user_id") if key in scope]
    return ":".join(parts) or "default", params.get("language_code", "")


def _formatted(params: Json, text_key: str, entities_key: str) -> tuple[str, list[Json]]:
    text: str = params.get(text_key) or ""
    entities: list[Json] = params.get(entities_key) or []
    try:
        if params.get("parse_mode"):
            text, entities = parsed(text, params["parse_mode"])
        return cleaned(text, entities)
    except ValueError as error:
        raise bad(str(error)) from None


def _markup(params: Json) -> Json:
    markup: Json = params.get("reply_markup") or {}
    rows: list[list[Json]] = markup.get("inline_keyboard") or []
    if any(len(button.get("callback_data", "").encode()) > 64 for row in rows for button in row):
        raise bad("BUTTON_DATA_INVALID")
    return {"reply_markup": markup} if rows else {}
