"""The statistics of nights in the report, by scorer and network, and how far they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

from ranvier import figures_sleep, page
from ranvier.figures_sleep import StagedNight, staged_nights
from ranvier.page import Cell
from ranvier.splits import patient
from ranvier.tasks import agreement
from ranvier.tasks.sleep_chain import StageChain
from ranvier.tasks.sleep_intervals import (
    Interval,
    Knowledge,
    sleep_intervals,
    widened,
    widening,
)
from ranvier.tasks.sleep_statistics import ALWAYS, STATISTICS, sleep_statistics

if TYPE_CHECKING:
    from ranvier.all_folds import AllFolds

LEVEL, FEWEST = 0.9, 9
"""Of the intervals, and how many other persons' nights it takes to widen them to that."""
STATISTICS_SAID = (
    "Lights are taken to be off from the first epoch to the last. An epoch that is not known of "
    "both scorer and network counts as unscored for both. The network's number is that of the most "
    "probable stage of each epoch. Its 90 % interval is of nights that could have been, drawn from "
    "the probabilities and from how stages follow one another in nights of training subjects; the "
    "number may lie outside.",
    "As drawn, an interval leaves out what the network gets wrong all night, and is too narrow on "
    "real nights. It is widened by how far the scorer was outside in nights of other persons, "
    f"where there are at least {FEWEST} of these.",
)
WIDENED, AS_DRAWN = "90 % interval", "90 % interval, as drawn"
NO_NIGHT = "There are none: no night has an epoch."
COMPARED = ("TST", "WASO", "SE", "REM")
"""Statistics of which the agreement over nights is drawn."""
BLAND_ALTMAN = (
    "Each dot is a night. The line is the mean difference of the network from the scorer (bias), "
    "in which each person counts the same, the dashed lines lie 1.96 standard deviations of the "
    "differences from it (limits of agreement). The interval is over persons."
)
LEAST_NIGHTS = 3
OPEN_NIGHTS = 1
"""With more nights than this their statistics are folded away."""


@dataclass(frozen=True)
class MeasuredNight:
    """The statistics of a night.

    Parameters
    ----------
    name, person
        Of the recording, and who slept.
    scorer
        By the scorer, by name of the statistic.
    network
        By the network, with the interval of the draws; NaN where no training night is known.
    widened
        The same with intervals widened by nights of others; NaN where these are too few.
    """

    name: str
    person: str
    scorer: Mapping[str, float]
    network: Mapping[str, Interval]
    widened: Mapping[str, Interval]


def measure_nights(evaluation: AllFolds) -> list[MeasuredNight]:
    """Compute the statistics of every tested night from the epochs that are known of both.

    How stages follow one another is learned from the nights of the training part of the fold that
    were tested in other folds.
    """
    rng = np.random.default_rng(evaluation.recipe.seed)
    every = staged_nights(evaluation.predictions, evaluation.truth)
    measured = []
    for fold in evaluation.folds:
        tested = {one.name for one in fold.predictions}
        chain = _chain(
            [one for one in every if one.subject in fold.certificate.fold.train], evaluation
        )
        nights = (one for one in every if one.name in tested)
        measured += [_measure(one, chain, rng, _knowledge(evaluation)) for one in nights]
    return sorted(_widen(measured), key=lambda one: one.name)


def _chain(train: Sequence[StagedNight], evaluation: AllFolds) -> StageChain | None:
    """Learn how stages follow one another; a network that weighs stages expects other shares."""
    scored = np.concatenate([np.zeros(0), *(one.scored for one in train)])
    if np.isnan(scored).all():
        return None
    chain = StageChain.of([one.hypnogram(one.scored) for one in train])
    if not evaluation.recipe.training.class_weights:
        return chain
    shares = chain.shares * evaluation.recipe.learnt.weights(scored)
    return replace(chain, shares=shares / shares.sum())


def _knowledge(evaluation: AllFolds) -> Knowledge:
    recipe = evaluation.recipe
    alone = recipe.network == "attn_sleep" and not recipe.network_settings.get("context")
    return "epoch" if alone else "past"


def _measure(
    night: StagedNight, chain: StageChain | None, rng: Generator, knowledge: Knowledge
) -> MeasuredNight:
    scorer, plain = (
        sleep_statistics(night.hypnogram(np.where(night.known, stages, np.nan)))
        for stages in (night.scored, night.found)
    )
    found = {name: Interval(value, *[float("nan")] * 4) for name, value in plain.items()}
    if chain is not None and night.known.any():
        found = sleep_intervals(
            np.where(night.known[:, None], night.probabilities, np.nan),
            chain,
            seed=rng,
            epoch=night.hop,
            first=float(night.edges[0]),
            knowledge=knowledge,
        )
    return MeasuredNight(night.name, patient(night.subject), scorer, found, found)


def _widen(measured: Sequence[MeasuredNight]) -> list[MeasuredNight]:
    by_person = {}
    for who in {one.person for one in measured}:
        others = [one for one in measured if one.person != who]
        if len({one.person for one in others}) < FEWEST:
            others = []
        known = [one.network for one in others], [one.scorer for one in others]
        by_person[who] = widening(*known, level=LEVEL)
    return [replace(one, widened=widened(one.network, by_person[one.person])) for one in measured]


def statistics_tables(measured: Sequence[MeasuredNight]) -> str:
    """Set a table for each night: every statistic with its definition, by scorer and network."""
    if not measured:
        return page.paragraph(NO_NIGHT)
    tables = [_statistics_table(one) for one in measured]
    if len(measured) > OPEN_NIGHTS:
        summaries = map(_summary, measured)
        tables = [page.folded(*pair) for pair in zip(summaries, tables, strict=True)]
    first, second = STATISTICS_SAID
    said = (first, f"{second} {_held(measured)}")
    return "\n".join((*map(page.paragraph, said), *tables))


def _held(measured: Sequence[MeasuredNight]) -> str:
    drawn, wide = _inside(measured, "network"), _inside(measured, "widened")
    if not drawn:
        return "There are no intervals: no night of a training part was tested in another fold."
    said = f"The number of the scorer lies inside {_share_of(drawn)} of the intervals as drawn"
    if not wide:
        return f"{said}; none is widened, as nights of fewer than {FEWEST} others are known."
    return f"{said}, and inside {_share_of(wide)} of those widened."


def _inside(measured: Sequence[MeasuredNight], intervals: str) -> list[bool]:
    """Return which of the intervals hold the number of the scorer, where both are known."""
    pairs = [
        (getattr(night, intervals)[name], night.scorer[name])
        for night in measured
        for name in STATISTICS
        if name not in ALWAYS
    ]
    known = [(one, truth) for one, truth in pairs if not np.isnan((one.low, truth)).any()]
    return [one.low <= truth <= one.high for one, truth in known]


def _share_of(inside: Sequence[bool]) -> str:
    return f"{100 * np.mean(inside):.0f} %"


def _summary(one: MeasuredNight) -> str:
    pairs = (
        f"{name} {_number(one.network[name].value, name)} {STATISTICS[name].unit} "
        f"(scorer {_number(one.scorer[name], name)})"
        for name in COMPARED
    )
    return f"{one.name}: {', '.join(pairs)}"


def _statistics_table(one: MeasuredNight) -> str:
    any_wide = any(not np.isnan(interval.low) for interval in one.widened.values())
    rows: list[tuple[Cell, ...]] = [
        (
            (f"{name} ({statistic.unit})" if statistic.unit else name, statistic.definition),
            _number(one.scorer[name], name),
            _number(one.network[name].value, name),
            _interval(one, name, say_drawn=any_wide),
        )
        for name, statistic in STATISTICS.items()
    ]
    head = ("Statistic", "Scorer", "Network", WIDENED if any_wide else AS_DRAWN)
    return page.table(f"Sleep statistics of {one.name}", head, rows, look="dense")


def _interval(night: MeasuredNight, name: str, *, say_drawn: bool) -> Cell:
    drawn, wide = night.network[name], night.widened[name]
    if np.isnan(drawn.low) or name in ALWAYS:
        return page.UNKNOWN
    is_wide = not np.isnan(wide.low)
    shown, notes = wide if is_wide else drawn, ["as drawn"] * (say_drawn and not is_wide)
    if drawn.defined < 1:
        notes.append(f"in {100 * drawn.defined:.0f} % of draws")
    text = " to ".join(_number(bound, name) for bound in (shown.low, shown.high))
    return (text, ", ".join(notes)) if notes else text


def _number(value: float, name: str) -> str:
    if np.isnan(value):
        return page.UNKNOWN
    return f"{value:.1f}" if STATISTICS[name].unit else f"{value:.0f}"


def bland_altman(measured: Sequence[MeasuredNight]) -> str:
    """Draw how far scorer and network differ over nights, for each statistic of ``COMPARED``."""
    if len(measured) < LEAST_NIGHTS:
        said = (
            f"Not drawn: {page.count(len(measured), 'night')}, at least {LEAST_NIGHTS} are needed."
        )
        return page.paragraph(said)
    drawn = [_bland_altman(name, measured) for name in COMPARED]
    return page.paragraph(BLAND_ALTMAN) + page.side_by_side(*drawn)


def _bland_altman(name: str, measured: Sequence[MeasuredNight]) -> str:
    both = np.array([(one.scorer[name], one.network[name].value) for one in measured])
    people = [one.person for one in measured]
    agreed = agreement.bland_altman(both[:, 1], both[:, 0], people=people)
    if agreed.nights < LEAST_NIGHTS:
        return page.paragraph(f"{name}: known of only {page.count(agreed.nights, 'night')}.")
    unit = STATISTICS[name].unit
    svg = figures_sleep.bland_altman_figure(name, unit, both[:, 0], both[:, 1], agreed)
    sure = " (95 % interval {:+.1f} to {:+.1f})".format(*agreed.bias_interval)
    said = f"bias {agreed.bias:+.1f} {unit}{sure if agreed.people > 1 else ''}"
    limits = f"limits {agreed.lower:+.1f} to {agreed.upper:+.1f}"
    over = f"{page.count(agreed.nights, 'night')} of {page.count(agreed.people, 'person')}"
    caption = f"{name}: {said}, {limits}; {over}."
    return page.figure(svg, caption.replace("-", "−"), look="half")
