"""The figures of the report as SVG to be set into a page, drawn without a screen."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.channels import parse_channel, position
from ranvier.decoding import Prediction
from ranvier.recording import Array
from ranvier.truth import Events

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

# Colours that stay apart for the colour-blind (Okabe & Ito, Color Universal Design, 2008).
BLUE, VERMILION, AMBER, INK, FAINT = "#0072B2", "#D55E00", "#E69F00", "#333333", "#8C8C8C"
NOT_VALID = "#BDBDBD"
HEAT = "YlGnBu"
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ranvier",
    "text.parse_math": False,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), FAINT),
    **dict.fromkeys(("text.color", "axes.labelcolor"), INK),
    **dict.fromkeys(("xtick.labelcolor", "ytick.labelcolor"), INK),
}
COLUMNS = 1200
"""Most columns of a timeline; where there are more outputs, each shows the highest of several."""
POINTS = 800
"""Most points of a curve."""
LABELLED_SITES = 24
RIM = 102.0
"""Degrees from the vertex at which the outline of the head is drawn."""

Curve = tuple[Array, Array]
"""True and false positives at each threshold, from the highest threshold on."""


@dataclass(frozen=True)
class Excerpt:
    """The stretch of a recording that is shown.

    Parameters
    ----------
    prediction, truth
        What was found, and what is annotated.
    threshold
        Of the alarm.
    start, stop
        Seconds between which it is shown.
    """

    prediction: Prediction
    truth: Events
    threshold: float
    start: float
    stop: float

    @property
    def shown(self) -> Array:
        """Which outputs lie in the stretch."""
        times = self.prediction.times
        return np.asarray((times > self.start) & (times <= self.stop))

    @property
    def peak(self) -> int | None:
        """Output with the highest probability, in a seizure if there is one; None if none is."""
        in_seizure = self.shown & (self.prediction.targets(self.truth) > 0)
        for among in (in_seizure, self.shown):
            probability = np.where(among, self.prediction.probability, np.nan)
            if not np.isnan(probability).all():
                return int(np.nanargmax(probability))
        return None


def _drawn(size: tuple[float, float], title: str, paint: Callable[[Figure], None]) -> str:
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise ValueError('Matplotlib is missing: pip install "ranvier[train]"') from None
    buffer = StringIO()
    with style.context(["default", STYLE]):
        figure = Figure(figsize=size)
        paint(figure)
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing)
    return _inline(buffer.getvalue(), title)


def _inline(svg: str, title: str) -> str:
    """Leave out what a page does not need: the prologue, names of groups, fonts, a fixed size."""
    opening = re.search(r'<svg[^>]*viewBox="([^"]*)"[^>]*>', svg)
    assert opening is not None
    body = re.sub(r'<g id="[^"]*"', "<g", svg[opening.end() :])
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    return f'<svg role="img" viewBox="{opening[1]}"><title>{escape(title)}</title>{body}'


def count_hits(labels: Array, probability: Array) -> Curve:
    """Count true and false positives at each threshold, from the highest one on."""
    order = np.argsort(-probability, kind="stable")
    last_of_equals = np.append(np.diff(probability[order]) != 0, [True] * min(1, len(order)))
    true = np.cumsum(labels[order])[last_of_equals]
    return true, np.flatnonzero(last_of_equals) + 1 - true


def _thinned(x: Array, y: Array) -> Curve:
    points = np.column_stack((x, y))
    new = np.any(np.diff(points.round(3), axis=0) != 0, axis=1)
    kept = np.flatnonzero(np.concatenate([[True], new[:-1], [True]]))
    kept = kept[np.unique(np.linspace(0, len(kept) - 1, POINTS).astype(int))]
    return x[kept], y[kept]


def roc_figure(curves: Mapping[str, Curve]) -> str:
    """Draw the receiver operating characteristics, by name; the first is the network's."""

    def paint(figure: Figure) -> None:
        axes = _square(figure, "false positive rate", "sensitivity")
        axes.plot([0, 1], [0, 1], ":", color=FAINT, label="chance")
        for (name, (true, false)), look in zip(curves.items(), LOOKS, strict=False):
            x, y = (np.append(0, counts) / counts[-1] for counts in (false, true))
            axes.plot(*_thinned(x, y), label=name, **look)
        axes.legend(loc="lower right", frameon=False)

    return _drawn((4.6, 4.2), "Receiver operating characteristic of the outputs", paint)


def precision_recall_figure(curves: Mapping[str, Curve]) -> str:
    """Draw precision against recall, by name; the first is the network's."""

    def paint(figure: Figure) -> None:
        axes = _square(figure, "sensitivity (recall)", "precision")
        for (name, (true, false)), look in zip(curves.items(), LOOKS, strict=False):
            recall, precision = true / true[-1], true / (true + false)
            x, y = _thinned(np.append(0, recall), np.append(precision[0], precision))
            axes.plot(x, y, drawstyle="steps-pre", label=name, **look)
        true, false = next(iter(curves.values()))
        share = true[-1] / (true[-1] + false[-1])
        axes.axhline(share, ls=":", color=FAINT, label=f"chance ({share:.3f})")
        axes.legend(loc="upper right", frameon=False)

    return _drawn((4.6, 4.2), "Precision of the outputs against their recall", paint)


LOOKS: tuple[dict[str, Any], ...] = (
    {"color": BLUE, "lw": 1.8, "zorder": 3},
    {"color": VERMILION, "lw": 1.5, "ls": "--", "zorder": 2},
)


def _square(figure: Figure, across: str, upwards: str) -> Axes:
    axes = figure.add_axes((0.12, 0.12, 0.85, 0.85))
    axes.set(xlabel=across, ylabel=upwards, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set_aspect("equal")
    return axes


def timeline_figure(excerpt: Excerpt) -> str:
    """Draw truth, detections, probability and the probability of each site over time."""
    sites = len(excerpt.prediction.site_names)
    height = 2.9 + min(sites, LABELLED_SITES) * 0.16
    unit, name = (60.0, "minutes") if excerpt.stop - excerpt.start > 300 else (1.0, "seconds")

    def paint(figure: Figure) -> None:
        ratios = (0.6, 1.4, 0.16 * min(sites, LABELLED_SITES)) if sites else (0.6, 1.4)
        inches = {"top": 1 - 0.1 / height, "bottom": 0.5 / height}
        grid = figure.add_gridspec(
            len(ratios), 2, width_ratios=(60, 1), height_ratios=ratios,
            left=0.09, right=0.935, wspace=0.03, hspace=0.14, **inches,
        )  # fmt: skip
        rows = [figure.add_subplot(grid[i, 0]) for i in range(len(ratios))]
        edges, probability, per_site = _columns(excerpt)
        _paint_tracks(rows[0], excerpt, unit)
        _paint_probability(rows[1], excerpt, edges / unit, probability, unit)
        if sites:
            heat = _paint_sites(rows[2], excerpt, edges / unit, per_site, unit)
            figure.colorbar(heat, cax=figure.add_subplot(grid[2, 1]), label="probability of a site")
        for axes in rows:
            axes.set_xlim(excerpt.start / unit, excerpt.stop / unit)
            axes.tick_params(labelbottom=axes is rows[-1])
        rows[-1].set_xlabel(f"{name} from the start of the recording")

    return _drawn((9.6, height), "Timeline of a recording: marked, detected, probability", paint)


def _columns(excerpt: Excerpt) -> tuple[Array, Array, Array]:
    """Return edges in seconds, and the highest probability in each column, in all and by site."""
    prediction, shown = excerpt.prediction, excerpt.shown
    size = max(1, math.ceil(np.count_nonzero(shown) / COLUMNS))
    probability = _highest(prediction.probability[shown], size)
    first = prediction.times[shown][0] - prediction.hop if shown.any() else excerpt.start
    edges = first + np.arange(len(probability) + 1) * size * prediction.hop
    return edges, probability, _highest(prediction.sites[shown], size)


def _highest(values: Array, size: int) -> Array:
    missing = np.full((-len(values) % size, *values.shape[1:]), np.nan)
    padded = np.concatenate([values, missing])
    columns = padded.reshape(len(padded) // size, size, *values.shape[1:])
    return np.asarray(np.fmax.reduce(columns, axis=1))


def _paint_tracks(axes: Axes, excerpt: Excerpt, unit: float) -> None:
    found = excerpt.prediction.events
    for row, events, color in ((2, excerpt.truth.seizures(), AMBER), (1, found, BLUE)):
        spans = [(event.onset / unit, event.duration / unit) for event in events]
        axes.broken_barh(spans, (row - 0.32, 0.64), color=color, lw=1)
    alarms = excerpt.prediction.alarms / unit
    axes.plot(alarms, np.zeros(len(alarms)), "^", color=VERMILION, markersize=6)
    axes.set_ylim(-0.6, 2.6)
    axes.set_yticks((0, 1, 2), labels=("alarms", "detected", "marked"))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _paint_probability(
    axes: Axes, excerpt: Excerpt, edges: Array, probability: Array, unit: float
) -> None:
    axes.stairs(np.isnan(probability) * 1.05, edges, fill=True, color=NOT_VALID, lw=0)
    for onset, end in excerpt.truth.seizures().intervals() / unit:
        axes.axvspan(onset, end, color=AMBER, alpha=0.3, lw=0)
    axes.axhline(excerpt.threshold, ls="--", lw=1, color=VERMILION)
    axes.annotate(
        f"threshold\n{excerpt.threshold:.3f}", (1.005, excerpt.threshold), va="center",
        xycoords=("axes fraction", "data"), color=VERMILION, fontsize=8, annotation_clip=False,
    )  # fmt: skip
    axes.stairs(probability, edges, baseline=None, color=BLUE, lw=1)
    axes.set(ylim=(0, 1.05), ylabel="probability")


def _paint_sites(axes: Axes, excerpt: Excerpt, edges: Array, sites: Array, unit: float) -> Any:
    names = excerpt.prediction.site_names
    colors, scale = _heat(sites)
    heat = axes.imshow(
        sites.T, cmap=colors, norm=scale, aspect="auto", interpolation="none",
        extent=(edges[0], max(edges[-1], edges[0] + 1e-9), len(names) - 0.5, -0.5),
    )  # fmt: skip
    step = math.ceil(len(names) / LABELLED_SITES)
    axes.set_yticks(range(0, len(names), step), labels=names[::step], fontsize=8)
    axes.tick_params(axis="y", length=0)
    for edge in (excerpt.truth.seizures().intervals() / unit).ravel():
        axes.axvline(edge, color=VERMILION, lw=1.3, ls="--")
    return heat


def _heat(values: Array) -> tuple[Colormap, Normalize]:
    """Return colours from 0 to the highest value, rounded up to a tenth; grey where not valid."""
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    highest = np.fmax.reduce(values.ravel(), initial=0.0)
    return colormaps[HEAT].with_extremes(bad=NOT_VALID), Normalize(
        0, max(0.1, math.ceil(highest * 10 - 1e-6) / 10)
    )


def head_figure(names: Sequence[str], values: Array) -> str:
    """Draw the probability of each site on a head seen from above; empty if no site is known.

    Parameters
    ----------
    names
        Of the sites; those that are no electrode or derivation of the scalp are left out.
    values
        Probability of each, NaN where not valid, (site,).
    """
    known = [i for i, name in enumerate(names) if parse_channel(name)]
    if not known:
        return ""

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.01, 0.01, 0.79, 0.98))
        _paint_head(axes)
        colors, scale = _heat(values[known])
        places = np.array([flat_position(names[i]) for i in known])
        dots = axes.scatter(
            places[:, 0], places[:, 1], c=values[known], s=190, cmap=colors, norm=scale,
            plotnonfinite=True, edgecolors=INK, linewidths=0.7, zorder=3,
        )  # fmt: skip
        shades = colors(np.ma.masked_invalid(scale(values[known])))
        for i, place, shade in zip(known, places, shades, strict=True):
            ends = [flat_position(end) for end in _electrodes(names[i])]
            across = np.array([ends[0], place, ends[-1]])
            axes.plot(across[:, 0], across[:, 1], color=shade, lw=5, zorder=2)
        for name in dict.fromkeys(end for i in known for end in _electrodes(names[i])):
            x, y = flat_position(name).tolist()
            axes.text(x, y, name, **LABEL)
        bar = figure.add_axes((0.83, 0.25, 0.025, 0.5))
        figure.colorbar(dots, cax=bar, label="probability of a site")

    return _drawn((5.2, 4.3), "Probability of each site on a head seen from above", paint)


LABEL: dict[str, Any] = {
    "ha": "center",
    "va": "center",
    "fontsize": 8,
    "zorder": 4,
    "bbox": {"boxstyle": "round,pad=0.15", "color": "white", "alpha": 0.85},
}


def _electrodes(site: str) -> list[str]:
    """Return the electrodes of a site: one, or the two of a derivation."""
    channel = parse_channel(site)
    return channel.name.split("-") if channel else []


def flat_position(site: str) -> Array:
    """Return the place of a site seen from above, to the right and to the front.

    Angles from the vertex are kept as distances (azimuthal equidistant projection); 1 is the
    outline of the head.
    """
    x, y, z = position(site)
    distance = np.degrees(np.arctan2(np.hypot(x, y), z)) / RIM
    return np.asarray(distance * np.array([x, y]) / max(np.hypot(x, y), 1e-12))


def _paint_head(axes: Axes) -> None:
    angle = np.linspace(0, 2 * np.pi, 181)
    axes.plot(np.cos(angle), np.sin(angle), color=FAINT, lw=1.4)
    axes.plot((-0.1, 0, 0.1), (0.995, 1.11, 0.995), color=FAINT, lw=1.4)
    for side in (-1, 1):
        ear = 1.0 + 0.07 * np.sin(angle[:91])
        axes.plot(side * ear, 0.17 * np.cos(angle[:91]), color=FAINT, lw=1.4)
    axes.set(xlim=(-1.16, 1.16), ylim=(-1.12, 1.16), aspect="equal")
    axes.set_axis_off()


def delay_figure(delays: Array) -> str:
    """Draw how many alarms came how long after the onset; ``delays`` in seconds."""
    span = float(delays.max() - min(0.0, delays.min()))
    width = next((width for width in (2, 5, 10, 20, 30) if span / width <= 16), span / 16)
    first = math.floor(min(0.0, delays.min()) / width)
    edges = np.arange(first, math.floor(delays.max() / width) + 2) * width

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.1, 0.18, 0.87, 0.77))
        axes.hist(delays, edges.tolist(), color=BLUE, edgecolor="white")
        axes.axvline(0, color=AMBER, lw=1.5)
        axes.axvline(float(np.median(delays)), color=INK, lw=1.2, ls="--")
        axes.set(xlabel="seconds from the marked onset to the alarm", ylabel="seizures")
        axes.locator_params(axis="y", integer=True)

    return _drawn((5.2, 2.9), "Histogram of the delays from onset to alarm", paint)
