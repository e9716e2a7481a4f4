"""What missing leads cost REST, on recordings stored referentially and as a double banana.

    python benchmarks/missing_leads.py [PATIENTS]

REST is trained once, with the recipe of the package, on eight simulated patients of 25 minutes, and
decodes PATIENTS others, by default twelve. From each recording 1, 3 and 6 electrodes are left out:
three times at random, drawn anew for every patient, and once those that lie nearest to where the
patient's seizures begin. Everything is decoded from both forms. Differences are to nothing missing,
with the 95 % interval from drawing patients anew.
"""

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import ranvier as rv
from ranvier.channels import DOUBLE_BANANA, TEN_TWENTY, pick, position
from ranvier.decoding import Prediction
from ranvier.missing_leads import MEASURES, paired_differences, without_leads
from ranvier.scoring.seizure import SeizureScores, score_predictions
from ranvier.simulate import simulate_seizures
from ranvier.simulate.seizures import plan_patient

MINUTES = 25.0
TRAINED_ON, TESTED_ON = 0, 1
"""Seeds of the two studies."""
COUNTS = (1, 3, 6)
CHOICES = 3
COLUMNS = (
    "left out", "which", "derivations left", "outputs valid", "AUROC", "difference", "found",
    "difference of the share", "false alarms / 24 h", "difference",
)  # fmt: skip

Leads = Callable[[int], tuple[str, ...]]
"""Which leads are left out of the recording of a patient, by the patient's number from 1."""


def in_memory(recording: rv.Recording) -> rv.Recording:
    signal = recording.read()
    return replace(recording, reader=lambda first, last: signal[first:last])


def around_the_focus(count: int) -> Leads:
    def leads(number: int) -> tuple[str, ...]:
        focus = position(plan_patient(number, minutes=MINUTES, seed=TESTED_ON).focus)
        return tuple(sorted(TEN_TWENTY, key=lambda one: np.linalg.norm(position(one) - focus)))[
            :count
        ]

    return leads


def at_random(count: int, choice: int) -> Leads:
    def leads(number: int) -> tuple[str, ...]:
        rng = np.random.default_rng([count, choice, number])
        return tuple(rng.choice(TEN_TWENTY, count, replace=False).tolist())

    return leads


def conditions() -> dict[tuple[int, str], list[Leads]]:
    found: dict[tuple[int, str], list[Leads]] = {(0, "none"): [lambda _: ()]}
    for count in COUNTS:
        found[count, "at random"] = [at_random(count, choice) for choice in range(CHOICES)]
        found[count, "over the focus"] = [around_the_focus(count)]
    return found


def decode(
    decoder: rv.Decoder, recordings: Sequence[rv.Recording], leads: Leads
) -> list[Prediction]:
    return [
        decoder.predict(without_leads(one, leads(number)))
        for number, one in enumerate(recordings, start=1)
    ]


def disagreement(one: Sequence[Prediction], other: Sequence[Prediction]) -> tuple[float, int]:
    """Return the largest difference of two probabilities, and recordings with other events."""
    pairs = list(zip(one, other, strict=True))
    for first, second in pairs:
        np.testing.assert_array_equal(first.valid, second.valid)
    gaps = [np.nanmax(abs(a.probability - b.probability), initial=0.0) for a, b in pairs]
    spans = ((a.events.intervals(), b.events.intervals()) for a, b in pairs)
    return float(max(gaps)), sum(not np.array_equal(*span) for span in spans)


def derivations_left(leads: Sequence[Leads], patients: int) -> float:
    left = []
    for of in leads:
        for number in range(1, patients + 1):
            labels = [lead for lead in TEN_TWENTY if lead not in of(number)]
            left.append(len(DOUBLE_BANANA) - len(pick(labels, "double_banana").missing))
    return float(np.mean(left))


def row(
    key: tuple[int, str],
    cells: Sequence[str],
    whole: SeizureScores,
    scores: Sequence[SeizureScores],
) -> str:
    pooled = {name: np.mean([of(one.subjects) for one in scores]) for name, of in MEASURES.items()}
    forms = {"auroc": "+.3f", "sensitivity": "+.2f", "false_alarms_per_day": "+.1f"}
    said = {
        name: "" if not key[0] else "{} ({} to {})".format(*(format(x, forms[name]) for x in one))
        for name, one in paired_differences(whole, scores).items()
    }
    found = np.mean([one.pooled.events.true_positives for one in scores])
    total = whole.pooled.events.references
    columns = (
        str(key[0]), key[1], *cells, f"{pooled['auroc']:.3f}", said["auroc"],
        f"{found:.3g} of {total}", said["sensitivity"],
        f"{pooled['false_alarms_per_day']:.1f}", said["false_alarms_per_day"],
    )  # fmt: skip
    return f"| {' | '.join(columns)} |"


def through_files(decoder: rv.Decoder, forms: Sequence[Sequence[rv.Recording]]) -> None:
    predictions = []
    with tempfile.TemporaryDirectory() as folder:
        for number, recordings in enumerate(forms):
            bids = rv.write_bids(Path(folder) / str(number), recordings)
            predictions.append([decoder.predict(one) for one in rv.read(bids)])
    gap, others = disagreement(*predictions)
    print(f"through EDF files with rounding of their own: {gap:.2g}, other events in {others}")


def main(patients: int) -> None:
    torch.set_num_threads(1)
    decoder = rv.train("seizure", simulate_seizures(subjects=8, minutes=MINUTES, seed=TRAINED_ON))
    forms = [
        list(map(in_memory, simulate_seizures(
            subjects=patients, minutes=MINUTES, seed=TESTED_ON, montage=montage
        )))
        for montage in ("referential", "double_banana")
    ]  # fmt: skip
    truth = {one.name: one.events for one in forms[0]}
    print(f"| {' | '.join(COLUMNS)} |\n{'| --- ' * len(COLUMNS)}|")
    gaps, others, whole = [], 0, None
    for key, choices in conditions().items():
        scores, valid = [], []
        for leads in choices:
            both = [decode(decoder, recordings, leads) for recordings in forms]
            gap, differing = disagreement(*both)
            gaps, others = [*gaps, gap], others + differing
            scores.append(score_predictions(both[0], truth))
            valid += [one.valid.mean() for one in both[0]]
        whole = whole or scores[0]
        cells = f"{derivations_left(choices, patients):.1f}", f"{100 * np.mean(valid):.0f} %"
        print(row(key, cells, whole, scores), flush=True)
    print(f"the two forms differ in probability by {max(gaps):.2g}, other events in {others}")
    through_files(decoder, forms)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 12)
