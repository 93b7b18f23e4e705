"""Settings: what is wrong is said by name, and no secret is ever shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from storage.settings import (
    BadSetting,
    StorageSettings,
    check_names,
    days,
    folder,
    log_level,
    names,
    positive,
    present,
    read,
    redis_url,
    setting,
    socket_url,
    switch,
    variables,
    web_url,
)


@dataclass(frozen=True, slots=True)
class Example:
    token: str | None = setting("TOKEN", None, secret=True)
    count: int = setting("COUNT", 3, positive)
    pin: int | None = setting("PIN", None, positive, secret=True)


@pytest.mark.parametrize(
    ("parse", "value"),
    [
        (switch, "2"),
        (switch, "ja"),
        (positive, "0"),
        (positive, "-1"),
        (positive, "1.5"),
        (positive, "many"),
        (positive, "1e3"),
        (days, "0"),
        (days, "36501"),
        (positive, "9" * 5000),
        (web_url, "localhost:30000"),
        (web_url, "ftp://host"),
        (web_url, "http://"),
        (web_url, "http:///v1"),
        (web_url, "http://host:port"),
        (web_url, "http://host:70000"),
        (web_url, "http://[::1"),
        (socket_url, "https://gateway.discord.gg"),
        (socket_url, "gateway.discord.gg"),
        (socket_url, "wss://"),
        (socket_url, "wss:///path"),
        (socket_url, "ws://host:0"),
        (socket_url, "ws://host:port"),
        (web_url, "wss://host"),
        (redis_url, "localhost:6379"),
        (redis_url, "http://localhost:6379"),
        (redis_url, "redis://localhost:port"),
        (redis_url, "redis://localhost:70000"),
        (redis_url, "unix://"),
        (names, "123"),
        (names, "telegram:1,me"),
        (log_level, "loud"),
        (log_level, "10"),
        (folder, "~nobody_of_this_name/askpix"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused(parse: Callable[[str], Any], value: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 : any ValueError is what `read` turns into a BadSetting
        parse(value)


@pytest.mark.parametrize(
    ("parse", "value", "meant"),
    [
        (switch, "YES", True),
        (switch, "off", False),
        (positive, "1", 1),
        (days, "36500", 36500),
        (web_url, "https://host:443/v1/", "https://host:443/v1"),
        (web_url, "http://[::1]:80", "http://[::1]:80"),
        (socket_url, "wss://gateway.discord.gg/", "wss://gateway.discord.gg"),
        (socket_url, "ws://127.0.0.1:80/gateway/", "ws://127.0.0.1:80/gateway"),
        (redis_url, "redis://:secret@host:6380/2", "redis://:secret@host:6380/2"),
        (redis_url, "unix:///run/valkey/sock?db=1", "unix:///run/valkey/sock?db=1"),
        (names, "telegram:1, discord:2  telegram:chat:-100,", {"telegram:1", "discord:2", "telegram:chat:-100"}),
        (log_level, "debug", "DEBUG"),
        (folder, "~/x", Path.home() / "x"),
    ],
)
def test_a_value_that_can_be_used_is_read(parse: Callable[[str], Any], value: str, meant: object) -> None:
    assert parse(value) == meant


def test_nothing_set_gives_the_defaults() -> None:
    assert read(Example, {}) == Example(None, 3, None)
    assert read(StorageSettings, {}).redis_url is None


def test_white_space_around_a_value_does_not_count_and_nothing_but_white_space_is_unset() -> None:
    assert read(Example, {"ASKPIX_COUNT": " 5\n", "ASKPIX_TOKEN": " \t "}) == Example(None, 5, None)


def test_an_unusable_value_is_named_and_shown() -> None:
    with pytest.raises(BadSetting) as refused:
        read(Example, {"ASKPIX_COUNT": "many"})
    assert (refused.value.code, refused.value.details) == ("bad_setting", {"name": "ASKPIX_COUNT", "value": "many"})


def test_an_unusable_secret_is_named_but_not_shown() -> None:
    with pytest.raises(BadSetting) as refused:
        read(Example, {"ASKPIX_PIN": "hunter2"})
    error: BaseException | None = refused.value
    assert refused.value.details == {"name": "ASKPIX_PIN", "value": "…"}
    while error:
        assert "hunter2" not in f"{error} {error!r}"
        error = error.__cause__


def test_a_secret_is_masked_in_the_repr() -> None:
    settings = read(Example, {"ASKPIX_TOKEN": "hunter2", "ASKPIX_COUNT": "7"})
    assert "hunter2" not in f"{settings} {settings!r}"
    assert "7" in repr(settings)
    assert "secret" not in repr(read(StorageSettings, {"ASKPIX_REDIS_URL": "redis://:secret@host"}))


def test_a_secret_comes_from_a_file_without_its_last_line_break(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(" hunter2\r\n")
    assert read(Example, {"ASKPIX_TOKEN_FILE": str(file)}).token == "hunter2"
    assert read(Example, {"ASKPIX_TOKEN_FILE": f" {file} "}).token == "hunter2"


def test_a_secret_set_directly_wins_over_its_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from file")
    environ = {"ASKPIX_TOKEN": "direct", "ASKPIX_TOKEN_FILE": str(tmp_path / "token")}
    assert read(Example, environ).token == "direct"


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe\x00"], ids=["missing", "empty", "blank", "binary"])
def test_a_secret_file_without_a_secret_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadSetting) as refused:
        read(Example, {"ASKPIX_TOKEN_FILE": str(file)})
    assert (refused.value.code, refused.value.details) == ("unreadable_secret", {"name": "ASKPIX_TOKEN_FILE"})


@pytest.mark.parametrize("path", ["/", "~nobody_of_this_name/token"])
def test_a_secret_file_that_is_none_is_named(path: str) -> None:
    with pytest.raises(BadSetting, match="unreadable_secret"):
        read(Example, {"ASKPIX_TOKEN_FILE": path})


def test_a_plain_setting_has_no_file_form() -> None:
    assert variables(Example) == {
        "ASKPIX_TOKEN", "ASKPIX_TOKEN_FILE", "ASKPIX_COUNT", "ASKPIX_PIN", "ASKPIX_PIN_FILE"
    }  # fmt: skip
    with pytest.raises(BadSetting, match="setting"):
        check_names({"ASKPIX_COUNT_FILE": "x"}, (Example,))


def test_a_misspelt_name_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(BadSetting) as refused:
        check_names({"ASKPIX_TOKNE": "hunter2"}, (Example, StorageSettings))
    assert refused.value.code == "misspelt_setting"
    assert refused.value.details == {"name": "ASKPIX_TOKNE", "meant": "ASKPIX_TOKEN"}


def test_a_name_like_no_other_is_unknown() -> None:
    with pytest.raises(BadSetting) as refused:
        check_names({"ASKPIX_WWWWWWWWWWWWWWWWWWWW": "1"}, (Example,))
    assert refused.value.code == "unknown_setting"


def test_other_programs_names_and_our_own_internal_ones_are_fine() -> None:
    check_names({"PATH": "/bin", "askpix_token": "x", "ASKPIX_SUPERVISOR_FD": "3", "ASKPIX_COUNT": "1"}, (Example,))


def test_every_setting_is_listed_with_its_value_and_whether_it_is_secret() -> None:
    found = list(present(read(Example, {"ASKPIX_TOKEN": "x"})))
    assert found == [("TOKEN", "x", True), ("COUNT", 3, False), ("PIN", None, True)]
