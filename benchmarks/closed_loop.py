"""How well simulated users steer through a decoder, against what lies in the loop.

    python benchmarks/closed_loop.py [FIGURE.svg]

For each of three simulated monkeys, a Wiener filter, a Kalman filter and a GRU are trained on five
minutes of reaches; eight users each then steer for two minutes, with latencies from 0 to 300 ms,
with jitter, with lost bins and with units that fell silent. Given are means over all users with
their 95 % interval, beside the R² of the same decoders on the last fifth of the reaches.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import ranvier as rv
from ranvier.closed_loop import Control, Loop, steer
from ranvier.recipe import packaged_recipe
from ranvier.simulate import simulate_reaches
from ranvier.simulate.movement import plan_units

SUBJECTS, UNITS, DRAWS = 3, 60, 2000
DECODERS = {"Wiener filter": "wiener", "Kalman filter": "kalman", "GRU": "gru"}
LATENCIES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
FAULTS = {
    "nothing else": Loop(0.05),
    "jitter up to 100 ms": Loop(0.05, jitter=0.1),
    "5 % of bins lost": Loop(0.05, lost=0.05),
    "20 % of bins lost": Loop(0.05, lost=0.2),
    "10 % of units silent": Loop(0.05, silent=0.1),
    "30 % of units silent": Loop(0.05, silent=0.3),
}
MEASURES = ("throughput", "reached", "seconds", "efficiency")
Numbers = tuple[float, float, float]


def mean_with_interval(values: Sequence[float]) -> Numbers:
    known = np.array([one for one in values if not np.isnan(one)])
    rng = np.random.default_rng(0)
    means = known[rng.integers(len(known), size=(DRAWS, len(known)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(known.mean()), float(low), float(high)


def driven(decoders: Sequence[rv.Decoder], loop: Loop) -> list[Control]:
    """Return what eight users of each monkey did."""
    return [
        control
        for subject, decoder in enumerate(decoders, start=1)
        for control in steer(decoder, plan_units(subject, 1, UNITS)[0], loop, seed=subject)
    ]


def cells(controls: Sequence[Control]) -> list[str]:
    numbers = (mean_with_interval([getattr(one, name) for one in controls]) for name in MEASURES)
    return [f"{mean:.2f} ({low:.2f} to {high:.2f})" for mean, low, high in numbers]


def offline(name: str, recordings: Sequence[rv.Recording]) -> float:
    recipe = packaged_recipe("movement", name)
    return float(rv.evaluate("movement", recordings, recipe=recipe).scores.mean)


def main(figure: Path | None) -> None:
    torch.set_num_threads(1)
    recordings = simulate_reaches(subjects=SUBJECTS, minutes=5.0, units=UNITS)
    curves: dict[str, list[Numbers]] = {}
    print("| decoder | R² | in the loop | throughput, bit/s | reached | s to a target | path |")
    print("|---" * 7 + "|")
    for title, name in DECODERS.items():
        recipe = packaged_recipe("movement", name)
        decoders = [rv.train("movement", [one], recipe=recipe) for one in recordings]
        score = f"{offline(name, recordings):.2f}"
        for latency in LATENCIES:
            controls = driven(decoders, Loop(latency))
            numbers = mean_with_interval([one.throughput for one in controls])
            curves.setdefault(title, []).append(numbers)
            words = f"latency {1e3 * latency:.0f} ms"
            print(f"| {title} | {score} | {words} | {' | '.join(cells(controls))} |", flush=True)
        for words, loop in FAULTS.items():
            row = " | ".join(cells(driven(decoders, loop)))
            print(f"| {title} | {score} | latency 50 ms, {words} | {row} |", flush=True)
    if figure is not None:
        draw(curves, figure)


def draw(curves: dict[str, list[Numbers]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.2), layout="constrained")
    axes = figure.subplots()
    across = 1e3 * np.array(LATENCIES)
    for title, numbers in curves.items():
        mean, low, high = np.array(numbers).T
        axes.plot(across, mean, marker="o", markersize=4, label=title)
        axes.fill_between(across, low, high, alpha=0.2, linewidth=0)
    axes.set_xlabel("latency from bin to screen (ms)")
    axes.set_ylabel("throughput (bit/s)")
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else None)
