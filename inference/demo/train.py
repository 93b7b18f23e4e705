"""Train the demo model: `python -m inference.demo.train` on a GPU in 20 minutes, `--small` on two CPU cores.

Pictures and conversations are drawn ahead by worker processes. The same arguments draw the same lessons; `--resume`
goes on where the last run stopped. Writes an ordinary checkpoint folder and a table of what the model has learned.
"""
# The training environment alone has these packages, and their types are partial.
# pyright: basic, reportMissingImports=false, reportMissingModuleSource=false

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 : its name everywhere
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3VLForConditionalGeneration

from inference.demo import layout, lessons, network, optimizer, pictures, vocabulary

CHECKPOINT = Path(".venv-demo/checkpoint")  # of the checkout; git ignores it
LATER = {"again", "sequel", "which", "nth", "same", "colours"}  # tasks of a conversation's later turns


class Lessons(Dataset[dict[str, Any]]):
    """Batch number n, always the same."""

    def __init__(self, tokenizer: Tokenizer, seed: str, rows: int, amount: int) -> None:
        self._layout = layout.Layout(tokenizer)
        self._seed, self._rows, self._amount = seed, rows, amount

    def __len__(self) -> int:
        return self._amount

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Tensors; `wanted` are the places before the answers' tokens in the flattened batch, `targets` the tokens."""
        batch = layout.draw(self._layout, f"{self._seed} {number}", self._rows)
        labels, weights = torch.from_numpy(batch.labels[:, 1:]), torch.from_numpy(batch.weights[:, 1:])
        row, at = (labels != layout.IGNORED).nonzero(as_tuple=True)
        return {
            "ids": torch.from_numpy(batch.ids).int(),
            "positions": torch.from_numpy(batch.positions).int(),
            "wanted": row * batch.ids.shape[1] + at,
            "targets": labels[row, at],
            "weights": weights[row, at],
            "pixels": [torch.from_numpy(seen) for seen in batch.pixels],
            "starts": [torch.from_numpy(start) for start in batch.starts],
            "turns": batch.turns,
        }


def load(data: Lessons, numbers: range, workers: int, pinned: bool) -> DataLoader[dict[str, Any]]:
    """The batches of these numbers, drawn ahead."""
    ahead = {"prefetch_factor": 4, "persistent_workers": False} if workers else {}
    return DataLoader(data, batch_size=None, sampler=numbers, num_workers=workers, pin_memory=pinned, **ahead)


def predict(forward: network.Forward, batch: dict[str, Any], device: torch.device) -> tuple[Tensor, Tensor]:
    """Logits (tokens, vocabulary) of the answers' tokens, and the tokens."""

    def moved(tensor: Tensor) -> Tensor:
        return tensor.to(device, non_blocking=True)

    pixels, starts = [moved(seen) for seen in batch["pixels"]], [moved(start) for start in batch["starts"]]
    hidden = forward.hidden(moved(batch["ids"]).long(), moved(batch["positions"]), pixels, starts)
    return forward.logits(hidden.flatten(0, 1)[moved(batch["wanted"])]), moved(batch["targets"])


def pace(step: int, steps: int) -> float:
    """The learning rate's share: a short rise, a plain, and from two fifths on a straight way down."""
    return min(1.0, (step + 1) / (0.01 * steps + 20), 0.02 + 0.98 * (steps - step) / (0.6 * steps))


class Training:
    """Model, optimizers and the step they have reached."""

    def __init__(
        self, model: Qwen3VLForConditionalGeneration, chosen: argparse.Namespace, device: torch.device
    ) -> None:
        self.model, self._chosen, self._device = model, chosen, device
        self.forward = network.Forward(model, compiled=device.type == "cuda" and not chosen.eager)
        self._parts = optimizer.optimizers(model, chosen.peak, fused=device.type == "cuda")
        self.step = 0
        self._waited = 0.0  # seconds for pictures

    def run(self, data: Lessons) -> None:
        """Train to the last step, or until the time is up."""
        chosen, ended = self._chosen, time.monotonic() + self._chosen.seconds
        numbers = range(self.step * chosen.parts, chosen.steps * chosen.parts)
        batches = iter(load(data, numbers, chosen.workers, self._device.type == "cuda"))
        seen = torch.zeros((), device=self._device)
        began = time.monotonic()
        bar = tqdm(total=chosen.steps, initial=self.step, mininterval=5, ascii=True, dynamic_ncols=True)
        while self.step < chosen.steps and time.monotonic() < ended:
            seen = seen.lerp(self._one_step(batches), 0.02 if self.step else 1.0)
            self.step += 1
            bar.update()
            if self.step % 100 == 0:
                bar.set_postfix(loss=f"{seen.item():.4f}", waiting=f"{self._waited / (time.monotonic() - began):.0%}")
        bar.close()

    def _one_step(self, batches: Any) -> Tensor:
        share = pace(self.step, self._chosen.steps)
        for part in self._parts:
            part.zero_grad(set_to_none=True)
            for group in part.param_groups:
                group["lr"] = self._chosen.peak * share
        total = torch.zeros((), device=self._device)
        for _ in range(self._chosen.parts):
            asked = time.monotonic()
            batch = next(batches)
            self._waited += time.monotonic() - asked
            with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"):
                logits, targets = predict(self.forward, batch, self._device)
            weights = batch["weights"].to(self._device, non_blocking=True)
            loss = (F.cross_entropy(logits.float(), targets, reduction="none") * weights).sum() / weights.sum()
            (loss / self._chosen.parts).backward()
            total += loss.detach() / self._chosen.parts
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for part in self._parts:
            part.step()
        return total

    def save(self, file: Path) -> None:
        """All that --resume needs; Muon's momentum in half the bytes."""
        states = [part.state_dict() for part in self._parts]
        for held in states[0]["state"].values():
            held["momentum"] = held["momentum"].bfloat16()
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"step": self.step, "model": self.model.state_dict(), "optimizers": states}, file)

    def resume(self, file: Path) -> None:
        """Go on where `save` stood."""
        state = torch.load(file, map_location=self._device, weights_only=True)
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        for part, held in zip(self._parts, state["optimizers"], strict=True):
            part.load_state_dict(held)


@torch.no_grad()
def measure(training: Training, data: Lessons, workers: int, device: torch.device) -> dict[str, list[float]]:
    """Task: share of answers that are right to the last token, English and Chinese, and how many there were.

    An answer counts when every token is the likeliest after the right ones before it: then greedy decoding says it.
    """
    right: dict[str, list[list[bool]]] = defaultdict(lambda: [[], []])
    for batch in load(data, range(len(data)), workers, pinned=False):
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits, targets = predict(training.forward, batch, device)
        good = torch.zeros(batch["ids"].numel(), dtype=torch.bool)
        good[batch["wanted"]] = (logits.argmax(-1) == targets).cpu()
        good = good.view(batch["ids"].shape)
        rows: set[int] = set()
        for row, first, end, task, chinese in batch["turns"]:
            if row in rows and task not in LATER:  # an earlier answer may give this one away
                continue
            rows.add(row)
            right[task][chinese].append(bool(good[row, first - 1 : end - 1].all()))
    table: dict[str, list[float]] = {}
    for task, (english, chinese) in sorted(right.items()):
        shares = [round(sum(group) / len(group), 4) if group else -1.0 for group in (english, chinese)]
        table[task] = [*shares, len(english) + len(chinese)]
    return table


def export(model: Qwen3VLForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """An ordinary checkpoint folder in bfloat16: weights, configuration, tokenizer, picture rules."""
    end = model.config.text_config.eos_token_id
    model.generation_config = GenerationConfig(do_sample=True, temperature=0.7, top_p=0.8, top_k=20, eos_token_id=end)
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    rules = {
        "size": {"shortest_edge": pictures.MIN_TOKENS * 1024, "longest_edge": pictures.MAX_TOKENS * 1024},
        "patch_size": network.PATCH, "temporal_patch_size": 2, "merge_size": network.MERGE,
        "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
        "processor_class": "Qwen3VLProcessor", "image_processor_type": "Qwen2VLImageProcessorFast",
    }  # fmt: skip
    (out / "preprocessor_config.json").write_text(json.dumps(rules, indent=1))


def read_options() -> argparse.Namespace:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=CHECKPOINT, help="folder of the checkpoint")
    options.add_argument("--state", type=Path, help="file to resume from (default: beside the checkpoint)")
    options.add_argument("--resume", action="store_true", help="go on where the last run stopped")
    options.add_argument("--small", action="store_true", help="a model for two CPU cores")
    options.add_argument("--steps", type=int, default=0, help="default: 7000, small 1500")
    options.add_argument("--seconds", type=float, default=1e9, help="stop then, to be resumed")
    options.add_argument("--rows", type=int, default=0, help="lessons a batch; default: 256, small 12")
    options.add_argument("--parts", type=int, default=0, help="batches a step; default: 3, small 1")
    options.add_argument("--peak", type=float, default=2e-3, help="highest learning rate")
    options.add_argument("--workers", type=int, default=2, help="processes that draw")
    options.add_argument("--measured", type=int, default=24, help="batches of the closing table")
    options.add_argument("--eager", action="store_true", help="do not compile")
    options.add_argument("--seed", type=int, default=7)
    options.add_argument("--tokenizer", type=Path, help="a folder that holds it already")
    chosen = options.parse_args()
    chosen.steps = chosen.steps or (1500 if chosen.small else 7000)
    chosen.rows = chosen.rows or (12 if chosen.small else 256)
    chosen.parts = chosen.parts or (1 if chosen.small else 3)
    chosen.state = chosen.state or chosen.out.with_name("state.pt")
    return chosen


def main() -> None:
    """Read the command line, train, write the checkpoint."""
    chosen = read_options()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(chosen.seed)
    torch.set_float32_matmul_precision("high")
    if chosen.tokenizer:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(chosen.tokenizer)
    else:
        tokenizer = vocabulary.build(lessons.all_texts(), network.VOCABULARY)
    model = network.build(tokenizer, network.SMALL if chosen.small else network.FULL).to(device)
    torch.nn.init.normal_(model.model.visual.pos_embed.weight, std=0.02)
    print(f"{sum(p.numel() for p in model.parameters()):,} weights, {len(tokenizer):,} pieces", flush=True)
    training = Training(model, chosen, device)
    if chosen.resume:
        training.resume(chosen.state)
    core = tokenizer.backend_tokenizer
    training.run(Lessons(core, f"train {chosen.seed}", chosen.rows, chosen.steps * chosen.parts))
    training.save(chosen.state)
    held_out = Lessons(core, "measure", chosen.rows, chosen.measured)
    table = measure(training, held_out, chosen.workers, device)
    for task, (english, chinese, amount) in table.items():
        print(f"{task:10} {english:7.3f} {chinese:7.3f} {amount:6.0f}", flush=True)
    export(model, tokenizer, chosen.out)
    (chosen.out.with_name("measured.json")).write_text(json.dumps({"step": training.step, "right": table}, indent=1))


if __name__ == "__main__":
    main()
