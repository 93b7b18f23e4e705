"""What Discord refuses in a message, a component or a modal, in its own codes and words."""

from __future__ import annotations

from typing import Any

from tests.emulators.discord_shapes import COMPONENTS_V2, every_component, items
from tests.emulators.server import Json

MAX_CONTENT, MAX_FILES = 2000, 10
_BUTTON, _SELECTS = 2, {3, 5, 6, 7, 8}
_LABELLED = {3, 4, 5, 6, 7, 8, 19, 21, 22, 23}  # what a Label of a modal can hold
_EMBED_LIMITS = {"title": 256, "description": 4096}
_MESSAGES = {
    10003: (404, "Unknown Channel"),
    10004: (404, "Unknown Guild"),
    10008: (404, "Unknown Message"),
    10013: (404, "Unknown User"),
    10014: (400, "Unknown Emoji"),
    10015: (404, "Unknown Webhook"),
    10062: (404, "Unknown interaction"),
    40005: (413, "Request entity too large"),
    40060: (400, "Interaction has already been acknowledged."),
    40094: (400, "This interaction has reached its maximum number of follow up messages"),
    50001: (403, "Missing Access"),
    50005: (403, "Cannot edit a message authored by another user"),
    50006: (400, "Cannot send an empty message"),
    50007: (403, "Cannot send messages to this user"),
    50013: (403, "Missing Permissions"),
    50027: (401, "Invalid Webhook Token"),
    50033: (400, "Invalid Recipient(s)"),
    50083: (400, "Thread is archived"),
    50109: (400, "The request body contains invalid JSON."),
    160002: (403, "Cannot reply without permission to read message history"),
}


class ApiError(Exception):
    """An error of the API: HTTP status, Discord's code and words, and for 50035 what is wrong with which field."""

    def __init__(self, code: int, *, status: int = 0, message: str = "", errors: Json | None = None) -> None:
        known_status, known = _MESSAGES.get(code, (status or 400, f"Error {code}"))
        super().__init__(message or known)
        self.status = status or known_status
        self.body: Json = {"message": message or known, "code": code} | ({"errors": errors} if errors else {})


def invalid(field: str, code: str, words: str) -> ApiError:
    """Invalid Form Body: what is wrong with the field, whose name is a path with dots."""
    errors: Json = {"_errors": [{"code": code, "message": words}]}
    for part in reversed(field.split(".")):
        errors = {part: errors}
    return ApiError(50035, status=400, message="Invalid Form Body", errors=errors)


def check_length(field: str, value: Any, low: int, high: int) -> None:
    """A text of so many characters."""
    if not isinstance(value, str):
        raise invalid(field, "STRING_TYPE_CONVERT", "Could not interpret value as string.")
    if low and not value:
        raise invalid(field, "BASE_TYPE_REQUIRED", "This field is required")
    if not low <= len(value) <= high:
        if low:
            raise invalid(field, "BASE_TYPE_BAD_LENGTH", f"Must be between {low} and {high} in length.")
        raise invalid(field, "BASE_TYPE_MAX_LENGTH", f"Must be {high} or fewer in length.")


def check_message(message: Json, files: int, at: str = "") -> None:
    """A message as it would be; `at` ends in a dot, it is where the message is within the request."""
    content, flags = message.get("content") or "", message.get("flags") or 0
    embeds, components = items(message, "embeds"), items(message, "components")
    check_length(f"{at}content", content, 0, MAX_CONTENT)
    if message.get("nonce") is not None:
        check_length(f"{at}nonce", str(message["nonce"]), 0, 25)
    if files > MAX_FILES:
        raise invalid(f"{at}attachments", "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_FILES} or fewer in length.")
    _check_embeds(embeds, at)
    if flags & COMPONENTS_V2:
        if content or embeds:
            code = "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"
            raise invalid(
                f"{at}content", code, "The 'content' field cannot be used when using MessageFlags.IS_COMPONENTS_V2"
            )
        _check_layout(components, at)
    else:
        _check_rows(components, at)
        if not (content.strip() or embeds or files or message.get("sticker_items") or message.get("poll")):
            raise ApiError(50006)
    _check_ids(components, at)


def check_modal(modal: Json) -> None:
    """The data of a callback that shows a modal."""
    check_length("data.title", modal.get("title"), 1, 45)
    check_length("data.custom_id", modal.get("custom_id"), 1, 100)
    rows = items(modal, "components")
    if not 1 <= len(rows) <= 5:
        raise invalid("data.components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
    for number, row in enumerate(rows):
        at = f"data.components.{number}."
        if row["type"] == 1:
            if [child["type"] for child in row.get("components", [])] != [4]:
                raise invalid(f"{at}components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 1 in length.")
            field = row["components"][0]
            check_length(f"{at}components.0.label", field.get("label"), 1, 45)
            _check_input(field, f"{at}components.0.")
        elif row["type"] == 18:
            check_length(f"{at}label", row.get("label"), 1, 45)
            check_length(f"{at}description", row.get("description") or "", 0, 100)
            if row.get("component", {}).get("type") not in _LABELLED:
                raise invalid(
                    f"{at}component.type", "UNION_TYPE_CHOICES", f'Value of field "type" must be one of {_LABELLED}.'
                )
            _check_input(row["component"], f"{at}component.")
        elif row["type"] != 10:
            raise invalid(f"{at}type", "UNION_TYPE_CHOICES", 'Value of field "type" must be one of (1, 10, 18).')
    _check_ids(rows, "data.")


def check_choices(choices: Any) -> None:
    """The choices of an autocomplete."""
    if not isinstance(choices, list):
        raise invalid("data.choices", "BASE_TYPE_REQUIRED", "This field is required")
    listed: list[Json] = choices  # pyright: ignore[reportUnknownVariableType] : JSON's lists hold anything
    if len(listed) > 25:
        raise invalid("data.choices", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
    for number, choice in enumerate(listed):
        check_length(f"data.choices.{number}.name", choice.get("name"), 1, 100)
        if isinstance(choice["value"], str):
            check_length(f"data.choices.{number}.value", choice["value"], 0, 100)


def _check_embeds(embeds: list[Json], at: str) -> None:
    if len(embeds) > 10:
        raise invalid(f"{at}embeds", "BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.")
    total = 0
    for number, embed in enumerate(embeds):
        fields = items(embed, "fields")
        if len(fields) > 25:
            raise invalid(f"{at}embeds.{number}.fields", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
        texts = [(f"{at}embeds.{number}.{key}", embed.get(key) or "", high) for key, high in _EMBED_LIMITS.items()]
        for part, key, high in (("footer", "text", 2048), ("author", "name", 256)):
            inner: Json = embed.get(part) or {}
            texts.append((f"{at}embeds.{number}.{part}.{key}", inner.get(key) or "", high))
        for place, field in enumerate(fields):
            texts.append((f"{at}embeds.{number}.fields.{place}.name", field.get("name", ""), 256))
            texts.append((f"{at}embeds.{number}.fields.{place}.value", field.get("value", ""), 1024))
        for name, text, high in texts:
            check_length(name, text, 0, high)
            total += len(text)
    if total > 6000:
        raise invalid(f"{at}embeds", "MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000")


def _check_rows(rows: list[Json], at: str) -> None:
    if len(rows) > 5:
        raise invalid(f"{at}components", "BASE_TYPE_MAX_LENGTH", "Must be 5 or fewer in length.")
    for number, row in enumerate(rows):
        if row.get("type") != 1:
            words = 'Value of field "type" must be one of (1,).'
            raise invalid(f"{at}components.{number}.type", "UNION_TYPE_CHOICES", words)
        _check_row(row, f"{at}components.{number}.components")


def _check_row(row: Json, at: str) -> None:
    children = items(row, "components")
    kinds = [child.get("type") for child in children]
    full = 1 if set(kinds) & _SELECTS else 5
    if not 1 <= len(children) <= full:
        raise invalid(at, "BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {full} in length.")
    for place, child in enumerate(children):
        if child["type"] == _BUTTON:
            _check_button(child, f"{at}.{place}.")
        elif child["type"] in _SELECTS:
            _check_select(child, f"{at}.{place}.")
        else:
            words = 'Value of field "type" must be one of (2, 3, 5, 6, 7, 8).'
            raise invalid(f"{at}.{place}.type", "UNION_TYPE_CHOICES", words)


def _check_button(button: Json, at: str) -> None:
    check_length(f"{at}label", button.get("label") or "", 0, 80)
    if not (button.get("label") or button.get("emoji")):
        raise invalid(f"{at}label", "BUTTON_COMPONENT_INVALID", "A button must have a label or an emoji")
    if button.get("style") not in {1, 2, 3, 4, 5}:
        raise invalid(f"{at}style", "BASE_TYPE_CHOICES", "Value must be one of {1, 2, 3, 4, 5}.")
    if (button["style"] == 5) != ("url" in button) or (button["style"] == 5) == ("custom_id" in button):
        raise invalid(
            at.rstrip("."), "BUTTON_COMPONENT_CUSTOM_ID_URL", "A link has a url, any other button a custom_id"
        )


def _check_select(select: Json, at: str) -> None:
    check_length(f"{at}placeholder", select.get("placeholder") or "", 0, 150)
    options = items(select, "options")
    if select["type"] == 3 and not 1 <= len(options) <= 25:
        raise invalid(f"{at}options", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 25 in length.")
    for place, option in enumerate(options):
        for key in ("label", "value"):
            check_length(f"{at}options.{place}.{key}", option.get(key), 1, 100)


def _check_layout(components: list[Json], at: str) -> None:
    every = list(every_component(components))
    if not components:
        raise ApiError(50006)
    if len(every) > 40:
        raise invalid(f"{at}components", "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED", "At most 40 components in all")
    if sum(len(part["content"]) for part in every if part["type"] == 10) > 4000:
        code = "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED"
        raise invalid(f"{at}components", code, "Component displayable text size exceeds maximum size of 4000")
    for number, part in enumerate(every):
        if part["type"] == 1:
            _check_row(part, f"{at}components.{number}.components")


def _check_input(field: Json, at: str) -> None:
    check_length(f"{at}custom_id", field.get("custom_id"), 1, 100)
    if field["type"] in _SELECTS:
        _check_select(field, at)
    if field["type"] == 4:
        check_length(f"{at}placeholder", field.get("placeholder") or "", 0, 100)
        check_length(f"{at}value", field.get("value") or "", 0, 4000)
        if field.get("style") not in {1, 2}:
            raise invalid(f"{at}style", "BASE_TYPE_CHOICES", "Value must be one of {1, 2}.")
        if not 0 <= (field.get("min_length") or 0) <= (field.get("max_length") or 4000) <= 4000:
            raise invalid(f"{at}max_length", "NUMBER_TYPE_MAX", "int value should be less than or equal to 4000.")


def _check_ids(components: list[Json], at: str) -> None:
    seen: set[str] = set()
    for component in every_component(components):
        if "custom_id" in component:
            check_length(f"{at}components.custom_id", component["custom_id"], 1, 100)
            if component["custom_id"] in seen:
                code = "COMPONENT_CUSTOM_ID_DUPLICATED"
                raise invalid(f"{at}components", code, "Component custom id cannot be duplicated")
            seen.add(component["custom_id"])
