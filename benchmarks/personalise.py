"""What personalising adds, for patients like those that were trained on and for others.

    python benchmarks/personalise.py [FOLDER]

REST is trained on eight simulated patients. Twelve new ones have a seizure in each of eight runs of
15 minutes: six with seizures as those of the training patients, six with faster ones that begin at
the back of the head. For each the decoder is personalised to the first 1, 2 and 4 seizures; always
what comes after the fourth is tested. Last, the annotation of the first of two seizures, which is
learnt from, is moved by three minutes, that of the second, which is held out, is not.
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import ranvier as rv
from ranvier.personal import Personalised, personalise
from ranvier.personal.course import Course, Past
from ranvier.personal.gains import PersonalisedScores, personalised_scores
from ranvier.simulate.seizures import Patient, Run, Seizure, plan_patient, record_patient

TYPICAL, ATYPICAL = range(20, 26), range(12, 18)
SEED = 2
"""Of the new patients; settings were chosen on those of seed 1."""
RUNS, SECONDS = 8, 900.0
TESTED_AFTER = 4
"""Seizures."""
MOVED = 180.0

Patients = dict[str, list[rv.Recording]]


def planned(number: int) -> Patient:
    rng = np.random.default_rng([SEED, number])
    runs = []
    for run in range(RUNS):
        onset, seconds = rng.uniform(200, SECONDS - 200), rng.uniform(25, 80)
        seizure = Seizure(float(onset), float(seconds), float(rng.uniform(0.8, 1.2)))
        runs.append(Run(run, SECONDS, (seizure,)))
    return replace(plan_patient(number, seed=SEED), runs=tuple(runs))


def atypical(patient: Patient) -> Patient:
    """Let the seizures be like nothing that the training patients had: fast, and at the back."""
    rng = np.random.default_rng([SEED, patient.number, 1])
    return replace(
        patient,
        focus=str(rng.choice(["O1", "O2", "P3", "P4"])),
        first_hz=float(rng.uniform(13, 16)),
        last_hz=float(rng.uniform(10, 12)),
        contrast=float(rng.uniform(4, 6)),
        fast=0.0,
        extent=0.8,
    )


def recorded(patients: Sequence[Patient]) -> Patients:
    named = {f"new{patient.number}": record_patient(patient) for patient in patients}
    return {
        name: [replace(one, subject=name, name=f"{name}_{one.name}") for one in recordings]
        for name, recordings in named.items()
    }


def moved(recordings: Sequence[rv.Recording], seizures: int) -> list[rv.Recording]:
    """Move the annotation of each seizure but the last of these, and leave the rest as it is."""
    wrong = []
    for one in recordings[: seizures - max(1, seizures // 3)]:
        (seizure,) = one.events
        by = MOVED if seizure.end + MOVED < one.duration else -MOVED
        events = (replace(seizure, onset=seizure.onset + by),)
        wrong.append(replace(one, events=replace(one.events, items=events)))
    return [*wrong, *recordings[len(wrong) :]]


def tuned(
    base: rv.Decoder, patients: Patients, seizures: int, folder: Path
) -> Iterator[tuple[Personalised, list[rv.Recording]]]:
    for name, recordings in patients.items():
        place = folder / f"{name}-{seizures}"
        yield personalise(base, recordings, seizures=seizures, out=place), recordings


def compared(kind: str, base: rv.Decoder, patients: Patients, seizures: int, folder: Path) -> None:
    after = {
        name: Past.of(Course.of(recordings), TESTED_AFTER).until
        for name, recordings in patients.items()
    }
    results = list(tuned(base, patients, seizures, folder))
    scores = personalised_scores(results, after=after, out=folder)
    print(row(kind, seizures, scores), flush=True)


def row(kind: str, seizures: int, scores: PersonalisedScores) -> str:
    before, after = scores.generic, scores.personalised
    areas = [np.mean([one.auroc for one in each.subjects]) for each in (before, after)]
    gain, low, high = scores.gains["auroc"]
    found = [each.pooled.events.true_positives for each in (before, after)]
    false = [each.pooled.events.false_positives for each in (before, after)]
    cells = (
        kind,
        str(seizures),
        f"{len(scores.refused)} of {len(before.subjects)}",
        f"{areas[0]:.3f} to {areas[1]:.3f}",
        f"{gain:+.3f} ({low:+.3f} to {high:+.3f})",
        f"{found[0]} to {found[1]} of {before.pooled.events.references}",
        f"{false[0]} to {false[1]} in {before.pooled.hours:.1f} h",
    )
    return f"| {' | '.join(cells)} |"


COLUMNS = (
    "seizures", "learnt", "refused", "AUROC", "gain (95 % interval)", "found", "false alarms"
)  # fmt: skip


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    base = rv.train("seizure", rv.simulate_seizures(subjects=8), out=folder / "base")
    usual = recorded([planned(number) for number in TYPICAL])
    other = recorded([atypical(planned(number)) for number in ATYPICAL])
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    for seizures in (1, 2, 4):
        compared("as in training", base, usual, seizures, folder / "tuned")
        compared("others", base, other, seizures, folder / "tuned")
    wrong = {name: moved(recordings, 2) for name, recordings in usual.items()}
    compared("wrong annotations", base, wrong, 2, folder / "wrong")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as given:
            main(Path(given))
