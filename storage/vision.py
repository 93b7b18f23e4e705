"""How Qwen3-VL sees a photo: the size its image processor gives it, and the tokens that it costs. Pure arithmetic.

The rule is `smart_resize` of transformers' Qwen2-VL image processor, with Qwen3-VL's patches (16 px, merged in fours).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from storage.messages import Refused

SIDE = 32  # px; every side is a multiple of it
TOKEN_PIXELS = SIDE * SIDE
MAX_RATIO = 200  # a longer strip is refused by the processor itself


@dataclass(frozen=True, slots=True)
class PixelLimits:
    """The pixels (width times height) one photo may have; by default what the checkpoint's processor allows.

    ValueError unless max_pixels is at least twice min_pixels (in whole tokens): only then does rounding down to
    max_pixels never fall below min_pixels, and every photo has a size that the processor leaves alone.
    """

    min_pixels: int = 65_536
    max_pixels: int = 16_777_216

    def __post_init__(self) -> None:
        if self.min_pixels <= 0 or self.max_pixels < self.least_room:
            raise ValueError(f"pixel limits {self.min_pixels}..{self.max_pixels}")

    @property
    def least_room(self) -> int:
        """The smallest max_pixels that goes with this min_pixels."""
        return 2 * math.ceil(self.min_pixels / TOKEN_PIXELS) * TOKEN_PIXELS


CHAT_LIMITS = PixelLimits(65_536, 1_310_720)  # 64 to 1280 tokens: many photos at once fit beside a small model


def fit(width: int, height: int, limits: PixelLimits) -> tuple[int, int]:
    """The (width, height) in px that the model's processor leaves as it is, for a photo of this width and height.

    It is the processor's own rule, applied until nothing changes: once, but for strips that are thinner than a patch,
    which one step leaves too large. Raises Refused("too_narrow") over an aspect ratio of 200.
    """
    size = width, height
    while (resized := _resize(*size, limits)) != size:
        size = resized
    return size


def _resize(width: int, height: int, limits: PixelLimits) -> tuple[int, int]:
    if max(width, height) / min(width, height) > MAX_RATIO:
        raise Refused("too_narrow", limit=MAX_RATIO)
    # Python rounds halves to even, as the processor does: 720 px become 704.
    pixels = round(width / SIDE) * round(height / SIDE) * TOKEN_PIXELS
    if pixels > limits.max_pixels:
        shrink = math.sqrt(width * height / limits.max_pixels)
        return max(1, math.floor(width / shrink / SIDE)) * SIDE, max(1, math.floor(height / shrink / SIDE)) * SIDE
    if pixels < limits.min_pixels:
        grow = math.sqrt(limits.min_pixels / (width * height))
        return math.ceil(width * grow / SIDE) * SIDE, math.ceil(height * grow / SIDE) * SIDE
    return round(width / SIDE) * SIDE, round(height / SIDE) * SIDE


def image_tokens(width: int, height: int) -> int:
    """Tokens of a photo whose sides (px) come from `fit`: its patches, and the marks before and after them."""
    return width * height // TOKEN_PIXELS + 2


def share(limits: PixelLimits, photos: int, context_tokens: int) -> PixelLimits:
    """The limits of each photo of an album, so that together they take at most half the context.

    Never below the least room its min_pixels needs: then an album that is too large stays so, and the ask's budget
    decides.
    """
    tokens = context_tokens // 2 // photos - 2
    return PixelLimits(limits.min_pixels, max(limits.least_room, min(limits.max_pixels, tokens * TOKEN_PIXELS)))
