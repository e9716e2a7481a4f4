"""C text of numbers, fields and templates, and how many bytes they take."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np

from ranvier.recording import Array

BYTES = {
    "float": 4, "double": 8, "int8_t": 1, "uint8_t": 1, "int16_t": 2, "uint16_t": 2, "int32_t": 4,
    "uint32_t": 4,
}  # fmt: skip
"""Of the types that are used; each is aligned to its size."""

STORED = {"float32": "float", "int16": "int16_t", "int8": "int8_t"}
"""How weights may be stored."""


@dataclass(frozen=True)
class Constant:
    """A table of constants: its name, type and numbers."""

    name: str
    ctype: str
    values: Array

    @property
    def bytes(self) -> int:
        """How much it takes."""
        return bytes_of(self.ctype) * self.values.size

    @property
    def text(self) -> str:
        """Its definition."""
        numbers = ", ".join(number(value, self.ctype) for value in self.values.flatten())
        body = textwrap.fill(numbers, 100, initial_indent="    ", subsequent_indent="    ")
        return f"static const {self.ctype} {self.name}[{self.values.size}] = {{\n{body}\n}};"


@dataclass(frozen=True)
class Field:
    """A member of a struct: its type, its name and its shape, empty for a plain number."""

    ctype: str
    name: str
    shape: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """Its declaration."""
        return f"{self.ctype} {self.name}{''.join(f'[{size}]' for size in self.shape)};"

    @property
    def bytes(self) -> int:
        """How much it takes."""
        return bytes_of(self.ctype) * int(np.prod(self.shape, dtype=int))


def bytes_of(ctype: str) -> int:
    """Return the size of a type; wide numbers are double unless they are made float."""
    return BYTES["double" if ctype.endswith("_wide") else ctype]


def struct_bytes(fields: Sequence[Field], *, least: int = 1) -> int:
    """Return the size of a struct, with what is left free between its members and after them."""
    end = 0
    for one in fields:
        end = _up(end, bytes_of(one.ctype)) + one.bytes
    return _up(end, max([least, *(bytes_of(one.ctype) for one in fields)]))


def _up(place: int, step: int) -> int:
    return -(-place // step) * step


def number(value: float, ctype: str) -> str:
    """Return a number as C reads it, with as many digits as its type has."""
    if ctype.startswith(("int", "uint")):
        return str(int(value))
    text = f"{value:.9g}" if ctype == "float" else f"{value:.17g}"
    point = text if set(text) & set(".e") else f"{text}.0"
    return f"{point}f" if ctype == "float" else point


def filled(template: str, given: Mapping[str, Any]) -> str:
    """Return a template of this folder with its places filled."""
    found = files("ranvier.export").joinpath("templates", template).read_text(encoding="utf-8")
    return Template(found).substitute(given).rstrip("\n")


def stored(name: str, matrix: Array, weights: str) -> tuple[Constant, ...]:
    """Store a matrix (input, output) of weights, whole numbers with a scale for each output.

    Raises
    ------
    ValueError
        If a weight is not finite.
    """
    if not np.isfinite(matrix).all():
        raise ValueError(f"Invalid weights: {name} has one that is not finite")
    if weights == "float32":
        return (Constant(name, "float", matrix),)
    most = {"int16": 32767, "int8": 127}[weights]
    highest = np.abs(matrix).max(axis=0)
    scale = np.where(highest == 0, 1.0, highest / most)
    rounded = np.rint(matrix / scale)
    return (
        Constant(name, STORED[weights], rounded),
        Constant(f"{name}_scale", "float", scale),
    )


def joined(parts: Iterable[str], between: str = "\n\n") -> str:
    """Join the parts that are not empty."""
    return between.join(part for part in parts if part)
