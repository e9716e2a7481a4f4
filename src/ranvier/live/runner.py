"""The loop that runs a decoder on a source, and the proof that it answers as it does for a file."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.datasets import read_one
from ranvier.decoder import Decoder
from ranvier.decoding import Chain, Output, collect
from ranvier.live.sources import Block, Replay, Source
from ranvier.recording import Array, Layout, Recording
from ranvier.streaming import pack_state, unpack_state

if TYPE_CHECKING:
    from ranvier.formats import Source as Recorded

TOLERANCE = 1e-6
"""Of the largest output, or of 1 if that is more."""

OF_A_SITE = 1e-5
"""The same of the values of single sites, in which rounding is not averaged out."""

LONGEST_GAP, PIECE = 3600.0, 10.0
"""Seconds of lost samples that a stream may go on after, and that are filled in at once."""


@dataclass(frozen=True)
class Message:
    """What is said live, once for each output.

    Parameters
    ----------
    time
        Seconds from the start of the stream at which the output became known.
    answer
        What is decided: the probability of a seizure with the alarm and its onset and end so far,
        or the stage of sleep with all probabilities, or the value of each axis; None where
        nothing is known.
    valid
        Whether the signal allowed an answer.
    age_seconds
        From the measurement of the last sample that the output looks at until now: how long it
        waited for its block to be full, and for being computed. Of a stream that is played faster,
        the waiting is as long as if it was not.
    compute_seconds
        Spent on the block that made the output known.
    """

    time: float
    answer: Mapping[str, Any]
    valid: bool
    age_seconds: float
    compute_seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return it in plain types, on one level."""
        return {
            "time": self.time,
            **self.answer,
            "valid": self.valid,
            "age_seconds": self.age_seconds,
            "compute_seconds": self.compute_seconds,
        }


def run(decoder: Decoder, source: Source) -> Iterator[Message]:
    """Decode a source as its samples arrive.

    Raises
    ------
    ValueError
        If the layout of the source cannot be decoded, or a block does not follow the one before:
        it repeats samples, or more than ``LONGEST_GAP`` is lost.
    """
    chain, seen = decoder.bind(source.layout), 0
    state = chain.initial_state(1)
    for block in source.blocks():
        began = time.monotonic()
        for signal in _with_what_was_lost(block, seen, source.layout):
            output, state = chain.step(signal[None], state)
            yield from _messages(chain, output, block, began)
        seen = block.first + len(block.signal)


def _with_what_was_lost(block: Block, seen: int, layout: Layout) -> Iterator[Array]:
    """Yield NaN for the samples before a block that did not come, then its own."""
    lost = block.first - seen
    if not 0 <= lost <= LONGEST_GAP * layout.rate:
        raise ValueError(
            f"Invalid block: it begins with sample {block.first}, must begin with sample {seen} or "
            f"at most {LONGEST_GAP:g} s later"
        )
    size = max(1, round(PIECE * layout.rate))
    for first in range(0, lost, size):
        yield np.full((min(size, lost - first), len(layout.channels)), np.nan, np.float32)
    yield block.signal


def _messages(chain: Chain, output: Output, block: Block, began: float) -> Iterator[Message]:
    now, end = time.monotonic(), (block.first + len(block.signal)) / chain.rate
    for when, values, row in zip(
        output.times.tolist(), output.values[0], output.rows[0], strict=True
    ):
        yield Message(
            round(when, 6),
            chain.decision.said(row, values),
            not np.isnan(values).any(),
            age_seconds=now - block.due + max(0.0, end - when),
            compute_seconds=now - began,
        )


@dataclass(frozen=True)
class Certified:
    """Whether file and stream gave the same answer.

    Parameters
    ----------
    recording
        Its name.
    outputs
        How many were compared.
    cuts, resumes
        Into how many pieces the stream was cut, and how often its state was saved and reloaded.
    difference
        Largest of all differences in the outputs.
    same_validity, same_decisions
        Whether validity and times, and what was decided, were the same.
    tolerance
        What the difference may be: a millionth of the largest output, or of 1 if that is more.
    valid
        How many of the outputs are valid; none proves nothing.
    sites
        Largest of all differences in the values of single sites, which may be ten times as much.
    """

    recording: str
    outputs: int
    cuts: int
    resumes: int
    difference: float
    same_validity: bool
    same_decisions: bool
    tolerance: float = TOLERANCE
    valid: int = 1
    sites: float = 0.0

    @property
    def equal(self) -> bool:
        """Whether the stream may be trusted to say what the file says."""
        same = self.same_validity and self.same_decisions
        near = self.sites * TOLERANCE <= self.tolerance * OF_A_SITE
        return self.valid > 0 and same and near and self.difference <= self.tolerance

    def __str__(self) -> str:
        if not self.valid:
            return (
                f"nothing to compare on {self.recording}: none of {self.outputs} outputs is valid"
            )
        verdict = "agree" if self.equal else "DO NOT agree"
        return (
            f"file and live {verdict} on {self.recording}: {self.outputs} outputs, {self.cuts} "
            f"random pieces, {self.resumes} restarts, largest difference {self.difference:.1e}, "
            f"decisions {'the same' if self.same_decisions else 'different'}"
        )


def certify(decoder: Decoder, recording: Recorded, *, seed: int = 0) -> Certified:
    """Decode a recording as a file and as a stream cut at random, and compare.

    Between some pieces the state is saved, forgotten and reloaded.

    Parameters
    ----------
    decoder
        What is certified.
    recording
        What it is certified on: a ``Recording``, the path of one file, or an MNE Raw.
    seed
        Of the cuts.
    """
    recording = read_one(recording)
    offline = decoder.predict(recording)
    rng = np.random.default_rng(seed)
    cuts = _random_cuts(recording, rng)
    chain = decoder.bind(recording.layout)
    state, resumes = chain.initial_state(1), 0
    outputs = []
    for block in Replay(recording, speed=0, cuts=cuts).blocks():
        if rng.random() < 0.02:
            state = unpack_state(pack_state(state), like=chain.initial_state(1))
            resumes += 1
        output, state = chain.step(block.signal[None], state)
        outputs.append(output)
    sites = chain.pipeline.output.channels
    live = collect(outputs, recording, hop=chain.hop, rule=decoder.rule, notes=(), sites=sites)
    same = np.array_equal(live.times, offline.times) and all(
        np.array_equal(np.isnan(getattr(live, name)), np.isnan(getattr(offline, name)))
        for name in ("values", "sites")
    )
    tolerance = TOLERANCE * max(1.0, float(np.nanmax(np.abs(offline.values), initial=0.0)))
    decided = _difference(live.rows, offline.rows) if same else float("inf")
    return Certified(
        recording.name,
        len(live.times),
        len(cuts) + 1,
        resumes,
        _difference(live.values, offline.values),
        same,
        decided <= tolerance,
        tolerance=tolerance,
        valid=int(offline.valid.sum()),
        sites=_difference(live.sites, offline.sites) if same else 0.0,
    )


def _random_cuts(recording: Recording, rng: np.random.Generator) -> list[int]:
    mean = recording.layout.rate / 4
    count = int(recording.samples / mean)
    return sorted(rng.integers(0, recording.samples + 1, count).tolist())


def _difference(found: Array, expected: Array) -> float:
    if found.shape != expected.shape or (np.isnan(found) != np.isnan(expected)).any():
        return float("inf")
    return float(np.nanmax(np.abs(found - expected), initial=0.0))


def latencies(messages: list[Message], *, block_seconds: float | None = None) -> dict[str, Any]:
    """Return percentiles of age and computing time in milliseconds.

    Parameters
    ----------
    messages
        One for each output.
    block_seconds
        Signal in a block; how many answers took longer than that is said as well.
    """
    if not messages:
        return {}
    late: dict[str, Any] = {}
    if block_seconds is not None:
        missed = sum(one.compute_seconds > block_seconds for one in messages)
        late = {"block_seconds": block_seconds, "late": missed, "answers": len(messages)}
    return late | {
        name: {
            f"p{percent}": float(np.percentile([getattr(m, name) for m in messages], percent) * 1e3)
            for percent in (50, 95, 99)
        }
        for name in ("age_seconds", "compute_seconds")
    }
