"""``ranvier certify``: the same answer for a file and for a stream."""

from __future__ import annotations

from dataclasses import asdict

from ranvier.commands import Answer, open_decoder


def certify(
    decoder: str, recording: str, *, seed: int = 0, threads: int = 1, engine: str = "auto"
) -> Answer:
    """Prove that a decoder says the same of a file and of a stream; else the exit code is 1.

    Parameters
    ----------
    decoder
        A .ranvier file.
    recording
        An EDF or BDF file.
    seed
        Of the places where the stream is cut and restarted.
    threads
        For computing in torch; ONNX Runtime takes one.
    engine
        torch, onnx for ONNX Runtime, int8 for its step of eight bits, or auto: int8 where the
        decoder has one, else torch where it is installed.
    """
    from ranvier.datasets import read_one
    from ranvier.live.runner import certify as compare

    loaded = open_decoder(decoder, engine=engine, threads=threads, check=True)
    found = read_one(recording)
    certified = compare(loaded, found, seed=seed)
    content = {**asdict(certified), "equal": certified.equal}
    notes = [*found.notes, *loaded.coverage_notes(found.layout)]
    return Answer(str(certified), content, notes, failed=not certified.equal)
