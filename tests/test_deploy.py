"""What deploy/ gives Prometheus and Grafana, against a service that runs: every metric that is named is there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from storage.metrics import PORTS
from tests.road import open_road
from tests.waiting import wait_until

yaml = pytest.importorskip("yaml", reason="no wheel for this Python")

DEPLOY = Path(__file__).parent.parent / "deploy"
DASHBOARD = DEPLOY / "grafana/dashboards/askpix.json"
OTHERS = ("sglang:", "redis_")  # metrics of SGLang and of Valkey's exporter, which no test runs
DURATION = re.compile(r"^(\d+(ms|[smhd]))+$")


def read(path: str) -> Any:
    return yaml.safe_load((DEPLOY / path).read_text())


def rules() -> list[dict[str, Any]]:
    return [rule for group in read("alerts.yml")["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return json.loads(DASHBOARD.read_text())["panels"]


def expressions() -> list[str]:
    return [rule["expr"] for rule in rules()] + [each["expr"] for panel in panels() for each in panel["targets"]]


def named(expression: str) -> set[str]:
    """The metrics that an expression names."""
    bare = re.sub(r'"[^"]*"', "", re.sub(r"\{[^}]*\}", "", expression))
    return set(re.findall(r"\b(?:askpix_|redis_|sglang:)\w+", bare))


def test_every_role_is_scraped_where_it_serves() -> None:
    (askpix,) = (job for job in read("prometheus.yml")["scrape_configs"] if job["job_name"] == "askpix")
    found = {each["labels"]["role"]: each["targets"] for each in askpix["static_configs"]}
    assert found == {role: [f"127.0.0.1:{9464 + at}"] for role, at in PORTS.items() if role != "engine"}
    assert {job["job_name"] for job in read("prometheus.yml")["scrape_configs"]} == {"askpix", "sglang", "valkey"}
    assert all((DEPLOY / file).exists() for file in read("prometheus.yml")["rule_files"])


def test_rules_are_whole() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert rule["annotations"]["summary"] and rule["labels"]["severity"] in ("info", "warning", "critical")
        assert DURATION.match(rule.get("for", "1s"))


def test_expressions_are_balanced_and_name_metrics() -> None:
    for expression in expressions():
        bare = re.sub(r'"[^"]*"', "", expression)
        assert all(bare.count(one) == bare.count(other) for one, other in ("()", "[]", "{}"))
        assert named(expression), expression


def test_the_dashboard_is_provisioned_and_its_panels_do_not_overlap() -> None:
    (source,) = read("grafana/provisioning/datasources/askpix.yml")["datasources"]
    assert {panel["datasource"]["uid"] for panel in panels()} == {source["uid"]}
    assert read("grafana/provisioning/dashboards/askpix.yml")["providers"][0]["type"] == "file"
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken
        taken |= cells
    topics = " ".join(panel["title"] for panel in panels()).lower()
    assert all(topic in topics for topic in ("queue", "distribution", "tokens", "cache", "gpu", "errors"))


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool here; the parsers above read the same files")
def test_promtool_takes_them() -> None:
    subprocess.run(["promtool", "check", "config", DEPLOY / "prometheus.yml"], check=True)


async def test_every_metric_that_is_named_is_there_when_a_service_that_answers_is_scraped(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    async with (
        open_road(tmp_path, METRICS_PORT=str(base := min(unused_tcp_port, 60_000)), DAILY_ASKS="1") as road,
        httpx.AsyncClient(trust_env=False) as http,
    ):
        found: dict[str, str] = {}

        async def scraped() -> bool:
            for role in ("worker", "telegram"):
                answer = await http.get(f"http://127.0.0.1:{base + PORTS[role]}/metrics")
                for family in text_string_to_metric_families(answer.text):
                    found.update({sample.name: family.type for sample in family.samples})
            return "askpix_engine_up" in found and "askpix_answers_total" in found

        await road.ann.send_text(road.ann.private, "What is this?")
        await road.ann.private.wait_for(lambda texts: texts[-1:] == ["saw nothing: What is this?"])
        await road.ann.send_text(road.ann.private, "And this?")
        await road.ann.private.wait_for(lambda texts: "today's 1 questions" in texts[-1])
        await wait_until(scraped, 15)
        wanted = {name for each in expressions() for name in named(each) if not name.startswith(OTHERS)}
        assert wanted - found.keys() == set()
        assert "1001" not in "".join(found), "nobody is named"
