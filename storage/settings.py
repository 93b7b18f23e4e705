"""Settings: frozen objects read from the environment once, by `main`, and handed in by constructor.

Each package has one object; every variable begins with ASKPIX_, a secret may also come from a file named by …_FILE.
Never print a settings object.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, time, tzinfo
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from storage.keys import DAY, HISTORY_TTL, PHOTO_TTL

PREFIX = "ASKPIX_"
SENTINEL_PORT = 26_379

# Set by the supervisor for its children; not for people.
INTERNAL = frozenset({"ASKPIX_SUPERVISOR_FD"})

T = TypeVar("T")


class CannotRun(Exception):
    """A process cannot do its work here; `code` and `details` name the sentence that says why."""

    def __init__(self, code: str, **details: str) -> None:
        super().__init__(": ".join((code, *details.values())))
        self.code = code
        self.details = details


class BadSetting(CannotRun):
    """A variable is unknown or its value cannot be used."""


def switch(value: str) -> bool:
    """1 or 0; raises ValueError for anything else that is not yes/no, on/off, true/false."""
    if value.lower() in ("1", "true", "yes", "on"):
        return True
    if value.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError(value)


def positive(value: str) -> int:
    """A whole number from 1 on."""
    number = int(value)
    if number < 1:
        raise ValueError(value)
    return number


def whole(value: str) -> int:
    """A whole number from 0 on."""
    return 0 if value == "0" else positive(value)


def base_port(value: str) -> int:
    """A port with room for those of all roles above it, or 0."""
    if (port := whole(value)) > 65_000:
        raise ValueError(value)
    return port


def zone(value: str) -> tzinfo:
    """A time zone by its name in the tz database, such as Asia/Shanghai."""
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ValueError(value) from error


def moment(value: str) -> time:
    """A time of the day, HH:MM."""
    return time.fromisoformat(value)


def days(value: str) -> int:
    """A number of days from 1 on, within a century: a store counts lifetimes in ms."""
    number = positive(value)
    if number > 36_500:
        raise ValueError(value)
    return number


def web_url(value: str, *schemes: str) -> str:
    """An http or https address with a host, without its trailing slash."""
    url = urlsplit(value)
    # `port` itself raises for a bad one.
    if url.scheme not in (schemes or ("http", "https")) or not url.hostname or url.port == 0:
        raise ValueError(value)
    return value.rstrip("/")


def socket_url(value: str) -> str:
    """A ws or wss address with a host, without its trailing slash."""
    return web_url(value, "ws", "wss")


class Sentinels(NamedTuple):
    """Where Sentinels are, what they call the server, and how it is opened."""

    places: tuple[tuple[str, int], ...]
    name: str
    login: dict[str, str | int | None]


def sentinels(url: str) -> Sentinels | None:
    """redis+sentinel://user:password@host:port,host:port/name/database; None for another kind of address."""
    if not url.startswith("redis+sentinel://"):
        return None
    parts = urlsplit(url)
    given, _, hosts = parts.netloc.rpartition("@")
    user, _, password = given.partition(":")
    found = tuple((host, int(port or SENTINEL_PORT)) for host, _, port in (h.partition(":") for h in hosts.split(",")))
    name, _, database = parts.path.strip("/").partition("/")
    if not name or not all(host and 0 < port < 65_536 for host, port in found):
        raise ValueError(url)
    login = {"username": unquote(user) or None, "password": unquote(password) or None, "db": int(database or 0)}
    return Sentinels(found, name, login)


def redis_url(value: str) -> str:
    """redis://, rediss://, unix:// with a path, or redis+sentinel://."""
    if sentinels(value):
        return value
    url = urlsplit(value)
    if not value.startswith(("redis://", "rediss://", "unix://")) or url.port == 0:
        raise ValueError(value)
    if url.scheme == "unix" and not url.path:
        raise ValueError(value)
    return value


def names(value: str) -> frozenset[str]:
    """Ids separated by commas or spaces, each `platform:id` or `platform:chat:id`."""
    found = frozenset(value.replace(",", " ").split())
    if any(":" not in name for name in found):
        raise ValueError(value)
    return found


def log_level(value: str) -> str:
    """debug, info, warning or error."""
    if value.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError(value)
    return value.upper()


def log_format(value: str) -> str:
    """text or json."""
    if value.lower() not in ("text", "json"):
        raise ValueError(value)
    return value.lower()


def folder(value: str) -> Path:
    """A folder; ~ is the home folder."""
    try:
        return Path(value).expanduser()
    except RuntimeError as error:  # ~ of nobody
        raise ValueError(value) from error


def setting(env: str, default: Any, parse: Callable[[str], Any] = str, *, secret: bool = False) -> Any:
    """A dataclass field read from ASKPIX_<env>; a secret stays out of repr and out of `askpix settings`."""
    return field(default=default, repr=not secret, metadata={"env": env, "parse": parse, "secret": secret})


def present(settings: Any) -> Iterator[tuple[str, Any, bool]]:
    """Every variable of a settings object: its name without the prefix, its present value, whether it is secret."""
    for item in fields(settings):
        yield item.metadata["env"], getattr(settings, item.name), item.metadata["secret"]


def variables(kind: type[Any]) -> frozenset[str]:
    """The full names of a settings class's variables, the _FILE forms of its secrets included."""
    secret = {PREFIX + item.metadata["env"]: item.metadata["secret"] for item in fields(kind)}
    return frozenset(secret) | {f"{name}_FILE" for name in secret if secret[name]}


def check_names(environ: Mapping[str, str], kinds: tuple[type[Any], ...]) -> None:
    """Raise BadSetting for an ASKPIX_ variable that nobody reads, with the name that was probably meant."""
    known = INTERNAL.union(*(variables(kind) for kind in kinds))
    for name in environ:
        if name.startswith(PREFIX) and name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            if close:
                raise BadSetting("misspelt_setting", name=name, meant=close[0])
            raise BadSetting("unknown_setting", name=name)


def read(kind: type[T], environ: Mapping[str, str]) -> T:
    """Build a settings object; raises BadSetting for an unusable value or an unreadable secret file."""
    values: dict[str, Any] = {}
    for item in fields(kind):  # pyright: ignore[reportArgumentType] : T is one of the settings dataclasses
        name = PREFIX + item.metadata["env"]
        raw = environ.get(name, "").strip()
        path = environ.get(f"{name}_FILE", "").strip() if item.metadata["secret"] else ""
        if path and not raw:
            raw = _read_secret(name, path)
        if not raw:
            continue
        try:
            values[item.name] = item.metadata["parse"](raw)
        except ValueError:
            shown = "…" if item.metadata["secret"] else raw
            raise BadSetting("bad_setting", name=name, value=shown) from None  # whose text may quote the secret
    return kind(**values)


def _read_secret(name: str, path: str) -> str:
    found = ""
    with suppress(OSError, ValueError):
        found = folder(path).read_text().strip()
    if not found:  # who names a file means to set something
        raise BadSetting("unreadable_secret", name=f"{name}_FILE")
    return found


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Where everything is kept."""

    redis_url: str | None = setting("REDIS_URL", None, redis_url, secret=True)  # may hold a password
    data_dir: Path = setting("DATA_DIR", Path("~/.local/share/askpix").expanduser(), folder)
    photo_mb: int = setting("PHOTO_MB", 1024, positive)
    photo_days: int = setting("PHOTO_DAYS", PHOTO_TTL // DAY, days)
    history_days: int = setting("HISTORY_DAYS", HISTORY_TTL // DAY, days)
    log_level: str = setting("LOG_LEVEL", "INFO", log_level)
    log_format: str = setting("LOG_FORMAT", "text", log_format)
    timezone: tzinfo = setting("TIMEZONE", UTC, zone)
    digest_at: time | None = setting("DIGEST_AT", None, moment)
    daily_asks: int = setting("DAILY_ASKS", 0, whole)
    daily_cost: int = setting("DAILY_COST", 0, whole)
    metrics_port: int = setting("METRICS_PORT", 9464, base_port)
    metrics_bind: str = setting("METRICS_BIND", "127.0.0.1")
