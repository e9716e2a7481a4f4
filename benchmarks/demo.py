"""Is the demo hard enough to fail? Five seeds, with true and with shuffled labels.

    python benchmarks/demo.py [SEED ...]

For each seed the default recordings are simulated and REST is trained and tested by patient as in
``ranvier demo``. Shuffled labels are the same seizures at other times, drawn anew within each
recording; a network that is trained and tested on them must know nothing.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

import ranvier as rv
from ranvier.simulate import simulate_seizures

HARD = "03"


def shuffled(recordings: Sequence[rv.Recording], seed: int) -> list[rv.Recording]:
    rng = np.random.default_rng(seed)
    moved = []
    for recording in recordings:
        events = [
            replace(event, onset=float(rng.uniform(0, recording.duration - event.duration)))
            for event in recording.events.seizures()
        ]
        moved.append(replace(recording, events=rv.Events(tuple(events), recording.duration)))
    return moved


def main(seeds: Sequence[int]) -> None:
    torch.set_num_threads(1)
    print("seed  hours  seizures  found  false/24h  AUROC  hard  baseline  shuffled  seconds")
    for seed in seeds:
        began = time.monotonic()
        recordings = simulate_seizures(seed=seed)
        result = rv.evaluate("seizure", recordings, folds=4, seed=seed)
        scores, plain = result.scores, result.baseline_scores
        nonsense = rv.evaluate("seizure", shuffled(recordings, seed), folds=4, seed=seed)
        (hard,) = [one for one in scores.subjects if one.subjects == (HARD,)]
        events = scores.pooled.events
        print(
            f"{seed:4}  {scores.pooled.hours:5.1f}  {events.references:8}  "
            f"{events.true_positives:5}  {events.false_alarms_per_day:9.1f}  "
            f"{scores.pooled.auroc:5.3f}  {hard.auroc:4.2f}  {plain.pooled.auroc:8.3f}  "
            f"{nonsense.scores.pooled.auroc:8.3f}  {time.monotonic() - began:7.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or range(5))
