"""Train the demo model on two CPU cores, in minutes: `python -m inference.demo.train`.

The real transformers classes and the real image layout; only the sizes are small. Writes an ordinary checkpoint.
"""
# The training environment alone has these packages, and their types are partial.
# pyright: basic, reportMissingImports=false, reportMissingModuleSource=false

from __future__ import annotations

import argparse
import json
import random
import re
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3VLConfig, Qwen3VLForConditionalGeneration

from inference.demo import lessons, vocabulary

VOCABULARY = 4096
WIDTH = 96  # of the text model: what two megabytes hold
PATCH, MERGE = 16, 2
CONTEXT = 2048
CHECKPOINT = Path(".venv-demo/checkpoint")  # of the checkout; git ignores it
UNFIT = re.compile("\ufffd|colou?r|descri|色", re.IGNORECASE)  # bytes of half a letter, and words that mean a colour


def build(tokenizer: PreTrainedTokenizerFast) -> Qwen3VLForConditionalGeneration:
    """A Qwen3-VL with random weights, small in every dimension that the file size counts."""
    ids = dict(zip(vocabulary.SPECIALS, tokenizer.convert_tokens_to_ids(list(vocabulary.SPECIALS)), strict=True))
    rope = {"mrope_interleaved": True, "mrope_section": [6, 5, 5], "rope_type": "default", "rope_theta": 100_000}
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": VOCABULARY, "hidden_size": WIDTH, "intermediate_size": 256, "num_hidden_layers": 4,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "max_position_embeddings": CONTEXT,
            "rope_theta": 100_000, "rope_scaling": rope, "tie_word_embeddings": True,
            "bos_token_id": ids["<|endoftext|>"], "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|endoftext|>"],
        },
        vision_config={
            "depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 2, "patch_size": PATCH,
            "spatial_merge_size": MERGE, "temporal_patch_size": 2, "out_hidden_size": WIDTH,
            "num_position_embeddings": 256, "deepstack_visual_indexes": [0],
        },
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )  # fmt: skip
    config.architectures = ["Qwen3VLForConditionalGeneration"]
    return Qwen3VLForConditionalGeneration(config)


def patches(image: Image.Image) -> np.ndarray:
    """Qwen's layout, float32 (patches, 1536) in [-1, 1]: patches of 16 px in groups of 2x2, the frame taken twice."""
    width, height = image.size
    pixels = np.asarray(image, np.float32).transpose(2, 0, 1) / 127.5 - 1
    grid = pixels.reshape(3, height // 32, MERGE, PATCH, width // 32, MERGE, PATCH).transpose(1, 4, 2, 5, 0, 3, 6)
    return np.repeat(grid[:, :, :, :, :, None], 2, axis=5).reshape(-1, 3 * 2 * PATCH * PATCH)


class Batches:
    """Draws lessons and lays them out as the model's inputs."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, seed: int) -> None:
        self._tokenizer = tokenizer
        self._rng = random.Random(seed)
        readable = (tokenizer.decode([id]) for id in range(VOCABULARY - len(vocabulary.SPECIALS)))
        self._pieces = [piece for piece in readable if piece.isprintable() and not UNFIT.search(piece)]
        self._pad, self._end, self._image, self._start = tokenizer.convert_tokens_to_ids(
            ["<|endoftext|>", "<|im_end|>", "<|image_pad|>", "<|im_start|>"]
        )
        self._opening = tokenizer.encode("assistant\n")
        self._waiting: list[tuple[list[int], list[int], list[Image.Image]]] = []

    def chats(self, size: int) -> dict[str, torch.Tensor]:
        """A batch of conversations of like length."""
        if len(self._waiting) < size:
            drawn = [self._lay_out(lessons.conversation(self._rng, self._pieces)) for _ in range(size * 8)]
            drawn.sort(key=lambda item: len(item[0]))
            groups = [drawn[at : at + size] for at in range(0, len(drawn), size)]
            self._rng.shuffle(groups)
            self._waiting = [item for group in groups for item in group]
        batch, self._waiting = self._waiting[:size], self._waiting[size:]
        return self._collate(batch)

    def counts(self, size: int) -> dict[str, torch.Tensor]:
        """A batch of countings to one hundred."""
        return self._collate([self._lay_out(lessons.counting(self._rng, self._pieces)) for _ in range(size)])

    def _lay_out(self, lesson: lessons.Lesson) -> tuple[list[int], list[int], list[Image.Image]]:
        text = str(self._tokenizer.apply_chat_template(lesson.messages, tokenize=False))
        parts = text.split("<|image_pad|>")
        spread = [parts[0]]
        for image, part in zip(lesson.pictures, parts[1:], strict=True):
            spread += ["<|image_pad|>" * (image.width * image.height // 1024), part]
        ids = self._tokenizer.encode("".join(spread))
        labels, at = [-100] * len(ids), 0
        opening = [self._start, *self._opening]
        while at < len(ids):
            if ids[at : at + len(opening)] == opening:
                at += len(opening)
                stop = ids.index(self._end, at) + 1
                labels[at:stop] = ids[at:stop]
                at = stop
            at += 1
        return ids, labels, lesson.pictures

    def _collate(self, batch: list[tuple[list[int], list[int], list[Image.Image]]]) -> dict[str, torch.Tensor]:
        longest = max(len(ids) for ids, _, _ in batch)
        ids = torch.tensor([row + [self._pad] * (longest - len(row)) for row, _, _ in batch])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row, _, _ in batch])
        labels = torch.tensor([row + [-100] * (longest - len(row)) for _, row, _ in batch])
        out = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        images = [image for _, _, pictures in batch for image in pictures]
        if images:
            out["pixel_values"] = torch.from_numpy(np.concatenate([patches(image) for image in images]))
            out["image_grid_thw"] = torch.tensor([[1, i.height // PATCH, i.width // PATCH] for i in images])
            out["mm_token_type_ids"] = (ids == self._image).int()
        return out


def loss_of(model: Qwen3VLForConditionalGeneration, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mean cross entropy of the assistant's tokens; the head runs on those alone."""
    labels = batch.pop("labels")[:, 1:]
    wanted = labels != -100
    hidden = model.model(**batch).last_hidden_state[:, :-1]
    return torch.nn.functional.cross_entropy(model.lm_head(hidden[wanted]), labels[wanted])


def train(model: Qwen3VLForConditionalGeneration, batches: Batches, steps: int, peak: float, counting: int) -> None:
    """AdamW with a short warm-up and a cosine; every `counting`-th step is one of counting."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps, pct_start=0.05)
    started, seen = time.monotonic(), {"chats": 0.0, "counts": 0.0}
    for step in range(1, steps + 1):
        kind = "counts" if step % counting == 0 else "chats"
        loss = loss_of(model, batches.counts(4) if kind == "counts" else batches.chats(16))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        seen[kind] = loss.item() if not seen[kind] else 0.95 * seen[kind] + 0.05 * loss.item()
        if step % 50 == 0 or step == steps:
            spent = time.monotonic() - started
            left = spent / step * (steps - step)
            losses = f"chats {seen['chats']:.4f}  counting {seen['counts']:.4f}"
            print(f"step {step}/{steps}  {losses}  {spent:.0f} s, {left:.0f} s to go", flush=True)


def save(model: Qwen3VLForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """An ordinary checkpoint folder: weights, configuration, tokenizer, picture rules."""
    end = model.config.text_config.eos_token_id
    model.generation_config = GenerationConfig(do_sample=True, temperature=0.7, top_p=0.8, top_k=20, eos_token_id=end)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    rules = {
        "size": {"shortest_edge": lessons.MIN_TOKENS * 1024, "longest_edge": lessons.MAX_TOKENS * 1024},
        "patch_size": PATCH, "temporal_patch_size": 2, "merge_size": MERGE,
        "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
        "processor_class": "Qwen3VLProcessor", "image_processor_type": "Qwen2VLImageProcessorFast",
    }  # fmt: skip
    (out / "preprocessor_config.json").write_text(json.dumps(rules, indent=1))


def main() -> None:
    """Read the command line, train, write the checkpoint."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=CHECKPOINT, help="folder of the checkpoint")
    options.add_argument("--steps", type=int, default=1500)
    options.add_argument("--peak", type=float, default=3e-3, help="highest learning rate")
    options.add_argument("--counting", type=int, default=6, help="every n-th step counts to one hundred")
    options.add_argument("--threads", type=int, default=2, help="1 where other work keeps a core busy")
    options.add_argument("--seed", type=int, default=7)
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(chosen.seed)
    tokenizer = vocabulary.build(lessons.all_texts(), VOCABULARY)
    model = build(tokenizer)
    print(f"{sum(p.numel() for p in model.parameters()):,} weights, {len(tokenizer):,} pieces", flush=True)
    train(model, Batches(tokenizer, chosen.seed), chosen.steps, chosen.peak, chosen.counting)
    save(model, tokenizer, chosen.out)


if __name__ == "__main__":
    main()
