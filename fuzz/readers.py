"""What readers of files may do with any bytes: succeed, or refuse them in one sentence.

``READERS`` holds a function for each reader; ``check`` gives it bytes and judges the outcome. The
files under ``tests/corpus`` are what was found with it, and seeds. ``fuzz/run.py`` finds more.
"""

from __future__ import annotations

import io
import json
import math
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path

import numpy as np

from ranvier.authors.files import read_weights
from ranvier.commands.prepare import read_stages as read_stage_settings
from ranvier.decoder import load
from ranvier.fold_files import read_json, read_recipe
from ranvier.formats import (
    read_annotations,
    read_archive,
    read_edf,
    read_events,
    read_examples,
    read_hypnogram,
    read_matlab,
    read_nwb,
    read_profusion,
    read_sleep_edf,
    read_stages,
    read_table,
    read_tfrecord,
    with_annotations,
)
from ranvier.formats.chb_mit_labels import read_seizure_marks, read_summary
from ranvier.formats.edf_anonymous import anonymise_edf
from ranvier.formats.matlab import HDF5_MARK, MARK_AT
from ranvier.formats.siena_lists import read_siena_list
from ranvier.formats.tfrecord import masked_crc32c
from ranvier.formats.tusz_labels import labels_beside
from ranvier.recording import Recording
from ranvier.truth import Event, Events, Hypnogram

CORPUS = Path(__file__).parents[1] / "tests" / "corpus"
LOOKED_AT = 1000
"""Samples that are read of a recording that could be opened."""
LONGEST_SENTENCE = 2000
LEAKED = re.compile(
    r"has no attribute|NoneType|inhomogeneous|could not convert|invalid literal|index out of range"
)
"""Words of Python and its libraries that say nothing to whoever has a file in hand."""
_numbers = count()


class UnclearError(AssertionError):
    """A reader did something else than to succeed or to refuse in one sentence."""


@dataclass(frozen=True)
class Reader:
    """How bytes reach a reader.

    Parameters
    ----------
    suffix
        Of the file that the bytes become.
    read
        Opens it, and looks at what came out.
    wrap
        Turns the bytes into the content of the file, where most of them would fail a checksum.
    """

    suffix: str
    read: Callable[[Path], None]
    wrap: Callable[[bytes], bytes] = bytes


def check(name: str, content: bytes, folder: Path) -> str:
    """Give bytes to a reader.

    Parameters
    ----------
    name
        In ``READERS``.
    content
        Any bytes.
    folder
        For the file that they become; it is taken away again.

    Returns
    -------
    str
        The sentence by which they were refused, nothing if they were read.

    Raises
    ------
    UnclearError
        If the sentence is none, or does not name the file.
    """
    reader = READERS[name]
    path = folder / f"fuzzed-{next(_numbers)}{reader.suffix}"
    path.write_bytes(reader.wrap(content))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reader.read(path)
    except ValueError as error:
        return _checked_sentence(error, path)
    finally:
        for left in folder.glob(f"{path.stem}*"):
            left.unlink()
    return ""


def _checked_sentence(error: ValueError, path: Path) -> str:
    sentence = str(error)
    is_plain = type(error) is ValueError
    if not is_plain or path.stem not in sentence or not 0 < len(sentence) < LONGEST_SENTENCE:
        raise UnclearError(f"{type(error).__name__}: {sentence[:300]!r}") from error
    if len(sentence.splitlines()) > 1:
        raise UnclearError(f"not one line: {sentence[:300]!r}") from error
    if LEAKED.search(sentence):
        raise UnclearError(f"not in words of the project: {sentence[:300]!r}") from error
    return sentence


def _demand(holds: bool, what: str) -> None:  # noqa: FBT001
    if not holds:
        raise UnclearError(what)


def _look_at(recording: Recording) -> None:
    rate, channels = recording.layout.rate, len(recording.layout.channels)
    _demand(0 < rate < math.inf and recording.samples >= 0, f"{rate} Hz, {recording.samples}")
    for first in (0, max(0, recording.samples - LOOKED_AT)):
        last = min(recording.samples, first + LOOKED_AT)
        signal = recording.reader(first, last)
        _demand(signal.shape == (last - first, channels), f"shape {signal.shape}")
        _demand(signal.dtype == np.float32, f"samples of {signal.dtype}")
        _demand(not np.isinf(signal).any(), "infinite samples")
    if recording.events:
        _look_at_events(recording.events)
    if recording.hypnogram:
        _look_at_stages(recording.hypnogram)


def _look_at_events(events: Events) -> None:
    for event in events:
        _look_at_event(event)
    _demand(not math.isinf(events.duration), "an infinite duration")


def _look_at_event(event: Event) -> None:
    _demand(0 <= event.onset < math.inf and 0 <= event.duration < math.inf, str(event))
    _demand(not event.confidence < 0 and not event.confidence > 1, str(event))


def _look_at_stages(hypnogram: Hypnogram) -> None:
    times = (hypnogram.first, hypnogram.epoch, hypnogram.duration)
    _demand(all(0 <= one < math.inf for one in times) and hypnogram.epoch > 0, str(times))


def _edf(path: Path) -> None:
    refused = []
    for part in (_edf_signal, _edf_annotations, read_sleep_edf, _edf_copy):
        try:
            part(path)
        except ValueError as error:
            refused.append(error)
    if refused:
        for error in refused:
            _checked_sentence(error, path)
        raise refused[0]


def _edf_signal(path: Path) -> None:
    _look_at(read_edf(path))


def _edf_annotations(path: Path) -> None:
    for onset, duration, _ in read_annotations(path):
        _demand(math.isfinite(onset) and not duration < 0, f"{onset} {duration}")


def _edf_copy(path: Path) -> None:
    copy = path.with_name(f"{path.stem}-copy.edf")
    anonymise_edf(path, copy)
    anonymise_edf(path, path.with_name(f"{path.stem}-bare.edf"), drop_annotations=True)
    _demand(copy.read_bytes()[8:15] == b"X X X X", "a copy with a name")


def _events(path: Path) -> None:
    _look_at_events(read_events(path))
    events, hypnogram = read_stages(path)
    if events:
        _look_at_events(events)
    if hypnogram:
        _look_at_stages(hypnogram)


def _annotations(path: Path) -> None:
    recording = Recording.from_array(np.zeros((60, 1)), 1.0, ["Cz"], name="a")
    (annotated,) = with_annotations([recording], path)
    _look_at(annotated)


def _hypnogram(path: Path) -> None:
    _look_at_stages(read_hypnogram(path))


def _numbered_hypnogram(path: Path) -> None:
    _look_at_stages(read_hypnogram(path, numbers="rem5"))


def _profusion(path: Path) -> None:
    _look_at_stages(read_profusion(path))


def _summary(path: Path) -> None:
    for listed in read_summary(path).values():
        _demand(listed.clock is None or 0 <= listed.clock < 86_400, str(listed))
        _look_at_intervals(listed.seizures)


def _marks(path: Path) -> None:
    _look_at_intervals(read_seizure_marks(path))


def _look_at_intervals(seizures: tuple[tuple[float, float], ...]) -> None:
    _demand(all(0 <= onset <= end < math.inf for onset, end in seizures), str(seizures))


def _siena(path: Path) -> None:
    for seizure in read_siena_list(path):
        onset, end, _ = seizure.seconds(seizure.registered or 0.0)
        _demand(0 <= onset <= end < math.inf, str(seizure))


def _tusz(path: Path) -> None:
    events, _ = labels_beside(path.with_suffix(".edf"))
    if events:
        _look_at_events(events)


def _recording(read: Callable[[Path], Recording]) -> Callable[[Path], None]:
    def look(path: Path) -> None:
        _look_at(read(path))

    return look


def _examples(path: Path) -> None:
    for _ in read_examples(path):
        pass
    _look_at(read_tfrecord(path))


def _decoder(path: Path) -> None:
    load(path, engine="torch")


def _weights(path: Path) -> None:
    weights, _ = read_weights(path)
    _demand(all(np.isfinite(one).all() for one in weights.values()), "weights not finite")


def _json(path: Path) -> None:
    read_json(path)


def _recipe(path: Path) -> None:
    read_recipe(path)


def _stage_settings(path: Path) -> None:
    read_stage_settings(str(path))


def as_record(content: bytes) -> bytes:
    """Return a TFRecord file of one record, with the checksums that it needs."""
    length = len(content).to_bytes(8, "little")
    sums = (masked_crc32c(part).to_bytes(4, "little") for part in (length, content))
    return b"".join((length, next(sums), content, next(sums)))


def zipped(parts: Mapping[str, bytes]) -> bytes:
    """Return an archive that is not compressed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, part in parts.items():
            archive.writestr(zipfile.ZipInfo(name), part)
    return packed.getvalue()


def npy(value: object) -> bytes:
    """Return an array as a file of NumPy."""
    packed = io.BytesIO()
    np.save(packed, np.asarray(value), allow_pickle=False)
    return packed.getvalue()


def as_member(content: bytes) -> bytes:
    """Return an archive with the bytes as one array; the first says which."""
    name = _MEMBERS[content[0] % len(_MEMBERS)] if content else _MEMBERS[0]
    others = _SESSION if name in _SESSION else _SIGNAL
    return zipped({f"{key}.npy": part for key, part in (others | {name: content[1:]}).items()})


_SIGNAL = {"signal": npy(np.zeros((60, 2))), "fs": npy(2.0)} | {
    "seizures": npy([[3, 5.0]]), "stages": npy(["W"]), "subject": npy("a"), "start": npy(""),
    "channels": npy(["a", "b"]), "unit": npy("uV"), "epoch_s": npy(30.0),
}  # fmt: skip
_SESSION = {"counts": npy(np.ones((9, 2), np.uint8)), "bin_s": npy(0.1)} | {
    "velocity": npy(np.zeros((9, 2))), "trial": npy(np.arange(9) // 5), "units": npy(["a", "b"]),
    "valid": npy(np.ones(9, bool)), "start_s": npy(1.0),
}  # fmt: skip
_MEMBERS = (*_SIGNAL, *_SESSION)


def as_hdf5(content: bytes) -> bytes:
    """Return a Matlab file of version 7.3 whose HDF5 part is the bytes, but for its mark."""
    return bytes(MARK_AT[1]) + HDF5_MARK + content


def as_decoder(content: bytes) -> bytes:
    """Return a decoder whose description is the bytes, with the fingerprint that it needs."""
    from safetensors.numpy import save

    try:
        about = json.loads(content)
        about.pop("sha256", None)
        digest = sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
        content = json.dumps({**about, "sha256": digest}).encode()
    except (ValueError, AttributeError, RecursionError):
        pass
    weights = save({"w": np.zeros(1, np.float32)})
    return zipped(
        {"decoder.json": content, "weights.safetensors": weights, "golden.npz": zipped({})}
    )


READERS: Mapping[str, Reader] = {
    "edf": Reader(".edf", _edf),
    "events": Reader(".tsv", _events),
    "annotations": Reader(".csv", _annotations),
    "hypnogram_tsv": Reader(".tsv", _hypnogram),
    "hypnogram_csv": Reader(".csv", _numbered_hypnogram),
    "hypnogram_txt": Reader(".txt", _numbered_hypnogram),
    "profusion": Reader(".xml", _profusion),
    "chb_summary": Reader(".txt", _summary),
    "chb_seizures": Reader(".seizures", _marks),
    "siena": Reader(".txt", _siena),
    "tusz_csv": Reader(".csv", _tusz),
    "tusz_tse": Reader(".tse", _tusz),
    "table": Reader(".csv", _recording(read_table)),
    "tfrecord": Reader(".tfrecord", _examples),
    "example": Reader(".tfrecord", _examples, as_record),
    "archive": Reader(".npz", _recording(read_archive)),
    "member": Reader(".npz", _recording(read_archive), as_member),
    "matlab": Reader(".mat", _recording(read_matlab)),
    "matlab_hdf5": Reader(".mat", _recording(read_matlab), as_hdf5),
    "nwb": Reader(".nwb", _recording(read_nwb)),
    "decoder": Reader(".ranvier", _decoder),
    "description": Reader(".ranvier", _decoder, as_decoder),
    "weights": Reader(".weights", _weights),
    "keras": Reader(".weights", _weights),
    "json": Reader(".json", _json),
    "recipe": Reader(".yaml", _recipe),
    "stage_settings": Reader(".yaml", _stage_settings),
}
"""By name, which is that of a folder under ``tests/corpus``."""
