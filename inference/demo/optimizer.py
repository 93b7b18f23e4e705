"""Muon for the layers' matrices, all of one shape at a time, beside AdamW for everything else.

Muon steps along the orthogonalised momentum (Jordan and others, 2024); the step is scaled to AdamW's usual size (Liu
and others, 2025), so that both share one learning rate.
"""
# The training environment alone has these packages, and their types are partial.
# pyright: basic, reportMissingImports=false, reportMissingModuleSource=false

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

ITERATIONS = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)


def orthogonal(matrices: Tensor) -> Tensor:
    """(n, a, b) with singular values near one: Newton and Schulz's iteration with five polynomials."""
    x = matrices.bfloat16()
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) * 1.01 + 1e-7)
    for a, b, c in ITERATIONS:
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """For parameters of two dimensions; those of one shape are one group, stacked."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, momentum: float, decay: float) -> None:
        shapes: dict[tuple[int, ...], list[nn.Parameter]] = {}
        for parameter in parameters:
            shapes.setdefault(tuple(parameter.shape), []).append(parameter)
        super().__init__(
            [{"params": group} for group in shapes.values()], {"lr": lr, "momentum": momentum, "decay": decay}
        )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One step of every matrix."""
        for group in self.param_groups:
            parameters: list[nn.Parameter] = group["params"]
            found = [parameter.grad for parameter in parameters]
            if all(part is None for part in found):  # a step without pictures
                continue
            pairs = zip(found, parameters, strict=True)
            gradient = torch.stack([torch.zeros_like(held) if part is None else part for part, held in pairs])
            state = self.state[parameters[0]]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(gradient)
            state["momentum"].lerp_(gradient, 1 - group["momentum"])
            high, wide = parameters[0].shape
            update = orthogonal(gradient.lerp(state["momentum"], group["momentum"])).float()
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["decay"])
            torch._foreach_add_(parameters, list(update.unbind()), alpha=-group["lr"] * 0.2 * max(high, wide) ** 0.5)


def optimizers(model: nn.Module, peak: float, fused: bool) -> tuple[Muon, torch.optim.AdamW]:
    """Muon for the matrices inside the layers, AdamW for embeddings, norms, biases and the first convolution."""
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    inner = [
        parameter for name, parameter in named if parameter.ndim == 2 and "embed" not in name and "lm_head" not in name
    ]
    held = {id(parameter) for parameter in inner}
    outer = [parameter for _, parameter in named if id(parameter) not in held]
    adam = torch.optim.AdamW(outer, peak, betas=(0.9, 0.98), weight_decay=0.0, fused=fused)
    return Muon(inner, peak, 0.95, 0.05), adam
