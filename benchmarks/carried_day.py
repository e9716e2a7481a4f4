"""Does a carried state drift? One day of signal, carried against clips that start anew.

    python benchmarks/carried_day.py

REST is trained on simulated patients as by ``ranvier train``. Then one patient whom it has not seen
is decoded for 24 hours in three ways: with the state carried from the first second to the last, and
by clips of the last 12 and 60 seconds, each from an empty state.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import ranvier as rv
from ranvier.fitting import prepare_annotated
from ranvier.recording import Array
from ranvier.runtime import NetworkStage, pool_sites
from ranvier.simulate import simulate_patient, simulate_seizures
from ranvier.store import Prepared
from ranvier.tasks.seizure_scores import auroc

BLOCK = 1000


def logits(decoder: rv.Decoder, day: list[Prepared], **settings: object) -> tuple[Array, Array]:
    stage = NetworkStage(
        day[0].rest.output,
        replace(decoder, network_settings={**decoder.network_settings, **settings})._module,
    )
    state, found, largest = stage.initial_state(1), [], 0.0
    for block in blocks(day):
        output, state = stage.step(block[None], state)
        found.append(pool_sites(output)[0, :, 0])
        largest = max(largest, float(np.abs(state.memory).max()))
    return np.concatenate(found), np.array(largest)


def blocks(day: list[Prepared]) -> Iterator[Array]:
    for part in day:
        for first in range(0, len(part), BLOCK):
            yield part.features(first, first + BLOCK)


def main() -> None:
    torch.set_num_threads(1)
    decoder = rv.train("seizure", simulate_seizures(seed=0))
    with tempfile.TemporaryDirectory() as folder:
        recordings = simulate_patient(1, minutes=24 * 60, seed=100)
        day = prepare_annotated(recordings, rv.Recipe(), Path(folder), None)
        labels = np.concatenate([part.targets() for part in day])
        print(f"{len(labels) / 3600:.1f} h, {int(labels.sum())} s in seizures")
        for name, settings in (
            ("carried", {}),
            ("clips of 12 s", {"memory": "clip", "clip": 12}),
            ("clips of 60 s", {"memory": "clip", "clip": 60}),
        ):
            found, largest = logits(decoder, day, **settings)
            known = np.isfinite(found)
            truth = labels[-len(found) :]
            late = known & (np.arange(len(found)) > len(found) * 3 // 4)
            print(
                f"{name:14} AUROC {auroc(truth[known], found[known]):.3f}, in the last quarter "
                f"{auroc(truth[late], found[late]):.3f}, not valid {int((~known).sum())}, "
                f"largest value kept {largest:.1f}"
            )


if __name__ == "__main__":
    main()
