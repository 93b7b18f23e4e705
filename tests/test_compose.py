"""compose.yaml and the Dockerfile against the code, as no Docker engine runs where the tests do."""

import itertools
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import askpix
from bots.settings import WebSettings
from inference.launch import find_card
from inference.plan import Wish, plan, shape_of
from inference.settings import InferenceSettings
from inference.worker import DRAIN, PARTING
from storage.metrics import PORTS
from storage.roles import GRACE
from storage.settings import StorageSettings, check_names, read, variables

yaml = pytest.importorskip("yaml", reason="no wheel for this Python")

ROOT = Path(__file__).parent.parent
EVERYWHERE = "0.0.0.0"  # noqa: S104 : only compared
BIN = str(Path(sys.executable).parent)
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
    assert set(re.findall(r"\bASKPIX_\w+", text)) - known == {"ASKPIX_CPU_MEMORY"}  # compose.yaml's own


def test_every_value_can_be_read(tmp_path: Path):
    (secret := tmp_path / "secret").write_text("redis://askpix:secret@valkey:6379/0")
    for service in ours().values():
        environ = {name: str(value) for name, value in service["environment"].items()}
        environ = {name: str(secret) if name.endswith("_FILE") else given(value) for name, value in environ.items()}
        check_names(environ, askpix.SETTINGS)
        for kind in askpix.SETTINGS:
            if kind is not WebSettings or words(service["command"])[1] in ("web", "up"):
                read(kind, environ)


def given(value: str) -> str:
    """A value as compose puts it in where its variables are not set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def test_no_role_is_given_another_roles_secret():
    for name, service in ours().items():
        tokens = {variable for variable in service["environment"] if "TOKEN" in variable}
        assert tokens == ({f"ASKPIX_{name.upper()}_TOKEN_FILE"} if name in askpix.PLATFORMS else set())
        assert name.startswith("worker") or not any("ENGINE" in variable for variable in service["environment"])
        inference = variables(InferenceSettings) - {"ASKPIX_BIND"}
        assert name in ("worker", "workers", "cpu") or not inference & set(service["environment"])


def test_each_profile_is_a_whole_service():
    profiles = {name: service.get("profiles", []) for name, service in services().items()}
    assert [name for name, where in profiles.items() if not where] == ["valkey", "web"]
    assert {where for each in profiles.values() for where in each} == {
        *askpix.PLATFORMS, "cpu", "gpu", "monitoring", "scale",
    }  # fmt: skip
    for engine, workers in {"gpu": 1, "scale": 2, "cpu": 1}.items():
        running = [service for name, service in services().items() if profiles[name] == [engine]]
        assert sum(service["deploy"].get("replicas", 1) for service in running if service in ours().values()) == workers
        cards = [reservation["device_ids"] for service in running for reservation in devices(service)]
        assert cards == [[str(number)] for number in range(len(cards))]
        assert len(cards) == (0 if engine == "cpu" else workers)
    for name, service in services().items():  # what a service waits for is there whenever it is
        for wanted in service.get("depends_on", {}):
            assert profiles[wanted] in ([], profiles[name])


def devices(service: dict[str, Any]) -> list[dict[str, Any]]:
    return service["deploy"]["resources"].get("reservations", {}).get("devices", [])


def test_every_name_that_is_referred_to_is_defined():
    for service in services().values():
        for name, wanted in service.get("depends_on", {}).items():
            assert name in services()
            assert wanted["condition"] != "service_healthy" or "healthcheck" in services()[name]
        for host in re.findall(r"://([\w-]+)", " ".join(map(str, service.get("environment", {}).values()))):
            assert host in services()
            assert set(service["networks"]) & set(services()[host]["networks"])
        assert set(service["networks"]) <= set(compose()["networks"])
        assert set(service.get("secrets", ())) <= set(compose()["secrets"])
        named: list[str] = []
        paths: list[str] = []
        for mount in service.get("volumes", ()):
            (paths if mount.startswith(".") else named).append(mount.partition(":")[0])
        assert set(named) <= set(compose()["volumes"])
        assert all((ROOT / path).exists() for path in paths)


def test_prometheus_reads_every_role_and_engine_where_it_serves():
    jobs = {
        job["job_name"]: {name: each["port"] for each in job["dns_sd_configs"] for name in each["names"]}
        for job in yaml.safe_load((ROOT / "deploy/containers.yml").read_text())["scrape_configs"]
    }
    role = {name: "worker" if name in ("cpu", "workers") else name for name in ours()}
    base = StorageSettings().metrics_port
    assert jobs["askpix"] == {name: base + PORTS[role[name]] for name in ours()}
    assert jobs["sglang"] == {name: 30000 for name in services() if name.startswith("sglang")}
    for name, service in ours().items():
        assert service["environment"]["ASKPIX_METRICS_BIND"] == EVERYWHERE
        assert "watch" in service["networks"], name
    source = yaml.safe_load((ROOT / "deploy/grafana/containers.yml").read_text())["datasources"][0]
    alone = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/askpix.yml").read_text())["datasources"][0]
    assert source == alone | {"url": "http://prometheus:9090"}
    dashboards = yaml.safe_load((ROOT / "deploy/grafana/provisioning/dashboards/askpix.yml").read_text())["providers"]
    mounts = [mount.split(":")[1] for mount in services()["grafana"]["volumes"]]
    assert dashboards[0]["options"]["path"] in mounts


def test_nothing_that_is_defined_is_left_over():
    for kind in ("networks", "secrets", "volumes"):
        used = {str(each).partition(":")[0] for service in services().values() for each in service.get(kind, ())}
        assert {name for name in used if not name.startswith(".")} == set(compose()[kind]), kind


def test_a_secret_is_read_from_where_compose_puts_it():
    for service in services().values():
        files = [str(value) for name, value in service.get("environment", {}).items() if name.endswith("_FILE")]
        files += [word for word in words(service.get("command", "")) if word.startswith("/run/secrets")]
        assert sorted(files) == sorted(f"/run/secrets/{secret}" for secret in service.get("secrets", ()))


def test_every_service_is_watched_limited_and_closed():
    for name, service in services().items():
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name
        assert service["restart"] == "unless-stopped", name
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service
    for name in ("valkey", *ours()):
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", services()[name]["user"]), name


def test_a_role_asks_for_its_own_sign_of_life():
    roles = {name: service["healthcheck"]["test"][1:] for name, service in ours().items()}
    wanted = {name: "worker" if name in ("cpu", "workers") else name for name in roles}
    assert roles == {name: ["askpix", "doctor", wanted[name]] for name in roles}


def test_stopping_waits_until_running_answers_have_ended():
    for name, service in ours().items():
        minutes, seconds = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", service["stop_grace_period"]).groups()  # pyright: ignore[reportOptionalMemberAccess] : checked by what it yields
        assert int(minutes or 0) * 60 + int(seconds or 0) > max(DRAIN + PARTING, GRACE), name


def test_only_the_page_grafana_and_the_webhook_can_be_reached_and_only_from_this_machine():
    ports = {name: service["ports"] for name, service in services().items() if "ports" in service}
    assert ports == {
        "web": [f"127.0.0.1:{WebSettings().port}:{WebSettings().port}"],
        "telegram": ["127.0.0.1:8443:8443"],
        "grafana": ["127.0.0.1:3000:3000"],
    }
    assert services()["telegram"]["environment"]["ASKPIX_TELEGRAM_WEBHOOK_PORT"] == "8443"
    binding = {name for name, service in ours().items() if service["environment"].get("ASKPIX_BIND") == EVERYWHERE}
    assert binding == {"web", "telegram"}


def test_the_queue_can_only_be_reached_by_those_who_use_it():
    valkey = services()["valkey"]
    assert "ports" not in valkey
    assert all(compose()["networks"][name]["internal"] for name in valkey["networks"])
    sharing = {name for name, service in services().items() if "store" in service["networks"]}
    assert sharing == {"valkey", *ours()}
    assert {name for name in services() if "engine" in services()[name]["networks"]} == {
        "sglang", "sglang-0", "sglang-1", "worker", "workers", "prometheus",
    }  # fmt: skip
    assert all(compose()["networks"][name]["internal"] for name in ("store", "engine", "watch"))


@pytest.mark.parametrize("name", ["sglang", "sglang-0", "sglang-1"])
def test_the_engine_has_the_flags_of_the_plan(name: str):
    card = find_card("4090d")
    assert card
    model = "Qwen/Qwen3-VL-2B-Instruct"
    shape = shape_of(model)
    assert shape
    version = re.search(r":v([\d.]+)", services()[name]["image"])
    assert version
    planned = plan(Wish(card, model, shape, version=tuple(map(int, version[1].split(".")))))
    command = services()[name]["command"]
    assert command[:3] == ["python3", "-m", "sglang.launch_server"]
    flags = [part for word in command[3:] for part in word.split("=", 1)]
    assert flags == ["--host", EVERYWHERE, "--port", "30000", *planned.flags]
    assert planned.env.items() <= services()[name]["environment"].items()
    assert all("30000" in url for service in ours().values() for url in engines(service))


def engines(service: dict[str, Any]) -> list[str]:
    return service["environment"].get("ASKPIX_ENGINE_URL", "").split(",") if "ENGINE_URL" in str(service) else []


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
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]


def test_it_follows_the_schema_of_compose_files():
    schema = run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml")
    assert schema.returncode == 0, schema.stdout


def test_the_dockerfile_passes_its_linter():
    if not shutil.which("hadolint", path=BIN):
        pytest.skip("no hadolint for this machine")
    linted = run("hadolint", "--failure-threshold", "info", "Dockerfile")
    assert linted.returncode == 0, linted.stdout


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [Path(BIN) / program, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
