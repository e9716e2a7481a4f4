"""Recordings of patients who never were, whose seizures are known to the sample.

A patient is planned first, without a signal; the signal of a run is made when it is first read.
Everything follows from the seed and the patient's number, so a patient stays the same however many
are simulated. docs/simulation.md says what is simulated and how hard it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Literal

import numpy as np
from numpy.random import Generator, SeedSequence

from ranvier.channels import MONTAGES, TEN_TWENTY, pick
from ranvier.recording import Array, Layout, Recording, Signal
from ranvier.simulate.limits import LONGEST, check_within
from ranvier.simulate.scalp import MUSCLES, distances_to, reach
from ranvier.simulate.seizure_kinds import FOCAL, KINDS, plan_kinds, widespread
from ranvier.simulate.transients import TRANSIENTS, add_transient
from ranvier.simulate.waves import (
    Range,
    around,
    between,
    edges,
    falling,
    noise,
    spiky,
    stretch,
    unsteady_phase,
    wander,
)
from ranvier.truth import SEIZURE, Event, Events

Montage = Literal["referential", "double_banana"]

START = datetime(2000, 1, 1)
SHORTEST, RUN_MINUTES = 3.0, 25.0
GAP, MARGIN = 242.0, 121.0
"""Seconds without a seizure between two, and at both ends of a run; a tenth of it if shorter."""
SUBTLE, HARD_EVERY, HARD_PLACE = 0.25, 8, 3
"""Share of seizures that are faint, save in patients 3, 11, 19 ..., who are hard altogether."""
FOCI = ("T3", "T4", "F7", "F8", "T5", "T6", "F3", "F4")
DIFFUSE = ("F3", "F4", "C3", "C4", "P3", "P4", "T3", "T4")


@dataclass(frozen=True)
class Seizure:
    """One seizure: onset and duration in seconds, amplitude as a multiple of the patient's own.

    ``kind`` is one of ``seizure_kinds.KINDS``; empty for a focal seizure of which only is said that
    it is one.
    """

    onset: float
    duration: float
    strength: float
    kind: str = ""

    @property
    def label(self) -> str:
        """What it is annotated as."""
        return KINDS[self.kind].label if self.kind else SEIZURE


@dataclass(frozen=True)
class Run:
    """One recording of a patient: its length in seconds and its seizures."""

    number: int
    seconds: float
    seizures: tuple[Seizure, ...]


@dataclass(frozen=True)
class Patient:
    """Who is simulated: everything follows from the study's seed and the patient's number.

    The seizures start at the electrode ``focus`` and spread over ``extent`` radii of the head, at
    ``spread`` radii per second, while they slow from ``first_hz`` to ``last_hz``; their amplitude
    at the focus is ``contrast`` times ``gain``, and a share ``fast`` of it is fast activity in the
    first seconds. ``gain``, ``muscle`` and ``alpha_gain`` are the standard deviations in µV of the
    background, whose power falls as 1/f to the ``slope`` (``drowsy_slope`` when drowsy), of muscle
    activity and of the posterior rhythm at ``alpha`` Hz. ``drowsiness`` lies between -1 (awake) and
    1; ``habits`` say how often each of ``TRANSIENTS`` happens, as a multiple of the usual.
    """

    seed: int
    number: int
    focus: str
    runs: tuple[Run, ...]
    habits: tuple[float, ...]
    gain: float
    muscle: float
    alpha_gain: float
    slope: float
    drowsy_slope: float
    drowsiness: float
    alpha: float
    first_hz: float
    last_hz: float
    contrast: float
    fast: float
    spread: float
    extent: float


TRAITS: dict[str, Range] = {
    "gain": (16, 30), "muscle": (1, 3), "alpha_gain": (4, 14), "slope": (1, 1.5),
    "drowsy_slope": (1.7, 2.3), "drowsiness": (-0.8, 0.3), "alpha": (8.5, 11), "first_hz": (6, 9),
    "last_hz": (2, 3.5), "contrast": (5, 7), "fast": (0, 0.5), "spread": (0.03, 0.12),
    "extent": (0.9, 1.4),
}  # fmt: skip
HARD_FACTORS = {"muscle": 3.0, "contrast": 0.24, "extent": 0.6}


def simulate_seizures(
    *,
    subjects: int = 8,
    minutes: float = 50.0,
    seed: int = 0,
    montage: Montage = "referential",
    rate: float = 256.0,
    types: Sequence[str] = (),
) -> list[Recording]:
    """Simulate patients with epilepsy under scalp EEG.

    Parameters
    ----------
    subjects, minutes
        Number of patients, and the length of each, cut into equal runs of at most 25 minutes.
    seed
        The same seed gives the same signals, bit for bit.
    montage
        ``"referential"`` (19 leads) or ``"double_banana"`` (their 18 longitudinal differences).
    rate
        Sampling rate in Hz, at least 128.
    types
        Kinds of seizures, of ``"focal"``, ``"generalised"``, ``"absence"`` and ``"tonic"``: each
        patient has one of each in every run, and the labels of the events say which. By default
        all seizures are focal, one to three in 50 minutes, and labelled ``"sz"``.

    Returns
    -------
    list of Recording
        Run by run, with all seizures as events. A signal is made when it is first read and the
        two read last are kept: read in order, or write to files before reading at random.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """
    check_within("subjects", subjects, 1)
    plan = partial(plan_patient, minutes=minutes, seed=seed, types=types)
    patients = (plan(number + 1) for number in range(subjects))
    return [_record(patient, run, montage, rate) for patient in patients for run in patient.runs]


def simulate_patient(
    subject: int,
    *,
    minutes: float = 50.0,
    seed: int = 0,
    montage: Montage = "referential",
    rate: float = 256.0,
) -> list[Recording]:
    """Simulate one patient of ``simulate_seizures``, by number from 1; one recording per run."""
    return record_patient(plan_patient(subject, minutes=minutes, seed=seed), montage, rate)


def record_patient(
    patient: Patient, montage: Montage = "referential", rate: float = 256.0
) -> list[Recording]:
    """Record a patient who was planned, or changed after that; one recording per run."""
    return [_record(patient, run, montage, rate) for run in patient.runs]


def plan_patient(
    subject: int, *, minutes: float = 50.0, seed: int = 0, types: Sequence[str] = ()
) -> Patient:
    """Draw a patient's traits, runs and seizures without making a signal."""
    if subject < 1:
        raise ValueError(f"Invalid subject: {subject}, must be at least 1")
    check_within("minutes", minutes, SHORTEST, LONGEST)
    rng = np.random.default_rng(SeedSequence(seed, spawn_key=(subject,)))
    factors = HARD_FACTORS if subject % HARD_EVERY == HARD_PLACE else {}
    return Patient(
        seed,
        subject,
        str(rng.choice(FOCI)),
        _plan_runs(minutes, types, 0.0 if factors else SUBTLE, rng),
        tuple(np.exp(rng.normal(0, 0.5, len(TRANSIENTS))).tolist()),
        **{name: rng.uniform(*span) * factors.get(name, 1) for name, span in TRAITS.items()},
    )


def _plan_runs(
    minutes: float, types: Sequence[str], faint: float, rng: Generator
) -> tuple[Run, ...]:
    """Share out one to three seizures per 50 minutes, at least one; or one of each type per run."""
    runs = int(np.ceil(minutes / RUN_MINUTES))
    seconds = 60 * minutes / runs
    if types:
        plan = partial(plan_kinds, types, seconds, _margin(seconds), rng)
        return tuple(Run(n, seconds, _place(seconds, *plan(), faint, rng)) for n in range(runs))
    wanted = int(rng.integers(1, 4, int(np.ceil(minutes / 50))).sum())
    room = max(1, int(60 * minutes // (2 * GAP)))
    counts = rng.permutation(np.bincount(np.arange(min(wanted, room)) % runs, minlength=runs))
    seizures = [_plan_seizures(seconds, int(count), faint, rng) for count in counts]
    return tuple(Run(number, seconds, of_run) for number, of_run in enumerate(seizures))


def _plan_seizures(seconds: float, count: int, faint: float, rng: Generator) -> tuple[Seizure, ...]:
    durations = rng.uniform(20, 90, count).round(2)
    return _place(seconds, [""] * count, durations, GAP, faint, rng)


def _margin(seconds: float) -> float:
    return min(MARGIN, seconds / 10)


def _place(  # noqa: PLR0917
    seconds: float,
    kinds: Sequence[str],
    durations: Array,
    gap: float,
    faint: float,
    rng: Generator,
) -> tuple[Seizure, ...]:
    """Let seizures follow each other with at least the gap between them."""
    count, margin = len(kinds), _margin(seconds)
    strengths = np.where(rng.random(count) < faint, 0.4, rng.uniform(0.8, 1.2, count))
    free = seconds - 2 * margin - durations.sum() - gap * max(0, count - 1)
    before = np.cumsum(durations + gap) - durations - gap
    onsets = (margin + before + np.sort(rng.uniform(0, free, count))).round(2)
    return tuple(map(Seizure, onsets.tolist(), durations.tolist(), strengths.tolist(), kinds))


def _read(patient: Patient, run: Run, rate: float, leads: Array, first: int, last: int) -> Signal:  # noqa: PLR0917
    signal = _render(patient, run, rate)[first:last]
    plus, *minus = (signal[:, lead] for lead in leads)
    return plus - minus[0] if minus else plus


def _record(patient: Patient, run: Run, montage: Montage, rate: float) -> Recording:
    if not (np.isfinite(rate) and rate >= 128):
        raise ValueError(f"Invalid rate: {rate} Hz, must be finite and at least 128 Hz")
    derivations = pick(TEN_TWENTY, montage).derivations
    leads = np.array([[index for index, _ in derivation.terms] for derivation in derivations]).T
    samples = round(run.seconds * rate)
    start = START + timedelta(seconds=run.number * run.seconds)
    events = tuple(Event(one.onset, one.duration, one.label) for one in run.seizures)
    return Recording(
        Layout(MONTAGES[montage], rate),
        samples,
        partial(_read, patient, run, rate, leads),
        name=f"sub-{patient.number:02d}_ses-01_task-szMonitoring_run-{run.number:02d}",
        subject=f"{patient.number:02d}",
        session="01",
        start=start,
        events=Events(events, samples / rate, start),
    )


@lru_cache(maxsize=2)
def _render(patient: Patient, run: Run, rate: float) -> Signal:
    """Make the 19 leads of a run, (time, channels) in µV; nobody may write to it."""
    rng = np.random.default_rng(SeedSequence(patient.seed, spawn_key=(patient.number, run.number)))
    times = np.arange(round(run.seconds * rate)) / rate
    signal = _background(patient, times, rng)
    for kind, habit in zip(TRANSIENTS.values(), patient.habits, strict=True):
        for _ in range(rng.poisson(kind.per_minute * habit * run.seconds / 60)):
            add_transient(signal, times, kind, rng)
    for seizure in run.seizures:
        _add_seizure(signal, times, patient, seizure, rng)
    leads = np.ascontiguousarray(signal.T)
    leads.setflags(write=False)
    return leads


def _background(patient: Patient, times: Array, rng: Generator) -> Signal:
    """Sum what is always there, (channels, time) in µV."""
    sleepy = wander(1, times, 240, rng)[0] + np.float32(2 * patient.drowsiness)
    drowsy = 1 / (1 + np.exp(-3 * sleepy))
    gain, always = patient.gain, np.ones_like(drowsy)
    fields = (
        (TEN_TWENTY, 0.4, falling(patient.slope), gain * (1 - 0.5 * drowsy)),
        (DIFFUSE, 0.8, falling(patient.drowsy_slope), 0.7 * gain * drowsy),
        (("Fz", "C3", "C4", "T3", "T4"), 0.6, around(5, 0.8), 0.2 * gain * drowsy),
        (("O1", "O2", "Pz"), 0.5, around(patient.alpha, 0.5), patient.alpha_gain * (1 - drowsy)),
        (MUSCLES, 0.4, between(20, 100), patient.muscle * (1 - 0.5 * drowsy)),
        (TEN_TWENTY, 0.1, between(0.02, 0.3), 8 * always),
        (TEN_TWENTY, 0.1, around(50, 0.02), 0.7 * always),
    )
    signal = np.zeros((len(TEN_TWENTY), len(times)), np.float32)
    for sites, width, spectrum, level in fields:
        sources = noise(len(sites), times, spectrum, rng) * level
        sources *= np.exp(0.35 * wander(len(sites), times, 15, rng))
        seen = np.stack([reach(site, width) for site in sites], axis=1)
        signal += (seen / np.sqrt((seen**2).sum(axis=1).max())) @ sources
    return signal


def _add_seizure(
    signal: Signal, times: Array, patient: Patient, seizure: Seizure, rng: Generator
) -> None:
    """Add one seizure and the slow waves that fade within a minute after it."""
    span, local = stretch(times, seizure.onset, seizure.duration + 60)
    if seizure.kind not in {"", FOCAL}:
        wave, left = widespread(seizure.kind, local, seizure.duration, rng)
        signal[:, span] *= left.astype(np.float32)
        signal[:, span] += (patient.gain * patient.contrast * seizure.strength * wave).astype("f4")
        return
    share = np.clip(local / seizure.duration, 0, 1)
    distances = distances_to(patient.focus)
    hertz = patient.first_hz * (patient.last_hz / patient.first_hz) ** share
    phase = unsteady_phase(hertz, local, rng) - 1.5 * distances
    rhythm = spiky(phase, 0.1 + 0.5 * share) * (0.25 + 0.75 * share)
    rhythm *= np.exp(0.3 * wander(1, local, 3, rng))
    fast = patient.fast * noise(1, local, around(18, 2), rng) * np.exp(-local / 5)
    arrived = 1 / (1 + np.exp((distances / patient.spread - local) / 2))
    after = local - seizure.duration
    fade = np.where(after > 0, 0.4 * np.exp(-after / rng.uniform(8, 20)), 0)
    slowing = noise(1, local, around(1.5, 0.5), rng) * fade
    wave = (rhythm + fast) * arrived * edges(local, seizure.duration) + slowing
    wave *= patient.gain * patient.contrast * seizure.strength
    signal[:, span] += reach(patient.focus, patient.extent)[:, None] * wave.astype(np.float32)
