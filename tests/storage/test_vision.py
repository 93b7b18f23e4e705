"""Qwen3-VL's size and token rule, against known values and against the rule's own promises."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from storage.messages import Refused
from storage.vision import CHAT_LIMITS, PixelLimits, fit, image_tokens, share

SIDES = st.integers(1, 20_000)


def some_limits(tokens: int, less: int, times: int, more: int) -> PixelLimits:
    return PixelLimits(tokens * 1024 - less, tokens * 1024 * times + more)


LIMITS = st.builds(some_limits, st.integers(1, 100), st.integers(0, 1023), st.integers(2, 300), st.integers(0, 2000))


def one_step(width: int, height: int, limits: PixelLimits) -> tuple[int, int]:
    """The processor's rule as its documentation tells it, written apart from the code under test."""
    w, h = (32 * round(side / 32) for side in (width, height))
    if w * h > limits.max_pixels:
        beta = math.sqrt((height * width) / limits.max_pixels)
        w, h = (max(32, 32 * math.floor(side / beta / 32)) for side in (width, height))
    elif w * h < limits.min_pixels:
        beta = math.sqrt(limits.min_pixels / (height * width))
        w, h = (32 * math.ceil(side * beta / 32) for side in (width, height))
    return w, h


@pytest.mark.parametrize(("width", "height"), [(201, 1), (1, 201), (6401, 32), (33, 6600)])
def test_a_strip_over_200_to_1_is_refused(width: int, height: int) -> None:
    """The last one is 200 to 1 exactly, but rounding to patches makes it 206 to 1, which the engine would refuse."""
    with pytest.raises(Refused) as refused:
        fit(width, height, PixelLimits())
    assert refused.value.code == "too_narrow"
    assert refused.value.details == {"limit": 200}


@pytest.mark.parametrize("pixels", [(0, 4096), (1500, 4095), (65_536, 131_071), (65_536, 65_535)])
def test_limits_that_leave_no_stable_size_are_an_error(pixels: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="pixel limits"):
        PixelLimits(*pixels)


@pytest.mark.parametrize(
    ("size", "fitted", "tokens"),
    [
        ((448, 448), (448, 448), 196 + 2),
        ((1280, 720), (1280, 704), 880 + 2),
        ((1024, 1024), (1024, 1024), 1024 + 2),
        ((1920, 1080), (1920, 1088), 2040 + 2),
        ((3840, 2160), (3840, 2176), 8160 + 2),
        ((1024, 768), (1024, 768), 768 + 2),
        ((1, 1), (256, 256), 64 + 2),
        ((8000, 6000), (4704, 3520), 147 * 110 + 2),
    ],
)
def test_known_sizes_cost_the_known_tokens(size: tuple[int, int], fitted: tuple[int, int], tokens: int) -> None:
    assert fit(*size, PixelLimits()) == fitted
    assert image_tokens(*fitted) == tokens


@pytest.mark.parametrize(
    ("size", "fitted"),
    [((1280, 960), (1280, 960)), ((4000, 3000), (1312, 960)), ((1920, 1080), (1504, 832)), ((640, 480), (640, 480))],
)
def test_known_sizes_under_the_limits_of_a_chat(size: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert fit(*size, CHAT_LIMITS) == fitted


@given(SIDES, SIDES, LIMITS)
@example(60, 10_000, PixelLimits(65_536, 131_072))
def test_the_processor_leaves_a_fitted_size_as_it_is(width: int, height: int, limits: PixelLimits) -> None:
    """So the tokens counted at intake are the tokens the engine sees."""
    try:
        fitted = fit(width, height, limits)
    except Refused:
        return
    assert one_step(*fitted, limits) == fitted
    assert limits.min_pixels <= fitted[0] * fitted[1] <= limits.max_pixels
    assert all(side % 32 == 0 and side > 0 for side in fitted)
    assert image_tokens(*fitted) == fitted[0] * fitted[1] / 1024 + 2


@given(SIDES, SIDES, LIMITS)
def test_one_step_of_the_processor_is_enough_for_all_but_thin_strips(w: int, h: int, limits: PixelLimits) -> None:
    step = one_step(w, h, limits)
    assume(max(w, h) <= 200 * min(w, h) and max(step) <= 200 * min(step))
    if limits.min_pixels <= step[0] * step[1] <= limits.max_pixels:
        assert fit(w, h, limits) == step


@given(SIDES, SIDES, LIMITS)
def test_a_turned_photo_gets_the_turned_size(width: int, height: int, limits: PixelLimits) -> None:
    try:
        fitted = fit(width, height, limits)
    except Refused:
        with pytest.raises(Refused):
            fit(height, width, limits)
    else:
        assert fit(height, width, limits) == fitted[::-1]


@given(st.integers(1, 10), st.integers(4096, 262_144), SIDES, SIDES)
def test_an_album_takes_at_most_half_the_context(photos: int, context: int, width: int, height: int) -> None:
    assume(max(width, height) <= 100 * min(width, height))
    limits = share(CHAT_LIMITS, photos, context)
    assert limits.max_pixels <= CHAT_LIMITS.max_pixels
    assert image_tokens(*fit(width, height, limits)) * photos <= context / 2


def test_one_photo_in_a_long_context_keeps_the_models_limits() -> None:
    assert share(CHAT_LIMITS, 1, 32_768) == CHAT_LIMITS


def test_an_album_too_large_for_the_context_gets_the_smallest_photos() -> None:
    assert share(CHAT_LIMITS, 100, 4096) == PixelLimits(65_536, 131_072)
