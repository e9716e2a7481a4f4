"""``ranvier export``: a decoder in another form, for where there is no Python."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ranvier.commands import Answer, check_folder, use_threads
from ranvier.runtime import has_torch


def export(
    decoder: str,
    out: str,
    *,
    to: str,
    channels: list[str] | None = None,
    rate: float | None = None,
    weights: Literal["float32", "int16", "int8"] | None = None,
    buffers: Literal["float32", "int16"] | None = None,
    compiler: str | None = None,
    author: str | None = None,
    license: str | None = None,  # noqa: A002
    image: str | None = None,
    title: str | None = None,
    short_title: str | None = None,
    abstract: str | None = None,
    repository: str | None = None,
    trained_on: str | None = None,
) -> Answer:
    """Write a decoder in another form, such as C for a small device, and tell what it needs.

    Parameters
    ----------
    decoder
        A .ranvier file.
    out
        Folder for the files.
    to
        c: one C99 source and header without dependencies, and a small program. onnx: the network's
        step as a graph, what must be known of it, and an example. szcore: what a container for the
        SzCORE challenge is built from.
    channels
        Channels that will come in, in their order; by default the 19 leads of the 10-20 system
        where a montage is derived, else those of the decoder.
    rate
        Samples per second that will come in; by default 256.
    weights
        How weights are stored: float32, int16 or int8.
    buffers
        How signals that are kept are stored: float32 or int16.
    compiler
        What tells the sizes of code and stack, with its options; by default "cc -O2".
    author
        For szcore: "Given Family <mail>, Affiliation", several with semicolons between them.
    license
        For szcore: of the image.
    image
        For szcore: where the image will be, host/name:tag.
    title
        For szcore: of the detector; by default its network.
    short_title
        For szcore: the same in at most 20 characters.
    abstract
        For szcore: by default what is known of the decoder.
    repository
        For szcore: address of the source of the detector.
    trained_on
        For szcore: data sets that the decoder has seen, with semicolons between them, or none.
    """
    options = {n: value for n, value in locals().items() if n not in {"decoder", "out", "to"}}
    from ranvier.decoder import load
    from ranvier.export import export as write

    if has_torch():
        use_threads(1)
    loaded = load(decoder)
    check_folder(out)
    made = write(loaded, out, to=to, name=Path(decoder).stem, **options)
    files = [str(file) for file in made.files]
    content = {
        "files": files,
        "sizes": {name: number for name, number, _ in made.rows},
    }
    return Answer(say(files, made.rows), content, list(made.notes))


def say(files: list[str], rows: tuple[tuple[str, float, str], ...]) -> str:
    """Return the table and the names of the files."""
    table = [f"{name:32} {number:12,.0f} {unit}" for name, number, unit in rows]
    return "\n".join([*table, *(f"{file} was written" for file in files)])
