"""Any part of a processed recording, equal to the last bit to the same part of the whole.

The state of the stages is kept every minute of signal. A part is computed from the last state
before it, so that it knows all that came before.
"""

from __future__ import annotations

import bisect
import copy
import hashlib
import json
import threading
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ranvier.recording import Recording, Signal
from ranvier.signal_store import over
from ranvier.stages import build
from ranvier.store import Stages, code_hash, fingerprint
from ranvier.stored_recording import Stored, unmapped
from ranvier.streaming import State, pack_state, unpack_state
from ranvier.writing import replacing

SECONDS_BETWEEN_STATES = 60.0

_growing = threading.Lock()
"""States are added by one thread at a time; not in the reader, which goes to other processes."""


class Windows:
    """Reader of a recording after stages; it may stand in for the reader of a ``Recording``.

    Parameters
    ----------
    recording
        What is processed.
    stages
        As for ``stages.build``; none that is fitted to the training part of a fold.
    seconds
        Of signal between two states that are kept.
    folder
        Where states are looked for, and kept by ``save``.

    Raises
    ------
    ValueError
        If the stages do not fit the recording, or one has to be fitted first.
    """

    def __init__(
        self,
        recording: Recording,
        stages: Stages,
        *,
        seconds: float = SECONDS_BETWEEN_STATES,
        folder: Path | None = None,
    ) -> None:
        _refuse_unfitted(stages)
        self.recording, self.stages = recording, stages
        self.pipeline = build(stages, recording.layout)
        self.size = max(1, round(seconds * recording.layout.rate))
        self.path = folder / f"{self._name()}.states.npz" if folder else None
        self._read_unmapped = unmapped(recording.reader)
        self.states = self._load() or [self.pipeline.initial_state(1)]

    def __len__(self) -> int:
        return self.pipeline.outputs(self.recording.samples)

    def __call__(self, first: int, last: int) -> Signal:
        """Return what the stages give, from one output to another, (output, ...)."""
        number = self._before(first)
        begin, state = number * self.size, self._state(number)
        known, end = self.pipeline.outputs(begin), self._needed(last, begin)
        signal = np.empty(0, np.float32)
        for start in range(begin, max(end, begin + 1), self.size):
            stop = min(start + self.size, end)
            (output,), state = self.pipeline.step(self.recording.reader(start, stop)[None], state)
            self._keep(stop, state)
            if start == begin:
                signal = np.empty_like(output, np.float32, shape=(last - first, *output.shape[1:]))
            wanted = output[max(0, first - known) : last - known]
            place = max(0, known - first)
            signal[place : place + len(wanted)] = wanted
            known += len(output)
        return signal

    def unmapped(self) -> Windows:
        """Return the same, but letting go of the file after each reading."""
        fresh = copy.copy(self)
        fresh.recording = replace(self.recording, reader=unmapped(self.recording.reader))
        return fresh

    def read(self, start: float, stop: float) -> Signal:
        """Return what the stages give between two times.

        Parameters
        ----------
        start, stop
            Seconds from the first sample; an output belongs to the second at which it is known.

        Returns
        -------
        Signal
            float32, (output, channel) or (output, node, feature).

        Raises
        ------
        ValueError
            If the times do not lie in order within the recording.
        """
        first, last = (round(second * self.pipeline.output.rate) for second in (start, stop))
        if not 0 <= first <= last <= len(self):
            raise ValueError(
                f"Invalid start and stop: {start} s and {stop} s, must lie in order between 0 and "
                f"{len(self) * self.pipeline.hop} s"
            )
        return self(first, last)

    def _before(self, output: int) -> int:
        """Return the number of the last state with which an output is not yet known."""
        starts = range(0, self.recording.samples + 1, self.size)
        return max(0, bisect.bisect_right(starts, output, key=self.pipeline.outputs) - 1)

    def _needed(self, outputs: int, least: int) -> int:
        """Return how many samples must have come in for this many outputs to be known."""
        samples = range(least, self.recording.samples + 1)
        return least + bisect.bisect_left(samples, outputs, key=self.pipeline.outputs)

    def _state(self, number: int) -> State:
        while (done := len(self.states) - 1) < number:
            start, stop = done * self.size, (done + 1) * self.size
            chunk = self._read_unmapped(start, stop)[None]
            self._keep(stop, self.pipeline.step(chunk, self.states[done])[1])
        return self.states[number]

    def _keep(self, samples: int, state: State) -> None:
        with _growing:
            if samples == len(self.states) * self.size:
                self.states.append(state)

    def save(self) -> Path:
        """Keep all states in the folder, by content and settings.

        Raises
        ------
        ValueError
            If there is no folder, or the states cannot be written.
        """
        if self.path is None:
            raise ValueError("Invalid folder: None, must be given for states to be kept")
        self._state(self.recording.samples // self.size)
        packed = [np.frombuffer(pack_state(state), np.uint8) for state in self.states]
        ends = np.cumsum([len(one) for one in packed])
        try:
            with replacing(self.path) as temporary, temporary.open("wb") as file:
                np.savez(file, packed=np.concatenate(packed), ends=ends, allow_pickle=False)
        except OSError as error:
            raise ValueError(
                f"Cannot write {self.path}, the disk may be full ({error.strerror or error})"
            ) from None
        return self.path

    def _load(self) -> list[State]:
        if self.path is None:
            return []
        try:
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                packed, ends = kept["packed"].tobytes(), kept["ends"].tolist()
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return []
        like, starts = self.pipeline.initial_state(1), [0, *ends[:-1]]
        return [unpack_state(packed[a:b], like) for a, b in zip(starts, ends, strict=True)]

    def _name(self) -> str:
        """Name by code, settings and content; a store already knows the content."""
        reader = self.recording.reader
        if not isinstance(reader, Stored):
            return fingerprint(self.recording, [*self.stages, {"every": self.size}])
        about = [code_hash(), reader.path.stem, self.size, list(map(dict, self.stages))]
        return hashlib.blake2b(json.dumps(about, default=str).encode(), digest_size=12).hexdigest()


def processed(recording: Recording, stages: Stages) -> Recording:
    """Return a recording as it is after stages; what is known of it stays known.

    Raises
    ------
    ValueError
        If the stages do not fit the recording, one has to be fitted first, or what comes out are
        features and no signal.
    """
    windows = Windows(recording, stages)
    pipeline = windows.pipeline
    nothing, _ = pipeline.step(recording.reader(0, 0)[None], pipeline.initial_state(1))
    if nothing.ndim != 3:
        raise ValueError(
            f"Invalid stages: {', '.join(str(one.get('stage')) for one in stages)} give features, "
            "must give a signal, (time, channels)"
        )
    return replace(recording, layout=pipeline.output, samples=len(windows), reader=windows)


def save_states(
    recordings: Sequence[Recording],
    stages: Stages,
    folder: Path,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Keep the states of stages over recordings; those that are there are not computed again.

    Parameters
    ----------
    recordings
        Best of a store, which knows their content.
    stages
        As for ``Windows``.
    folder
        Where the states go.
    workers
        Recordings that are processed side by side.
    progress
        Told how many are done, and of how many.

    Raises
    ------
    ValueError
        If the stages do not fit a recording, or the states cannot be written.
    """
    for done, _ in enumerate(over(_save_one, recordings, workers, stages, folder), start=1):
        if progress:
            progress(done, len(recordings))


def _save_one(recording: Recording, stages: Stages, folder: Path) -> None:
    windows = Windows(recording, stages, folder=folder)
    if windows.path is not None and not windows.path.exists():
        windows.save()


def _refuse_unfitted(stages: Stages) -> None:
    if any(one.get("stage") == "standardise" and "mean" not in one for one in stages):
        raise ValueError(
            "Invalid stages: standardise is fitted to the training part of each fold, must have a "
            "mean and a deviation to be applied before"
        )
