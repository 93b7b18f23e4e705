"""The routes of Discord's HTTP API that a bot like ours can need, each a short method of Rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.emulators.discord_http import Ask, snowflake
from tests.emulators.discord_interactions import reference
from tests.emulators.discord_places import Channel
from tests.emulators.discord_rules import ApiError, check_message, invalid
from tests.emulators.discord_shapes import APP_ID, BOT_ID, EPHEMERAL, OWNER_ID, THREAD, user_object
from tests.emulators.discord_world import World, application_flags
from tests.emulators.server import Json


class Rest:
    """What each route does; returns the JSON of its answer, None for 204, and raises ApiError."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.gateway_url = ""

    def me(self, ask: Ask) -> Json:
        """The bot's user."""
        return self.world.bot | {"verified": True, "mfa_enabled": True, "locale": "en-US", "email": None}

    def user(self, ask: Ask) -> Json:
        """Any user."""
        if not self.world.knows(ask.number("user_id")):
            raise ApiError(10013)
        return self.world.describe_user(ask.number("user_id"))

    def application(self, ask: Ask) -> Json:
        """The application, and whether it has the message-content intent."""
        about: Json = {"id": str(APP_ID), "name": "askpix", "description": "", "icon": None, "bot_public": True}
        about |= {"bot_require_code_grant": False, "owner": user_object(OWNER_ID, "Owner"), "team": None}
        about |= {"verify_key": "0" * 64, "flags": application_flags(self.world), "summary": ""}
        return about | {"integration_types_config": {"0": {}, "1": {}}, "bot": self.world.bot}

    def gateway(self, ask: Ask) -> Json:
        """Where the gateway is."""
        return {"url": self.gateway_url}

    def gateway_bot(self, ask: Ask) -> Json:
        """Where it is, and how often one may start."""
        limit = {"total": 1000, "remaining": 1000, "reset_after": 0, "max_concurrency": 1}
        return {"url": self.gateway_url, "shards": 1, "session_start_limit": limit}

    def get_commands(self, ask: Ask) -> list[Json]:
        """The registered commands."""
        return self.world.commands.registered.get(self._commands_of(ask), [])

    def put_commands(self, ask: Ask) -> list[Json]:
        """Register commands in the place of all others."""
        guild = self._commands_of(ask)
        commands: Any = ask.body
        if not isinstance(commands, list):
            raise invalid("_", "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
        return self.world.commands.put(commands, guild)  # pyright: ignore[reportUnknownArgumentType] : JSON has objects only

    def callback(self, ask: Ask) -> Json | None:
        """Answer an interaction."""
        answer = self.world.interactions.respond(ask.number("id"), ask.path["token"], ask.json, ask.files)
        return answer if ask.true("with_response") else None

    def follow_up(self, ask: Ask) -> Json | None:
        """One more message to an interaction."""
        interactions = self.world.interactions
        interaction = interactions.by_token(ask.path["app_id"], ask.path["token"])
        message = interactions.follow_up(interaction, ask.json, ask.files)
        return self.world.show(message) if ask.true("wait") else None

    def get_answer(self, ask: Ask) -> Json:
        """A message of an interaction."""
        return self.world.show(self._answer(ask))

    def patch_answer(self, ask: Ask) -> Json:
        """Edit a message of an interaction."""
        return self.world.show(self.world.writer.edit(self._answer(ask), ask.json, ask.files))

    def delete_answer(self, ask: Ask) -> None:
        """Delete a message of an interaction."""
        self.world.remove(self._answer(ask))

    def get_channel(self, ask: Ask) -> Json:
        """A channel."""
        return self._channel(ask).describe()

    def get_messages(self, ask: Ask) -> list[Json]:
        """The messages next to before, after or around an id, newest first."""
        channel, limit = self._channel(ask), ask.query.get("limit", "50")
        if not limit.isdecimal() or not 1 <= int(limit) <= 100:
            raise invalid("limit", "NUMBER_TYPE_MAX", "int value should be less than or equal to 100.")
        if not channel.may("read_message_history"):
            return []
        count = int(limit)
        seen = sorted((each for each in channel.messages if not each["flags"] & EPHEMERAL), key=_id)
        if "after" in ask.query:
            chosen = [each for each in seen if _id(each) > snowflake(ask.query["after"], "after")][:count]
        elif "around" in ask.query:
            middle = snowflake(ask.query["around"], "around")
            chosen = sorted(sorted(seen, key=lambda each: abs(_id(each) - middle))[:count], key=_id)
        else:
            before = snowflake(ask.query.get("before", str((1 << 64) - 1)), "before")
            chosen = [each for each in seen if _id(each) < before][-count:]
        return [self._shown(each) for each in reversed(chosen)]

    def post_message(self, ask: Ask) -> Json:
        """Send a message to a channel."""
        channel, body = self._channel(ask), dict(ask.json)
        channel.require("send_messages_in_threads" if channel.kind == THREAD else "send_messages")
        if channel.locked:
            raise ApiError(50083)
        if channel.with_bot and not channel.recipients[0].reachable:
            raise ApiError(50007)
        body["flags"] = (body.get("flags") or 0) & ~EPHEMERAL  # only an interaction's answer can be that
        check_message(body, len(ask.files))
        channel.require(*["attach_files"] * bool(ask.files), *["embed_links"] * bool(body.get("embeds")))
        about = self._replying(channel, body.get("message_reference"))
        return self._shown(self.world.writer.post(channel, body, ask.files, about))

    def get_message(self, ask: Ask) -> Json:
        """One message."""
        channel, message = self._message(ask)
        if not channel.may("read_message_history"):
            raise ApiError(50001)
        return self._shown(message)

    def patch_message(self, ask: Ask) -> Json:
        """Edit a message."""
        _, message = self._message(ask)
        if message["author"]["id"] != str(BOT_ID):
            raise ApiError(50005)
        return self._shown(self.world.writer.edit(message, ask.json, ask.files))

    def delete_message(self, ask: Ask) -> None:
        """Delete a message."""
        channel, message = self._message(ask)
        if message["author"]["id"] != str(BOT_ID):
            channel.require("manage_messages")
        self.world.remove(message)

    def typing(self, ask: Ask) -> None:
        """Be seen to type."""
        channel = self._channel(ask)
        channel.require("send_messages")
        channel.typed()

    def react(self, ask: Ask) -> None:
        """React to a message."""
        channel, message = self._message(ask)
        channel.require("add_reactions", "read_message_history")
        if ask.path["emoji"].isascii():  # a name without an id, or a word
            raise ApiError(10014)
        message.setdefault("reactions", [])
        if ask.path["emoji"] not in [each["emoji"]["name"] for each in message["reactions"]]:
            message["reactions"].append(_reaction(ask.path["emoji"]))
        self.world.changes.notify()

    def unreact(self, ask: Ask) -> None:
        """Take a reaction back."""
        _, message = self._message(ask)
        kept = [each for each in message.get("reactions", []) if each["emoji"]["name"] != ask.path["emoji"]]
        message["reactions"] = kept
        self.world.changes.notify()

    def open_dm(self, ask: Ask) -> Json:
        """The direct messages with a user; Discord gives them whether or not one may write there."""
        user_id = snowflake(ask.json.get("recipient_id"), "recipient_id")
        if user_id not in self.world.users:
            raise ApiError(50033)
        return self.world.users[user_id].private.describe()

    def refresh_urls(self, ask: Ask) -> Json:
        """Addresses of files signed anew."""
        pairs: list[Json] = []
        for address in ask.json.get("attachment_urls", []):
            path = "/" + address.split("?")[0].removeprefix(self.world.cdn_url).lstrip("/")
            pairs.append({"original": address, "refreshed": self.world.address(path)})
        return {"refreshed_urls": pairs}

    def _commands_of(self, ask: Ask) -> int:
        if ask.path["app_id"] != str(APP_ID):
            raise ApiError(
                20012, status=403, message="You are not authorized to perform this action on this application"
            )
        if "guild_id" not in ask.path:
            return 0
        guild = self.world.guilds.get(ask.number("guild_id"))
        if guild is None or not guild.bot_inside:
            raise ApiError(50001)
        return guild.id

    def _answer(self, ask: Ask) -> Json:
        interaction = self.world.interactions.by_token(ask.path["app_id"], ask.path["token"])
        return self.world.interactions.message(interaction, ask.path["message_id"])

    def _channel(self, ask: Ask) -> Channel:
        channel = self.world.channels.get(ask.number("channel_id"))
        if channel is None:
            raise ApiError(10003)
        channel.require()
        return channel

    def _message(self, ask: Ask) -> tuple[Channel, Json]:
        channel = self._channel(ask)
        message = channel.find(ask.number("message_id"))
        if message is None or message["flags"] & EPHEMERAL:
            raise ApiError(10008)
        return channel, message

    def _replying(self, channel: Channel, to: Any) -> Json:
        if not to:
            return {}
        if not channel.may("read_message_history"):
            raise ApiError(160002)
        found = channel.find(snowflake(to.get("message_id"), "message_reference.message_id"))
        if found and not found["flags"] & EPHEMERAL:
            return {"type": 19, "message_reference": reference(channel, found)}
        if to.get("fail_if_not_exists", True):
            raise invalid("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
        return {}

    def _shown(self, message: Json) -> Json:
        return self.world.show(message, whole=self.world.message_content)


def _id(message: Json) -> int:
    return int(message["id"])


def _reaction(emoji: str) -> Json:
    counts = {"burst": 0, "normal": 1}
    about: Json = {"count": 1, "me": True, "me_burst": False, "burst_colors": [], "count_details": counts}
    return about | {"emoji": {"id": None, "name": emoji}}


_COMMANDS, _CHANNEL = "/applications/{app_id}/commands", "/channels/{channel_id}"
_GUILD_COMMANDS = "/applications/{app_id}/guilds/{guild_id}/commands"
_WEBHOOK = "/webhooks/{app_id}/{token}"
_MESSAGE, _ANSWER = f"{_CHANNEL}/messages/{{message_id}}", f"{_WEBHOOK}/messages/{{message_id}}"
_REACTION = f"{_MESSAGE}/reactions/{{emoji}}/@me"

ROUTES: dict[str, Callable[[Rest, Ask], Any]] = {
    "GET /users/@me": Rest.me,
    "POST /users/@me/channels": Rest.open_dm,
    "GET /users/{user_id}": Rest.user,
    "GET /oauth2/applications/@me": Rest.application,
    "GET /applications/@me": Rest.application,
    "GET /gateway": Rest.gateway,
    "GET /gateway/bot": Rest.gateway_bot,
    f"GET {_COMMANDS}": Rest.get_commands,
    f"PUT {_COMMANDS}": Rest.put_commands,
    f"GET {_GUILD_COMMANDS}": Rest.get_commands,
    f"PUT {_GUILD_COMMANDS}": Rest.put_commands,
    "POST /interactions/{id}/{token}/callback": Rest.callback,
    f"POST {_WEBHOOK}": Rest.follow_up,
    f"GET {_ANSWER}": Rest.get_answer,
    f"PATCH {_ANSWER}": Rest.patch_answer,
    f"DELETE {_ANSWER}": Rest.delete_answer,
    f"GET {_CHANNEL}": Rest.get_channel,
    f"GET {_CHANNEL}/messages": Rest.get_messages,
    f"POST {_CHANNEL}/messages": Rest.post_message,
    f"POST {_CHANNEL}/typing": Rest.typing,
    f"GET {_MESSAGE}": Rest.get_message,
    f"PATCH {_MESSAGE}": Rest.patch_message,
    f"DELETE {_MESSAGE}": Rest.delete_message,
    f"PUT {_REACTION}": Rest.react,
    f"DELETE {_REACTION}": Rest.unreact,
    "POST /attachments/refresh-urls": Rest.refresh_urls,
}
OPEN = {route for route in ROUTES if "{token}" in route} | {"GET /gateway"}  # their path is their authorisation
