"""What the platform adapters read from the environment."""

from __future__ import annotations

from dataclasses import dataclass

from storage.settings import BadSetting, names, positive, setting, socket_url, switch, web_url


@dataclass(frozen=True, slots=True)
class BotSettings:
    """How to reach the platforms, and who may ask."""

    telegram_token: str | None = setting("TELEGRAM_TOKEN", None, secret=True)
    telegram_api_url: str = setting("TELEGRAM_API_URL", "https://api.telegram.org", web_url)
    telegram_file_url: str | None = setting("TELEGRAM_FILE_URL", None, web_url)
    telegram_webhook_url: str | None = setting("TELEGRAM_WEBHOOK_URL", None, web_url)
    telegram_webhook_port: int = setting("TELEGRAM_WEBHOOK_PORT", 8443, positive)
    bind: str = setting("BIND", "127.0.0.1")
    discord_token: str | None = setting("DISCORD_TOKEN", None, secret=True)
    discord_api_url: str = setting("DISCORD_API_URL", "https://discord.com", web_url)
    discord_gateway_url: str = setting("DISCORD_GATEWAY_URL", "wss://gateway.discord.gg", socket_url)
    discord_message_content: bool = setting("DISCORD_MESSAGE_CONTENT", False, switch)
    allow: frozenset[str] = setting("ALLOW", frozenset[str](), names)
    deny: frozenset[str] = setting("DENY", frozenset[str](), names)
    admins: frozenset[str] = setting("ADMINS", frozenset[str](), names)
    open: bool = setting("OPEN", False, switch)
    reactions: bool = setting("REACTIONS", True, switch)


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Where the page is, and whether it asks for a password."""

    web: bool = setting("WEB", True, switch)
    port: int = setting("WEB_PORT", 7860, positive)
    password: str | None = setting("WEB_PASSWORD", None, secret=True)
    bind: str = setting("BIND", "127.0.0.1")

    def __post_init__(self) -> None:
        if not self.password and not self.bind.startswith("127."):
            raise BadSetting("web_password", name="ASKPIX_BIND", bind=self.bind)
