"""C text of numbers, fields and templates, and how many bytes they take."""

from __future__ import annotations

import re
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

LARGEST = {"float": float(np.finfo(np.float32).max), "double": float(np.finfo(float).max)}
"""What a number of a type can be at most; wide ones may be double."""

STORED = {"float32": "float", "int16": "int16_t", "int8": "int8_t"}
"""How weights may be stored."""

UNSAFE = re.compile(rb"[^A-Za-z0-9 _.,:+()-]")
"""What means something in a literal or a comment of C, or is not ASCII."""


@dataclass(frozen=True)
class Constant:
    """A table of constants: its name, type and numbers."""

    name: str
    ctype: str
    values: Array

    def bytes(self, wide: str = "double") -> int:
        """Return how much it takes, where wide numbers are of this type."""
        return bytes_of(self.ctype, wide) * self.values.size

    @property
    def text(self) -> str:
        """Its definition."""
        numbers = ", ".join(number(value, self.ctype, self.name) for value in self.values.flatten())
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

    def bytes(self, wide: str = "double") -> int:
        """Return how much it takes, where wide numbers are of this type."""
        return bytes_of(self.ctype, wide) * int(np.prod(self.shape, dtype=int))


def bytes_of(ctype: str, wide: str = "double") -> int:
    """Return the size of a type; wide numbers are double unless they are made float."""
    return BYTES[wide if ctype.endswith("_wide") else ctype]


def struct_bytes(fields: Sequence[Field], wide: str = "double") -> int:
    """Return the size of a struct, with what is left free between its members and after them."""
    end = 0
    for one in fields:
        end = _up(end, bytes_of(one.ctype, wide)) + one.bytes(wide)
    return _up(end, max([1, *(bytes_of(one.ctype, wide) for one in fields)]))


def _up(place: int, step: int) -> int:
    return -(-place // step) * step


def number(value: float, ctype: str, name: str = "number") -> str:
    """Return a number as C reads it, with as many digits as its type has.

    Raises
    ------
    ValueError
        If it is not finite in this type; the name says which one.
    """
    if ctype.startswith(("int", "uint")):
        return str(int(value))
    most = LARGEST.get(ctype, LARGEST["double"])
    if not abs(value) <= most:
        raise ValueError(f"Invalid {name}: {value:.3g}, must be finite, {most:.2g} at most")
    text = f"{value:.9g}" if ctype == "float" else f"{value:.17g}"
    point = text if set(text) & set(".e") else f"{text}.0"
    return f"{point}f" if ctype == "float" else point


def escaped(text: str) -> str:
    """Return a text that comes from outside as C may hold it, in a literal or in a comment.

    What could end either of them is written as octal numbers, with three digits, of its UTF-8.
    """
    plain = UNSAFE.sub(lambda found: b"\\%03o" % found[0][0], text.encode("utf-8", "surrogatepass"))
    return plain.decode("ascii")


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
