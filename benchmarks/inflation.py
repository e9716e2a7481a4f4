"""What the leaks of published protocols are worth: networks under each, on simulated people.

    python benchmarks/inflation.py OUT [PART ...]

Parts are arnn, rest, subjects and sleep (see ``PARTS``), all by default; each leaves a JSON in OUT,
and from those that are there the table is printed and the figure drawn (OUT/inflation.svg). On one
thread they take 6, 1, 3 and 7 minutes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ranvier.figures import BLUE, FAINT, STYLE, VERMILION
from ranvier.protocols import compare_protocols
from ranvier.protocols.inflation import Inflation
from ranvier.recipe import packaged_recipe
from ranvier.recording import Recording
from ranvier.simulate import simulate_nights, simulate_seizures


@dataclass(frozen=True)
class Part:
    """One network under all protocols: what is simulated, and what differs from its recipe."""

    title: str
    task: str
    network: str
    simulate: Callable[[], list[Recording]]
    settings: dict[str, Any]
    training: dict[str, Any]
    folds: int = 4
    seeds: int = 2
    protocol: str = "paper"

    def run(self) -> Inflation:
        recipe = packaged_recipe(self.task, self.network)
        settings = {**recipe.network_settings, **self.settings}
        training = replace(recipe.training, **self.training)
        return compare_protocols(
            self.task,
            self.simulate(),
            recipe=replace(recipe, network_settings=settings, training=training),
            folds=self.folds,
            seeds=self.seeds,
            protocol=self.protocol,
        )


def patients() -> list[Recording]:
    return simulate_seizures(subjects=8, minutes=25.0)


def long_patients() -> list[Recording]:
    return simulate_seizures(subjects=4, minutes=75.0)


def sleepers() -> list[Recording]:
    return simulate_nights(subjects=6, hours=1.0)


PARTS = {
    "arnn": Part(
        "ARNN, windows of 4 s", "seizure", "arnn", patients, {},
        {"passes": 8, "patience": 8, "batch": 8}, seeds=1,
    ),
    "rest": Part(
        "REST, clips of 6 s", "seizure", "rest", patients, {"memory": "clip", "clip": 6},
        {"passes": 20, "patience": 20, "batch": 32}, seeds=3,
    ),
    "subjects": Part(
        "ARNN for each patient, windows of 1 s", "seizure", "arnn", long_patients,
        {"window": 256}, {"passes": 10, "patience": 10, "batch": 8}, protocol="paper-per-subject",
    ),
    "sleep": Part(
        "AttnSleep", "sleep", "attn_sleep", sleepers, {},
        {"passes": 8, "patience": 8, "batch": 16}, folds=3, seeds=3,
    ),
}  # fmt: skip


def measure(name: str, out: Path) -> None:
    began = time.process_time()
    found = PARTS[name].run()
    print(found.headline(), f"{time.process_time() - began:.0f} s of one thread.", flush=True)
    for sentence in found.certificate():
        print(f"  {sentence}")
    about = {**found.as_dict(), "title": PARTS[name].title}
    (out / f"{name}.json").write_text(json.dumps(about, indent=1))


def span(interval: Sequence[float | None], form: str) -> str:
    low, high = interval
    return "" if low is None else f" ({low:{form}} to {high:{form}})"


def print_table(found: Sequence[dict[str, Any]]) -> None:
    print("| network | protocol | score (95 % over people) | inflation (95 % over people) |"
          " over seeds | other score | inflation |")  # fmt: skip
    print("|---" * 7 + "|")
    for part in found:
        for number, protocol in enumerate(part["protocols"]):
            (name, first), (other, second) = protocol["scores"].items()
            gap = f"{first['inflation']:+.2f}{span(first['inflation_interval'], '+.2f')}"
            cells = (
                part["title"] if not number else "",
                protocol["name"],
                f"{name} {first['score']:.2f}{span(first['interval'], '.2f')}",
                gap if number else "",
                span(first["over_seeds"], "+.2f").strip(" ()") if number else "",
                f"{other} {second['score']:.2f}",
                f"{second['inflation']:+.2f}" if number else "",
            )
            print(f"| {' | '.join(cells)} |")


def draw(found: Sequence[dict[str, Any]], path: Path) -> None:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows = [(part, one) for part in found for one in part["protocols"]]
    with rc_context(STYLE):
        figure = Figure(figsize=(8, 0.36 * len(rows) + 0.5), layout="constrained")
        axes = figure.subplots()
        labels = []
        for place, (part, one) in enumerate(rows):
            name, first = next(iter(one["scores"].items()))
            honest = one is part["protocols"][0]
            colour = BLUE if honest else VERMILION
            axes.hlines(place, *first["interval"], color=colour, lw=2)
            axes.plot(first["score"], place, "o" if honest else "D", color=colour, ms=6)
            axes.text(1.02, place, f"{first['score']:.2f}", va="center")
            labels.append(f"{part['title']} ({name})\n{one['name']}" if honest else one["name"])
            if honest and place:
                axes.axhline(place - 0.5, color=FAINT, lw=0.5)
        axes.set_yticks(range(len(rows)), labels)
        axes.invert_yaxis()
        axes.set_xlim(0.4, 1)
        axes.set_xlabel("score, 95 % interval over people")
        figure.savefig(path, format="svg", metadata={"Date": None})


def main(out: Path, parts: Sequence[str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for name in parts:
        measure(name, out)
    kept = [out / f"{name}.json" for name in PARTS]
    found = [json.loads(path.read_text()) for path in kept if path.exists()]
    print_table(found)
    draw(found, out / "inflation.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or list(PARTS))
