"""Decoders in other forms, for where there is no Python: one module per form."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from ranvier.decoder import Decoder

EXPORTS = {
    "c": "ranvier.export.c:export_c",
    "onnx": "ranvier.export.onnx:export_onnx",
    "szcore": "ranvier.export.szcore:export_szcore",
}
"""Forms, and the function that writes each: (decoder, folder, *, options) to an ``Exported``."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Parameters
    ----------
    files
        In the order in which they are to be read.
    rows
        Table of what it holds and needs: a name, a number and its unit.
    notes
        What could not be found out, one sentence each.
    """

    files: tuple[Path, ...]
    rows: tuple[tuple[str, float, str], ...]
    notes: tuple[str, ...] = field(default=())


def check_places(out: Path, names: Iterable[str]) -> None:
    """Refuse to write files where there are folders.

    Raises
    ------
    ValueError
        If there is one of such a name.
    """
    for name in names:
        if (out / name).is_dir():
            raise ValueError(f"Invalid out: {out / name} is a folder, must be a file or nothing")


def write_files(out: Path, contents: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write files into a folder, all of them or none, and return where they are.

    Raises
    ------
    ValueError
        If there is a folder in the place of one.
    """
    check_places(out, contents)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".export-") as folder:
        for name, content in contents.items():
            (Path(folder) / name).write_bytes(content)
        return tuple((Path(folder) / name).replace(out / name) for name in contents)


def export(decoder: Decoder, out: str | Path, *, to: str, **options: Any) -> Exported:
    """Write a decoder in another form.

    Parameters
    ----------
    decoder
        What is exported.
    out
        Folder for the files.
    to
        A key of ``EXPORTS``.
    **options
        Of the form; those that are None count as not given.

    Raises
    ------
    ValueError
        If the form is unknown, does not know an option, or cannot hold the decoder.
    """
    if to not in EXPORTS:
        raise ValueError(f"Invalid to: {to!r}, possible options: {list(EXPORTS)}")
    module, _, function = EXPORTS[to].partition(":")
    write: Callable[..., Exported] = getattr(import_module(module), function)
    given = {name: value for name, value in options.items() if value is not None}
    known = inspect.signature(write).parameters
    if unknown := [name for name in given if name not in known]:
        raise ValueError(f"Invalid {unknown[0]}: an export to {to} does not know this option")
    return write(decoder, Path(out), **given)
