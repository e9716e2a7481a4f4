"""How fast signals are read: random windows from EDF and from a store, and whole recordings.

    pip install "ranvier[dev]"
    OMP_NUM_THREADS=1 python benchmarks/reading.py [--rounds N] [--seconds S]

    pip install --no-deps --target OLDER mne==1.12.1  # since 1.13 MNE reads faster
    PYTHONPATH=OLDER OMP_NUM_THREADS=1 python benchmarks/reading.py

All forms take turns in one process on one thread, on files of noise that lie in the page cache.
Given are the rates of each form's fastest round, by the time that the processor was at work, and
their ratios.

Of random windows, ``raw[:, first:stop]`` and ``raw.get_data`` give float64 volts of any window, and
``epochs.get_data(item=i)`` of one that was named before; by ``Recording.from_mne`` they are float32
µV, as all those below are. Last stands what none of these can do without: mapped integers of the
store are multiplied and become float32, in memory that is there already.

A whole recording is read from a file that is opened anew, filtered from 0.5 to 40 Hz, and resampled
from 256 to 100 Hz, in both orders. MNE does so by its defaults (a linear-phase FIR filter, the
whole recording through one FFT), and by what is nearest to ours (a causal Butterworth filter, a
polyphase resampler).
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import mne
import numpy as np

from ranvier.channels import TEN_TWENTY
from ranvier.formats import read_edf, write_edf
from ranvier.recording import Layout, Recording
from ranvier.signal_store import read_store, write_store
from ranvier.stored_recording import Stored
from ranvier.window_sampler import WindowSampler
from ranvier.windows import Windows, processed

RATE = 256.0
WINDOW = 10.0
FILTER = {"stage": "filter", "low": 0.5, "high": 40.0}
RESAMPLE = {"stage": "resample", "rate_out": 100.0}
CAUSAL = {"order": 2, "ftype": "butter", "output": "sos"}

RAW_INDEX, GET_DATA = "MNE, raw[:, first:stop]", "MNE, raw.get_data"

Forms = Mapping[str, Callable[[], float]]
"""What is timed: each does some work and says how much."""


def make_edf(path: Path, channels: Sequence[str], seconds: float) -> Path:
    rng = np.random.default_rng(0)
    signal = rng.normal(0, 20, (round(seconds * RATE), len(channels)))
    return write_edf(path, signal, Layout(tuple(channels), RATE))


def windows_of(recording: Recording, count: int) -> Callable[[], float]:
    samples = round(WINDOW * recording.layout.rate)
    rng = np.random.default_rng(1)

    def read() -> float:
        firsts = rng.integers(0, recording.samples - samples, count).tolist()
        for first in firsts:
            recording.reader(first, first + samples)
        return count

    return read


def by_index(raw: mne.io.BaseRaw, count: int, *, times: bool) -> Callable[[], float]:
    """Read windows as those do who train with MNE: by ``raw[:, ...]`` or by ``get_data``."""
    samples = round(WINDOW * RATE)
    rng = np.random.default_rng(1)

    def read() -> float:
        for first in rng.integers(0, raw.n_times - samples, count).tolist():
            if times:
                raw[:, first : first + samples]
            else:
                raw.get_data(start=first, stop=first + samples)
        return count

    return read


def by_epochs(raw: mne.io.BaseRaw, count: int) -> Callable[[], float]:
    """Read epochs one at a time, which were named before."""
    rng = np.random.default_rng(1)
    firsts = np.sort(rng.choice(raw.n_times - round(WINDOW * RATE), count, replace=False))
    events = np.stack([firsts, 0 * firsts, 1 + 0 * firsts], axis=1)
    span = {"tmin": 0.0, "tmax": WINDOW - 1 / RATE, "baseline": None}
    epochs = mne.Epochs(raw, events, **span, preload=False, proj=False, verbose="error")
    epochs.drop_bad(verbose="error")

    def read() -> float:
        for item in rng.permutation(count).tolist():
            epochs.get_data(item=item, verbose="error")
        return count

    return read


def bare(stored: Recording, count: int, *, scaled: bool) -> Callable[[], float]:
    """Make float32 of the integers of windows, with nothing around it."""
    assert isinstance(stored.reader, Stored)
    values = np.asarray(np.load(stored.reader.path, mmap_mode="r"))
    samples = round(WINDOW * RATE)
    gain = np.full((samples, values.shape[1]), 0.1, np.float32)
    into = np.empty_like(gain)
    rng = np.random.default_rng(1)

    def read() -> float:
        for first in rng.integers(0, len(values) - samples, count).tolist():
            window = values[first : first + samples]
            if scaled:
                np.multiply(window, gain, out=into)
            else:
                np.copyto(into, window)
        return count

    return read


def window_forms(folder: Path, seconds: float) -> Forms:
    path = make_edf(folder / "windows.edf", TEN_TWENTY, seconds)
    recording = read_edf(path, subject="01")
    (stored,) = read_store(write_store([recording], folder / "store"))
    raw = mne.io.read_raw_edf(path, preload=False, verbose="error")
    ready = processed(stored, [FILTER, RESAMPLE])
    assert isinstance(ready.reader, Windows)
    ready.reader(ready.samples - 1, ready.samples)
    sampler = WindowSampler([stored], WINDOW, hop=0.1, balance=[])
    return {
        RAW_INDEX: by_index(raw, 300, times=True),
        GET_DATA: by_index(raw, 300, times=False),
        "MNE, epochs.get_data(item=i)": by_epochs(raw, 300),
        "MNE, by Recording.from_mne": windows_of(Recording.from_mne(raw), 300),
        "from EDF": windows_of(recording, 1000),
        "from the store": windows_of(stored, 1000),
        "drawn in batches of 64 by the sampler": lambda: len(sampler.batch(64).signal),
        "filtered and resampled, from the store": windows_of(ready, 50),
        "only numpy.multiply, int16 to float32": bare(stored, 1000, scaled=True),
        "only numpy.copyto, int16 to float32": bare(stored, 1000, scaled=False),
    }


def by_mne(path: Path, steps: Sequence[Callable[[mne.io.BaseRaw], object]]) -> float:
    raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
    for step in steps:
        step(raw)
    return raw.get_data().shape[1] / raw.info["sfreq"] / 3600


def by_ranvier(path: Path, stages: Sequence[Mapping[str, object]]) -> float:
    recording = processed(read_edf(path), stages)
    return len(recording.read()) / recording.layout.rate / 3600


def fir(raw: mne.io.BaseRaw) -> object:
    return raw.filter(0.5, 40.0, verbose="error")


def iir(raw: mne.io.BaseRaw) -> object:
    return raw.filter(
        0.5, 40.0, method="iir", iir_params=dict(CAUSAL), phase="forward", verbose="error"
    )


def fft(raw: mne.io.BaseRaw) -> object:
    return raw.resample(100.0, verbose="error")


def polyphase(raw: mne.io.BaseRaw) -> object:
    return raw.resample(100.0, method="polyphase", verbose="error")


def whole_forms(folder: Path, seconds: float) -> dict[str, Forms]:
    path = make_edf(folder / "whole.edf", [f"EEG {n}" for n in range(23)], seconds)
    return {
        "filtered, then resampled": {
            "MNE, defaults": lambda: by_mne(path, [fir, fft]),
            "MNE, causal filter, polyphase": lambda: by_mne(path, [iir, polyphase]),
            "Ranvier": lambda: by_ranvier(path, [FILTER, RESAMPLE]),
        },
        "resampled, then filtered": {
            "MNE, defaults": lambda: by_mne(path, [fft, fir]),
            "MNE, causal filter, polyphase": lambda: by_mne(path, [polyphase, iir]),
            "Ranvier": lambda: by_ranvier(path, [RESAMPLE, FILTER]),
        },
    }


def rates_of(forms: Forms, rounds: int) -> dict[str, float]:
    """Return how much work each form does in a second, in its fastest round."""
    rates = dict.fromkeys(forms, 0.0)
    for _ in range(rounds):
        for name, work in forms.items():
            begun = time.process_time()
            done = work()
            rates[name] = max(rates[name], done / (time.process_time() - begun))
    return rates


def row(name: str, rates: Mapping[str, float], digits: int, beside: Sequence[str]) -> str:
    """Return a line of a table: the rate and how often it is each rate beside it."""
    times = " | ".join(f"{rates[name] / rates[other]:.1f}×" for other in beside)
    return f"| {name} | {rates[name]:,.{digits}f} | {times} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=3600.0, help="length of the recordings")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rates = rates_of(window_forms(Path(folder), options.seconds), options.rounds)
        print(f"MNE {mne.__version__}\n")
        titles = [f"random windows, {len(TEN_TWENTY)} channels, 10 s, 256 Hz", "a second"]
        print("|", " | ".join([*titles, "to raw[:, first:stop]", "to raw.get_data"]), "|")
        print("|---|---:|---:|---:|")
        print(*(row(name, rates, 0, [RAW_INDEX, GET_DATA]) for name in rates), sep="\n")
        for title, forms in whole_forms(Path(folder), options.seconds).items():
            rates = rates_of(forms, options.rounds)
            print(
                f"\n| 23 channels, {title} | hours a second | to MNE's defaults | to MNE, causal |"
            )
            print("|---|---:|---:|---:|")
            beside = [name for name in rates if name.startswith("MNE")]
            print(*(row(name, rates, 2, beside) for name in rates), sep="\n")


if __name__ == "__main__":
    main()
