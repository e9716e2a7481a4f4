"""A decoder in C, compiled for this machine and called from Python."""

from __future__ import annotations

import ctypes
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from ranvier.bench.steps import Clock, Steps, cuts_of
from ranvier.decoder import Decoder
from ranvier.export import export
from ranvier.export.c_compiled import FLAGS
from ranvier.recording import Array, Recording
from ranvier.writing import write_text

COMPILER = "cc -O3 -march=native"

SHIM = """#include "timed.c"
static timed_state state;
static timed_scratch scratch;
static timed_output outputs[ROOM];
void timed_begin(void);
void timed_begin(void) { timed_start(&state); }
size_t timed_take(const float *samples, size_t frames);
size_t timed_take(const float *samples, size_t frames)
{
    return timed_step(&state, &scratch, samples, frames, outputs);
}
"""


def time_in_c(
    decoder: Decoder, recording: Recording, *, steps: int, clock: Clock
) -> tuple[Steps, float, float]:
    """Time the C form, which goes from samples to decisions in one call.

    Parameters
    ----------
    decoder, recording
        What is decoded, and by what.
    steps
        Answers that are timed.
    clock
        Seconds of any time.

    Returns
    -------
    tuple
        The steps, seconds for the whole recording at once, and bytes that the decoder needs.

    Raises
    ------
    ValueError
        If the decoder cannot be exported, or there is no compiler that takes it.
    """
    chain = decoder.bind(recording.layout)
    cuts = cuts_of(chain, recording, steps)
    signal = np.ascontiguousarray(recording.reader(0, recording.samples), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        built, memory = _built(decoder, recording, chain.hop, Path(folder))
        built.timed_begin()
        took = list(_timed_calls(built, signal, cuts, clock))[1:]
        built.timed_begin()
        (whole,) = _timed_calls(built, signal, [0, len(signal)], clock)
    return Steps(chain.hop, np.array(took), {}), whole, memory


def _timed_calls(
    built: ctypes.CDLL, signal: Array, cuts: Sequence[int], clock: Clock
) -> Iterator[float]:
    for first, last in pairwise(cuts):
        samples = ctypes.c_void_p(signal[first:].ctypes.data)
        began = clock()
        built.timed_take(samples, ctypes.c_size_t(last - first))
        yield clock() - began


def _built(
    decoder: Decoder, recording: Recording, hop: float, folder: Path
) -> tuple[ctypes.CDLL, float]:
    """Compile a decoder and return it, and the bytes that it needs."""
    words = shlex.split(COMPILER)
    if not shutil.which(words[0]):
        raise ValueError(f"there is no compiler {words[0]!r}")
    layout = recording.layout
    made = export(decoder, folder, to="c", name="timed", channels=layout.channels, rate=layout.rate)
    room = f"#define ROOM {int(recording.duration / hop) + 2}\n"
    source = write_text(folder / "shim.c", room + SHIM)
    target = folder / "timed.so"
    words = [*words, *FLAGS, "-shared", "-fPIC", str(source), "-o", str(target)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"{COMPILER!r} did not take the source")
    memory = sum(number for _, number, unit in made.rows if unit == "bytes")
    return ctypes.CDLL(str(target)), memory
