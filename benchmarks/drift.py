"""Decoders over days of simulated monkeys: what drift costs, what wins it back, when it is seen.

    python benchmarks/drift.py [OUT]

Parts 1 to 3 are on monkeys of seeds that nothing was chosen on (settings were chosen on seeds 100
to 105). Intervals are 95 %, over monkeys drawn anew.

1. Day x day matrices, and which share of the lost R² each way of adapting wins back.
2. R² against minutes of calibration data, from the first day to 16 days later.
3. The signal "recalibrate now": minutes of days that have drifted against those that have not,
   among them days on which nothing but the movement has changed.
4. The same signal on one real session, whose end is spoilt; it is not part of the project, and
   without it this part is left out.

With OUT, the figures go there. On one thread it takes about four minutes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from ranvier.decoder import Decoder
from ranvier.drift import calibration_curve, drift_matrix, fit_watch
from ranvier.drift.matrix import FULL, LOST, READOUT, RUNNING, WEIGHTED, ZERO, DriftMatrix
from ranvier.figures_drift import as_file, drift_matrix_figure, minutes_figure
from ranvier.fitting import train
from ranvier.formats import read_one
from ranvier.recipe import Recipe, packaged_recipe
from ranvier.recording import Array, Recording
from ranvier.simulate.days import STEADY, Drift, simulate_days
from ranvier.simulate.movement import Hand
from ranvier.tasks.bootstrap import draw_patients, percentile_interval
from ranvier.tasks.movement import weighted_r2
from ranvier.training import Training

SESSION = Path(__file__).parents[2] / "shared/data/reach_chewie/chewie_20131003.npz"
MINUTES, BIN = 6.0, 0.1
DAYS, FEW_DAYS = (0, 1, 2, 4, 8, 16), (0, 8, 16)
LEARNT = 0.7 * 60 * MINUTES
WIENER = replace(packaged_recipe("movement", "wiener"), network_settings={"window": 5, "least": 1})
GRU = Recipe(
    "movement",
    "gru",
    {"hidden": 64, "memory": "carry", "window": 1, "dropout": 0.3},
    stages=({"stage": "standardise"},),
    training=Training(
        passes=30, patience=30, learning_rate=0.01, stretch=10.0, segment=10.0, batch=6,
        background=0.0, eval_batch=4,
    ),
)  # fmt: skip
NETWORKS: dict[str, tuple[Recipe, range, tuple[int, ...]]] = {
    "Wiener, 5 bins": (WIENER, range(10), DAYS),
    "Kalman": (packaged_recipe("movement", "kalman"), range(6), FEW_DAYS),
    "GRU, 64 units": (GRU, range(4), (0, 16)),
}
"""Recipe, monkeys and days."""
WATCHED = range(12)
HALF = Drift(turn=0.03, depth=0.03, rate=0.04, lost=0.013)
TURNING, TURNS = "turning", Drift(turn=0.2, depth=0.0, rate=0.0, lost=0.0)
RESTING, REST = "mostly at rest", Hand(rest=(1.0, 5.0))
"""Two harder cases that were added after the others had been looked at."""
HANDS = {
    "faster": Hand(pace=1.4),
    "slower": Hand(pace=0.7),
    "mostly sideways": Hand(half_widths=(10.0, 4.0)),
    "longer rests": Hand(rest=(0.4, 1.4)),
    "shorter reaches": Hand(half_widths=(6.0, 6.0)),
}


def days_of(seed: int, days: Sequence[int], **settings: object) -> list[Recording]:
    return simulate_days(days=days, minutes=MINUTES, bin_seconds=BIN, seed=seed, **settings)  # type: ignore[arg-type]


def interval(by_monkey: Sequence[object], of: Callable[[list[object]], float]) -> str:
    """Return a statistic of all monkeys and its 95 % interval."""
    drawn = draw_patients(len(by_monkey), seed=0)
    values = [of([by_monkey[i] for i in numbers]) for numbers in drawn]
    low, high = percentile_interval(values)
    return f"{of(list(by_monkey)):.2f} ({low:.2f} to {high:.2f})"


def won_back(matrices: Sequence[DriftMatrix], way: str) -> float:
    """Return the share over all pairs of days of all monkeys that lost more than 0.1."""
    lost = np.concatenate([one.lost().ravel() for one in matrices])
    gains = [one.scores[way][WEIGHTED] - one.scores[ZERO][WEIGHTED] for one in matrices]
    won = np.concatenate([one.ravel() for one in gains])
    return float(won[lost > LOST].sum() / lost[lost > LOST].sum())


def after(matrices: Sequence[DriftMatrix], way: str, measure: str, day: int) -> float:
    return float(np.mean([one.scores[way][measure][0, day] for one in matrices]))


def measure_matrices() -> dict[str, list[DriftMatrix]]:
    found = {}
    print("| decoder | monkeys | pairs that lost > 0.1 | running scale | readout, 2 minutes |")
    print("|---|---|---|---|---|")
    for name, (recipe, seeds, days) in NETWORKS.items():
        own = [drift_matrix(days_of(seed, days), recipe) for seed in seeds]
        drifted = sum(int((one.lost() > LOST).sum()) for one in own)
        shares = [
            interval(own, lambda some, way=way: won_back(some, way)) for way in (RUNNING, READOUT)
        ]
        every = len(own) * len(days) * (len(days) - 1)
        print(f"| {name} | {len(own)} | {drifted} of {every} | {' | '.join(shares)} |", flush=True)
        found[name] = own
    print("\n| decoder | R² | days later | as it is | running scale | readout | same day |")
    print("|---|---|---|---|---|---|---|")
    for name, (_, _, days) in NETWORKS.items():
        for measure in ("r2_variance_weighted", "r2_uniform"):
            for place, day in enumerate(days):
                ways = ZERO, RUNNING, READOUT, FULL
                values = " | ".join(
                    f"{after(found[name], way, measure, place):.3f}" for way in ways
                )
                print(f"| {name} | {measure} | {day} | {values} |")
    return found


def measure_minutes(out: Path | None) -> None:
    print("\n| decoder, 16 days later | way | minutes | R² weighted | R² uniform |")
    print("|---|---|---|---|---|")
    for name, (recipe, seeds, _) in NETWORKS.items():
        curves, full = [], []
        for seed in seeds:
            first, last = days_of(seed, (0, 16))
            decoder = train("movement", [first.until(LEARNT)], recipe=recipe)
            alone = None if recipe is GRU else recipe
            curves.append(calibration_curve(decoder, last, recipe=alone))
            own = train("movement", [last.until(LEARNT)], recipe=recipe)
            full.append(later_r2(own, last))
        for points in zip(*curves, strict=True):
            weighted, uniform = np.mean([point[2:] for point in points], axis=0)[::-1]
            way = "trained from nothing" if points[0].way == FULL else points[0].way
            print(f"| {name} | {way} | {points[0].minutes:g} | {weighted:.3f} | {uniform:.3f} |")
        print(f"| {name} | same day, all | {LEARNT / 60:.1f} | {np.mean(full):.3f} | |", flush=True)
        if out is not None and recipe is WIENER:
            figure = as_file(minutes_figure(curves, float(np.mean(full))))
            (out / "drift_minutes.svg").write_text(figure, encoding="utf-8")


def later_r2(decoder: Decoder, recording: Recording, turned: float = 0.0) -> float:
    """Return R² weighted by variance on the last part of a day, with the movement turned."""
    tested = recording.since(LEARNT)
    assert tested.trajectory is not None
    prediction = decoder.predict(tested)
    cos, sin = np.cos(turned), np.sin(turned)
    targets = prediction.targets(tested.trajectory) @ np.array([[cos, sin], [-sin, cos]])
    return weighted_r2(targets[prediction.valid], prediction.values[prediction.valid])


@dataclass(frozen=True)
class Day:
    """Signals of each minute of a day, and what a decoder of the first day has lost on it."""

    kind: str
    hand: str
    lost: float
    signals: Mapping[str, Array]

    @property
    def drifted(self) -> bool:
        """Whether R² was lost to drift; where the hand mostly rests, movement alone costs it."""
        return self.lost > LOST and self.hand != RESTING


def watched_days(seed: int) -> Iterator[tuple[str, str, Recording]]:
    slow_and_fast = (("steady", STEADY, (1, 4, 16)), ("drift", Drift(), DAYS[1:]))
    others = (("half", HALF, DAYS[1:]), (TURNING, TURNS, DAYS[3:]))
    for kind, drift, days in (*slow_and_fast, *others):
        yield from ((kind, "as ever", one) for one in days_of(seed, days, drift=drift))
    for kind, drift in (("steady", STEADY), ("drift", Drift())):
        for name, hand in {**HANDS, RESTING: REST}.items():
            hands = dict.fromkeys((5, 12), hand)
            for one in days_of(seed, (5, 12), drift=drift, hands=hands):
                if (kind, name) != ("drift", RESTING):
                    yield kind, name, one


def watch_monkey(seed: int) -> tuple[list[Day], float]:
    (first,) = days_of(seed, (0,))
    learnt = first.until(LEARNT)
    decoder = train("movement", [learnt], recipe=WIENER)
    watch = fit_watch(learnt, hop=60.0)
    plain = PlainStatistics(learnt.read())
    found = []
    for kind, hand, day in watched_days(seed):
        own = train("movement", [day.until(LEARNT)], recipe=WIENER)
        lost = later_r2(own, day) - later_r2(decoder, day)
        minutes = np.split(day.read(), round(MINUTES))
        signals = {"halves disagree": watch.watch(day)[1], **plain.of(minutes)}
        found.append(Day(kind, hand, lost, signals))
    return found, watch.threshold


class PlainStatistics:
    """What is usually compared: the mean counts, and mean and covariance of five components."""

    def __init__(self, counts: Array) -> None:
        smooth = smoothed(counts)
        self.mean, self.spread = smooth.mean(axis=0), smooth.std(axis=0) + 1e-3
        scaled = (smooth - self.mean) / self.spread
        self.axes = np.linalg.eigh(scaled.T @ scaled / len(scaled))[1][:, -5:]
        self.covariance = np.cov(scaled @ self.axes, rowvar=False)

    def of(self, minutes: Sequence[Array]) -> dict[str, Array]:
        scaled = [(smoothed(one) - self.mean) / self.spread for one in minutes]
        return {
            "mean counts": np.array([(one.mean(axis=0) ** 2).mean() for one in scaled]),
            "KL of 5 components": np.array([self.divergence(one @ self.axes) for one in scaled]),
        }

    def divergence(self, found: Array) -> float:
        """Return the symmetric Kullback-Leibler divergence of two Gaussians."""
        mean, covariance = found.mean(axis=0), np.cov(found, rowvar=False)
        one, other = np.linalg.inv(self.covariance), np.linalg.inv(covariance)
        shape = np.trace(one @ covariance) + np.trace(other @ self.covariance) - 2 * len(mean)
        return float(shape + mean @ (one + other) @ mean) / 2


def smoothed(counts: Array, bins: int = 3) -> Array:
    summed = np.cumsum(np.pad(counts, ((1, 0), (0, 0))), axis=0, dtype=float)
    return np.asarray(summed[bins:] - summed[:-bins]) / bins


def area(monkeys: Sequence[Sequence[Day]], name: str, chosen: Callable[[Day], bool]) -> float:
    days = [day for monkey in monkeys for day in monkey if chosen(day)]
    drifted = np.concatenate([np.full(len(day.signals[name]), day.drifted) for day in days])
    if drifted.all() or not drifted.any():
        return float("nan")
    return float(roc_auc_score(drifted, np.concatenate([day.signals[name] for day in days])))


def planned(day: Day) -> bool:
    """Return whether the day was part of the question before anything was looked at."""
    return day.kind != TURNING and day.hand != RESTING


GROUPS: dict[str, Callable[[Day], bool]] = {
    "all days": planned,
    "drifted against steady days": lambda day: (
        planned(day) and (day.drifted or day.kind == "steady")
    ),
    "movement as ever": lambda day: planned(day) and day.hand == "as ever",
    "only directions turn": lambda day: (
        day.kind == TURNING or (planned(day) and day.kind == "steady")
    ),
    "steady days mostly at rest": lambda day: day.hand == RESTING or (planned(day) and day.drifted),
}
LOSSES = ((-1.0, 0.02), (0.02, 0.05), (0.05, 0.1), (0.1, 0.2), (0.2, 9.0))


def measure_watch() -> None:
    found = [watch_monkey(seed) for seed in WATCHED]
    monkeys = [days for days, _ in found]
    every = [day for days in monkeys for day in days]
    minutes = sum(len(day.signals["mean counts"]) for day in every)
    print(f"\n{minutes} minutes of these days, of which so many have drifted:")
    for name, of in GROUPS.items():
        drifted = sum(day.drifted for day in every if of(day))
        print(f"{name}: {drifted} of {sum(map(of, every))}")
    print("\nAUROC of a minute\n")
    print(f"| signal | {' | '.join(GROUPS)} |")
    print("|---" * (len(GROUPS) + 1) + "|")
    for name in every[0].signals:
        areas = [
            interval(monkeys, lambda some, name=name, of=of: area(some, name, of))
            for of in GROUPS.values()
        ]
        print(f"| {name} | {' | '.join(areas)} |")
    print("\n| day | R² lost | days | minutes that say recalibrate |\n|---|---|---|---|")
    fired = [
        (day, float((day.signals["halves disagree"] > threshold).mean()))
        for days, threshold in found
        for day in days
    ]
    for hand in ("as ever", *HANDS, RESTING):
        own = [
            (day.lost, share) for day, share in fired if (day.kind, day.hand) == ("steady", hand)
        ]
        lost, shares = np.transpose(own)
        print(
            f"| steady, {hand} | {lost.mean():.3f} on average | {len(own)} | {shares.mean():.1%} |"
        )
    for low, high in LOSSES:
        own = [
            one for day, one in fired if day.kind in {"drift", "half"} and low < day.lost <= high
        ]
        print(f"| drifting | {low:g} to {high:g} | {len(own)} | {np.mean(own):.0%} |")


def measure_blindness() -> None:
    """Turn the movement of the first day: as if all preferred directions had turned together."""
    rows = []
    for seed in WATCHED:
        (first,) = days_of(seed, (0,))
        decoder = train("movement", [first.until(LEARNT)], recipe=WIENER)
        rows.append([later_r2(decoder, first, turned) for turned in (0.0, 0.5)])
    before, turned = np.mean(rows, axis=0)
    print(
        f"\nAll directions turned by 0.5 rad: R² {before:.3f} to {turned:.3f}, no signal changes."
    )


def measure_session(session: Path) -> None:
    """Spoil the end of a real session: channels fall silent, or are exchanged with each other."""
    whole = read_one(session)
    learnt, later = (part(0.64 * whole.duration) for part in (whole.until, whole.since))
    decoder = train("movement", [learnt], recipe=WIENER)
    watch, counts = fit_watch(learnt, seconds=30.0), later.read()
    print(f"\nReal session, threshold {watch.threshold:.3f}; means of 10 draws\n")
    print("| last 36 % | share of channels | signal | above the threshold | R² weighted |")
    print("|---|---|---|---|---|")
    for kind in ("silent", "exchanged"):
        for share in (0.0, 0.05, 0.1, 0.2, 0.4):
            drawn = [spoilt(counts, share, kind, seed) for seed in range(10)]
            signals = np.array([watch.step(one[None], watch.initial_state(1))[0] for one in drawn])
            scores = [whole_r2(decoder, with_counts(later, one)) for one in drawn]
            fired = np.mean(signals[~np.isnan(signals)] > watch.threshold)
            cells = f"{np.nanmean(signals):.3f} | {fired:.0%} | {np.mean(scores):.3f}"
            print(f"| {kind} | {share:.0%} | {cells} |")


def spoilt(counts: Array, share: float, kind: str, seed: int) -> Array:
    channels = counts.shape[1]
    chosen = np.random.default_rng(seed).choice(channels, round(share * channels), replace=False)
    found = counts.copy()
    found[:, chosen] = counts[:, chosen] * 0 if kind == "silent" else counts[:, np.roll(chosen, 1)]
    return found


def with_counts(recording: Recording, counts: Array) -> Recording:
    return replace(recording, reader=lambda first, last: counts[first:last].copy())


def whole_r2(decoder: Decoder, recording: Recording) -> float:
    assert recording.trajectory is not None
    found = decoder.predict(recording)
    targets = found.targets(recording.trajectory)
    known = found.valid & ~np.isnan(targets).any(axis=1)
    return weighted_r2(targets[known], found.values[known])


def main(out: Path | None) -> None:
    torch.set_num_threads(1)
    began = time.process_time()
    matrices = measure_matrices()
    if out is not None:
        figure = as_file(drift_matrix_figure(matrices["Wiener, 5 bins"][0]))
        (out / "drift_matrix.svg").write_text(figure, encoding="utf-8")
    measure_minutes(out)
    measure_watch()
    measure_blindness()
    if SESSION.exists():
        measure_session(SESSION)
    print(f"\n{time.process_time() - began:.0f} s of computing")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else None)
