"""``ranvier bench``: what a decoder costs on this machine."""

from __future__ import annotations

from ranvier.commands import Answer, use_threads


def bench(decoder: str, *, recording: str = "", steps: int = 200, threads: int = 1) -> Answer:
    """Measure what a decoder costs here: steps, a file, memory and sizes, in each form there is.

    Parameters
    ----------
    decoder
        A .ranvier file.
    recording
        A file that is decoded; by default noise.
    steps
        Answers that are timed, one after the other as they come live.
    threads
        For computing in torch; ONNX Runtime and C take one.
    """
    from ranvier.bench import bench as measure
    from ranvier.datasets import read_one
    from ranvier.runtime import has_torch

    if has_torch():
        use_threads(threads)
    found = read_one(recording) if recording else None
    measured = measure(decoder, recording=found, steps=steps)
    notes = [*(found.notes if found else ()), *measured.notes]
    return Answer(str(measured), measured.as_dict(), notes)
