"""The admins' picture: queue, first word, tokens a second and GPU over the last hour or day. It alone knows matplotlib.

Its few words are English: the font that matplotlib brings has no Chinese.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime, tzinfo
from math import isfinite, nan
from typing import Any

from storage.status import Point

# Light on dark, whatever the chat's own theme: a chat shows a picture on its own ground.
GROUND, INK, FAINT = "#17212b", "#e8eef4", "#6c7d8c"
BLUE, AMBER, GREEN, PINK = "#5eb5f7", "#f2b15d", "#7bd88f", "#f28fad"


def draw(points: Sequence[Point], zone: tzinfo, title: str) -> bytes:
    """A PNG of 900 × 600 pixels. Takes a third of a second, the first time one: call it in a thread."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(9, 6), dpi=100, facecolor=GROUND, layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(2, 2, sharex=True)
    times: list[Any] = [datetime.fromtimestamp(each.at, zone) for each in points]
    for axis, (name, lines) in zip(axes.flat, _charts(points), strict=True):
        axis.set_facecolor(GROUND)
        axis.set_title(name, color=INK, fontsize=11, loc="left")
        axis.grid(visible=True, color=FAINT, alpha=0.25, linewidth=0.6)
        axis.spines[:].set_visible(False)
        axis.tick_params(colors=FAINT, labelsize=9, length=0)
        known = [(label, colour, values) for label, colour, values in lines if any(map(isfinite, values))]
        for label, colour, values in known:
            axis.plot(times, values, color=colour, linewidth=1.8, label=label, marker=".", markersize=3)
            axis.fill_between(times, values, color=colour, alpha=0.12, linewidth=0)
        if len(known) > 1:
            axis.legend(loc="upper left", frameon=False, fontsize=9, labelcolor=INK, ncols=2)
        if not known:
            axis.set_yticks([])
            axis.text(0.5, 0.5, "no data", transform=axis.transAxes, ha="center", color=FAINT, fontsize=12)
        axis.set_ylim(
            0, 1.25 * max((value for *_, values in known for value in values if isfinite(value)), default=1) or 1
        )
        axis.set_xlim(times[0], times[-1])
        locator = AutoDateLocator(tz=zone, minticks=3, maxticks=7)
        axis.xaxis.set_major_locator(locator)
        axis.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone, show_offset=False))
    figure.suptitle(title, color=INK, fontsize=12, x=0.01, ha="left")
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()


def _charts(points: Sequence[Point]) -> list[tuple[str, list[tuple[str, str, list[float]]]]]:
    def line(label: str, colour: str, name: str) -> tuple[str, str, list[float]]:
        return label, colour, [nan if (value := getattr(each, name)) is None else value for each in points]

    return [
        ("Questions waiting", [line("waiting", BLUE, "waiting")]),
        ("First word, s", [line("p50", GREEN, "first_p50"), line("p95", AMBER, "first_p95")]),
        ("Tokens a second", [line("tokens/s", BLUE, "tokens_per_second")]),
        ("GPU, %", [line("busy", PINK, "gpu_busy"), line("memory", AMBER, "gpu_memory")]),
    ]
