"""compose.yaml and the Dockerfile against the code, as no Docker engine runs where the tests do."""

import itertools
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import askpix
from storage.settings import variables

yaml = pytest.importorskip("yaml", reason="no wheel for this Python")

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()


@cache
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def services() -> dict[str, dict[str, Any]]:
    return compose()["services"]


def words(command: str | list[str]) -> list[str]:
    return shlex.split(command) if isinstance(command, str) else command


def ours() -> dict[str, dict[str, Any]]:
    """The services that run askpix."""
    return {name: service for name, service in services().items() if "build" in service}


def test_every_command_exists():
    known = {command.name or getattr(command.callback, "__name__", "") for command in askpix.app.registered_commands}
    dockerfile = re.findall(r'^CMD \["askpix", "(\w+)"\]', DOCKERFILE, re.MULTILINE)
    used = [words(service["command"]) for service in ours().values()] + [["askpix", name] for name in dockerfile]
    assert len(used) > len(ours())
    for program, *arguments in used:
        assert program == "askpix"
        assert len(arguments) == 1
        assert arguments[0] in known


def test_every_variable_is_a_setting():
    known = frozenset[str]().union(*map(variables, askpix.SETTINGS))
    text = (ROOT / "compose.yaml").read_text() + DOCKERFILE
    assert set(re.findall(r"\bASKPIX_\w+", text)) - known == set()


def test_no_role_is_given_another_roles_secret():
    for name, service in ours().items():
        tokens = {variable for variable in service["environment"] if "TOKEN" in variable}
        assert tokens == ({f"ASKPIX_{name.upper()}_TOKEN_FILE"} if name in askpix.PLATFORMS else set())
        assert name == "worker" or not any("ENGINE" in variable for variable in service["environment"])


def test_a_platform_without_a_token_can_be_left_out():
    assert {name: service["profiles"] for name, service in services().items() if "profiles" in service} == {
        name: [name] for name in askpix.PLATFORMS
    }


def test_every_name_that_is_referred_to_is_defined():
    for service in services().values():
        for name, wanted in service.get("depends_on", {}).items():
            assert name in services()
            assert wanted["condition"] != "service_healthy" or "healthcheck" in services()[name]
        for host in re.findall(r"://(\w+)", " ".join(service.get("environment", {}).values())):
            assert host in services()
            assert set(service["networks"]) & set(services()[host]["networks"])
        assert set(service["networks"]) <= set(compose()["networks"])
        assert set(service.get("secrets", ())) <= set(compose()["secrets"])
        assert {mount.partition(":")[0] for mount in service.get("volumes", ())} <= set(compose()["volumes"])


def test_a_secret_is_read_from_where_compose_puts_it():
    for service in ours().values():
        files = [value for name, value in service["environment"].items() if name.endswith("_FILE")]
        assert files == [f"/run/secrets/{secret}" for secret in service.get("secrets", ())]


def test_the_queue_can_only_be_reached_by_those_who_use_it():
    valkey = services()["valkey"]
    assert "ports" not in valkey
    assert all(compose()["networks"][name]["internal"] for name in valkey["networks"])


def test_the_queue_keeps_every_write():
    given = set(itertools.pairwise(words(services()["valkey"]["command"])))
    assert {("--appendonly", "yes"), ("--appendfsync", "always"), ("--maxmemory-policy", "noeviction")} <= given


def test_images_are_pinned_by_version():
    images = [service["image"] for service in services().values()]
    images += re.findall(r"^FROM (\S+:\S+)", DOCKERFILE, re.MULTILINE)
    assert all(re.search(r":v?\d+\.\d+[\w.-]*$", image) for image in images), images


def test_the_dockerfile_copies_only_what_is_there_and_not_ignored():
    allowed = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    assert sources == allowed
    assert all((ROOT / source).exists() for source in sources)


def test_the_service_does_not_run_as_root():
    assert re.findall(r"^USER (\w+)$", DOCKERFILE, re.MULTILINE) == ["askpix"]
