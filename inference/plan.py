"""The memory plan: where a card's memory goes, what fits into the rest, and the flags that keep SGLang to it.

Pure arithmetic over `catalogue.toml`; sizes are MiB (2**20 bytes) unless said. SGLang's own rule, read in its
`_profile_available_bytes`: the KV pool is the free memory after loading the weights, less (1 - mem_fraction_static) of
the free memory before. docs/memory.md has the formulas with their sources.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from storage.messages import Record
from storage.vision import CHAT_LIMITS, TOKEN_PIXELS

MIB = 2**20
CONTEXT = 32_768  # tokens, unless somebody says otherwise
CHAT = 2_560  # tokens of a usual chat: one photo of 1280 and some turns; so many must be there for each user
STEP = 8_192  # contexts that are proposed are a multiple of it
SLOTS = (64, 48, 32, 24, 16, 8, 4, 2, 1)  # requests at once, the first that fits unless somebody says how many
FRACTIONS = range(90, 0, -1)  # hundredths for --mem-fraction-static
PHOTO = 1024 * 768  # px; the ceilings speak of one such photo and 64 tokens of text
NEWEST = (0, 5, 23)  # of SGLang, whose flags are written where none is installed
PHOTO_TOKENS = CHAT_LIMITS.max_pixels // TOKEN_PIXELS  # of the largest
STREAM = 4  # tokens a piece after the first: half the processor time of a token, and sooner than chats are edited
HASHED = (0, 5, 16)  # the oldest SGLang that was measured to gain by hashing photos outside its scheduler
LARGE = 40_960  # from here on a prefill step may be larger


class Card(Record, frozen=True):
    """One GPU: see catalogue.toml. gb_s and tflops are 0 when unknown; `flags` are only for it, and come last."""

    title: str
    name: str
    mib: int
    idle: int
    gb_s: float = 0
    tflops: float = 0
    flags: tuple[str, ...] = ()


class Text(Record, frozen=True):
    """The language model's side of a config.json."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    vocab_size: int
    head_dim: int = 128
    max_position_embeddings: int = 262_144
    num_experts: int = 0
    num_experts_per_tok: int = 0
    moe_intermediate_size: int = 0


class Vision(Record, frozen=True):
    """The vision tower's side of it."""

    depth: int
    hidden_size: int
    intermediate_size: int
    out_hidden_size: int
    num_position_embeddings: int = 2304
    deepstack_visual_indexes: tuple[int, ...] = (0, 0, 0)


class Shape(Record, frozen=True):
    """A Qwen3-VL config.json; sizes below are numbers of parameters."""

    text_config: Text
    vision_config: Vision
    tie_word_embeddings: bool = False
    quantization_config: dict[str, Any] | None = None

    def blocks(self, *, active: bool = False) -> int:
        """The linear layers, which quantisation makes small; `active`: those that one token goes through."""
        text = self.text_config
        attention = text.hidden_size * text.head_dim * (2 * text.num_attention_heads + 2 * text.num_key_value_heads)
        experts = (text.num_experts_per_tok if active else text.num_experts) * text.moe_intermediate_size
        router = text.num_experts * text.hidden_size
        mlp = 3 * text.hidden_size * (experts or text.intermediate_size)
        return text.num_hidden_layers * (attention + mlp + router)

    def embedding(self) -> int:
        """One of the tables of words; decoding reads the output's, which stays bf16."""
        return self.text_config.hidden_size * self.text_config.vocab_size

    def vision(self) -> int:
        """The whole tower with its mergers, always bf16."""
        vision, patch = self.vision_config, 3 * 2 * 16 * 16
        width, merged = vision.hidden_size, 4 * vision.hidden_size
        block = 4 * width * width + 2 * width * vision.intermediate_size
        mergers = (1 + len(vision.deepstack_visual_indexes)) * merged * (merged + vision.out_hidden_size)
        return vision.depth * block + mergers + width * (patch + vision.num_position_embeddings)

    def kv_bytes(self, kv_dtype: str) -> int:
        """Bytes of KV cache a token."""
        text = self.text_config
        width = 2 * text.num_hidden_layers * text.num_key_value_heads * text.head_dim
        return width * (1 if kv_dtype == "fp8" else 2)


class Catalogue(Record, frozen=True):
    """Cards, models and room as data."""

    card: dict[str, Card]
    model: dict[str, Shape]
    room: dict[str, float]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be planned; users None takes as many as fit, `version` is SGLang's."""

    card: Card
    model: str
    shape: Shape
    context: int = CONTEXT
    users: int | None = None
    quantization: Literal["fp8"] | None = None
    kv_dtype: Literal["bf16", "fp8"] = "bf16"
    version: tuple[int, ...] = NEWEST


class Plan(Record, frozen=True):
    """A plan. parts are MiB by name and sum up to the card's; total_mib is what nvidia-smi shows at most.

    chats are whole contexts that fit at once; first_token_ms and tokens_per_second are ceilings (roofline), empty for
    an unknown card. When it does not fit, `nearest` says which options do (empty: none), `cards` which cards.
    """

    gpu: str
    model: str
    context: int
    users: int
    quantization: str
    kv_dtype: str
    fits: bool
    kv_tokens: int
    kv_needed: int
    chats: int
    longest_context: int
    total_mib: int
    mem_fraction: float
    parts: dict[str, int]
    first_token_ms: dict[str, float]
    tokens_per_second: dict[str, float]
    flags: list[str]
    env: dict[str, str]
    nearest: dict[str, str | int] = msgspec.field(default_factory=dict[str, str | int])
    cards: list[str] = msgspec.field(default_factory=list[str])


@cache
def catalogue() -> Catalogue:
    """The data beside this file."""
    return msgspec.toml.decode(Path(__file__).with_name("catalogue.toml").read_bytes(), type=Catalogue)


def shape_of(model: str) -> Shape | None:
    """The shape of a model of the catalogue (…-FP8 too), of a folder with a config.json or of such a file.

    None where there is none, or one that is no Qwen3-VL.
    """
    known = catalogue().model.get(model.removesuffix("-FP8"))
    path = Path(model)
    file = path / "config.json" if path.is_dir() else path
    if known is None and file.is_file():
        with suppress(msgspec.DecodeError):
            return msgspec.json.decode(file.read_bytes(), type=Shape)
    return msgspec.structs.replace(known, quantization_config={}) if known and model.endswith("-FP8") else known


def plan(wish: Wish) -> Plan:
    """The plan of a wish; one that does not fit carries what would."""
    tried = [_lay(wish, users) for users in ((wish.users,) if wish.users else SLOTS)]
    best = next((each for each in tried if each.fits), tried[-1])
    if best.fits:
        return best
    nearest = next((each for each in _others(wish) if each.fits), None)
    options = ("context", "users", "quantization", "kv_dtype")
    cards = [card.title for card in catalogue().card.values() if _fits(replace(wish, card=card))]
    near = {name: getattr(nearest, name) for name in options} if nearest else {}
    return msgspec.structs.replace(best, nearest=near, cards=cards)


def _fits(wish: Wish) -> bool:
    return _lay(wish, wish.users or SLOTS[-1]).fits


def _others(wish: Wish) -> Iterator[Plan]:
    """What is near a wish, nearest first: fewer users, smaller numbers, a shorter context."""
    changes: list[dict[str, Any]] = [{}, {"kv_dtype": "fp8"}, {"quantization": "fp8"}]
    changes.append(changes[1] | changes[2])
    for change in changes:
        other = replace(wish, **change)
        if wish.users:
            yield _lay(other, max(1, min(wish.users, _lay(other, wish.users).kv_tokens // min(CHAT, wish.context))))
        yield from (_lay(other, users) for users in SLOTS if users <= (wish.users or SLOTS[0]))
    for change in changes:
        other = replace(wish, **change)
        room = _lay(other, 1).kv_tokens // STEP * STEP
        yield from (_lay(replace(other, context=room), users) for users in SLOTS if room)


def _lay(wish: Wish, users: int) -> Plan:
    card, shape, room = wish.card, wish.shape, catalogue().room
    free = card.mib - card.idle - room["context"]
    positions = shape.text_config.max_position_embeddings * shape.text_config.head_dim * 4  # a table in float32
    weights = (_weights(wish) + positions) / MIB + room["loading"]
    chunk = 8192 if card.mib > LARGE else 4096
    beside = {"graphs": room["graphs"] + room["graph_slot"] * users, "working": _working(shape, chunk, users)}
    cached = room["cache"] if wish.version >= (0, 5, 20) else 0
    slack = sum(beside.values()) + room["second"] + room["cache"] - cached + room["reserve"]
    fraction = next((each / 100 for each in FRACTIONS if free * (1 - each / 100) >= slack), 0.0)
    kv_mib = max(0.0, fraction * free - weights - cached)
    kv_bytes = shape.kv_bytes(wish.kv_dtype)
    tokens = int(kv_mib * MIB / kv_bytes)
    needed = max(wish.context, users * min(CHAT, wish.context))
    parts = {
        "weights": weights, "kv": kv_mib, **beside, "cache": room["cache"], "context": room["context"],
        "second_context": room["second"], "driver": card.idle,
    }  # fmt: skip
    used = {name: round(size) for name, size in parts.items()}
    fits = tokens >= needed * (1 + room["margin"])
    first, speed = _ceilings(wish, users)
    return Plan(
        card.title, wish.model, wish.context, users, _quantized(wish) or "none", wish.kv_dtype, fits, tokens, needed,
        tokens // wish.context, min(tokens, shape.text_config.max_position_embeddings), sum(used.values()), fraction,
        used | {"reserve": card.mib - sum(used.values())}, first, speed, _flags(wish, users, fraction, chunk),
        _env(wish),
    )  # fmt: skip


def _quantized(wish: Wish) -> str | None:
    return "fp8" if wish.shape.quantization_config is not None else wish.quantization


def _weights(wish: Wish) -> int:
    shape = wish.shape
    tables = shape.embedding() * (1 if shape.tie_word_embeddings else 2)
    return shape.blocks() * (1 if _quantized(wish) else 2) + 2 * (tables + shape.vision())


def _working(shape: Shape, chunk: int, users: int) -> float:
    """Buffers of one step at its largest: a full prefill, the photos in it, the words' likelihoods."""
    room, text, vision = catalogue().room, shape.text_config, shape.vision_config
    prefill = chunk * (text.hidden_size + text.intermediate_size) * room["prefill_bytes"]
    patches = 4 * min(max(chunk, PHOTO_TOKENS), users * PHOTO_TOKENS)  # a step encodes what it will read
    photos = patches * (vision.hidden_size + vision.intermediate_size) * room["photo_bytes"]
    words = users * text.vocab_size * room["logit_bytes"]
    return room["workspace"] + (prefill + photos + words) / MIB


def _ceilings(wish: Wish, users: int) -> tuple[dict[str, float], dict[str, float]]:
    """First token in ms and tokens a second, by the card's bandwidth and arithmetic alone."""
    card, shape, text = wish.card, wish.shape, wish.shape.text_config
    if not card.gb_s:
        return {}, {}
    weights = shape.blocks(active=True) * (1 if _quantized(wish) else 2) + 2 * shape.embedding()
    kv, width = shape.kv_bytes(wish.kv_dtype), text.num_attention_heads * text.head_dim * text.num_hidden_layers

    def read(tokens: int) -> float:  # ms; causal attention is half of the square
        return (2 * shape.blocks(active=True) * tokens + 2 * tokens * tokens * width) / card.tflops / 1e9

    def speed(tokens: int, many: int = 1) -> float:
        return many * card.gb_s * 1e9 / (weights + many * tokens * kv)

    visual = PHOTO // TOKEN_PIXELS
    see = 2 * shape.vision() * 4 * visual + 4 * (4 * visual) ** 2 * shape.vision_config.hidden_size
    first = {"photo": see / card.tflops / 1e9 + read(visual + 64), "context": read(wish.context)}
    speeds = {"one": speed(1), "context": speed(wish.context), "users": speed(min(CHAT, wish.context), users)}
    return {name: round(ms, 1) for name, ms in first.items()}, {name: round(each, 1) for name, each in speeds.items()}


def _flags(wish: Wish, users: int, fraction: float, chunk: int) -> list[str]:
    limits = {"min_pixels": CHAT_LIMITS.min_pixels, "max_pixels": CHAT_LIMITS.max_pixels}
    graphs = "--cuda-graph-max-bs-decode" if wish.version >= (0, 5, 14) else "--cuda-graph-max-bs"
    flags: list[Any] = [
        "--model-path", wish.model, "--context-length", wish.context, "--mem-fraction-static", f"{fraction:.2f}",
        "--chunked-prefill-size", chunk, "--max-running-requests", users, graphs, users,
        "--attention-backend", "flashinfer", "--mm-attention-backend", "triton_attn",
        "--mm-process-config", json.dumps({"image": limits}), "--enable-cache-report", "--enable-metrics",
        "--stream-interval", STREAM,
    ]  # fmt: skip
    if wish.kv_dtype == "fp8":
        flags += ["--kv-cache-dtype", "fp8_e4m3"]
    if wish.quantization:
        flags += ["--quantization", wish.quantization]
    if wish.version >= (0, 5, 20):  # a large Hopper card would choose others by itself, beyond this plan
        flags += ["--mm-feature-transport", "cpu", *wish.card.flags]
    longest = wish.shape.text_config.max_position_embeddings
    if wish.context > longest:  # Qwen3-VL's README: its positions grow slower, so 3 reaches from 256K to 1M
        yarn = {"rope_type": "yarn", "factor": 3.0, "original_max_position_embeddings": longest}
        rope = yarn | {"mrope_section": [24, 20, 20], "mrope_interleaved": True}
        flags += ["--json-model-override-args", json.dumps({"text_config": {"rope_scaling": rope}})]
    return [str(flag) for flag in flags]


def _env(wish: Wish) -> dict[str, str]:
    env = {"SGLANG_VLM_CACHE_SIZE_MB": str(round(catalogue().room["cache"]))}
    if wish.version >= HASHED and (wish.version < (0, 5, 20) or "cuda_ipc" not in wish.card.flags):
        env["SGLANG_MM_PRECOMPUTE_HASH"] = "1"  # else the scheduler does it, and every answer waits
    return env
