"""The figures of drift over days, drawn as those of ``figures``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.drift import DriftMatrix, Point
from ranvier.drift.matrix import FULL, READOUT, WEIGHTED, ZERO
from ranvier.figures import BLUE, FAINT, HEAT, INK, VERMILION, _drawn

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DARK = 0.55
"""R² from which a cell is so dark that its text is white."""
ACROSS = 12
"""Most days of which each cell says its number."""
CURVES: dict[str, dict[str, Any]] = {
    READOUT: {"color": BLUE, "marker": "o", "label": "readout refitted"},
    FULL: {"color": VERMILION, "marker": "s", "ls": "--", "label": "trained from nothing"},
}


def drift_matrix_figure(matrix: DriftMatrix, *, measure: str = WEIGHTED) -> str:
    """Draw R² of decoders of each day on each day, one panel for each way."""
    ways = [way for way in matrix.scores if way != FULL]
    names = list(matrix.days)

    def paint(figure: Figure) -> None:
        panels = figure.subplots(1, len(ways), sharey=True, squeeze=False)[0]
        for axes, way in zip(panels, ways, strict=True):
            values = matrix.scores[way][measure]
            heat = axes.imshow(values, cmap=HEAT, vmin=0, vmax=1, interpolation="none")
            for (row, column), value in np.ndenumerate(values):
                ink = "white" if value > DARK else INK
                said = f"{value:.2f}" if len(names) <= ACROSS else ""
                axes.text(column, row, said, ha="center", va="center", color=ink, fontsize=8)
            axes.set_xticks(range(len(names)), labels=names)
            axes.set_yticks(range(len(names)), labels=names)
            axes.set(title=way, xlabel="tested on session")
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
        panels[0].set_ylabel("learnt on session")
        figure.subplots_adjust(left=0.07, right=0.9, bottom=0.14, top=0.9, wspace=0.06)
        bar = figure.add_axes((0.92, 0.14, 0.012, 0.76))
        figure.colorbar(heat, cax=bar, label="R², weighted by variance")

    return _drawn((3.0 * len(ways) + 1.0, 3.4), "R² of decoders of each day on each day", paint)


def minutes_figure(curves: Sequence[Sequence[Point]], full: float) -> str:
    """Draw mean R² over curves against minutes of calibration data.

    Parameters
    ----------
    curves
        With the same points, such as those of several days or subjects.
    full
        Mean R² of decoders that were trained on all of the day.
    """
    values = np.array([[point.r2_variance_weighted for point in one] for one in curves])
    points, mean = curves[0], values.mean(axis=0)

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.14, 0.15, 0.83, 0.82))
        for way, look in CURVES.items():
            own = [i for i, point in enumerate(points) if point.way == way]
            if own:
                axes.plot([points[i].minutes for i in own], mean[own], **look)
        zero = mean[[point.way == ZERO for point in points]].mean()
        axes.axhline(zero, ls=":", color=INK, label="as it is")
        axes.axhline(full, ls="-.", color=FAINT, label="trained on the whole day")
        axes.set(xlabel="minutes of calibration data", ylabel="R², weighted by variance")
        axes.set_xlim(0, None)
        axes.legend(loc="center right", frameon=False)

    return _drawn((4.8, 3.2), "R² against minutes of calibration data", paint)


def as_file(svg: str) -> str:
    """Return a figure as the content of a file of its own."""
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert size is not None
    spaces = (
        'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{size[1]}pt" height="{size[2]}pt" font-family="sans-serif"'
    )
    return svg.replace("<svg ", f"<svg {spaces} ", 1)
