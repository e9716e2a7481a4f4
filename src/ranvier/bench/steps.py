"""Steps of a decoder, timed as they come live."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ranvier.decoder import Decoder
from ranvier.decoding import Chain
from ranvier.golden import golden_layout
from ranvier.recording import COUNT, Array, Recording
from ranvier.store import first_output
from ranvier.streaming import Pipeline

Clock = Callable[[], float]
Seconds = dict[str, float]

PERCENTILES = {"p50": 50, "p95": 95, "p99": 99, "max": 100}
PARTS = ("preprocessing", "network", "decision")


@dataclass(frozen=True)
class Steps:
    """Seconds that steps took, one after the other.

    Parameters
    ----------
    hop
        Seconds of signal in a step.
    whole
        From the samples to the decision, (step,).
    parts
        The same for each of ``PARTS``, where they can be told apart.
    """

    hop: float
    whole: Array
    parts: Mapping[str, Array]

    @property
    def missed(self) -> int:
        """Steps that took longer than the signal they decode, after which a stream is late."""
        return int((self.whole > self.hop).sum())

    @property
    def per_second(self) -> Array:
        """Computing for each second of signal; of short steps, as many as make up a second."""
        each = min(len(self.whole), max(1, round(1 / self.hop)))
        whole = self.whole[: len(self.whole) // each * each]
        return np.asarray(whole.reshape(-1, each).sum(axis=1) / (each * self.hop))


def percentiles(seconds: Array) -> Seconds:
    """Return the percentiles of ``PERCENTILES``."""
    return {name: float(np.percentile(seconds, share)) for name, share in PERCENTILES.items()}


def noise(decoder: Decoder, steps: int, *, seed: int = 0) -> Recording:
    """Return noise that gives this many answers after the first two, of µV or counts."""
    layout = golden_layout(decoder.stages, decoder.channels, decoder.rate)
    chain = decoder.bind(layout)
    seconds = first_output(chain.pipeline) + (steps + 1) * chain.hop
    shape = (int(np.ceil(seconds * layout.rate)) + 1, len(layout.channels))
    rng = np.random.default_rng(seed)
    counts = layout.unit == COUNT
    signal = rng.poisson(0.3, shape) if counts else rng.normal(0, 30, shape)
    unit = COUNT if counts else "µV"
    return Recording.from_array(signal, layout.rate, layout.channels, unit=unit, name="noise")


def cuts_of(chain: Chain, recording: Recording, steps: int) -> list[int]:
    """Return where a recording is cut: after its first two answers, and then after each.

    Raises
    ------
    ValueError
        If no answer is left to be timed.
    """
    first, hop, rate = first_output(chain.pipeline), chain.hop, recording.layout.rate
    cuts = [0, *(int(np.ceil((first + k * hop) * rate - 1e-6)) for k in range(1, steps + 2))]
    cuts = [cut for cut in cuts if cut <= recording.samples]
    if len(cuts) < 3:
        raise ValueError(
            f"Invalid recording: {recording.duration:g} s, must be at least {first + 2 * hop:g} s"
        )
    return cuts


def time_steps(
    chain: Chain, recording: Recording, *, steps: int = 200, clock: Clock = time.perf_counter
) -> Steps:
    """Time a decoder answer by answer; the first two are not counted.

    Parameters
    ----------
    chain
        The decoder, made for the recording.
    recording
        What is decoded.
    steps
        Answers that are timed.
    clock
        Seconds of any time; it is read before and after each part of a step.

    Raises
    ------
    ValueError
        If the recording is too short.
    """
    parts = parts_of(chain)
    states = [part.initial_state(1) for part in parts]
    took = []
    for first, last in pairwise(cuts_of(chain, recording, steps)):
        given: Any = recording.reader(first, last)[None]
        ticks = [clock()]
        for i, part in enumerate(parts):
            given, states[i] = part.step(given, states[i])
            ticks.append(clock())
        took.append(np.diff(ticks))
    table = np.array(took[1:])
    return Steps(chain.hop, table.sum(axis=1), dict(zip(PARTS, table.T, strict=True)))


def parts_of(chain: Chain) -> tuple[Any, ...]:
    """Return the stages before the network, the network and what decides, each with ``step``."""
    *before, network = chain.pipeline.stages
    deciding = Chain(Pipeline(network.output, []), chain.decision)
    return Pipeline(chain.layout, before), network, deciding
