"""The figures of the report of movement, drawn as those of ``figures``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ranvier.figures import BLUE, FAINT, INK, VERMILION, _drawn
from ranvier.recording import Array
from ranvier.tasks.movement_scores import MovementScore

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOKS: tuple[dict[str, Any], ...] = (
    {"color": BLUE, "lw": 1.6},
    {"color": VERMILION, "lw": 1.3, "ls": "--"},
)


class Dot(NamedTuple):
    """What is drawn of a decoder."""

    name: str
    value: float
    interval: tuple[float, float]
    """NaN where there is none."""
    parts: Array
    """The value of each tested part."""


class Reach(NamedTuple):
    """A way in the plane from where it began, as it was and as it was decoded; (sample, 2)."""

    true: Array
    decoded: Array


def dots_figure(dots: Sequence[Dot], title: str, across: str) -> str:
    """Draw a value of each decoder with its interval.

    Parameters
    ----------
    dots
        From top to bottom; a value of NaN is not drawn.
    title, across
        For those who do not see it, and of the lower axis.
    """
    height = 1.0 + 0.36 * len(dots)
    longest = max(len(dot.name) for dot in dots)

    def paint(figure: Figure) -> None:
        left = min(0.45, 0.06 + 0.0165 * longest)
        axes = figure.add_axes((left, 0.52 / height, 0.97 - left, 1 - 0.6 / height))
        for place, dot in zip(range(len(dots))[::-1], dots, strict=True):
            axes.plot(dot.parts, [place] * len(dot.parts), "o", ms=3, color=FAINT, alpha=0.6)
            _paint_interval(axes, place, dot.value, dot.interval)
        axes.axvline(0, color=FAINT, lw=1, ls=":")
        axes.set_yticks(range(len(dots))[::-1], labels=[dot.name for dot in dots])
        axes.tick_params(axis="y", length=0)
        axes.set(xlabel=across, ylim=(-0.6, len(dots) - 0.4))

    return _drawn((4.6, height), title, paint)


def _paint_interval(axes: Axes, place: float, value: float, bounds: Sequence[float]) -> None:
    axes.plot(bounds, [place, place], color=BLUE, lw=2, solid_capstyle="butt")
    axes.plot([value], [place], "o", color=BLUE, ms=6)


def stretch_figure(score: MovementScore, start: float, stop: float, unit: str) -> str:
    """Draw true and decoded values of each axis between two times, in seconds."""
    shown = (score.times >= start) & (score.times <= stop)
    times, breaks = score.times[shown], np.flatnonzero(np.diff(score.stretches[shown])) + 1
    height = 0.7 + 1.35 * len(score.axes)

    def paint(figure: Figure) -> None:
        rows = np.atleast_1d(figure.subplots(len(score.axes), 1, sharex=True))
        figure.subplots_adjust(left=0.08, right=0.985, top=0.94, bottom=0.5 / height, hspace=0.16)
        for number, (axes, name) in enumerate(zip(rows, score.axes, strict=True)):
            for values, label, look in (
                (score.targets, "true", {"color": INK, "lw": 1.1}),
                (score.outputs, "decoded", LOOKS[0]),
            ):
                column = _broken(values[shown, number], breaks)
                axes.plot(_broken(times, breaks), column, label=label, **look)
            axes.axhline(0, color=FAINT, lw=0.6)
            axes.set_ylabel(f"{name} ({unit})" if unit else name)
        rows[0].legend(loc="lower left", bbox_to_anchor=(0, 0.97), ncols=2, frameon=False)
        rows[-1].set(xlabel="seconds from the start of the tested part", xlim=(start, stop))

    return _drawn((9.6, height), "True and decoded movement over time", paint)


def _broken(values: Array, breaks: Array) -> Array:
    """Put NaN where a gap is, so that no line goes over it."""
    return np.asarray(np.insert(values.astype(float), breaks, np.nan))


def reaches_figure(
    reaches: Sequence[Reach], which: str, axes_names: Sequence[str], unit: str
) -> str:
    """Draw ways in the plane, a colour for each true direction.

    Parameters
    ----------
    reaches
        All of them set the limits, so that true and decoded ones are drawn alike.
    which
        ``"true"`` or ``"decoded"``.
    axes_names, unit
        What is drawn to the right and upwards, and in what.
    """
    both = np.concatenate([way for reach in reaches for way in reach])
    low, high = both.min(axis=0), both.max(axis=0)
    middle, half = (low + high) / 2, max(float((high - low).max()) * 0.54, 1e-9)
    names = [f"{name} ({unit})" if unit else name for name in axes_names]

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.145, 0.115, 0.83, 0.865))
        for reach in reaches:
            way, color = getattr(reach, which), _color(reach.true[-1])
            axes.plot(*way.T, color=color, lw=1.1)
            axes.plot(*way[-1], "o", color=color, ms=3)
        axes.plot(0, 0, "+", color=INK, ms=9, zorder=3)
        limits = np.stack([middle - half, middle + half], axis=1).tolist()
        axes.set(xlabel=names[0], ylabel=names[1], xlim=limits[0], ylim=limits[1])
        axes.set_aspect("equal")

    return _drawn((4.6, 4.4), f"Reaches in the plane, {which}", paint)


def _color(end: Array) -> tuple[float, ...]:
    """Return a colour that tells the direction from the start."""
    from matplotlib.colors import hsv_to_rgb

    turn = float(np.arctan2(end[1], end[0]) / (2 * np.pi)) % 1.0
    return tuple(hsv_to_rgb((turn, 0.85, 0.72)).tolist())


def lag_figure(
    curves: Mapping[str, tuple[Array, Array]], title: str, across: str, *, best: float
) -> str:
    """Draw R² uniform against a lag in milliseconds.

    Parameters
    ----------
    curves
        Lags and values, by name; one or two.
    title, across
        For those who do not see it, and of the lower axis.
    best
        Lag of the highest value of the first, in milliseconds.
    """

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.145, 0.15, 0.83, 0.82))
        axes.axvline(0, color=FAINT, lw=1, ls=":")
        for (name, (lags, values)), look in zip(curves.items(), LOOKS, strict=False):
            axes.plot(lags, values, marker="o", ms=4, label=name, **look)
        if not np.isnan(best):
            axes.axvline(best, color=BLUE, lw=1, ls="--")
        axes.set(xlabel=across, ylabel="R² uniform")
        if len(curves) > 1:
            axes.legend(frameon=False)

    return _drawn((4.6, 3.4), title, paint)
