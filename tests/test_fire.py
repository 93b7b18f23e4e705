"""The benches that play with fire: their plans can be replayed, and their mutations are up to date."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from bench.adversary import BETWEEN, WEIGHTS, plan
from bench.claims import CLAIMS
from bench.mutations import apply

ROOT = Path(__file__).parent.parent
MUTATIONS = tomllib.loads((ROOT / "bench/mutations.toml").read_text())


def test_a_plan_depends_on_its_seed_alone() -> None:
    assert plan(7, 600) == plan(7, 600) != plan(8, 600)
    assert {deed.what for deed in plan(7, 600)} == {*WEIGHTS}
    assert 600 / BETWEEN[1] < len(plan(7, 600)) < 600 / BETWEEN[0]
    assert max(deed.seconds for deed in plan(7, 20)) <= 10


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_can_still_be_made(name: str, tmp_path: Path) -> None:
    for file in {edit[0] for edit in MUTATIONS[name]["edits"]}:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text((ROOT / file).read_text())
    apply(tmp_path, MUTATIONS[name]["edits"])


def test_every_claim_has_a_mutation_that_it_must_notice() -> None:
    assert {mutation["claim"] for mutation in MUTATIONS.values()} == CLAIMS.keys()
