"""`askpix plan` as a person runs it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner, Result

import askpix
from bots.phrases import LANGUAGES, phrases


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU to find and no settings but those of the command line; what it sets is taken back."""
    for name in ("GPU", "MODEL", "CONTEXT_TOKENS", "CONCURRENCY", "QUANTIZATION", "KV_DTYPE"):
        monkeypatch.setenv(f"ASKPIX_{name}", "")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("inference.gpu.seen", lambda: None)


def run(*words: str) -> Result:
    return CliRunner().invoke(askpix.app, ["plan", *words])


def test_it_shows_the_memory_what_fits_and_the_flags():
    done = run("--gpu", "4090d")
    assert done.exit_code == 0
    for words in ("KV pool", "reserve", "nvidia-smi", "--mem-fraction-static", "tokens/s", "█"):
        assert words in done.output, words


def test_json_holds_what_programs_need():
    done = run("--gpu", "4090d", "--context", "262144", "--kv-dtype", "fp8", "--json")
    found = json.loads(done.output)
    assert done.exit_code == 0 and found["fits"] is True
    assert found["kv_tokens"] > 262_144 and 20_000 < found["total_mib"] < 24_564
    assert "fp8_e4m3" in found["flags"]


def test_what_does_not_fit_exits_2_with_the_nearest_and_the_cards_that_could():
    done = run("--gpu", "4090d", "--context", "262144")
    assert done.exit_code == 2
    assert "--kv-dtype fp8" in done.output and "H200" in done.output
    done = run("--gpu", "4090d", "--model", "Qwen/Qwen3-VL-30B-A3B-Instruct", "--context", "32768")
    assert done.exit_code == 2 and "A100" in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "4090d"),
        (("--gpu", "4090d", "--model", "nobody/nothing"), "nobody/nothing"),
        (("--kv-dtype", "int4"), "int4"),
    ],
)
def test_what_cannot_be_planned_is_one_sentence(words: tuple[str, ...], said: str):
    done = run(*words)
    assert done.exit_code == 2
    assert said in done.output and len(done.output.strip().splitlines()) == 1


def test_every_part_and_every_step_has_its_words():
    parts = json.loads(run("--gpu", "4090d", "--json").output)["parts"]
    for language in LANGUAGES:
        known = phrases(language)
        assert {f"plan.{name}" for name in parts} <= known.keys()
        steps = ("plan", "load", "graphs", "served", "download", "check", "no_sglang")
        assert {f"cli.progress_{step}" for step in steps} == {
            code for code in known if code.startswith("cli.progress_")
        }
