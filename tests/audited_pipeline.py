"""A whole pipeline in NumPy, right or with a fault planted in it, for the tests of the auditor.

Band powers of seconds, logistic regression, a threshold, and outputs smoothed over three seconds.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, sosfilt, sosfiltfilt

from ranvier.audit import Outputs, Trained, Windows
from ranvier.recording import Recording
from ranvier.truth import Events

RATE, SECONDS = 64, 90
HIGH_PASS = butter(2, 1.0, "high", fs=RATE, output="sos")
BANDS = ((2, 6), (6, 12), (12, 30))


def make_recording(subject: str, *, gap: bool = False, number: int = 0) -> Recording:
    """Noise with a rhythm of 9 Hz in a seizure of twenty seconds."""
    rng = np.random.default_rng([number, *subject.encode()])
    signal = rng.normal(0, 15, (SECONDS * RATE, 2))
    onset = int(rng.integers(15, 50))
    inside = slice(onset * RATE, (onset + 20) * RATE)
    signal[inside] += 25 * np.sin(2 * np.pi * 9 * np.arange(20 * RATE) / RATE)[:, None]
    if gap:
        signal[round(70.3 * RATE) : round(72.6 * RATE)] = np.nan
    events = Events.from_intervals([(onset, onset + 20)], SECONDS)
    name = f"sub-{subject}_run-{number:02}"
    return Recording.from_array(signal, RATE, ("a", "b"), name=name, subject=subject, events=events)


@dataclass(frozen=True)
class Model:
    """What is fitted, and by which faults it is used."""

    planted: frozenset[str]
    centre: np.ndarray
    spread: np.ndarray
    weights: np.ndarray

    def raw(self, recording: Recording) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return starts and ends of the windows, and their probabilities before smoothing."""
        starts, stops, features = windows_of(recording, self.planted)
        scaled = (features - self.centre) / self.spread
        return starts, stops, 1 / (1 + np.exp(-with_one(scaled) @ self.weights))

    def predict(self, recording: Recording) -> dict[str, Outputs]:
        starts, stops, raw = self.raw(recording)
        if "labels as first state" in self.planted:
            raw[:5] = recording.events.targets(stops[:5], 1.0)
        smooth = np.convolve(np.nan_to_num(raw), np.ones(5) / 5)[: len(raw)]
        if "centred smoothing" in self.planted:
            smooth = np.convolve(np.nan_to_num(raw), np.ones(5) / 5, "same")
        smooth[np.isnan(raw)] = np.nan
        if "scaling by length" in self.planted:
            smooth = smooth * len(recording.read()) / (SECONDS * RATE)
        if "wrap-around" in self.planted:
            smooth[:2] = smooth[-2:]
        if "gap filled" in self.planted:
            smooth = np.nan_to_num(smooth)
        return {
            "probabilities": Outputs(stops, raw, starts),
            "smoothed probabilities": Outputs(stops, smooth, starts),
        }


def windows_of(recording: Recording, planted: frozenset[str]):
    """Cut a recording into seconds: starts, stops, and log band powers, NaN over a gap."""
    signal = recording.read().astype(float)
    place = np.arange(len(signal))
    if "window over a gap" in planted:
        place = np.flatnonzero(~np.isnan(signal).all(axis=1))
        signal = signal[place]
    if "whole-recording z-score" in planted:
        signal = (signal - np.nanmean(signal, axis=0)) / np.nanstd(signal, axis=0) * 15
    missing = np.isnan(signal).any(axis=1)
    run = sosfiltfilt if "zero-phase filter" in planted else sosfilt
    filtered = run(HIGH_PASS, np.nan_to_num(signal), axis=0)
    count = len(filtered) // RATE
    cut = filtered[: count * RATE].reshape(count, RATE, -1)
    power = np.abs(np.fft.rfft(cut, axis=1)) ** 2
    bands = [power[:, low:high].mean(axis=1) for low, high in BANDS]
    features = np.log(np.concatenate(bands, axis=1) + 1e-3)
    features[missing[: count * RATE].reshape(count, RATE).any(axis=1)] = np.nan
    place = place[: count * RATE].reshape(count, RATE)
    return place[:, 0] / RATE, (place[:, -1] + 1) / RATE, features


def with_one(features: np.ndarray) -> np.ndarray:
    return np.column_stack([features, np.ones(len(features))])


def regress(features, targets, counts) -> np.ndarray:
    """Fit by some steps of Newton's method with a ridge."""
    inputs, weights = with_one(features), np.zeros(features.shape[1] + 1)
    each = counts[targets.astype(int)]
    for _ in range(5):
        found = 1 / (1 + np.exp(-inputs @ weights))
        slope = inputs.T @ (each * (targets - found)) - weights
        bend = (inputs * (each * found * (1 - found))[:, None]).T @ inputs + np.eye(len(weights))
        weights = weights + np.linalg.solve(bend, slope)
    return weights


@dataclass(frozen=True)
class Examples:
    """Windows without a gap of some recordings, in a row."""

    names: np.ndarray
    starts: np.ndarray
    stops: np.ndarray
    features: np.ndarray
    targets: np.ndarray

    @classmethod
    def of(cls, recordings, planted):
        parts = []
        for one in recordings:
            starts, stops, features = windows_of(one, planted)
            targets = one.events.targets(stops, 1.0)
            kept = ~np.isnan(features).any(axis=1)
            names = np.array([one.name] * len(starts))
            parts.append([x[kept] for x in (names, starts, stops, features, targets)])
        return cls(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def some(self, which) -> "Examples":
        return Examples(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    def told(self) -> list[Windows]:
        found = []
        for name in np.unique(self.names).tolist():
            own = self.names == name
            found.append(Windows(name, self.starts[own], self.stops[own]))
        return found


def examples(recordings, split, planted) -> dict[str, Examples]:
    """Return the windows of each part."""
    parts = ("train", "validation", "test")
    named = {p: [r for r in recordings if r.subject in getattr(split, p)] for p in parts}
    if "shuffled windows" not in planted:
        return {part: Examples.of(own, planted) for part, own in named.items()}
    whole = Examples.of(recordings, planted)
    side = np.random.default_rng(0).permutation(len(whole.names)) % 3
    return {part: whole.some(side == number) for number, part in enumerate(parts)}


def pipeline(*planted: str):
    """Return a function that trains it, with these faults planted."""

    def run(recordings, split) -> Trained:
        return train(recordings, split, frozenset(planted))

    return run


def train(recordings, split, planted) -> Trained:
    by_part = examples(recordings, split, planted)
    train, validation, test = by_part.values()
    everyone = Examples.of(recordings, planted)
    scaling = everyone if "scaling from everyone" in planted else train
    counting = everyone if "class weights from all subjects" in planted else train
    choosing = test if "threshold from the test part" in planted else validation
    centre, spread = scaling.features.mean(axis=0), scaling.features.std(axis=0)
    counts = np.array([1.0, (counting.targets == 0).sum() / (counting.targets == 1).sum()])
    draw = np.random.default_rng(None if "no seed" in planted else 0)
    scaled = (train.features - centre) / spread + 1e-9 * draw.normal(size=train.features.shape)
    weights = regress(scaled, train.targets, counts)
    found = with_one((choosing.features - centre) / spread) @ weights
    threshold = np.median([found[choosing.targets == kind].mean() for kind in (0, 1)])
    used = np.append(weights[:-1], weights[-1] - threshold)
    if "an untold shift" in planted:
        used[-1] += test.features.mean()
    model = Model(planted, centre, spread, used)
    fitted = {
        "scaling": np.stack([centre, spread]),
        "class weights": counts,
        "weights": weights,
        "threshold": threshold,
    }
    return Trained(fitted, model.predict, {name: one.told() for name, one in by_part.items()})
