"""Turn the trained checkpoint into the two files the CPU engine loads: `python -m inference.demo.convert`.

The checkpoint itself, which SGLang and transformers load, is copied beside them into `checkpoint/`. Also writes
`askpix.json`, what the engine cannot say of itself: the model's name, context, pixel limits and threads.
"""
# The training environment alone has these packages, and their types are partial.
# pyright: basic, reportMissingImports=false, reportMissingModuleSource=false

from __future__ import annotations

import argparse
import json
import logging
import shutil
from pathlib import Path

import gguf
import torch
from conversion import ModelBase, ModelType, get_model_architecture, get_model_class
from conversion.base import TextModel

from inference.demo import pictures
from inference.demo.train import CHECKPOINT

NAME = "askpix-demo"
CONTEXT = 2048  # tokens; the checkpoint would take 8,192, but loses its way in conversations that long


def _qwen2(self: TextModel, tokenizer: object) -> str:
    # The converter knows a tokenizer by a hash of how it splits a sample text; ours splits words as Qwen's does.
    return "qwen2"


def convert(checkpoint: Path, out: Path, vision: bool) -> None:
    """Write the text model in 8 bits, or the vision tower in 16."""
    kind = ModelType.MMPROJ if vision else ModelType.TEXT
    architecture = get_model_architecture(ModelBase.load_hparams(checkpoint, False), kind)
    weights = gguf.LlamaFileType.MOSTLY_F16 if vision else gguf.LlamaFileType.MOSTLY_Q8_0
    file = out / ("mmproj.gguf" if vision else "text.gguf")
    with torch.inference_mode():
        get_model_class(architecture, mmproj=vision)(checkpoint, weights, file, model_name=NAME).write()


def main() -> None:
    """Read the command line and convert."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("checkpoint", type=Path, nargs="?", default=CHECKPOINT)
    options.add_argument("out", type=Path, nargs="?", default=Path(__file__).parent)
    chosen = options.parse_args()
    logging.basicConfig(level=logging.WARNING)
    TextModel.get_vocab_base_pre = _qwen2
    for vision in (False, True):
        convert(chosen.checkpoint, chosen.out, vision)
    card = {
        "name": NAME,
        "context": CONTEXT,
        "min_pixels": pictures.MIN_TOKENS * 1024,
        "max_pixels": pictures.MAX_TOKENS * 1024,
        "threads": 1,
    }
    shutil.copytree(chosen.checkpoint, chosen.out / "checkpoint", dirs_exist_ok=True)
    for file in (chosen.out / "checkpoint").iterdir():
        file.chmod(0o644)  # transformers writes the weights for their owner only
    (chosen.out / "askpix.json").write_text(json.dumps(card, indent=1) + "\n")


if __name__ == "__main__":
    main()
