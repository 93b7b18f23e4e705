"""The admins' picture: a PNG of its size, whatever was measured and whatever was not."""

from __future__ import annotations

import io
import time
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from PIL import Image

from bots.dashboard import draw
from storage.status import Point

EMPTY = tuple(Point(1_790_000_000.0 + 60 * n) for n in range(60))
BUSY = tuple(Point(each.at, 3.0 + n, 0.4, 1.5, 200.0, 90.0, 95.0) for n, each in enumerate(EMPTY))
DOWN = (*BUSY[:40], *(Point(each.at, 50.0) for each in EMPTY[40:]))


@pytest.mark.parametrize("points", [EMPTY, BUSY, DOWN, EMPTY[:2]], ids=["no data", "busy", "engine down", "short"])
@pytest.mark.parametrize("zone", [UTC, ZoneInfo("Asia/Shanghai")], ids=str)
def test_it_is_drawn_whatever_was_measured(points: tuple[Point, ...], zone: ZoneInfo) -> None:
    picture = Image.open(io.BytesIO(draw(points, zone, "askpix")))
    assert (picture.format, picture.size) == ("PNG", (900, 600))
    assert len(picture.convert("RGB").getcolors(1 << 20) or ()) > 20


def test_over_the_hour_in_which_clocks_go_back_it_is_drawn_too() -> None:
    at = time.mktime((2026, 10, 25, 0, 0, 0, 0, 0, 0))
    assert draw([Point(at + 60 * n, 1.0) for n in range(240)], ZoneInfo("Europe/Berlin"), "askpix")
