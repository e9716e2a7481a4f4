"""``ranvier live``: decode while the signal is measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ranvier.commands import Note, open_decoder


def live(
    decoder: str,
    *,
    source: str,
    speed: float = 1.0,
    chunk: int | None = None,
    threads: int = 1,
    engine: str = "auto",
) -> Iterator[dict[str, Any] | Note]:
    """Decode a stream and print one line of JSON for each output.

    Parameters
    ----------
    decoder
        A .ranvier file.
    source
        replay:FILE plays a file as if it were being measured.
    speed
        Seconds of signal per second; 0 is as fast as it goes.
    chunk
        Samples that arrive together; by default 125 ms of a signal or 10 ms of counts, and at least
        one sample.
    threads
        For computing in torch; ONNX Runtime takes one.
    engine
        torch, onnx for ONNX Runtime, int8 for its step of eight bits, or auto: int8 where the
        decoder has one, else torch where it is installed.
    """
    from ranvier.datasets import read_one
    from ranvier.live.runner import run
    from ranvier.live.sources import Replay

    kind, _, place = source.partition(":")
    if kind != "replay" or not place:
        raise ValueError(f"Invalid source: {source!r}, possible options: ['replay:FILE']")
    loaded = open_decoder(decoder, engine=engine, threads=threads)
    recording = read_one(place)
    for note in (*recording.notes, *loaded.coverage_notes(recording.layout)):
        yield Note(note)
    said = valid = 0
    for message in run(loaded, Replay(recording, speed=speed, chunk=chunk)):
        said, valid = said + 1, valid + message.valid
        yield message.as_dict()
    if not said:
        yield Note("shorter than one window: nothing could be decided")
    elif not valid:
        yield Note(f"none of {said} outputs is valid")
