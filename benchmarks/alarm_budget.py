"""Does a budget of false alarms hold for new patients?

    OMP_NUM_THREADS=1 python benchmarks/alarm_budget.py [OUT [PATIENTS]]

REST is trained on 16 simulated patients, or as many as are given; a quarter of them are the
validation part. Its threshold is chosen by event F1 and for budgets; 20 new patients are decoded
with each. For the second table a hundred others are decoded: groups of them stand for the
validation part, the threshold is chosen on a group, and its false alarms are counted on all others,
200 times. About ten minutes on one thread. What is done is kept in OUT and not run again.
"""

import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.stats import chi2

import ranvier as rv
from ranvier.alarms import sigmoid
from ranvier.decoding import Prediction, predictions_from, predictions_to
from ranvier.simulate import simulate_patient, simulate_seizures
from ranvier.tasks.seizure_curves import SensitivityCurve, alarm_curve, pool_curves
from ranvier.tasks.seizure_events import DAY, EventScore, pool, score_events
from ranvier.thresholds import FalseAlarms

NEW, OTHERS = range(100, 120), range(201, 301)
NEW_MINUTES, OTHER_MINUTES = 150.0, 50.0
BUDGETS = (1.0, 2.0, 5.0)
GROUPS, DRAWS = (2, 4, 8, 16, 32), 200
LEVELS = np.linspace(-5, 12, 86)


def decoded(decoder: rv.Decoder, patient: int, minutes: float, out: Path) -> list[Prediction]:
    path = out / f"p{patient}-{minutes:g}.npz"
    if not path.exists():
        runs = simulate_patient(patient, minutes=minutes)
        predictions_to(path, [decoder.predict(run) for run in runs])
    return predictions_from(path)


def annotated(patients: Iterable[int], minutes: float) -> dict[str, rv.Events]:
    runs = (run for patient in patients for run in simulate_patient(patient, minutes=minutes))
    return {run.name: run.events for run in runs}


def interval(score: EventScore) -> tuple[float, float]:
    """Return the exact 95 % Poisson interval of the false alarms per 24 h."""
    days, number = score.seconds / DAY, score.false_positives
    lower = chi2.ppf(0.025, 2 * number) / 2 if number else 0.0
    return lower / days, chi2.ppf(0.975, 2 * number + 2) / 2 / days


def on_new_patients(out: Path, learnt: int) -> rv.Decoder:
    recordings = simulate_seizures(subjects=learnt, minutes=50.0)
    decoders = {
        budget: rv.train("seizure", recordings, out=out / "train", false_alarms_per_day=budget)
        for budget in (None, *BUDGETS)
    }
    truth = annotated(NEW, NEW_MINUTES)
    found = [one for n in NEW for one in decoded(decoders[None], n, NEW_MINUTES, out)]
    print("chosen for  threshold  found      false  hours  per 24 h  95 % interval")
    for budget, decoder in decoders.items():
        again = [one.decided_by(decoder.rule) for one in found]
        score = pool(score_events(truth[one.name], one.events) for one in again)
        lower, upper = interval(score)
        print(
            f"{f'{budget:g} per 24 h' if budget else 'F1':10}  {decoder.rule.threshold:9.4f}  "
            f"{score.true_positives:3} of {score.references:3}  {score.false_positives:5}  "
            f"{score.seconds / 3600:5.1f}  {score.false_alarms_per_day:8.1f}  "
            f"{lower:.1f} to {upper:.1f}"
        )
        chosen = decoder.provenance["certificate"]["chosen_on"]
        print("   ", *(what for what in chosen if what.startswith("alarm")), flush=True)
    return decoders[None]


def curve_of(predictions: Sequence[Prediction], truth: dict[str, rv.Events]) -> SensitivityCurve:
    def deciding(one: Prediction) -> Callable[[float], rv.Events]:
        return lambda level: one.decided_by(replace(one.rule, threshold=level)).events

    thresholds = sigmoid(LEVELS)
    return pool_curves([alarm_curve(truth[p.name], deciding(p), thresholds) for p in predictions])


def by_f1(group: Sequence[SensitivityCurve], budget: float) -> int:  # noqa: ARG001
    whole = pool_curves(group)
    f1 = 2 * whole.found / (whole.found + whole.false_positives + whole.references)
    best = np.flatnonzero(f1 >= f1.max() - 1e-9)
    return int(best[len(best) // 2])


def by_rate(group: Sequence[SensitivityCurve], budget: float) -> int:
    """Choose as if the rate of the group were that of everybody."""
    over = np.flatnonzero(pool_curves(group).false_alarms_per_day > budget)
    return int(over[-1]) + 1


def by_budget(group: Sequence[SensitivityCurve], budget: float) -> int:
    false = FalseAlarms.of(group, LEVELS)
    shown = false.shown(budget)
    level = false.extrapolated(budget) if shown is None else shown
    assert level is not None
    return min(int(np.searchsorted(LEVELS, level - 1e-9)), len(LEVELS) - 1)


WAYS = {"F1": by_f1, "rate": by_rate, "budget": by_budget}


def how_often(curves: Sequence[SensitivityCurve]) -> None:
    rng = np.random.default_rng(0)
    print("\nhow often a budget held on all others")
    print("budget  patients  hours  chosen by  held  rate, mean  highest of 90 %  sensitivity")
    for budget in BUDGETS:
        for size in GROUPS:
            orders = [rng.permutation(len(curves)) for _ in range(DRAWS)]
            for name, way in WAYS.items():
                tries = [
                    tried([curves[i] for i in order], size, partial(way, budget=budget))
                    for order in orders
                ]
                rates, sensitivity = np.array(tries).T
                print(
                    f"{budget:6g}  {size:8}  {size * OTHER_MINUTES / 60:5.1f}  {name:9}  "
                    f"{np.mean(rates <= budget):4.0%}  {rates.mean():10.1f}  "
                    f"{np.quantile(rates, 0.9):15.1f}  {sensitivity.mean():11.2f}",
                    flush=True,
                )


def tried(
    curves: Sequence[SensitivityCurve],
    size: int,
    choose: Callable[[Sequence[SensitivityCurve]], int],
) -> tuple[float, float]:
    """Choose on the first patients, and return rate and sensitivity on the others."""
    place, others = choose(curves[:size]), pool_curves(curves[size:])
    return float(others.false_alarms_per_day[place]), float(others.sensitivity[place])


def main(out: Path, learnt: int) -> None:
    torch.set_num_threads(1)
    decoder = on_new_patients(out, learnt)
    truth = annotated(OTHERS, OTHER_MINUTES)
    runs = (decoded(decoder, patient, OTHER_MINUTES, out) for patient in OTHERS)
    how_often([curve_of(predictions, truth) for predictions in runs])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        given = sys.argv[1:]
        main(Path(given[0] if given else folder), int(given[1]) if len(given) > 1 else 16)
