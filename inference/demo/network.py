"""The network: a small Qwen3-VL of transformers' own classes, and a forward pass of its weights that suits training.

Transformers' own forward loops over the pictures of a batch. Here pictures of one size stand together, so attention,
position embeddings and rotary angles are computed for all at once. `python -m inference.demo.network` compares the two.
"""
# The training environment alone has these packages, and their types are partial.
# pyright: basic, reportMissingImports=false, reportMissingModuleSource=false

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F  # noqa: N812 : its name everywhere
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, Qwen3VLConfig, Qwen3VLForConditionalGeneration

from inference.demo import vocabulary

VOCABULARY = 4096
CONTEXT = 8192
PATCH, MERGE, GRID = 16, 2, 20  # GRID: position embeddings a side
DEEP = 2  # after this vision layer a second view joins the text model


@dataclass(frozen=True)
class Shape:
    """The sizes that count: what ships, and what two CPU cores train in minutes."""

    width: int = 256
    inner: int = 576
    layers: int = 4
    heads: int = 4
    sections: tuple[int, int, int] = (12, 10, 10)
    eye_width: int = 192
    eye_inner: int = 480
    eye_layers: int = 6
    eye_heads: int = 6


FULL = Shape()
SMALL = Shape(128, 256, 3, 4, (6, 5, 5), 96, 192, 4, 3)


def build(tokenizer: PreTrainedTokenizerFast, shape: Shape) -> Qwen3VLForConditionalGeneration:
    """A Qwen3-VL with random weights."""
    ids = dict(zip(vocabulary.SPECIALS, tokenizer.convert_tokens_to_ids(list(vocabulary.SPECIALS)), strict=True))
    rope = {"mrope_interleaved": True, "mrope_section": list(shape.sections), "rope_type": "default"}
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": VOCABULARY, "hidden_size": shape.width, "intermediate_size": shape.inner,
            "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.heads // 2, "head_dim": 2 * sum(shape.sections),
            "max_position_embeddings": CONTEXT, "rope_theta": 100_000, "rope_scaling": {**rope, "rope_theta": 100_000},
            "tie_word_embeddings": True, "bos_token_id": ids["<|endoftext|>"], "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|endoftext|>"],
        },
        vision_config={
            "depth": shape.eye_layers, "hidden_size": shape.eye_width, "intermediate_size": shape.eye_inner,
            "num_heads": shape.eye_heads, "patch_size": PATCH, "spatial_merge_size": MERGE, "temporal_patch_size": 2,
            "out_hidden_size": shape.width, "num_position_embeddings": GRID * GRID, "deepstack_visual_indexes": [DEEP],
        },
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )  # fmt: skip
    config.architectures = ["Qwen3VLForConditionalGeneration"]
    return Qwen3VLForConditionalGeneration(config)


def patches(pixels: Tensor) -> Tensor:
    """uint8 (rows, height, width, 3) to (rows, patches, 768) in [-1, 1], patches of 16 px in groups of 2x2."""
    rows, high, wide, _ = pixels.shape
    grid = pixels.view(rows, high // 32, MERGE, PATCH, wide // 32, MERGE, PATCH, 3).permute(0, 1, 4, 2, 5, 7, 3, 6)
    return grid.reshape(rows, high * wide // PATCH**2, 3 * PATCH**2).float() / 127.5 - 1


@lru_cache
def _places(high: int, wide: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """For a grid of patches, in Qwen's order: (2, patches) row and column, and the four neighbours with weights."""
    place = torch.arange(high * wide).view(high // 2, 2, wide // 2, 2).permute(0, 2, 1, 3).flatten()
    row, column = place // wide, place % wide
    across = [torch.linspace(0, GRID - 1, side)[at] for side, at in ((high, row), (wide, column))]
    low = [value.floor().long() for value in across]
    top = [value.clamp(max=GRID - 2) + 1 for value in low]
    share = [value - floor for value, floor in zip(across, low, strict=True)]
    neighbours = torch.stack(
        [low[0] * GRID + low[1], low[0] * GRID + top[1], top[0] * GRID + low[1], top[0] * GRID + top[1]]
    )
    down, right = share
    weights = torch.stack([(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right])
    return torch.stack([row, column]).to(device), neighbours.to(device), weights.to(device)


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    one, two = x.float().chunk(2, -1)
    return (torch.cat((one, two), -1) * cos + torch.cat((-two, one), -1) * sin).to(x.dtype)


def eye_layer(block: nn.Module, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """One vision layer over (rows, patches, width)."""
    rows, length, width = x.shape
    heads = block.attn.num_heads
    normed = F.layer_norm(x, (width,), block.norm1.weight, block.norm1.bias, 1e-6)
    q, k, v = block.attn.qkv(normed).view(rows, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4).unbind(0)
    seen = F.scaled_dot_product_attention(_rotated(q, cos, sin), _rotated(k, cos, sin), v)
    x = x + block.attn.proj(seen.transpose(1, 2).reshape(rows, length, width))
    normed = F.layer_norm(x, (width,), block.norm2.weight, block.norm2.bias, 1e-6)
    return x + block.mlp.linear_fc2(F.gelu(block.mlp.linear_fc1(normed), approximate="tanh"))


def text_layer(layer: nn.Module, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """One text layer over (rows, length, width)."""
    rows, length, width = x.shape
    attention, mlp = layer.self_attn, layer.mlp
    size = attention.head_dim
    normed = F.rms_norm(x, (width,), layer.input_layernorm.weight, 1e-6)
    q = attention.q_proj(normed).view(rows, length, -1, size)
    k = attention.k_proj(normed).view(rows, length, -1, size)
    v = attention.v_proj(normed).view(rows, length, -1, size)
    q = _rotated(F.rms_norm(q, (size,), attention.q_norm.weight, 1e-6).transpose(1, 2), cos, sin)
    k = _rotated(F.rms_norm(k, (size,), attention.k_norm.weight, 1e-6).transpose(1, 2), cos, sin)
    q, k = q.to(v.dtype), k.to(v.dtype)
    shared = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(shared, 1), v.transpose(1, 2).repeat_interleave(shared, 1)
    heard = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    x = x + attention.o_proj(heard.transpose(1, 2).reshape(rows, length, -1))
    normed = F.rms_norm(x, (width,), layer.post_attention_layernorm.weight, 1e-6)
    return x + mlp.down_proj(F.silu(mlp.gate_proj(normed)) * mlp.up_proj(normed))


class Forward:
    """The batched pass; `compiled` lets torch compile the layers (worth it on a GPU)."""

    def __init__(self, model: Qwen3VLForConditionalGeneration, compiled: bool = False) -> None:
        self._model = model
        self._eye, self._text = model.model.visual, model.model.language_model
        self._eye_layer: Callable[..., Tensor] = torch.compile(eye_layer, dynamic=True) if compiled else eye_layer
        self._text_layer: Callable[..., Tensor] = torch.compile(text_layer, dynamic=True) if compiled else text_layer

    def see(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(rows, tokens, width) of the last vision layer and of the earlier one."""
        eye = self._eye
        places, neighbours, weights = _places(pixels.shape[1] // PATCH, pixels.shape[2] // PATCH, pixels.device)
        # Both frames of a still picture are the same, so their weights add up.
        weight = eye.patch_embed.proj.weight.sum(2).flatten(1)
        x = F.linear(patches(pixels), weight, eye.patch_embed.proj.bias)
        x = (x + (eye.pos_embed(neighbours) * weights[..., None]).sum(0)).float()
        angles = places[..., None].float() * eye.rotary_pos_emb.inv_freq.to(pixels.device).float()
        angles = torch.cat((angles[0], angles[1]) * 2, -1)
        cos, sin, deep = angles.cos(), angles.sin(), x
        for at, block in enumerate(eye.blocks):
            x = self._eye_layer(block, x, cos, sin)
            if at == DEEP:
                deep = _merged(eye.deepstack_merger_list[0], x, after=True)
        return _merged(eye.merger, x, after=False), deep

    def hidden(self, ids: Tensor, positions: Tensor, pixels: list[Tensor], starts: list[Tensor]) -> Tensor:
        """What the last text layer makes of every token: (rows, length, width)."""
        text, config = self._text, self._model.config.text_config
        x = text.embed_tokens(ids).float()
        rows = torch.arange(len(ids), device=ids.device)[:, None]
        extra = torch.zeros_like(x)
        for seen, start in zip(pixels, starts, strict=True):
            last, deep = self.see(seen)
            at = start[:, None] + torch.arange(last.shape[1], device=ids.device)
            x = x.index_put((rows, at), last.float())
            extra = extra.index_put((rows, at), deep.float())
        cos, sin = self._angles(positions)
        for at, layer in enumerate(text.layers):
            x = self._text_layer(layer, x, cos, sin)
            if at == 0:
                x = x + extra
        return F.rms_norm(x, (config.hidden_size,), text.norm.weight, 1e-6)

    def _angles(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        rotary = self._text.rotary_emb
        angles = positions[..., None].float() * rotary.inv_freq.to(positions.device).float()
        mixed = angles[0].clone()
        for row in (1, 2):  # time, height, width take turns
            stop = rotary.mrope_section[row] * 3
            mixed[..., row:stop:3] = angles[row, ..., row:stop:3]
        mixed = torch.cat((mixed, mixed), -1)[:, None]
        return mixed.cos(), mixed.sin()

    def logits(self, hidden: Tensor) -> Tensor:
        """(…, vocabulary)."""
        return F.linear(hidden, self._text.embed_tokens.weight)


def _merged(merger: nn.Module, x: Tensor, after: bool) -> Tensor:
    rows, length, width = x.shape
    if after:
        x = x.reshape(rows, length // 4, width * 4)
    x = F.layer_norm(x, (x.shape[-1],), merger.norm.weight, merger.norm.bias, 1e-6)
    return merger.linear_fc2(F.gelu(merger.linear_fc1(x.reshape(rows, length // 4, width * 4))))


def main() -> None:
    """Compare with transformers' own forward on random weights."""
    from inference.demo import layout, lessons

    torch.manual_seed(1)
    tokenizer = vocabulary.build(lessons.all_texts(), VOCABULARY)
    model = build(tokenizer, SMALL).eval()
    nn.init.normal_(model.model.visual.pos_embed.weight)
    rng, lay = random.Random(1), layout.Layout(tokenizer.backend_tokenizer)
    sizes = [(320, 256), (128, 192)]
    batch = lay.collate([lessons.two(rng, sizes, lay.pieces) for _ in range(3)])
    ids, positions = torch.from_numpy(batch.ids), torch.from_numpy(batch.positions)
    pixels = [torch.from_numpy(seen) for seen in batch.pixels]
    with torch.no_grad():
        forward = Forward(model)
        ours = forward.logits(forward.hidden(ids, positions, pixels, [torch.from_numpy(at) for at in batch.starts]))
        shown = [picture for row in range(3) for picture in (pixels[0][row], pixels[1][row])]
        theirs = model(
            input_ids=ids,
            pixel_values=torch.cat([double(patches(picture[None]))[0] for picture in shown]),
            image_grid_thw=torch.tensor([[1, seen.shape[0] // PATCH, seen.shape[1] // PATCH] for seen in shown]),
            mm_token_type_ids=(ids == model.config.image_token_id).int(),
        ).logits
    worst = (ours - theirs).abs().max().item()
    print(f"largest difference of a logit: {worst:.2e}")
    if worst > 1e-3:
        raise SystemExit("the two passes differ")


def double(seen: Tensor) -> Tensor:
    """(rows, patches, 768) to transformers' (rows, patches, 1536): the frame taken twice."""
    rows, length, _ = seen.shape
    return seen.view(rows, length, 3, 1, PATCH**2).expand(-1, -1, -1, 2, -1).reshape(rows, length, -1)


if __name__ == "__main__":
    main()
