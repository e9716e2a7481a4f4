"""How much higher a leaking protocol scores than the honest one, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from ranvier.decisions import none_for_nan
from ranvier.recording import Array
from ranvier.scoring import shown
from ranvier.tasks import make_task
from ranvier.tasks.seizure import margin
from ranvier.tasks.seizure_scores import auroc, bootstrap_interval

DRAWS = 500
Measure = Callable[[Array, Array], float]
Interval = tuple[float, float]


def _right(outputs: Array, targets: Array) -> float:
    return float(np.mean((margin(outputs) > 0) == (targets == 1))) if len(targets) else math.nan


def measures_of(task: str) -> Mapping[str, Measure]:
    """Return what papers on a task report, from outputs and targets; the first one matters most."""
    if task == "seizure":
        return {
            "AUROC": lambda outputs, targets: auroc(targets, margin(outputs)),
            "accuracy": _right,
        }
    qualities = make_task(task).qualities
    return {"kappa": qualities["kappa"], "macro-F1": qualities["macro_f1"]}


@dataclass(frozen=True, eq=False)
class Answered:
    """What a network said about one person in one fold.

    Parameters
    ----------
    seed, fold, person
        Of the run.
    outputs, targets
        (output, class) and (output,).
    """

    seed: int
    fold: int
    person: str
    outputs: Array
    targets: Array


@dataclass(frozen=True)
class Outcome:
    """What one protocol gave.

    Parameters
    ----------
    name
        Of the protocol.
    sentences
        What was split how and what saw what, each leak by name.
    tested
        Of all folds and seeds.
    """

    name: str
    sentences: tuple[str, ...]
    tested: tuple[Answered, ...]

    def by_person(self) -> dict[str, list[Answered]]:
        """Return what was said about each person."""
        names = sorted({one.person for one in self.tested})
        return {name: [one for one in self.tested if one.person == name] for name in names}


def score(tested: Iterable[Answered], measure: Measure) -> float:
    """Return the mean over folds and seeds of a measure, which is taken over all of a fold."""
    folds: dict[tuple[int, int], list[Answered]] = {}
    for one in tested:
        folds.setdefault((one.seed, one.fold), []).append(one)
    pooled = [
        measure(
            np.concatenate([one.outputs for one in fold]),
            np.concatenate([one.targets for one in fold]),
        )
        for fold in folds.values()
    ]
    known = [value for value in pooled if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


@dataclass(frozen=True)
class Gap:
    """A score, how much it is above the honest one, and 95 % intervals.

    Parameters
    ----------
    score, inflation
        Of the protocol, and minus that of the honest one.
    interval, inflation_interval
        From drawing persons with replacement.
    over_seeds
        Of the inflation, from the t distribution over seeds; NaN with fewer than two.
    """

    score: float
    interval: Interval
    inflation: float
    inflation_interval: Interval
    over_seeds: Interval


@dataclass(frozen=True)
class Inflation:
    """The honest protocol and those that leak, all judged by the same measures.

    Parameters
    ----------
    task, network
        What was decoded by what.
    outcomes
        The honest one first, then leaks one by one, that with all of them last.
    seed
        Of the bootstrap over persons.
    """

    task: str
    network: str
    outcomes: tuple[Outcome, ...]
    seed: int = 0

    @property
    def honest(self) -> Outcome:
        """The protocol without a leak."""
        return self.outcomes[0]

    @property
    def leaking(self) -> Outcome:
        """The protocol with all leaks."""
        return self.outcomes[-1]

    def gap(self, outcome: Outcome, measure: str = "") -> Gap:
        """Compare a protocol with the honest one.

        Parameters
        ----------
        outcome
            One of ``outcomes``.
        measure
            Its name; empty for the first of the task.
        """
        measures = measures_of(self.task)
        take = measures[measure or next(iter(measures))]
        own, honest = outcome.by_person(), self.honest.by_person()
        pairs = {name: (own.get(name, []), honest.get(name, [])) for name in {*own, *honest}}
        draw = partial(bootstrap_interval, pairs, seed=self.seed, draws=DRAWS)
        seeds = sorted({one.seed for one in outcome.tested})
        by_seed = [self._difference(outcome, take, [seed]) for seed in seeds]
        return Gap(
            score(outcome.tested, take),
            draw(lambda drawn: score(_flat(drawn, 0), take)),
            self._difference(outcome, take, seeds),
            draw(lambda drawn: score(_flat(drawn, 0), take) - score(_flat(drawn, 1), take)),
            t_interval(by_seed),
        )

    def _difference(self, outcome: Outcome, measure: Measure, seeds: Sequence[int]) -> float:
        own, honest = (
            score((one for one in side.tested if one.seed in seeds), measure)
            for side in (outcome, self.honest)
        )
        return own - honest

    def headline(self) -> str:
        """Say in one sentence what the leaks are worth."""
        measure = next(iter(measures_of(self.task)))
        honest, found = self.gap(self.honest).score, self.gap(self.leaking)
        return (
            f"{self.network}: {measure} {shown(found.score, '.2f')} leaking "
            f"({self.leaking.name}), {shown(honest, '.2f')} honestly ({self.honest.name}): "
            f"inflation {shown(found.inflation, '+.2f')} (95 % interval over persons "
            f"{_span(found.inflation_interval, '+.2f')})."
        )

    def table(self) -> list[tuple[str, ...]]:
        """Return the names of the columns, then a row for each protocol, the honest one first."""
        names = list(measures_of(self.task))
        columns = [("protocol",), *((name, "95 %", "inflation", "95 %") for name in names)]
        rows = [[(one.name,), *(self._cells(one, n) for n in names)] for one in self.outcomes]
        return [tuple(cell for cells in row for cell in cells) for row in (columns, *rows)]

    def _cells(self, outcome: Outcome, measure: str) -> tuple[str, ...]:
        gap = self.gap(outcome, measure)
        own = (shown(gap.score), _span(gap.interval, ".2f"))
        if outcome is self.honest:
            return (*own, "-", "-")
        return (*own, shown(gap.inflation, "+.3f"), _span(gap.inflation_interval, "+.2f"))

    def certificate(self) -> list[str]:
        """Say for each protocol what saw what, and name the leaks."""
        return [f"{one.name}: {sentence}" for one in self.outcomes for sentence in one.sentences]

    def as_dict(self) -> dict[str, Any]:
        """Return scores and certificates in plain types."""
        return {
            "task": self.task,
            "network": self.network,
            "protocols": [
                {
                    "name": one.name,
                    "certificate": list(one.sentences),
                    "scores": {n: _plain(self.gap(one, n)) for n in measures_of(self.task)},
                }
                for one in self.outcomes
            ],
        }


def t_interval(values: Sequence[float], *, level: float = 0.95) -> Interval:
    """Return the interval of a mean by the t distribution; NaN with fewer than two values."""
    from scipy.stats import t

    if len(values) < 2:
        return math.nan, math.nan
    half = t.ppf((1 + level) / 2, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return float(np.mean(values) - half), float(np.mean(values) + half)


def _flat(drawn: Iterable[tuple[list[Answered], list[Answered]]], side: int) -> list[Answered]:
    return [one for pair in drawn for one in pair[side]]


def _span(interval: Interval, form: str) -> str:
    low, high = interval
    return "-" if math.isnan(low) else f"{low:{form}} to {high:{form}}"


def _plain(gap: Gap) -> dict[str, Any]:
    return {
        name: none_for_nan(value) if isinstance(value, float) else [none_for_nan(v) for v in value]
        for name, value in asdict(gap).items()
    }
