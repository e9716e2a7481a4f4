"""Prepared recordings on disk: features after all stages that need memory, memory-mapped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.recording import Array, Layout, Recording
from ranvier.stages import build, coverages
from ranvier.stored_recording import origin_of
from ranvier.streaming import Pipeline
from ranvier.truth import Truth
from ranvier.writing import replacing

BLOCK = 3600
BLOCK_SECONDS = 300.0
"""Steps, or seconds where these are more, that are read at once when the whole is decoded."""

Stages = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Prepared:
    """A recording as a network will see it, but for the stages without memory.

    Parameters
    ----------
    name, subject, duration, notes
        Of the recording.
    truth
        What it is annotated with for the task; None where nothing is known.
    path
        File with what the stages give, (step, channel) or (step, node, feature).
    rest
        The memoryless stages that are applied when features are read.
    first, hop
        Seconds at which the first step is known, and between steps.
    """

    name: str
    subject: str
    truth: Truth | None
    duration: float
    path: Path
    rest: Pipeline
    first: float
    hop: float
    notes: tuple[str, ...] = ()

    @property
    def stored(self) -> Array:
        """What lies on disk, (step, channel) or (step, node, feature)."""
        stored: Array = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return stored

    def __len__(self) -> int:
        return len(self.stored)

    def features(self, start: int = 0, stop: int | None = None) -> Array:
        """Return what the network sees from one step to another, as ``stored``."""
        chunk = np.array(self.stored[start:stop])[None]
        features: Array = self.rest.step(chunk, self.rest.initial_state(1))[0][0]
        return features

    def features_before(self, stage: int) -> Array:
        """Return what comes into one of the last stages, counted from the end (-1, -2, ...)."""
        stages = self.rest.stages[: len(self.rest.stages) + stage]
        return replace(self, rest=Pipeline(self.rest.layout, stages)).features()

    def with_stages(self, stages: Stages) -> Prepared:
        """Return the same recording with other settings of its memoryless stages."""
        last = stages[len(stages) - len(self.rest.stages) :]
        return replace(self, rest=build(last, self.rest.layout))

    @property
    def block(self) -> int:
        """How many steps are read at once when the whole is decoded."""
        return max(BLOCK, round(BLOCK_SECONDS / self.hop))

    @property
    def layout(self) -> Layout:
        """Channels and rate of what the network sees."""
        return self.rest.output

    def times(self, window: int = 1, hop: int = 1) -> Array:
        """Return the seconds at which outputs are known that look at windows of steps."""
        count = max(0, (len(self) - window) // hop + 1)
        return np.asarray(self.first + self.hop * (window - 1 + hop * np.arange(count)))

    def targets(self, window: int = 1, hop: int = 1) -> Array:
        """Return what is true for each of these outputs; NaN where nothing is known."""
        return self.targets_at(self.times(window, hop), hop)

    def targets_at(self, times: Array, hop: int) -> Array:
        """Return what is true at some of these times, in the hop (in steps) before each."""
        if self.truth is None:
            return np.full(len(times), np.nan)
        return self.truth.targets(times, hop * self.hop)


def stages_done(recording: Recording, stages: Stages) -> int:
    """Return how many of the stages were applied before to what a store holds.

    Raises
    ------
    ValueError
        If it holds features of other stages than these begin with.
    """
    origin = origin_of(recording)
    if origin is None:
        return 0
    count = len(origin.stages)
    if _plain(stages[:count]) == _plain(origin.stages):
        return count
    if recording.reader(0, 0).ndim == 2:
        return 0
    raise ValueError(
        f"Invalid stages: {recording.name} holds features after {_named(origin.stages)}, must "
        f"begin with these settings of them, found {_named(stages)}"
    )


def check_can_be_cut(recordings: Sequence[Recording], stages: Stages, split_by: str) -> None:
    """Refuse to cut in time what a store holds after stages, which looked over the cut."""
    if begun := [one.name for one in recordings if stages_done(one, stages)]:
        raise ValueError(
            f"Invalid split: {split_by!r} for {begun[0]}, which was prepared with stages of the "
            "network, must be 'subject': they looked over where it would be cut"
        )


def _plain(stages: Stages) -> list[dict[str, Any]]:
    plain: list[dict[str, Any]] = json.loads(json.dumps([dict(one) for one in stages]))
    return plain


def _named(stages: Stages) -> str:
    return ", ".join(str(one.get("stage")) for one in stages)


def split_stages(stages: Stages, layout: Layout, done: int = 0) -> tuple[Pipeline, Pipeline]:
    """Build the stages for a layout: those up to the last with memory, and those after it.

    Of stages that were done before, all are among the first.
    """
    whole = build(stages, layout)
    with_memory = (i + 1 for i, stage in enumerate(whole.stages) if not stage.memoryless)
    last = max((done, *with_memory))
    before = Pipeline(layout, whole.stages[:last])
    return before, Pipeline(before.output, whole.stages[last:])


def prepare(
    recordings: Iterable[Recording],
    stages: Stages,
    folder: Path,
    *,
    truth_of: Callable[[Recording], Truth | None],
    progress: Callable[[Recording], None] | None = None,
) -> list[Prepared]:
    """Run the stages over recordings and keep the features; what is there already is kept.

    Parameters
    ----------
    recordings
        Read one after the other.
    stages
        As for ``stages.build``.
    folder
        Where the features go, one file each, named by content and settings.
    truth_of
        Gives what a recording is annotated with.
    progress
        Called with each recording that is done.

    Raises
    ------
    ValueError
        If a recording does not fit the stages.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = []
    for recording in recordings:
        done.append(_prepare_one(recording, stages, folder, truth_of(recording)))
        if progress:
            progress(recording)
    return done


def _prepare_one(
    recording: Recording, stages: Stages, folder: Path, truth: Truth | None
) -> Prepared:
    if recording.reader(0, 0).ndim > 2 and origin_of(recording) is None:
        raise ValueError(
            f"Invalid recording: {recording.name} is a part of features of a store, must be all of "
            "them or a signal"
        )
    done = stages_done(recording, stages)
    origin = origin_of(recording) if done else None
    layout, samples = (origin or recording).layout, (origin or recording).samples
    try:
        before, rest = split_stages(stages, layout, done)
    except ValueError as error:
        raise ValueError(f"{recording.name}: {error}") from None
    left = Pipeline(Pipeline(layout, before.stages[:done]).output, before.stages[done:])
    path = folder / f"{fingerprint(recording, stages)}.npy"
    if not _is_whole(path, left.outputs(recording.samples)):
        _write(path, left, recording)
    return Prepared(
        recording.name,
        recording.subject,
        truth,
        samples / layout.rate,
        path,
        rest,
        first=first_output(before),
        hop=before.hop,
        notes=(*recording.notes, *(note for one in coverages(before) for note in one.notes())),
    )


def _is_whole(path: Path, steps: int) -> bool:
    try:
        return path.exists() and len(np.load(path, mmap_mode="r", allow_pickle=False)) == steps
    except (ValueError, EOFError):
        return False


def first_output(pipeline: Pipeline) -> float:
    """Return the second at which the first output is known."""
    low, high = 0, 1
    while not pipeline.outputs(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if pipeline.outputs(middle) else (middle, high)
    return high / pipeline.rate


def _write(path: Path, pipeline: Pipeline, recording: Recording) -> None:
    state = pipeline.initial_state(1)
    nothing, _ = pipeline.step(recording.reader(0, 0)[None], state)
    shape = (pipeline.outputs(recording.samples), *nothing.shape[2:])
    try:
        with replacing(path) as temporary:
            _write_blocks(temporary, shape, pipeline, recording)
    except OSError as error:
        raise ValueError(f"Cannot write {path}, the disk may be full ({error})") from None


def _write_blocks(
    path: Path, shape: tuple[int, ...], pipeline: Pipeline, recording: Recording
) -> None:
    state = pipeline.initial_state(1)
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for block in recording.blocks():
            output, state = pipeline.step(block[None], state)
            file.write(np.ascontiguousarray(output[0], dtype="<f4").tobytes())


@cache
def code_hash() -> str:
    """Return a fingerprint of Ranvier's own code."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def fingerprint(recording: Recording, stages: Stages) -> str:
    """Name by code, settings, layout and the whole signal.

    Checkpoints and folds are named by these names, so other code or data never goes on from old
    results.
    """
    rate, channels = recording.layout.rate, recording.layout.channels
    described = [code_hash(), list(map(dict, stages)), channels, rate, recording.samples]
    digest = hashlib.blake2b(json.dumps(described, default=str).encode(), digest_size=12)
    for block in recording.blocks():
        digest.update(np.ascontiguousarray(block).data)
    return digest.hexdigest()
