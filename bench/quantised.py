"""The demo model's examination in smaller numbers, by arithmetic alone: `.venv-demo/bin/python -m bench.quantised`.

`[--amount QUESTIONS] [KIND...]`: transformers in float32 on a CPU, with weights and activations of the language model
rounded as SGLang's kernels round them (fp8 e4m3 or INT8: weights by channel, activations by token) and its KV cache in
fp8 without scales. What kernels add of their own is not in it. One JSON line last.
"""
# The training environment alone has torch and transformers, and their types are partial.
# pyright: basic, reportMissingImports=false, reportMissingModuleSource=false

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from bench.report import finish, say
from inference.demo import engines, evaluate

CHECKPOINT = Path(evaluate.__file__).parent / "checkpoint"
KINDS = ("plain", "fp8", "int8", "kv8", "fp8-kv8")


def _fp8(values: Any) -> Any:
    import torch

    return values.clamp(-448, 448).to(torch.float8_e4m3fn).float()


def _int8(values: Any) -> Any:
    return values.round().clamp(-127, 127)


ROUNDED = {"fp8": (448.0, _fp8), "int8": (127.0, _int8)}


def _shrink(layer: Any, kind: str) -> None:
    """Round a linear layer's weights, and from now on what goes into it."""
    top, rounded = ROUNDED[kind]
    forward = layer.forward

    def scaled(values: Any) -> Any:
        scale = values.abs().amax(dim=-1, keepdim=True).clamp(min=1e-8) / top
        return rounded(values / scale) * scale

    layer.weight.data = scaled(layer.weight.data)
    layer.forward = lambda values: forward(scaled(values))


def engine(kind: str) -> engines.Transformers:
    """The demo model so made smaller."""
    import torch
    from transformers import cache_utils

    found = engines.Transformers(CHECKPOINT)
    for name, layer in found._model.named_modules():  # noqa: SLF001 : a bench looks into what it measures
        for numbers in ROUNDED.keys() & set(kind.split("-")):
            if isinstance(layer, torch.nn.Linear) and "language_model.layers" in name:
                _shrink(layer, numbers)
    if "kv8" in kind:
        update = cache_utils.DynamicLayer.update
        cache_utils.DynamicLayer.update = lambda self, keys, values, *rest, **named: update(
            self, _fp8(keys), _fp8(values), *rest, **named
        )
    return found


def main() -> None:
    """One kind after another; kinds with kv8 come last, because theirs stays."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--amount", type=int, default=10, help="questions a task and language")
    options.add_argument("kinds", nargs="*", default=KINDS)
    chosen = options.parse_args()
    results: dict[str, Any] = {}
    for kind in sorted(chosen.kinds, key=lambda kind: "kv8" in kind):
        asked, marks = engine(kind), dict[str, list[float]]()
        for task in evaluate.TASKS:
            for chinese in (False, True):
                for turns in evaluate.cases(task, chinese, chosen.amount):
                    marks.setdefault(task, []).append(evaluate.mark(asked.answer(turns), turns[-1].answer))
        every = [mark for each in marks.values() for mark in each]
        tasks = {task: round(statistics.fmean(each), 3) for task, each in marks.items()}
        results[kind] = {"questions": len(every), "right": round(statistics.fmean(every), 4), "tasks": tasks}
        say(f"{kind}: {results[kind]['right']}")
    finish("quantised", {"kinds": results}, {})


if __name__ == "__main__":
    main()
