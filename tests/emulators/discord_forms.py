"""What a person fills in: the options of a command and the fields of a modal, checked as the app's own window does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tests.emulators.discord_shapes import APP_ID, Upload, every_component, items
from tests.emulators.server import Json

if TYPE_CHECKING:
    from tests.emulators.discord_person import User
    from tests.emulators.discord_world import World

_TEXT, _INTEGER, _BOOLEAN, _USER, _NUMBER, _ATTACHMENT = 3, 4, 5, 6, 10, 11
_TYPES: dict[int, tuple[type, ...]] = {_TEXT: (str,), _INTEGER: (int,), _BOOLEAN: (bool,), _NUMBER: (int, float)}


def upload_of(value: Any, name: str = "image.png") -> Upload:
    """A file given as bytes, as (name, bytes), or as an Upload."""
    if isinstance(value, Upload):
        return value
    return Upload(name, value) if isinstance(value, bytes) else Upload(*value)


def options_of(world: World, command: Json, values: Json) -> tuple[list[Json], Json]:
    """The options of a command and its resolved data; raises ValueError where the app would not let it go."""
    known = {option["name"]: option for option in items(command, "options")}
    if strange := set(values) - set(known):
        raise ValueError(f"/{command['name']} has no option {sorted(strange)}; it has {sorted(known)}")
    if missing := [name for name, option in known.items() if option.get("required") and name not in values]:
        raise ValueError(f"/{command['name']} needs {missing}")
    resolved: Json = {}
    chosen: list[Json] = []
    for name, value in values.items():
        option = known[name]
        chosen.append({"name": name, "type": option["type"], "value": _option_value(world, option, value, resolved)})
    return chosen, resolved


def _option_value(world: World, option: Json, value: Any, resolved: Json) -> Any:
    kind, name = option["type"], option["name"]
    if kind == _ATTACHMENT:
        return _attach(world, upload_of(value), resolved)
    if kind == _USER:
        user: User = value
        resolved.setdefault("users", {})[str(user.id)] = user.describe()
        return str(user.id)
    if not isinstance(value, _TYPES.get(kind, (str,))) or (kind != _BOOLEAN and isinstance(value, bool)):
        raise ValueError(f"option {name} of type {kind} cannot be {value!r}")
    choices = [choice["value"] for choice in items(option, "choices")]
    if choices and value not in choices:
        raise ValueError(f"option {name} has the choices {choices}, not {value!r}")
    size: Any = len(value) if isinstance(value, str) else value
    low, high = (option.get(f"{end}_{'length' if kind == _TEXT else 'value'}") for end in ("min", "max"))
    if (low is not None and size < low) or (high is not None and size > high):
        raise ValueError(f"option {name} is not within {low} … {high}")
    return value


def _attach(world: World, upload: Upload, resolved: Json) -> str:
    stored = world.store(upload, f"ephemeral-attachments/{APP_ID}")
    resolved.setdefault("attachments", {})[stored["id"]] = world.signed(stored)
    return stored["id"]


def filled(world: World, modal: Json, values: Json) -> tuple[list[Json], Json]:
    """The components of a submitted modal, and its resolved data; values by custom_id or label.

    Raises LookupError for a field that is not there, ValueError where the app would not let it go.
    """
    names: dict[str, str] = {}
    for part in every_component(modal["components"]):
        field = part.get("component", part)
        if "custom_id" in field:
            names |= {
                field["custom_id"]: field["custom_id"],
                part.get("label") or field["custom_id"]: field["custom_id"],
            }
    if strange := set(values) - set(names):
        raise LookupError(f"no field {sorted(strange)}; there are {sorted(names)}")
    given = {names[name]: value for name, value in values.items()}
    resolved: Json = {}
    rows: list[Json] = []
    for number, row in enumerate(modal["components"], 1):
        about: Json = {"type": row["type"], "id": row.get("id", number)}
        if row["type"] == 1:
            about["components"] = [_field(world, field, given, resolved) for field in row["components"]]
        elif row["type"] == 18:
            about["component"] = _field(world, row["component"], given, resolved)
        rows.append(about)
    return rows, resolved


def _field(world: World, field: Json, given: Json, resolved: Json) -> Json:
    kind, name = field["type"], field["custom_id"]
    field = {key: value for key, value in field.items() if value is not None}
    required = field.get("required", kind != 23)
    about: Json = {"type": kind, "id": field.get("id", 0), "custom_id": name}
    if kind == 4:
        text = given.get(name, field.get("value") or "")
        low, high = max(field.get("min_length") or 0, int(required)), field.get("max_length") or 4000
        if not (low <= len(text) <= high or (not text and not required)):
            raise ValueError(f"field {name} takes {low} to {high} characters, not {len(text)}")
        return about | {"value": text}
    if kind == 23:
        return about | {"value": bool(given.get(name, field.get("default", False)))}
    if kind == 21:
        return about | {"value": _chosen(field, [given[name]] if name in given else [], required)[0]}
    if kind == 19:
        uploads: Sequence[Any] = given.get(name, [])
        least, most = field.get("min_values", 1) if required else 0, field.get("max_values", 1)
        if not least <= len(uploads) <= most:
            raise ValueError(f"field {name} takes {least} to {most} files, not {len(uploads)}")
        return about | {"values": [_attach(world, upload_of(each), resolved) for each in uploads]}
    return about | {"values": _chosen(field, list(given.get(name, [])), required)}


def _chosen(field: Json, values: list[Any], required: bool) -> list[Any]:
    options = items(field, "options")
    preset = [option["value"] for option in options if option.get("default")]
    values = values or preset
    known = [option["value"] for option in options]
    if (required and not values) or (options and not set(values) <= set(known)):
        raise ValueError(f"field {field['custom_id']} has {known}, not {values}")
    return values or [None] * (field["type"] == 21)
