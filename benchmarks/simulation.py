"""How hard the simulated seizures are: plain decoders on patients they were not fitted to.

One row per seed. Windows of one second, two forms of features of the 18 longitudinal derivations,
logistic regression fitted to all patients but two. ``smooth`` averages the probability over the
last eight seconds; ``shuffled`` fits and scores on labels in random order. Area under the ROC curve
over all held-out windows.

    python benchmarks/simulation.py --seeds 0 1 2 3 4
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ranvier.recording import Recording
from ranvier.simulate import simulate_seizures

Floats = npt.NDArray[np.floating]
SECONDS_SMOOTHED = 8
HELD_OUT = 2
BANDS = ((1, 4), (4, 8), (8, 13), (13, 30), (30, 70))
EDGES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 25, 30, 40, 50, 60, 80, 100)


@dataclass(frozen=True)
class Windows:
    """Features, (windows, features), labels, and which patient and recording they are of."""

    features: Floats
    labels: npt.NDArray[np.bool_]
    subjects: npt.NDArray[np.str_]
    names: npt.NDArray[np.str_]


def amplitudes(recording: Recording) -> Floats:
    """Return the spectrum of every second up to 99 Hz, (windows, derivations, 100)."""
    signal = recording.read()
    rate = round(recording.layout.rate)
    seconds = signal[: len(signal) // rate * rate].reshape(-1, rate, signal.shape[1])
    return np.abs(np.fft.rfft(seconds, axis=1)[:, :100]).transpose(0, 2, 1) + 1e-3


def band_powers(spectra: Floats) -> Floats:
    powers = [np.log((spectra[..., low:high] ** 2).sum(axis=-1)) for low, high in BANDS]
    return np.concatenate(powers, axis=1)


def spectral_shapes(spectra: Floats) -> Floats:
    """Return log spectra without level and spread: scaled per derivation over its 100 bins."""
    logs = np.log(spectra)
    logs = (logs - logs.mean(axis=-1, keepdims=True)) / logs.std(axis=-1, keepdims=True)
    shapes = np.add.reduceat(logs, EDGES[:-1], axis=-1) / np.diff(EDGES)
    return shapes.reshape(len(shapes), -1)


FEATURES = {"band power": band_powers, "shape": spectral_shapes}


def gather(seed: int) -> dict[str, Windows]:
    """Return the windows of one simulated study for each form of features."""
    parts: dict[str, list[Floats]] = {name: [] for name in FEATURES}
    labels, subjects, names = [], [], []
    for recording in simulate_seizures(seed=seed, montage="double_banana"):
        spectra = amplitudes(recording)
        for name, extract in FEATURES.items():
            parts[name].append(extract(spectra).astype(np.float32))
        assert recording.events is not None
        labels.append(recording.events.share(np.arange(len(spectra) + 1)) >= 0.5)
        subjects.append(np.full(len(spectra), recording.subject))
        names.append(np.full(len(spectra), recording.name))
    rest = (np.concatenate(labels), np.concatenate(subjects), np.concatenate(names))
    return {name: Windows(np.concatenate(part), *rest) for name, part in parts.items()}


def held_out(subjects: npt.NDArray[np.str_]) -> Iterator[npt.NDArray[np.bool_]]:
    """Yield which windows are held out, two patients at a time."""
    everyone = np.unique(subjects)
    for first in range(0, len(everyone), HELD_OUT):
        yield np.isin(subjects, everyone[first : first + HELD_OUT])


def predict(windows: Windows, labels: npt.NDArray[np.bool_]) -> Floats:
    """Return the probability of a seizure for every window, from other patients."""
    probabilities = np.zeros(len(labels))
    for out in held_out(windows.subjects):
        model = make_pipeline(
            StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=1000)
        )
        model.fit(windows.features[~out], labels[~out])
        probabilities[out] = model.predict_proba(windows.features[out])[:, 1]
    return probabilities


def smooth(probabilities: Floats, names: npt.NDArray[np.str_]) -> Floats:
    """Average over the last seconds of each recording."""
    smoothed = np.empty_like(probabilities)
    for name in np.unique(names):
        sums = np.concatenate([[0.0], np.cumsum(probabilities[names == name])])
        stops = np.arange(1, len(sums))
        starts = np.maximum(0, stops - SECONDS_SMOOTHED)
        smoothed[names == name] = (sums[stops] - sums[starts]) / (stops - starts)
    return smoothed


def measure(windows: Windows, seed: int) -> tuple[float, float, float, list[float]]:
    """Return the areas raw, smoothed and for shuffled labels, and smoothed for each patient."""
    probabilities = predict(windows, windows.labels)
    smoothed = smooth(probabilities, windows.names)
    shuffled = np.random.default_rng(seed).permutation(windows.labels)
    patients = [windows.subjects == subject for subject in np.unique(windows.subjects)]
    return (
        roc_auc_score(windows.labels, probabilities),
        roc_auc_score(windows.labels, smoothed),
        roc_auc_score(shuffled, predict(windows, shuffled)),
        [roc_auc_score(windows.labels[one], smoothed[one]) for one in patients],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    print("| seed | features | raw | smooth | shuffled | smooth, patients 1 to 8 |")
    print("|---|---|---|---|---|---|")
    for seed in parser.parse_args().seeds:
        for name, windows in gather(seed).items():
            raw, smoothed, shuffled, patients = measure(windows, seed)
            each = " ".join(f"{area:.2f}" for area in patients)
            print(f"| {seed} | {name} | {raw:.3f} | {smoothed:.3f} | {shuffled:.3f} | {each} |")


if __name__ == "__main__":
    main()
