"""What is wrong with the tokens, the clock, and what the bots draw and read with."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from typing import Any

import aiohttp
import msgspec

from bots.rendering import BROWSERS
from bots.settings import BotSettings
from storage.doctor import Finding

PATIENCE = 10.0  # seconds
SKEW = 10.0  # seconds that a clock may be off; a Date header says whole ones


async def examine(settings: BotSettings) -> list[Finding]:
    """Ask the platforms who we are, and look for browser and readers."""
    telegram, discord = settings.telegram_token, settings.discord_token
    me = f"{settings.discord_api_url}/api/v10/users/@me"
    api = f"{settings.telegram_api_url}/bot{telegram}"
    found: list[Finding] = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE), trust_env=True) as http:
        if telegram:
            found += await _who(http, "telegram", f"{api}/getMe", {})
            found += await _webhook(http, f"{api}/getWebhookInfo")
        if discord:
            found += await _who(http, "discord", me, {"Authorization": f"Bot {discord}"})
    names = {"telegram": telegram, "discord": discord}
    found += [Finding(name, None, f"cli.no_{name}") for name, token in names.items() if not token]
    browser = any(map(shutil.which, BROWSERS))
    found += [] if browser else [Finding("browser", None, "browser_missing")]
    missing = ", ".join(name for name in ("av", "pypdfium2", "PIL") if not find_spec(name))
    return [*found, *([Finding("readers", False, "readers_missing", {"names": missing})] if missing else [])]


async def _who(http: aiohttp.ClientSession, platform: str, url: str, headers: Mapping[str, str]) -> list[Finding]:
    status, said, skew = await _get(http, url, headers)
    if status is None or status >= 500 or status == 429:
        return [Finding(platform, False, "platform_unreachable", {"platform": platform.title(), "reason": str(said)})]
    if status != 200:
        return [Finding(platform, False, "cli.bad_token" if platform == "telegram" else "cli.bad_discord_token")]
    person: dict[str, Any] = said.get("result", said)
    late = abs(skew) > SKEW
    return [
        Finding(platform, True, "platform_known", {"platform": platform.title(), "name": str(person.get("username"))}),
        *([Finding("clock", False, "clock_off", {"seconds": round(skew)})] if late else []),
    ]


async def _webhook(http: aiohttp.ClientSession, url: str) -> list[Finding]:
    status, said, _ = await _get(http, url, {})
    result: dict[str, Any] = said.get("result", {}) if status == 200 else {}
    recent = time.time() - result.get("last_error_date", 0) < 3600
    why = str(result.get("last_error_message", "")) if result.get("url") and recent else ""
    return [Finding("webhook", False, "webhook_fails", {"reason": why})] if why else []


async def _get(http: aiohttp.ClientSession, url: str, headers: Mapping[str, str]) -> tuple[int | None, Any, float]:
    """Status (None: nobody answered), JSON or the reason, and by how many seconds our clock is ahead.

    The URL may hold a token: what an error says of it is left out.
    """
    try:
        async with http.get(url, headers=headers, allow_redirects=False) as response:
            date = response.headers.get("Date")
            skew = time.time() - parsedate_to_datetime(date).timestamp() if date else 0.0
            said: Any = msgspec.json.decode(await response.read()) if response.status == 200 else response.status
            return response.status, said, skew
    except (TimeoutError, aiohttp.ClientError, msgspec.MsgspecError, ValueError) as error:
        cause = getattr(error, "os_error", None)  # of a connection: it names no more than host and port
        return None, getattr(cause, "strerror", None) or type(error).__name__, 0.0
