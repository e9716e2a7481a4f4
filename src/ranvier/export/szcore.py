"""A decoder as the folder from which a container for SzCORE is built.

SzCORE compares detectors of seizures on recordings that nobody else has: it runs a container that
reads one EDF file and writes one HED-SCORE table. Source: the template and the checks in the
repository of SzCORE, https://github.com/esl-epfl/szcore.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ranvier.decisions import AlarmRule, TypeRule
from ranvier.decoder import Decoder, load
from ranvier.export import Exported, check_places
from ranvier.export.c_constants import filled
from ranvier.export.szcore_algorithm import (
    LONGEST_SHORT_TITLE,
    REQUIRED,
    algorithm_text,
    check_algorithm,
    describe,
    parse_authors,
    training_sets,
)
from ranvier.export.szcore_check import UID, Finding, check_folder, limits
from ranvier.export.szcore_wheel import pins, wheel_name, write_wheel

EXAMPLES = {
    "author": '"Given Family <mail@example.org>, Affiliation"',
    "license": "such as BSD-3-Clause",
    "image": REQUIRED["image"][0],
}
"""What the user alone knows, and what it looks like."""


def export_szcore(
    decoder: Decoder,
    out: Path,
    *,
    name: str = "decoder",
    author: str = "",
    license: str = "",  # noqa: A002
    image: str = "",
    title: str = "",
    short_title: str = "",
    abstract: str = "",
    repository: str = "",
    trained_on: str = "",
) -> Exported:
    """Write all that a container for SzCORE is built from, and try what the challenge will try.

    Parameters
    ----------
    decoder
        A detector of seizures that ONNX Runtime can compute.
    out
        Folder for the files.
    name
        What the decoder and the algorithm file are called.
    author
        ``"Given Family <mail>, Affiliation"``, several with semicolons between them.
    license
        Of the image: an SPDX identifier, or its name.
    image
        Where the image will be: ``"host/name:tag"``.
    title, short_title, abstract
        Of the detector; by default what is known of it.
    repository
        Address of its source.
    trained_on
        Data sets that it was trained on, with semicolons between them, or ``"none"``; those that
        the names of its recordings tell are found without it.

    Returns
    -------
    Exported
        Bytes of each file, and the seconds that each try took.

    Raises
    ------
    ValueError
        If something is missing or not as SzCORE wants it, the decoder detects no seizures or has
        no graph for ONNX Runtime, or a table is not as it must be. Nothing is written then.
    """
    check_detector(decoder)
    for option, value in (("author", author), ("license", license), ("image", image)):
        if not value.strip():
            raise ValueError(f"Missing {option}: must be {EXAMPLES[option]}")
    given = {
        "title": " ".join(title.split()) or f"Ranvier, {decoder.network}",
        "short_title": short_title
        or f"Ranvier {decoder.network}"[:LONGEST_SHORT_TITLE].strip("_ "),
        "image": image,
        "version": version("ranvier"),
        "authors": parse_authors(author),
        "abstract": abstract or describe(decoder),
        "repository": repository,
        "license": license,
        "datasets": training_sets(decoder, trained_on),
    }
    about = {field: value for field, value in given.items() if value}
    check_algorithm(about)
    return _write(decoder, out, re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-") or "decoder", about)


def check_detector(decoder: Decoder) -> None:
    """Refuse a decoder that a container cannot run.

    Raises
    ------
    ValueError
        If it detects no seizures, or has no graph for ONNX Runtime.
    """
    if not isinstance(decoder.rule, AlarmRule | TypeRule):
        raise ValueError(f"Invalid decoder: its task is {decoder.task}, must be to detect seizures")
    decoder.onnx()


def _write(decoder: Decoder, out: Path, name: str, about: Mapping[str, Any]) -> Exported:
    """Write everything into a folder within, check it, and only then put it where it belongs."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".szcore-") as folder:
        made = Path(folder)
        write_wheel(made)
        load(decoder.save(made / f"{name}.ranvier"), engine="onnx", check=True)
        for file, text in _texts(name, about).items():
            (made / file).write_text(text, encoding="utf-8", newline="\n")
        findings = check_folder(made)
        _refuse(findings)
        check_places(out, (file.name for file in made.iterdir()))
        files = [file.replace(out / file.name) for file in sorted(made.iterdir())]
    sizes = tuple((file.name, float(file.stat().st_size), "bytes") for file in files)
    tries = tuple((one.name, one.seconds * 1000, "ms") for one in findings)
    return Exported(tuple(files), (*sizes, *tries), limits())


def _refuse(findings: Sequence[Finding]) -> None:
    for one in findings:
        if one.fault:
            raise ValueError(
                f"The container would fail on a file of the kind {one.name!r}: {one.fault}"
            )


def _texts(name: str, about: Mapping[str, Any]) -> dict[str, str]:
    given = {
        "title": about["title"],
        "image": about["image"],
        "version": version("ranvier"),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "wheel": wheel_name(),
        "decoder": f"{name}.ranvier",
        "algorithm": f"{name}.yaml",
        "uid": UID,
    }
    return {
        "Dockerfile": filled("szcore.Dockerfile.in", given) + "\n",
        "README.md": filled("szcore.md.in", given) + "\n",
        "constraints.txt": pins(),
        f"{name}.yaml": algorithm_text(about),
    }
