"""What the report says of movement: decoders side by side, trajectories, and lags."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ranvier import figures_movement, page
from ranvier.beside import LAG_SECONDS, RIVALS, TITLES
from ranvier.decisions import MotionRule
from ranvier.figures_movement import Dot, Reach
from ranvier.page import Cell
from ranvier.recording import Array
from ranvier.scoring.movement import MovementScores
from ranvier.scoring.movement_comparison import Comparison
from ranvier.tasks.movement import SCORER
from ranvier.tasks.movement_scores import MovementScore, mean_known

if TYPE_CHECKING:
    from ranvier.all_folds import AllFolds

Curve = tuple[Array, Array]
"""Lags in milliseconds, and R² uniform at each."""
SHOWN_SECONDS = 20.0
MOST_REACHES = 40
MOVING = 0.25
"""Share of the highest usual speed from which a hand counts as reaching, where there are no trials.
"""
SHORTEST = 0.3
"""Seconds that such a reach lasts at least."""
NOTHING = "There is none: not one sample is known of both movement and network."
EXPLAINED = (
    "R² of an axis is 1 − the squared error over the squared distance from the mean of the tested "
    "part. Uniform: the plain mean over axes. Weighted: all axes together, each counting by its "
    "variance. r: Pearson's correlation, which is blind to wrong gains and offsets. SNR: "
    "−10 log10(1 − R²) in dB. All decoders learnt from the same part and are scored on the same "
    "samples; with several tested parts, means over them.",
    "Differences are of R² uniform to the better of ridge and Kalman, which is chosen on the "
    "tested part, in their favour.",
)
DOTS = "R² uniform of each decoder with its 95 % interval; small and grey: single tested parts."
CHANGES = "The same, less that of the better of ridge and Kalman, with its paired 95 % interval."
STRETCH = "True and decoded, in the middle of the tested part; blank where nothing is known."
TUNING = (
    "How counts lead: ridge regression on the counts of one bin, inside the training part (five "
    "blocks, each decoded once), for the movement this long after the bin. The movement is the "
    "same for all lags. {best}"
)
TRAILING = (
    "The decoded movement against the true one this long after it, on the tested part: a peak "
    "left of 0 means that the decoder trails behind. {best}"
)


def movement_sections(evaluation: AllFolds) -> Sequence[str]:
    """Set everything that only movement has to say, one text for each section.

    Parameters
    ----------
    evaluation
        Of the task ``"movement"``, with at least one prediction.
    """
    scores: MovementScores = evaluation.scores
    rule = evaluation.folds[0].decoder.rule
    unit = rule.unit if isinstance(rule, MotionRule) else ""
    return (
        page.section("Decoders side by side", _side_by_side(evaluation, scores)),
        page.section("Trajectories", _trajectories(scores, unit)),
        page.section("Lags", _lags(evaluation, scores)),
    )


def _side_by_side(evaluation: AllFolds, scores: MovementScores) -> str:
    compared = scores.comparison
    if compared is None:
        columns, *rows = scores.table(evaluation.baseline_scores)
        return page.table("Scores", columns, rows)
    named = [f"{name}: {TITLES[name]}" for name in compared.decoders if name in TITLES]
    parts = (
        page.paragraph(" ".join(_said(compared))),
        _dots(compared),
        page.paragraph(" ".join(compared.sentences())),
        page.table("Decoders side by side", _head(compared), _rows(compared), look="dense"),
        page.listing(named),
        *(page.paragraph(text, look="soft") for text in (*EXPLAINED, f"Scorer: {SCORER}.")),
        _by_session(compared),
    )
    return "\n".join(part for part in parts if part)


def _said(compared: Comparison) -> list[str]:
    own = next(iter(compared.decoders))
    value, low, high = compared.difference(own)
    if np.isnan(value):
        return ["The decoders cannot be compared: no score is known of them."]
    where = f"R² uniform of {own} less that of {compared.reference}: {_signed(value)}"
    if np.isnan(low):
        return [f"{where}; there is too little to draw an interval from."]
    verdict = "above" if low > 0 else "below" if high < 0 else "not told apart from"
    bounds = f"({_signed(low)} to {_signed(high)})"
    return [f"{where} {bounds}: {own} is {verdict} the better of {' and '.join(RIVALS)}."]


def _dots(compared: Comparison) -> str:
    named = compared.decoders.items()
    scores = [
        Dot(
            name,
            float(compared.mean(name, "uniform")[0]),
            compared.interval(name),
            np.array([one.uniform for one in own.values()] if len(own) > 1 else []),
        )
        for name, own in named
    ]
    rival = compared.reference
    found = ((name, *compared.difference(name)) for name, _ in named)
    changes = [Dot(name, value, (low, high), np.zeros(0)) for name, value, low, high in found]
    drawn = (
        (scores, "R² uniform of each decoder", "R² uniform", DOTS),
        (changes, f"Difference to {rival}", f"R² uniform − that of {rival}", CHANGES),
    )
    return page.side_by_side(
        *(
            page.figure(figures_movement.dots_figure(dots, title, across), caption, look="half")
            for dots, title, across, caption in drawn
        )
    )


def _head(compared: Comparison) -> tuple[str, ...]:
    *columns, _ = compared.columns()
    return (page.capital(columns[0]), *columns[1:], f"Difference to {compared.reference}")


def _rows(compared: Comparison) -> list[tuple[Cell, ...]]:
    return [_row(compared, name) for name in compared.decoders]


def _row(compared: Comparison, name: str) -> tuple[Cell, ...]:
    means: list[Cell] = []
    for metric in ("uniform", "weighted"):
        (value,) = compared.mean(name, metric).tolist()
        means.append(_with_bounds(_plain(value), compared.interval(name, metric), _plain))
    change: Cell = page.UNKNOWN
    if name != compared.reference:
        value, *bounds = compared.difference(name)
        change = _with_bounds(_signed(value), bounds, _signed)
    r2, correlation = (
        map(_plain, compared.mean(name, of).tolist()) for of in ("r2", "correlation")
    )
    decibels = (_plain(value, 1) for value in compared.mean(name, "snr").tolist())
    return (name, *r2, *means, *correlation, *decibels, change)


def _with_bounds(text: str, bounds: Sequence[float], write: Callable[[float], str]) -> Cell:
    return text if np.isnan(bounds).any() else (text, " to ".join(map(write, bounds)))


def _plain(value: float, digits: int = 3) -> str:
    if np.isnan(value):
        return page.UNKNOWN
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def _signed(value: float) -> str:
    return page.UNKNOWN if np.isnan(value) else f"{value:+.3f}".replace("-", "−")


def _by_session(compared: Comparison) -> str:
    if len(compared.recordings) < 2:
        return ""
    head = ("Tested part", "Samples", *(f"R² uniform {name}" for name in compared.decoders))
    rows = []
    for recording in compared.recordings:
        own = [one[recording] for one in compared.decoders.values()]
        uniform = (_plain(one.uniform) for one in own)
        rows.append((recording, f"{len(own[0].times):,}", *uniform))
    return page.table("R² uniform of each tested part", head, rows, look="dense")


def _trajectories(scores: MovementScores, unit: str) -> str:
    chosen = choose_recording(scores)
    if chosen is None:
        return page.paragraph(NOTHING)
    score = scores.recordings[chosen]
    among = f", in the middle of {len(scores.recordings)} tested parts"
    said = f"{chosen}: R² uniform {_plain(score.uniform)}"
    middle = (score.times[0] + score.times[-1]) / 2
    start = max(float(score.times[0]), float(middle) - SHOWN_SECONDS / 2)
    stop = min(float(score.times[-1]), start + SHOWN_SECONDS)
    drawn = figures_movement.stretch_figure(score, start, stop, unit)
    parts = [
        page.paragraph(f"{said}{among if len(scores.recordings) > 1 else ''}."),
        page.figure(drawn, STRETCH),
        _plane(score, unit),
    ]
    return "\n".join(part for part in parts if part)


def choose_recording(scores: MovementScores) -> str | None:
    """Choose the recording with the median R² uniform, the lower one of two; None for none."""
    known = {name: one.uniform for name, one in scores.recordings.items() if len(one.times) > 1}
    ranked = sorted(known, key=lambda name: (np.isnan(known[name]), known[name]))
    defined = [name for name in ranked if not np.isnan(known[name])] or ranked
    return defined[(len(defined) - 1) // 2] if defined else None


def _plane(score: MovementScore, unit: str) -> str:
    if len(score.axes) != 2 or not (reaches := find_reaches(score, unit)):
        return ""
    shown = [reaches[i] for i in np.linspace(0, len(reaches) - 1, MOST_REACHES).round().astype(int)]
    shown = shown if len(reaches) > MOST_REACHES else reaches
    kind = "trials" if score.units.kind == "trial" else "reaches, where the hand moves fast,"
    place = unit.removesuffix("/s")
    captions = {
        "true": f"{len(shown)} of {len(reaches)} {kind} in the plane, each from where it began"
        f"{', velocity added up' if _is_velocity(unit) else ''}.",
        "decoded": "The same, as decoded. Each has the colour of its true direction.",
    }
    drawn = {
        which: figures_movement.reaches_figure(shown, which, score.axes, place)
        for which in captions
    }
    return page.side_by_side(
        *(page.figure(drawn[which], caption, look="half") for which, caption in captions.items())
    )


def find_reaches(score: MovementScore, unit: str) -> list[Reach]:
    """Return the trials, or where there are none the stretches in which the hand moves fast.

    Parameters
    ----------
    score
        Of two axes.
    unit
        Of its values; those per second are added up to a way.
    """
    number = score.units.of if score.units.kind == "trial" else _moving(score, unit)
    reaches = []
    for one in np.unique(number[number >= 0]):
        inside = number == one
        if inside.sum() >= 2:
            both = (score.targets[inside], score.outputs[inside])
            reaches.append(Reach(*(_way(values, score.hop, unit) for values in both)))
    return reaches


def _moving(score: MovementScore, unit: str) -> Array:
    """Return the number of the reach that each sample is in, -1 for none."""
    if len(score.times) < 2:
        return np.full(len(score.times), -1)
    moves = score.targets if _is_velocity(unit) else np.gradient(score.targets, axis=0)
    speed = np.hypot(*moves.T)
    fast = speed > MOVING * np.quantile(speed, 0.95)
    border = (np.diff(fast, prepend=False) != 0) | (np.diff(score.stretches, prepend=0) != 0)
    number = np.cumsum(border)
    lengths = np.bincount(number)
    return np.where(fast & (lengths[number] * score.hop >= SHORTEST), number, -1)


def _is_velocity(unit: str) -> bool:
    return unit.endswith("/s")


def _way(values: Array, hop: float, unit: str) -> Array:
    way = np.cumsum(values, axis=0) * hop if _is_velocity(unit) else values - values[:1]
    return np.concatenate([np.zeros((1, 2)), way])


def _lags(evaluation: AllFolds, scores: MovementScores) -> str:
    leads, trails = _leads(evaluation), _trails(scores)
    drawn = (
        _lag_card(leads, TUNING, "R² against the lag from counts to movement", "counts"),
        _lag_card(trails, TRAILING, "R² of what is decoded against earlier and later", "answer"),
    )
    if not any(drawn):
        return page.paragraph(NOTHING)
    return page.side_by_side(*(one for one in drawn if one))


def _lag_card(curves: Mapping[str, Curve], caption: str, title: str, origin: str) -> str:
    name, (lags, values) = next(iter(curves.items()), ("", (np.zeros(0), np.zeros(0))))
    if np.isnan(values).all():
        return ""
    best = float(lags[np.nanargmax(values)])
    across = f"ms from the {origin} to the movement"
    svg = figures_movement.lag_figure(curves, title, across, best=best)
    said = f"Highest {_when(best)}{f' for {name}' if len(curves) > 1 else ''}."
    return page.figure(svg, caption.format(best=said), look="half")


def _leads(evaluation: AllFolds) -> dict[str, Curve]:
    """Return how counts lead in the training parts, averaged over sessions of one bin width."""
    known = [fold.lags for fold in evaluation.folds if fold.lags.seconds]
    if len({one.seconds for one in known}) != 1:
        return {}
    columns = np.array([one.uniform for one in known]).T
    means = np.array([mean_known(column) for column in columns])
    return {"one bin": (1000 * np.array(known[0].seconds), means)}


def _trails(scores: MovementScores) -> dict[str, Curve]:
    """Return how what network and reference decode fits the movement before and after."""
    compared = scores.comparison
    decoders = {"network": scores.recordings} if compared is None else compared.decoders
    chosen = [next(iter(decoders)), *([compared.reference] if compared else [])]
    hop = next(iter(scores.recordings.values())).hop
    far = int(LAG_SECONDS / hop + 1e-6)
    lags = np.arange(-far, far + 1)
    shifted = {
        name: [
            mean_known([one.shifted(lag, within=far).uniform for one in decoders[name].values()])
            for lag in lags.tolist()
        ]
        for name in chosen
    }
    return {name: (1000 * hop * lags, np.array(values)) for name, values in shifted.items()}


def _when(milliseconds: float) -> str:
    if abs(milliseconds) < 0.5:
        return "at 0 ms"
    return f"at {milliseconds:+.0f} ms".replace("-", "−")
