"""The language model of a Qwen3-VL checkpoint in W8A8 INT8, for SGLang: `python bench/gpu/int8.py CHECKPOINT OUT`.

Weights by channel, symmetric; activations are quantised by token while it runs. Vision and tables of words stay as is.
"""
# The GPU's host alone has torch and safetensors, and their types are partial.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

LINEAR = re.compile(r"language_model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)\.weight$")


def main(source: Path, out: Path) -> None:
    """Write the folder anew, weights in one file."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(source, out, dirs_exist_ok=True)
    weights, made = load_file(str(source / "model.safetensors")), {}
    for name, weight in weights.items():
        if LINEAR.search(name):
            scale = weight.float().abs().amax(dim=1, keepdim=True).clamp(min=1e-8) / 127
            made[name] = (weight.float() / scale).round().clamp(-127, 127).to(torch.int8)
            made[name.replace(".weight", ".weight_scale")] = scale
        else:
            made[name] = weight
    save_file(made, str(out / "model.safetensors"), metadata={"format": "pt"})
    config = json.loads((out / "config.json").read_text())
    config["quantization_config"] = {
        "quant_method": "w8a8_int8",
        "is_dynamic": True,
        "ignore": ["re:.*visual.*", "lm_head"],
    }
    (out / "config.json").write_text(json.dumps(config, indent=1))
    print(f"{sum(1 for name in made if name.endswith('_scale'))} layers in INT8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
