"""The memory plan against arithmetic done by hand, and against what SGLang said on a GPU (bench/RESULTS.md)."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from inference.plan import Wish, catalogue, plan, shape_of

TWO, FOUR, EIGHT, MOE = (f"Qwen/Qwen3-VL-{size}-Instruct" for size in ("2B", "4B", "8B", "30B-A3B"))
WITH_VISION_APART = (0, 5, 16)  # measured with this one


def wish(model: str = TWO, card: str = "4090d") -> Wish:
    shape = shape_of(model)
    assert shape
    return Wish(catalogue().card[card], model, shape)


@pytest.mark.parametrize(
    ("changes", "tokens", "card_mib"),
    [
        ({}, 127_017, 564 + 22_425),
        ({"context": 65_536, "kv_dtype": "fp8", "quantization": "fp8"}, 278_501, 564 + 22_501),
        ({"context": 262_144, "kv_dtype": "fp8"}, 266_203, 564 + 22_049),
    ],
)
def test_it_says_what_was_measured(changes: dict[str, Any], tokens: int, card_mib: int):
    found = plan(replace(wish(), version=WITH_VISION_APART, **changes))
    assert found.fits
    assert found.kv_tokens == pytest.approx(tokens, rel=0.03)
    assert found.total_mib == pytest.approx(card_mib, rel=0.05)
    assert sum(found.parts.values()) == 24_564


@pytest.mark.parametrize(
    ("model", "parameters", "kv_bytes"),
    [(TWO, 2.1275e9, 114_688), (FOUR, 4.44e9, 147_456), (EIGHT, 8.767e9, 147_456), (MOE, 31.07e9, 98_304)],
)
def test_models_have_their_published_sizes(model: str, parameters: float, kv_bytes: int):
    shape = wish(model).shape
    tables = shape.embedding() * (1 if shape.tie_word_embeddings else 2)
    assert shape.blocks() + tables + shape.vision() == pytest.approx(parameters, rel=0.002)
    assert (shape.kv_bytes("bf16"), shape.kv_bytes("fp8")) == (kv_bytes, kv_bytes // 2)


def test_256k_in_bf16_is_refused_with_fp8_as_the_nearest():
    found = plan(replace(wish(), context=262_144))
    assert not found.fits and found.kv_needed * 114_688 == 28 * 2**30
    assert (found.nearest["context"], found.nearest["kv_dtype"], found.nearest["quantization"]) == (
        262_144,
        "fp8",
        "none",
    )
    assert plan(replace(wish(), context=262_144, kv_dtype="fp8")).fits


@pytest.mark.parametrize(("kv_dtype", "gib", "cards"), [("bf16", 112, ["H200"]), ("fp8", 56, ["A100 80GB", "H200"])])
def test_a_million_tokens_are_refused_with_the_cards_that_could(kv_dtype: Any, gib: int, cards: list[str]):
    found = plan(replace(wish(), context=2**20, kv_dtype=kv_dtype))
    assert not found.fits and found.cards == cards
    assert found.kv_needed * wish().shape.kv_bytes(kv_dtype) == gib * 2**30
    assert int(found.nearest["context"]) < 2**20
    on_h200 = plan(replace(wish(card="h200"), context=2**20, kv_dtype=kv_dtype))
    assert on_h200.fits and '"yarn"' in on_h200.flags[on_h200.flags.index("--json-model-override-args") + 1]


def test_too_many_people_get_the_number_that_fits():
    found = plan(replace(wish(), users=500))
    assert not found.fits and int(found.nearest["users"]) < 500
    assert plan(replace(wish(), users=int(found.nearest["users"]))).fits


def test_what_is_proposed_fits():
    for card in catalogue().card:
        for model in (TWO, EIGHT, MOE):
            for context in (32_768, 262_144, 2**20):
                asked = replace(wish(model, card), context=context)
                if nearest := plan(asked).nearest:
                    options = nearest | {"quantization": None if nearest["quantization"] == "none" else "fp8"}
                    assert plan(replace(asked, **options)).fits, (card, model, context, nearest)


def test_8b_needs_its_weights_in_fp8_here_and_nothing_makes_30b_fit():
    assert plan(wish(EIGHT)).nearest["quantization"] == "fp8"
    assert plan(wish(EIGHT + "-FP8")).fits
    found = plan(wish(MOE))
    assert not found.fits and found.nearest == {} and found.cards == ["A100 80GB", "H200"]


def test_a_checkpoint_in_fp8_is_not_quantised_again():
    found = plan(wish(TWO + "-FP8"))
    assert found.quantization == "fp8" and "--quantization" not in found.flags
    assert found.parts["weights"] == plan(replace(wish(), quantization="fp8")).parts["weights"]


@pytest.mark.parametrize(
    ("version", "named", "others"),
    [
        ((0, 5, 13), "--cuda-graph-max-bs", "--mm-feature-transport"),
        ((0, 5, 16), "--cuda-graph-max-bs-decode", "--mm-feature-transport"),
        ((0, 5, 20), "--cuda-graph-max-bs-decode", "--cuda-graph-max-bs"),
        ((0, 5, 23), "--cuda-graph-max-bs-decode", "--cuda-graph-max-bs"),
    ],
)
def test_flags_are_called_as_the_installed_version_calls_them(version: tuple[int, ...], named: str, others: str):
    found = plan(replace(wish(), version=version))
    assert found.flags[found.flags.index(named) + 1] == str(found.users)
    assert others not in found.flags
    assert ("--mm-feature-transport" in found.flags) == (version >= (0, 5, 20))
    fraction = found.flags[found.flags.index("--mem-fraction-static") + 1]
    assert float(fraction) == found.mem_fraction


@pytest.mark.parametrize(
    ("card", "version", "transport", "hashed"),
    [
        ("4090d", (0, 5, 15), "", False),
        ("4090d", (0, 5, 16), "", True),
        ("4090d", (0, 5, 20), "cpu", True),
        ("4090d", (0, 5, 23), "cpu", True),
        ("h200", (0, 5, 16), "", True),
        ("h200", (0, 5, 20), "cuda_ipc", False),
        ("h200", (0, 5, 23), "cuda_ipc", False),
    ],
)
def test_photos_stay_on_a_large_hopper_card_and_else_are_hashed_beside_the_scheduler(
    card: str, version: tuple[int, ...], transport: str, hashed: bool
):
    found = plan(replace(wish(card=card), version=version))
    said = [value for flag, value in pairwise(found.flags) if flag == "--mm-feature-transport"]
    assert "".join(said[-1:]) == transport  # the last one counts
    assert ("SGLANG_MM_PRECOMPUTE_HASH" in found.env) == hashed
    assert found.env["SGLANG_VLM_CACHE_SIZE_MB"] == str(found.parts["cache"])


def test_from_0_5_20_on_the_vision_cache_comes_out_of_the_kv_pool():
    old, new = (plan(replace(wish(), users=48, version=version)) for version in ((0, 5, 16), (0, 5, 20)))
    per_fraction = (new.mem_fraction - old.mem_fraction) * (24_564 - 564 - 685)
    assert new.parts["kv"] == pytest.approx(old.parts["kv"] + per_fraction - 100, abs=2)


def test_ceilings_are_the_cards_bandwidth_and_arithmetic():
    found = plan(wish())
    assert found.tokens_per_second["one"] == pytest.approx(293, rel=0.01)
    assert found.tokens_per_second["context"] == pytest.approx(140, rel=0.01)
    assert found.first_token_ms["context"] == pytest.approx(1466, rel=0.01)
    assert plan(replace(wish(), quantization="fp8")).tokens_per_second["one"] == pytest.approx(496, rel=0.01)
    unknown = replace(wish(), card=structs.replace(wish().card, gb_s=0))
    assert plan(unknown).first_token_ms == {} and plan(unknown).kv_tokens == found.kv_tokens


def test_a_config_json_is_as_good_as_a_name(tmp_path: Path):
    text = {
        "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28, "num_attention_heads": 16,
        "num_key_value_heads": 8, "vocab_size": 151_936, "head_dim": 128, "rope_scaling": {"type": "default"},
    }  # fmt: skip
    vision = {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "out_hidden_size": 2048, "patch_size": 16}
    config = {"text_config": text, "vision_config": vision, "tie_word_embeddings": True, "model_type": "qwen3_vl"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert shape_of(str(tmp_path)) == shape_of(str(tmp_path / "config.json")) == shape_of(TWO)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    assert shape_of(str(tmp_path)) is None
    assert shape_of("nobody/nothing") is None
