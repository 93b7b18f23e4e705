"""Lets real SGLang start beside the CPU build of PyTorch. On PYTHONPATH: Python runs it first, in every process.

Three packages are in the way, and only while modules are imported; nothing that the lane serves calls them.
"""  # noqa: INP001 : no package, Python looks for this very name
# Only .venv-sglang has torch, and nothing here has types.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import sys
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

# What SGLang's linear attention looks up in torch.ops at import. No more than these: SGLang takes a CPU for one with
# AMX when it finds `convert_weight_packed` there.
OPERATORS = (
    "fused_gdn_gating_cpu", "fused_qk_gemma_rmsnorm_cpu", "fused_qk_gemma_rmsnorm_with_gate_cpu",
    "fused_qkvzba_split_reshape_cat_contiguous_cpu", "fused_sigmoid_gating_delta_rule_update_cpu",
    "fused_sigmoid_mul_cpu",
)  # fmt: skip


class Hollow(ModuleType):
    """A module in which every name exists: capitals are classes, all others are hollow modules."""

    __version__ = "3.7.1"  # of triton; SGLang compares it

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        whole = type(name, (), {"__init__": lambda *_, **__: None}) if name[0].isupper() else None
        setattr(self, name, whole or Hollow(f"{self.__name__}.{name}"))
        return getattr(self, name)

    def __call__(self, *given, **_):
        if not self.__name__.startswith("triton."):
            raise NotImplementedError(self.__name__)
        # A decorator, bare or with arguments. Its kernel stays a function: nobody can launch one by mistake.
        return given[0] if given and callable(given[0]) else lambda kernel: kernel


@cache
def declare_torchvision_operators():
    """torchvision's wheel is a CUDA build: its operators do not load here, and its import asks for two of them."""
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library  # kept by the cache: they go with it


class Finder(MetaPathFinder, Loader):
    """triton (GPUs only) and sgl_kernel (no index has its CPU build) are named all over SGLang: both are hollow."""

    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            declare_torchvision_operators()
        return ModuleSpec(name, self, is_package=True) if name.split(".")[0] in ("triton", "sgl_kernel") else None

    def create_module(self, spec):
        return Hollow(spec.name)

    def exec_module(self, module):
        if module.__name__ == "sgl_kernel":
            import torch

            for name in OPERATORS:
                setattr(torch.ops.sgl_kernel, name, getattr(module, name))


sys.meta_path.insert(0, Finder())
