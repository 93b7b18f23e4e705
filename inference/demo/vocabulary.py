"""A small vocabulary cut out of Qwen's own: every byte, the pieces the lessons need, and Qwen's most frequent ones.

Merges keep Qwen's order, so a text of the lessons splits as it does in the real model, and any other text falls back
to smaller pieces, down to bytes, without loss. One thing differs: capitals stay single letters unless a text of the
lessons needs more, so that the model spells what it reads. Source of the ranks: `qwen.tiktoken` in PyPI's `dashscope`.
"""
# The training environment alone has these packages, and their types are partial.
# pyright: basic, reportMissingImports=false, reportMissingModuleSource=false

from __future__ import annotations

import base64
import importlib.util
import itertools
import re
from collections.abc import Iterable
from pathlib import Path

import regex
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

# Qwen's special tokens, in Qwen's order; the ones of other modalities and of tools are left out.
SPECIALS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

# How Qwen2 and Qwen3 split text before they merge bytes.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

CAPITALS = re.compile(rb"[A-Z][A-Z]|[a-z][A-Z]")  # what the model spells letter by letter

# The part of Qwen3-VL's template that a chat without tools uses: images stand where they stand in the content.
CHAT_TEMPLATE = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' -}}
{%- if message.content is string -%}
{{- message.content -}}
{%- else -%}
{%- for content in message.content -%}
{%- if content.type == 'image' or 'image' in content or 'image_url' in content -%}
{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}
{%- elif 'text' in content -%}
{{- content.text -}}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""


def qwen_ranks() -> dict[bytes, int]:
    """Qwen's merged pieces with their ranks."""
    package = importlib.util.find_spec("dashscope")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("dashscope is missing: pip install --no-deps dashscope==2.0.2")
    file = Path(package.submodule_search_locations[0]) / "resources" / "qwen.tiktoken"
    pairs = (line.split() for line in file.read_bytes().splitlines())
    return {base64.b64decode(piece): int(rank) for piece, rank in pairs}


def _merge(piece: bytes, ranks: dict[bytes, int], below: int) -> list[bytes]:
    """Split `piece` as byte pair encoding does with the ranks below a limit."""
    parts = [piece[i : i + 1] for i in range(len(piece))]
    while len(parts) > 1:
        pairs = [(ranks.get(a + b, below), i) for i, (a, b) in enumerate(itertools.pairwise(parts))]
        rank, at = min(pairs)
        if rank >= below:
            break
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


def build(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """A tokenizer of `size` entries that splits `texts` as Qwen's does."""
    ranks = qwen_ranks()
    wanted: dict[bytes, tuple[bytes, bytes] | None] = {bytes([i]): None for i in range(256)}

    def add(piece: bytes) -> None:
        if piece not in wanted:
            left, right = _merge(piece, ranks, ranks[piece])
            add(left)
            add(right)
            wanted[piece] = (left, right)

    for text in texts:
        for word in regex.findall(SPLIT, text):
            for piece in _merge(word.encode(), ranks, len(ranks)):
                add(piece)
    for piece in sorted(ranks, key=ranks.__getitem__):
        if len(wanted) >= size - len(SPECIALS):
            break
        if not CAPITALS.search(piece):
            add(piece)
    return _tokenizer(sorted(wanted, key=ranks.__getitem__), wanted)


def _tokenizer(pieces: list[bytes], wanted: dict[bytes, tuple[bytes, bytes] | None]) -> PreTrainedTokenizerFast:
    letters = _byte_letters()

    def spell(piece: bytes) -> str:
        return "".join(letters[byte] for byte in piece)

    vocab = {spell(piece): id for id, piece in enumerate(pieces)}
    merges = [(spell(pair[0]), spell(pair[1])) for piece in pieces if (pair := wanted[piece])]
    core = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    core.normalizer = normalizers.NFC()
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIALS])
    roles = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, **roles)
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _byte_letters() -> list[str]:
    """The printable letter that stands for each byte in a byte-level vocabulary (the GPT-2 convention)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    spare = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(spare)) for byte in range(256)]
