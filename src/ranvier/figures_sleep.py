"""The figures of the report of sleep staging, drawn as those of ``figures``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.decoding import Prediction
from ranvier.figures import AMBER, BLUE, FAINT, INK, NOT_VALID, VERMILION, _drawn, _square
from ranvier.recording import Array
from ranvier.spectrogram import Spectrogram
from ranvier.tasks.agreement import BlandAltman, Reliability
from ranvier.tasks.sleep_statistics import REM
from ranvier.truth import SLEEP_STAGES, Hypnogram, Truth

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVELS = ("N3", "N2", "N1", "REM", "W")
"""From the deepest to the lightest, as a hypnogram is drawn."""
HEIGHTS = np.array([LEVELS.index(stage) for stage in SLEEP_STAGES])
# Colours that stay apart for the colour-blind (Okabe & Ito, 2008), N3 a darker blue.
COLORS = {"N3": "#1B2A5C", "N2": BLUE, "N1": "#56B4E9", "REM": VERMILION, "W": "#F0E442"}
SHADES = "Blues"
DARK_SHADE = 0.62
"""Share from which a cell is so dark that its text is white."""
SHORT_HOURS = 2.0
"""Shorter nights are drawn in minutes."""
BARS, TALLEST = "#D9DEE4", 0.3
"""Colour and greatest height of the bars behind a calibration curve."""


@dataclass(frozen=True, eq=False)
class StagedNight:
    """What a scorer and a network say about each epoch of a night.

    Parameters
    ----------
    name, subject
        Of the recording.
    edges
        Seconds between which the epochs lie, (epoch + 1,).
    scored, found
        Number of the stage by the scorer and by the network, (epoch,); NaN where not known.
    probabilities
        (epoch, stage); NaN where not valid.
    """

    name: str
    subject: str
    edges: Array
    scored: Array
    found: Array
    probabilities: Array

    @classmethod
    def of(cls, prediction: Prediction, truth: Truth) -> StagedNight:
        """Set a prediction beside what is marked."""
        times = prediction.times
        edges = np.append(times - prediction.hop, times[-1:])
        scored, found = prediction.targets(truth), prediction.rows[:, 0]
        return cls(prediction.name, prediction.subject, edges, scored, found, prediction.values)

    @property
    def known(self) -> Array:
        """Which epochs are known in both."""
        return np.asarray(~(np.isnan(self.scored) | np.isnan(self.found)))

    @property
    def hop(self) -> float:
        """Seconds of an epoch."""
        return float(self.edges[1] - self.edges[0])

    @property
    def differs(self) -> Array:
        """Where scorer and network disagree."""
        return np.asarray(self.known & (self.scored != self.found))

    def hypnogram(self, stages: Array) -> Hypnogram:
        """Return numbers of stages, NaN where not known, as a hypnogram."""
        names = ("" if np.isnan(stage) else SLEEP_STAGES[int(stage)] for stage in stages)
        first, end = float(self.edges[0]), float(self.edges[-1])
        return Hypnogram(tuple(names), end, self.hop, first)


def staged_nights(
    predictions: Sequence[Prediction], truth: Mapping[str, Truth]
) -> list[StagedNight]:
    """Set every prediction that has an epoch beside what is marked, by name of the recording."""
    return [StagedNight.of(one, truth[one.name]) for one in predictions if len(one.times)]


def night_figure(night: StagedNight, above: Spectrogram | None = None) -> str:
    """Draw the hypnograms of scorer and network, and the probabilities of the stages below.

    Parameters
    ----------
    night
        What is drawn.
    above
        Of the same recording, drawn on top.
    """
    hours = float(night.edges[-1] - night.edges[0]) / 3600
    seconds, name = (60.0, "minutes") if hours < SHORT_HOURS else (3600.0, "hours")
    edges = night.edges / seconds

    def paint(figure: Figure) -> None:
        heights = (1, 1, 1.1) if above is None else (1.1, 1, 1, 1.1)
        spacing = {"hspace": 0.16, "height_ratios": heights}
        every = figure.subplots(len(heights), 1, sharex=True, gridspec_kw=spacing)
        figure.subplots_adjust(left=0.095, right=0.945, top=0.985, bottom=0.095)
        rows = every[-3:]
        if above is not None:
            _paint_spectrogram(every[0], above, seconds)
        for axes, who, stages in zip(
            rows, ("scorer", "network"), (night.scored, night.found), strict=False
        ):
            _paint_hypnogram(axes, edges, stages, night.differs)
            axes.set_ylabel(who)
        _paint_hypnodensity(rows[2], edges, night.probabilities)
        rows[2].set_xlim(edges[0], edges[-1])
        rows[2].set_xlabel(f"{name} from the start of the recording")

    size = (9.6, 5.6 if above is None else 7.2)
    return _drawn(size, "A night: scorer, network, probabilities of the stages", paint)


def _paint_spectrogram(axes: Axes, above: Spectrogram, seconds: float) -> None:
    from matplotlib import colormaps

    known = above.power[~np.isnan(above.power)]
    low, high = np.quantile(known, [0.05, 0.98]) if len(known) else (0.0, 1.0)
    step = above.frequencies[1] - above.frequencies[0]
    borders = np.append(above.frequencies, above.frequencies[-1] + step) - step / 2
    image = axes.pcolormesh(
        above.edges / seconds, borders, above.power.T, vmin=low, vmax=high, rasterized=True,
        cmap=colormaps["viridis"].with_extremes(bad=NOT_VALID),
    )  # fmt: skip
    axes.set_ylabel("Hz")
    beside = axes.inset_axes((1.012, 0.1, 0.012, 0.8))
    axes.figure.colorbar(image, cax=beside).ax.tick_params(labelsize=7, length=2)
    beside.set_title("dB", fontsize=7)


def _paint_hypnogram(axes: Axes, edges: Array, stages: Array, differs: Array) -> None:
    for begin, end in _runs(differs):
        axes.axvspan(edges[begin], edges[end], color=AMBER, alpha=0.3, lw=0)
    heights = np.where(np.isnan(stages), np.nan, HEIGHTS[np.nan_to_num(stages).astype(int)])
    axes.stairs(heights, edges, baseline=None, color=INK, lw=1)
    spans = [(edges[begin], edges[end] - edges[begin]) for begin, end in _runs(stages == REM)]
    axes.broken_barh(spans, (LEVELS.index("REM") - 0.16, 0.32), color=VERMILION, lw=0, zorder=3)
    axes.set_ylim(-0.5, len(LEVELS) - 0.5)
    axes.set_yticks(range(len(LEVELS)), labels=LEVELS)
    axes.get_yticklabels()[LEVELS.index("REM")].set_color(VERMILION)
    axes.tick_params(length=0)


def _runs(chosen: Array) -> list[tuple[int, int]]:
    """Return where runs of chosen epochs begin, and where each is over."""
    borders = np.diff(chosen.astype(int), prepend=0, append=0)
    return list(
        zip(
            np.flatnonzero(borders == 1).tolist(),
            np.flatnonzero(borders == -1).tolist(),
            strict=True,
        )
    )


def _paint_hypnodensity(axes: Axes, edges: Array, probabilities: Array) -> None:
    """Draw the whole first and the deeper stages over it, so that no seam shows between them."""
    ordered = probabilities[:, [SLEEP_STAGES.index(stage) for stage in LEVELS]]
    for stage, top in reversed([*zip(LEVELS, ordered.cumsum(axis=1).T, strict=True)]):
        axes.stairs(top, edges, fill=True, color=COLORS[stage], lw=0, label=stage)
    axes.set(ylim=(0, 1), ylabel="probability")
    axes.legend(
        loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8,
        handlelength=0.9, handletextpad=0.4, borderaxespad=0.3,
    )  # fmt: skip


def matrix_figure(counts: Array, title: str, *, down: str, across: str) -> str:
    """Draw a table of stages against stages: the share of its row in each cell, its count below.

    Parameters
    ----------
    counts
        (row, column), in the order of ``SLEEP_STAGES``.
    title
        For those who do not see it.
    down, across
        What rows and columns are.
    """
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.where(totals > 0, counts / np.maximum(totals, 1), np.nan)

    def paint(figure: Figure) -> None:
        from matplotlib import colormaps

        axes = figure.add_axes((0.15, 0.02, 0.84, 0.85))
        colors = colormaps[SHADES].with_extremes(bad=NOT_VALID)
        axes.imshow(shares, cmap=colors, vmin=0, vmax=1.1, aspect="auto", interpolation="none")
        for (row, column), share in np.ndenumerate(shares):
            ink = "white" if share > DARK_SHADE else INK
            place: dict[str, Any] = {"ha": "center", "color": ink}
            said = "–" if np.isnan(share) else f"{100 * share:.0f} %"
            axes.text(column, row - 0.02, said, va="bottom", fontsize=11, **place)
            axes.text(column, row + 0.08, f"{counts[row, column]:,}", va="top", fontsize=8, **place)
        axes.set_xticks(range(len(SLEEP_STAGES)), labels=SLEEP_STAGES)
        axes.set_yticks(range(len(SLEEP_STAGES)), labels=SLEEP_STAGES)
        axes.xaxis.set_label_position("top")
        axes.set(xlabel=across, ylabel=down)
        axes.tick_params(length=0, labeltop=True, labelbottom=False)
        axes.spines[:].set_visible(False)

    return _drawn((4.6, 3.9), title, paint)


def calibration_figure(curve: Reliability) -> str:
    """Draw how often the chosen stage is right against how probable the network holds it."""

    def paint(figure: Figure) -> None:
        axes = _square(figure, "probability of the chosen stage", "share that is right")
        axes.plot([0, 1], [0, 1], ":", color=FAINT, label="as it should be")
        heights = TALLEST * curve.epochs / max(1, curve.epochs.max())
        axes.stairs(heights, curve.edges, fill=True, color=BARS, label="epochs")
        filled = curve.epochs > 0
        dots = (curve.confidence[filled], curve.accuracy[filled])
        axes.plot(*dots, "o-", color=BLUE, lw=1.5, markersize=5, label="network")
        axes.legend(loc="upper left", frameon=False)

    return _drawn((4.6, 4.2), "Calibration: share that is right against probability", paint)


def bland_altman_figure(
    name: str, unit: str, scorer: Array, network: Array, agreed: BlandAltman
) -> str:
    """Draw the difference of a statistic against the mean of scorer and network.

    Parameters
    ----------
    name, unit
        Of the statistic.
    scorer, network
        What each says, (night,).
    agreed
        Bias and limits of agreement.
    """
    lines = (("-", agreed.bias), ("--", agreed.lower), ("--", agreed.upper))

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.15, 0.15, 0.71, 0.81))
        axes.axhline(0, color=FAINT, lw=1, ls=":")
        for look, value in lines:
            axes.axhline(value, color=VERMILION, lw=1.3, ls=look)
            axes.annotate(
                f"{value:+.1f}".replace("-", "−"), (1.01, value), va="center", fontsize=8,
                xycoords=("axes fraction", "data"), color=VERMILION, annotation_clip=False,
            )  # fmt: skip
        axes.plot((scorer + network) / 2, network - scorer, "o", color=BLUE, alpha=0.8)
        axes.margins(0.12, 0.15)
        axes.set(xlabel=f"{name}, mean of both ({unit})", ylabel=f"network − scorer ({unit})")

    return _drawn((4.6, 3.1), f"{name}: difference of network and scorer, by night", paint)
